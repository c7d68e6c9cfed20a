"""Question: two people take the same seat without having seen each other; whose is it?

Answer: that of the one who wrote first by the hybrid logical clock; of equal times, of the lower
replica id. Whoever has seen that it is taken can still overwrite it: then that was no accident.

Law: the choice is the minimum of a total order, so it is the same in any order of arrival.

Source: Thomas, "A Majority Consensus Approach to Concurrency Control", ACM TODS 4(2), 1979, whose
rule this is with the order reversed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crdtsync.strategy import Candidate
from crdtsync_strategies.authors import author

__all__ = ["FirstWriterWins"]


class FirstWriterWins:
    """The earliest write holds.

    A write that comes to light later, from a device that was off line, may still be the earliest.

    >>> FirstWriterWins().resolve([Candidate("a", 1, "ann", 1, 0), Candidate("b", 2, "bob", 1, 1)])
    'a'
    """

    name = "fww"
    version = 1

    def resolve(self, candidates: Sequence[Candidate[Any]], /) -> Any:
        """Return the first candidate's value."""
        return candidates[0].value

    def explain(self, candidates: Sequence[Candidate[Any]], _chosen: Any, /) -> str:
        """Say whose write is the earliest."""
        return f"{author(candidates[0])}'s write is the earliest of {len(candidates)}"
