"""Many replicas, one store file each, of which a bounded number is open at any time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Generic, TypeVar

from crdtsync import Document, Replica

__all__ = ["OPEN_MAX", "Fleet", "Member"]

OPEN_MAX = 24
"""Open stores; each takes four file handles, and the memory of a whole document."""

D = TypeVar("D", bound=Document)


class Member(Generic[D]):
    """One replica of the fleet with the document that all of them share."""

    __slots__ = ("document", "ledger", "replica")

    def __init__(self, replica: Replica, kind: type[D], document: str) -> None:
        self.replica = replica
        self.document: D = replica.document(kind, document)
        self.ledger = replica.ledger(document)


class Fleet(Generic[D]):
    """Opens replicas by number; the least recently used is closed when there are too many.

    Args:
        folder: where the stores are.
        kind: the document's class.
        document: its name.
        open_max: how many replicas may be open. What `get` returned is good for this many calls.
    """

    def __init__(
        self, folder: Path, kind: type[D], document: str, *, open_max: int = OPEN_MAX
    ) -> None:
        self._folder = folder
        self._kind = kind
        self._document = document
        self._open_max = open_max
        self._open: OrderedDict[int, Member[D]] = OrderedDict()

    def muster(self, numbers: Iterable[int]) -> None:
        """Make the stores of these replicas, so that their ids rise with their numbers.

        Where two people typed at one place at the same time, the order of the replicas' ids decides
        whose text comes first. In recordings that was the order of the agents' numbers.
        """
        made: list[tuple[int, Path]] = []
        wanted = sorted(numbers)
        for number in wanted:
            path = self._folder / f"new-{number}.db"
            with Replica(path) as replica:
                made.append((replica.id, path))
        for number, (_, path) in zip(wanted, sorted(made), strict=True):
            path.rename(self._path(number))

    def __enter__(self) -> Fleet[D]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def get(self, number: int) -> Member[D]:
        """Return a replica, opening its store, or making it."""
        member = self._open.get(number)
        if member is not None:
            self._open.move_to_end(number)
            return member
        while len(self._open) >= self._open_max:
            _, oldest = self._open.popitem(last=False)
            oldest.replica.close()
        replica = Replica(self._path(number), user=f"agent {number}")
        member = self._open[number] = Member(replica, self._kind, self._document)
        return member

    def close(self, numbers: Iterable[int] | None = None) -> None:
        """Close these replicas; all of them by default."""
        for number in list(self._open) if numbers is None else numbers:
            if number in self._open:
                self._open.pop(number).replica.close()

    def _path(self, number: int) -> Path:
        return self._folder / f"agent-{number}.db"
