"""Question: two people lower a best time without having seen each other; which one holds?

Answer: the smallest. So with any field that only ever falls: a lowest price, an earliest date.

Law: the minimum of a total order is associative, commutative and idempotent (a meet), so it is the
same in any order of arrival. The order covers whatever a field can hold: see `total_order`.

Source: Shapiro et al., "A Comprehensive Study of Convergent and Commutative Replicated Data Types",
INRIA RR-7506, 2011 (state-based objects as a semilattice).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crdtsync.strategy import Candidate
from crdtsync_strategies.authors import author
from crdtsync_strategies.total_order import order_key

__all__ = ["Minimum"]


class Minimum:
    """The smallest of the values holds.

    >>> Minimum().resolve([Candidate(70, 1, "ann", 1, 0), Candidate(50, 2, "bob", 1, 1)])
    50
    """

    name = "minimum"
    version = 1

    def resolve(self, candidates: Sequence[Candidate[Any]], /) -> Any:
        """Return the smallest value."""
        return _smallest(candidates).value

    def explain(self, candidates: Sequence[Candidate[Any]], _chosen: Any, /) -> str:
        """Say whose value is the smallest."""
        return f"{author(_smallest(candidates))}'s value is the smallest of {len(candidates)}"


def _smallest(candidates: Sequence[Candidate[Any]]) -> Candidate[Any]:
    return min(candidates, key=lambda candidate: order_key(candidate.value))
