"""State vectors are a lattice, and their differences are exactly what is missing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync.codec import decode, encode
from crdtsync.vector import covers, difference, from_pairs, join, to_pairs

_vectors = st.dictionaries(st.integers(1, 6), st.integers(0, 6), max_size=6)


def held(vector: dict[int, int]) -> set[tuple[int, int]]:
    return {(replica, n) for replica, seq in vector.items() for n in range(1, seq + 1)}


@given(_vectors, _vectors)
def test_covering_is_holding_all(one: dict[int, int], other: dict[int, int]) -> None:
    assert covers(one, other) == (held(one) >= held(other))


@given(_vectors, _vectors)
def test_the_difference_is_what_they_lack(one: dict[int, int], other: dict[int, int]) -> None:
    found = difference(one, other)
    lacking = {(r, n) for r, (first, last) in found.items() for n in range(first, last + 1)}
    assert lacking == held(one) - held(other)
    assert (not found) == covers(other, one)


@given(_vectors, _vectors, _vectors)
def test_joining_is_a_least_upper_bound(
    one: dict[int, int], other: dict[int, int], third: dict[int, int]
) -> None:
    joined = join(one, other)
    assert held(joined) == held(one) | held(other)
    assert held(join(other, one)) == held(joined)
    assert held(join(joined, third)) == held(join(one, join(other, third)))
    assert join(one, one) == one
    assert covers(joined, one)
    assert covers(joined, other)


@given(_vectors, _vectors)
def test_joining_changes_neither(one: dict[int, int], other: dict[int, int]) -> None:
    before = dict(one), dict(other)
    join(one, other)["new"] = 1  # type: ignore[index]
    assert (one, other) == before


@given(st.dictionaries(st.integers(0, 2**53), st.integers(0, 2**53)))
def test_the_wire_form_comes_back(vector: dict[int, int]) -> None:
    pairs = to_pairs(vector)
    assert pairs == sorted(pairs)
    assert from_pairs(decode(encode(pairs))) == vector
    assert to_pairs(dict(reversed(vector.items()))) == pairs


@pytest.mark.parametrize(
    "pairs",
    [[[1]], [[1, 2, 3]], [[1, -1]], [[-1, 1]], [[True, 1]], [[1, 1.0]], [["a", 1]], [[None, 1]]],
)
def test_what_is_not_a_vector_is_refused(pairs: Any) -> None:
    with pytest.raises(ValueError):
        from_pairs(pairs)
