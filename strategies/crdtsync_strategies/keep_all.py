"""Question: two people set a field without having seen each other; must one of them lose?

Answer: no. The field shows the later value, and stays in conflict, listing every value with its
author, until somebody writes it again.

Law: what is kept is the set of live candidates, which is the same on every replica; what is shown
meanwhile is `LastWriterWins`' choice.

Source: Shapiro et al., "A Comprehensive Study of Convergent and Commutative Replicated Data Types",
INRIA RR-7506, 2011 (multi-value register).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crdtsync.strategy import Candidate
from crdtsync_strategies.authors import latest

__all__ = ["KeepAll"]


class KeepAll:
    """All concurrent writes are kept for the app or a person to decide.

    >>> both = [Candidate("a", 1, "ann", 1, 0), Candidate("b", 2, "bob", 1, 1)]
    >>> KeepAll().resolve(both), KeepAll().explain(both, "b")
    ('b', "bob's write is the latest of 2; all are kept until somebody decides")
    """

    name = "keep-all"
    version = 1

    def resolve(self, candidates: Sequence[Candidate[Any]], /) -> Any:
        """Return the value shown until somebody decides."""
        return candidates[-1].value

    def explain(self, candidates: Sequence[Candidate[Any]], _chosen: Any, /) -> str:
        """Say whose write is shown, and that the others are kept."""
        return f"{latest(candidates)}; all are kept until somebody decides"
