"""Authors: how people are told whose write it was. Not a strategy, but a part of several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crdtsync.strategy import Candidate

__all__ = ["author", "latest"]


def author(write: Candidate[Any]) -> str:
    """Return who made a write: the user, or the replica where no user is known.

    >>> author(Candidate("a", 42, "ann", 1, 0)), author(Candidate("a", 42, None, 1, 0))
    ('ann', 'replica 2a')
    """
    return write.user or f"replica {write.replica:x}"


def latest(candidates: Sequence[Candidate[Any]]) -> str:
    """Say whose write is the latest.

    >>> latest([Candidate("a", 1, "ann", 1, 0), Candidate("b", 2, "bob", 1, 1)])
    "bob's write is the latest of 2"
    """
    return f"{author(candidates[-1])}'s write is the latest of {len(candidates)}"
