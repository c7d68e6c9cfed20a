"""Replica ids are CRDT client ids that JavaScript reads exactly."""

from __future__ import annotations

import pytest

from crdtsync.identity import REPLICA_ID_MAX, is_replica_id, new_replica_id


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
