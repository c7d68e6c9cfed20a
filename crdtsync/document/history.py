"""The log of a document, as an app reads it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from crdtsync.codec import check_value, copy_value
from crdtsync.display import repr_html
from crdtsync.log import Entry

if TYPE_CHECKING:
    from crdtsync.document.journal import Journal

__all__ = ["ActionUpcast", "Log", "PastAction"]

ActionUpcast: TypeAlias = Callable[[str, dict[str, Any]], tuple[str, dict[str, Any]]]
"""Turns an action's name and arguments into those of the next schema version."""


class PastAction(NamedTuple):
    """An action in the log, as the present schema version names it.

    Attributes:
        name: what was done.
        arguments: with what.
        entry: the entry that records it, as it was written.
        problem: why it could not be brought up to date and is given as written; None if it could.
    """

    name: str
    arguments: dict[str, Any]
    entry: Entry
    problem: str | None

    def _repr_html_(self) -> str:
        return repr_html(self)


class Log:
    """All entries of a document that are held here, in the order of arrival.

    The order is causal: an entry stands after everything that its author had seen. Iterating reads
    the store and checks every entry against its chain.
    """

    _repr_html_ = repr_html

    def __init__(self, journal: Journal, upcasts: Mapping[int, ActionUpcast]) -> None:
        self._journal = journal
        self._upcasts = upcasts

    def __len__(self) -> int:
        return self._journal.count

    def __iter__(self) -> Iterator[Entry]:
        return self._journal.entries()

    @property
    def document(self) -> str:
        """The document's name."""
        return self._journal.name

    @property
    def state_vector(self) -> dict[int, int]:
        """The highest entry number held of each replica."""
        return self._journal.vector

    def newest(self, count: int) -> list[PastAction]:
        """Return the newest actions, in the order of arrival, without reading those before."""
        after = {replica: max(0, seq - count) for replica, seq in self.state_vector.items()}
        return list(map(self.action, deque(self._journal.entries(after), count)))

    def actions(self) -> Iterator[PastAction]:
        """Return all actions in the order of arrival, brought up to date by the class's `upcasts`.

        An upcast is a pure function; the log itself stays as it was written.
        """
        return map(self.action, self)

    def action(self, entry: Entry) -> PastAction:
        """Return the action that an entry records, brought up to date."""
        name, arguments, problem = entry.name, copy_value(entry.arguments), None
        try:
            for version in sorted(self._upcasts):
                if version >= entry.schema_version:
                    name, arguments = self._upcasts[version](name, arguments)
                    check_value(arguments)
        except Exception as error:
            name, arguments = entry.name, copy_value(entry.arguments)
            problem = f"{type(error).__name__}: {error}"
        return PastAction(name, arguments, entry, problem)

    def user_of(self, replica: int) -> str | None:
        """Return who uses a replica, as its log says."""
        return self._journal.users.get(replica)

    def __repr__(self) -> str:
        return f"<log of {self._journal.name!r}, {len(self)} entries>"
