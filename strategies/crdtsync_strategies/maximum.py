"""Question: two people raise a high score without having seen each other; which one holds?

Answer: the greatest. So with any field that only ever rises: a version, "read up to here".

Law: the maximum of a total order is associative, commutative and idempotent (a join), so it is the
same in any order of arrival. The order covers whatever a field can hold: see `total_order`.

Source: Shapiro et al., "A Comprehensive Study of Convergent and Commutative Replicated Data Types",
INRIA RR-7506, 2011 (state-based objects as a join semilattice).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crdtsync.strategy import Candidate
from crdtsync_strategies.authors import author
from crdtsync_strategies.total_order import order_key

__all__ = ["Maximum"]


class Maximum:
    """The greatest of the values holds.

    >>> Maximum().resolve([Candidate(70, 1, "ann", 1, 0), Candidate(50, 2, "bob", 1, 1)])
    70
    """

    name = "maximum"
    version = 1

    def resolve(self, candidates: Sequence[Candidate[Any]], /) -> Any:
        """Return the greatest value."""
        return _greatest(candidates).value

    def explain(self, candidates: Sequence[Candidate[Any]], _chosen: Any, /) -> str:
        """Say whose value is the greatest."""
        return f"{author(_greatest(candidates))}'s value is the greatest of {len(candidates)}"


def _greatest(candidates: Sequence[Candidate[Any]]) -> Candidate[Any]:
    return max(candidates, key=lambda candidate: order_key(candidate.value))
