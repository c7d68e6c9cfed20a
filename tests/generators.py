"""Hypothesis strategies and comparisons that the tests share."""

from __future__ import annotations

from typing import Any

from crdtsync.testing import scalars, values

__all__ = ["exactly", "scalars", "values"]


def exactly(one: Any, other: Any) -> bool:
    """Tell whether two values are equal and of the same types throughout."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(exactly(one[k], other[k]) for k in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(exactly, one, other))
    return repr(one) == repr(other)  # tells -0.0 from 0.0
