"""Replica ids are CRDT client ids that JavaScript reads exactly."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crdtsync.identity import (
    REPLICA_ID_MAX,
    is_replica_id,
    new_replica_id,
    next_replica_id,
)


def test_new_ids_are_valid_full_length_and_differ() -> None:
    ids = [new_replica_id() for _ in range(2000)]
    assert all(map(is_replica_id, ids))
    assert {replica.bit_length() for replica in ids} == {53}
    assert len(set(ids)) == len(ids)
    assert all(int(float(replica)) == replica for replica in ids)


@pytest.mark.parametrize("value", [1, 2**52, REPLICA_ID_MAX])
def test_what_can_be_an_id(value: int) -> None:
    assert is_replica_id(value)


@pytest.mark.parametrize("value", [0, -1, REPLICA_ID_MAX + 1, 2**64, True, 1.0, "a", b"b", None])
def test_what_cannot(value: object) -> None:
    assert not is_replica_id(value)


@given(st.integers(1, REPLICA_ID_MAX), st.sets(st.integers(1, REPLICA_ID_MAX), max_size=8))
@example(REPLICA_ID_MAX, set())
@example(1, {2**25})
@example(2**52, {2**52 + 2**21 + 1, 2**52 - 2**21 - 1})
def test_the_next_id_sorts_among_all_others_as_the_one_before(
    replica: int, others: set[int]
) -> None:
    others = {other for other in others if abs(other - replica) > 2**21}
    found = next_replica_id(replica, others)
    assert is_replica_id(found)
    assert found not in {replica, *others}
    assert [other < found for other in others] == [other < replica for other in others]


def test_ids_drawn_next_to_ours_leave_nothing_but_chance() -> None:
    ours = 2**52 + 5
    found = {next_replica_id(ours, {ours - 9, ours + 1}) for _ in range(100)}
    assert len(found) == 100
