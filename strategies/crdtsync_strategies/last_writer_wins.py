"""Question: two people set a field without having seen each other; which value holds?

Answer: the one written later by the hybrid logical clock; of equal times, that of the higher
replica id. Of a record or a set's element: it is there if what was done to it last was not its
removal.

Law: the choice is the maximum of a total order, so it is the same in any order of arrival. A write
that has *seen* another is never compared with it: it has replaced it, whatever the clocks say.

Source: Thomas, "A Majority Consensus Approach to Concurrency Control", ACM TODS 4(2), 1979.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crdtsync.strategy import Candidate, Removal
from crdtsync_strategies.authors import latest

__all__ = ["LastWriterWins"]


class LastWriterWins:
    """The latest write holds. The default of plain fields; tables and sets can have it too.

    >>> LastWriterWins().resolve([Candidate("a", 1, "ann", 1, 0), Candidate("b", 2, "bob", 1, 1)])
    'b'
    """

    name = "lww"
    version = 1

    def resolve(self, candidates: Sequence[Candidate[Any]], /) -> Any:
        """Return the last candidate's value."""
        return candidates[-1].value

    def present(self, writes: Sequence[Candidate[Any]], removals: Sequence[Removal], /) -> bool:
        """Tell whether the last thing done was a write. An action that did both has removed it."""
        return max(map(_when, writes), default=()) > max(map(_when, removals), default=())

    def explain(self, candidates: Sequence[Candidate[Any]], _chosen: Any, /) -> str:
        """Say whose write is the latest."""
        return latest(candidates)


def _when(deed: Candidate[Any] | Removal) -> tuple[int, ...]:
    return deed.time, deed.replica, deed.seq
