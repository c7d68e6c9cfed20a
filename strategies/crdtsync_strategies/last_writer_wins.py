"""Question: two people set a field without having seen each other; which value holds?

Answer: the one written later by the hybrid logical clock; of equal times, that of the higher
replica id.

Law: the choice is the maximum of a total order, so it is the same in any order of arrival. A write
that has *seen* another is never compared with it: it has replaced it, whatever the clocks say.

Source: Thomas, "A Majority Consensus Approach to Concurrency Control", ACM TODS 4(2), 1979.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crdtsync.strategy import Candidate

__all__ = ["LastWriterWins"]


class LastWriterWins:
    """The latest write holds. The default of plain fields."""

    name = "lww"
    version = 1

    def resolve(self, candidates: Sequence[Candidate[Any]], /) -> Any:
        """Return the last candidate's value."""
        return candidates[-1].value
