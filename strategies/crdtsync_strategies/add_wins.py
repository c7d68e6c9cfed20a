"""Question: one person deletes a record while another, unaware of it, changes it. Is it there?

Answer: yes, whole. A deletion removes only what it has seen; work that it has not seen stays.

Law: a record exists if and only if it has a write that no deletion has seen, a statement about
sets of writes that does not depend on the order of their arrival.

Source: Bieniusa et al., "An Optimized Conflict-free Replicated Set", INRIA RR-8083, 2012
(observed-remove set).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crdtsync.strategy import Candidate, Removal

__all__ = ["AddWins"]


class AddWins:
    """Work that a deletion has not seen keeps the record. The default of tables.

    >>> write = Candidate("a", replica=1, user="ann", seq=3, time=0)
    >>> unaware, aware = Removal(2, 1, 1, {1: 2}), Removal(2, 1, 1, {1: 3})
    >>> AddWins().present([write], [unaware]), AddWins().present([write], [aware])
    (True, False)
    """

    name = "add-wins"
    version = 1

    def present(self, writes: Sequence[Candidate[Any]], removals: Sequence[Removal], /) -> bool:
        """Tell whether some write was seen by no deletion."""
        return any(
            all(write.seq > removal.seen.get(write.replica, 0) for removal in removals)
            for write in writes
        )
