"""Question: one person moves folder A into B, another, unaware of it, B into A; which is above?

Answer: the earlier move holds. Each record names its parent; where the moves of several people make
a circle, the latest of them gives way: that record stays below the parent that it had before, or,
if that would make a circle again, stands at the top.

Law: first the latest move of every circle is taken out; then each of them, from the earliest to the
latest, is put back below its former parent if that is not below itself. Both steps depend on the
claims only, never on the order of their arrival; after them no record is below itself. A value that
is None, that is no text, or that names no record stands for the top, and is left as it is.

Cost: a move costs the way up from the record that moved; what is settled costs the ways up from the
moves that gave way. Neither costs the size of the table.

Source: Kleppmann, Mulligan, Gomes, Beresford, "A Highly-Available Move Operation for Replicated
Trees", IEEE TPDS 33(7), 2022. There all moves are done in the order of time, and one that would
make a circle is skipped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from crdtsync.strategy import Candidate, Claim, ColumnIndex, Settled
from crdtsync_strategies.authors import latest

__all__ = ["Tree"]


class Tree:
    """A field that holds the key of a record's parent, in the same table: parents make no circle.

    >>> index = Tree().index()
    >>> index.put("a", Claim("b", 5, 1))
    >>> index.put("b", Claim("a", 7, 2))
    >>> {key: settled.value for key, settled in index.settled().items()}
    {'b': None}
    """

    name = "tree"
    version = 1
    uses_base = True

    def resolve(self, candidates: Sequence[Candidate[Any]], /) -> Any:
        """Return the parent below which the record was moved last."""
        return candidates[-1].value

    def explain(self, candidates: Sequence[Candidate[Any]], _chosen: Any, /) -> str:
        """Say whose write is the latest."""
        return latest(candidates)

    def index(self) -> ColumnIndex:
        """Return an index without claims."""
        return _TreeIndex()


class _TreeIndex:
    """The records by the parents they claim, and the circles that these make.

    Every circle is known at any time, by the member that gives way. A record has one parent, so it
    is in one circle at the most, and a change can only open or close one that goes through it.
    """

    def __init__(self) -> None:
        self._claims: dict[str, Claim[Any]] = {}
        self._named: dict[str, int] = {}
        """How many records claim that key as their parent."""
        self._circles: dict[str, list[str]] = {}
        """The circles, by the member that gives way."""
        self._giving_way: dict[str, str] = {}
        """Which member gives way in the circle of a record."""
        self._settled: dict[str, Settled[Any]] | None = None

    def put(self, key: str, claim: Claim[Any] | None, /) -> None:
        self._open(key)
        self._name(key, -1)
        self._claims.pop(key, None)
        if claim is not None:
            self._claims[key] = claim
            self._name(key, +1)
            self._close(key)
        self._settled = None

    def settled(self) -> Mapping[str, Settled[Any]]:
        if self._settled is None:
            self._settled = self._settle()
        return self._settled

    def _name(self, key: str, change: int) -> None:
        """Count a record's claim among those of its parent's children."""
        parent = self._claims[key].value if key in self._claims else None
        if isinstance(parent, str):
            count = self._named.pop(parent, 0) + change
            if count:
                self._named[parent] = count

    def _open(self, key: str) -> None:
        """Forget the circle that a record is in, if it is in one."""
        if key in self._giving_way:
            for member in self._circles.pop(self._giving_way[key]):
                del self._giving_way[member]

    def _close(self, key: str) -> None:
        """Find the circle that a record is in, if it is in one."""
        if key not in self._named:
            return
        circle, above = [key], self._parent(key)
        while above is not None and above != key and above not in self._giving_way:
            circle.append(above)
            above = self._parent(above)
        if above == key:
            latest_move = max(circle, key=self._when)
            self._circles[latest_move] = sorted(circle)
            self._giving_way.update(dict.fromkeys(circle, latest_move))

    def _parent(self, key: str) -> str | None:
        """Return the record below which one claims to be; None at the top."""
        claim = self._claims.get(key)
        parent = None if claim is None else claim.value
        return parent if isinstance(parent, str) and parent in self._claims else None

    def _when(self, key: str) -> tuple[int, int, str]:
        claim = self._claims[key]
        return claim.time, claim.replica, key

    def _settle(self) -> dict[str, Settled[Any]]:
        settled = {}
        shortcuts: dict[str, str] = {}
        for key in sorted(self._circles, key=self._when):
            base = self._claims[key].base
            parent = base.value if base is not None and isinstance(base.value, str) else None
            if parent is not None and self._top(parent, shortcuts) == key:
                parent = None
            if parent is not None:
                shortcuts[key] = parent
            settled[key] = self._gave_way(key, parent)
        return settled

    def _top(self, key: str, shortcuts: dict[str, str]) -> str:
        """Return the record at the top of the tree that one is in.

        Args:
            key: the record.
            shortcuts: of moves that gave way, the parents given so far; besides that, of records
                passed before, one further up. So no way is gone twice.
        """
        passed = []
        while (above := self._step(key, shortcuts)) is not None:
            passed.append(key)
            key = above
        shortcuts.update(dict.fromkeys(passed, key))
        return key

    def _step(self, key: str, shortcuts: dict[str, str]) -> str | None:
        above = shortcuts.get(key)
        return self._parent(key) if above is None and key not in self._circles else above

    def _gave_way(self, key: str, parent: str | None) -> Settled[Any]:
        rivals = tuple(member for member in self._circles[key] if member != key)
        where = "stands at the top" if parent is None else "stays where it was"
        if not rivals:
            return Settled(parent, f"a record cannot be below itself: it {where}", rivals)
        reason = (
            f"{len(rivals) + 1} moves made a circle; this one, by replica "
            f"{self._claims[key].replica:x}, is the latest: the record {where}"
        )
        return Settled(parent, reason, rivals)
