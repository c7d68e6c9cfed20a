"""The log of a document, as an app reads it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from crdtsync.log import Entry

if TYPE_CHECKING:
    from crdtsync.document.journal import Journal

__all__ = ["Log"]


class Log:
    """All entries of a document that are held here, in the order of arrival.

    The order is causal: an entry stands after everything that its author had seen. Iterating reads
    the store and checks every entry against its chain.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def __len__(self) -> int:
        return self._journal.count

    def __iter__(self) -> Iterator[Entry]:
        return self._journal.entries()

    def user_of(self, replica: int) -> str | None:
        """Return who uses a replica, as its log says."""
        return self._journal.users.get(replica)

    def __repr__(self) -> str:
        return f"<log of {self._journal.name!r}, {len(self)} entries>"
