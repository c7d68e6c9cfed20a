"""Question: does "done" fall back to "doing" because somebody, unaware of it, clicked later?

Answer: no. The values stand in an order that the app gives, and the one furthest along holds.
Values that the app did not name rank below all that it named; of equal ranks the last write holds.

Law: the choice is the maximum of a total order (rank, then time and replica), so it is the same in
any order of arrival. The app's order is part of the strategy's name.

Source: Shapiro et al., "A Comprehensive Study of Convergent and Commutative Replicated Data Types",
INRIA RR-7506, 2011 (state-based objects as a join semilattice).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from crdtsync.strategy import Candidate
from crdtsync_strategies.authors import author, latest
from crdtsync_strategies.total_order import order_key

__all__ = ["Ranked"]


class Ranked:
    """The value furthest along a list holds.

    Args:
        order: the values, from the lowest to the highest.

    Raises:
        ValueError: a value stands twice in the order.
        TypeError: a value cannot be stored.

    >>> status = Ranked(["todo", "doing", "done"])
    >>> status.resolve([Candidate("done", 1, "ann", 1, 0), Candidate("doing", 2, "bob", 1, 1)])
    'done'
    """

    name = "ranked"
    version = 1

    def __init__(self, order: Iterable[Any] = ()) -> None:
        self._order = list(order)
        self._ranks = {order_key(value): rank for rank, value in enumerate(self._order)}
        if len(self._ranks) < len(self._order):
            raise ValueError("a value stands twice in the order")

    @property
    def parameters(self) -> dict[str, Any]:
        """What makes an equal strategy."""
        return {"order": list(self._order)}

    def resolve(self, candidates: Sequence[Candidate[Any]], /) -> Any:
        """Return the value of the highest rank."""
        return self._highest(candidates).value

    def explain(self, candidates: Sequence[Candidate[Any]], _chosen: Any, /) -> str:
        """Say whose value ranks highest."""
        highest = self._highest(candidates)
        if self._rank(highest) < 0:
            return f"none of the values is ranked; {latest(candidates)}"
        return f"{author(highest)}'s value ranks highest of {len(candidates)}"

    def _highest(self, candidates: Sequence[Candidate[Any]]) -> Candidate[Any]:
        last_first: Iterable[Candidate[Any]] = reversed(candidates)
        return max(last_first, key=self._rank)

    def _rank(self, candidate: Candidate[Any]) -> int:
        return self._ranks.get(order_key(candidate.value), -1)
