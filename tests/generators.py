"""Hypothesis strategies that the tests share."""

from __future__ import annotations

import datetime
from typing import Any

from hypothesis import strategies as st


def scalars() -> st.SearchStrategy[Any]:
    """Return values that hold no others."""
    zones = st.integers(-14 * 60, 14 * 60).map(
        lambda minutes: datetime.timezone(datetime.timedelta(minutes=minutes))
    )
    return st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.integers(-(2**70), 2**70),
        st.floats(allow_nan=False),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
        st.binary(max_size=8),
        st.dates(),
        st.datetimes(timezones=zones).map(lambda moment: moment.replace(fold=0)),
        st.decimals(allow_nan=False, allow_infinity=False),
        st.uuids(),
    )


def values() -> st.SearchStrategy[Any]:
    """Return everything that a field can hold, down to a few levels."""
    keys = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
    return st.recursive(
        scalars(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
        max_leaves=6,
    )


def exactly(one: Any, other: Any) -> bool:
    """Tell whether two values are equal and of the same types throughout."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(exactly(one[k], other[k]) for k in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(exactly, one, other))
    return repr(one) == repr(other)  # tells -0.0 from 0.0
