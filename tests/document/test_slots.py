"""Keys of slots: a refused write must be removable without harm to its neighbours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync import Replica
from crdtsync.codec import encode
from crdtsync.document.slots import (
    Slot,
    decode_slot,
    encode_slot,
    newest,
    read_slots,
    slot_key,
    unseen,
)
from tests.document.boards import Board
from tests.generators import exactly, values


@given(st.lists(st.sampled_from(["write", "write", "acknowledge", "restart"]), max_size=30))
def test_no_key_is_used_twice_while_a_write_can_still_be_refused(steps: list[str]) -> None:
    """Neither of a pending write, nor of the slot that the first pending one replaced."""
    replica = Replica()
    board = replica.document(Board, "b")
    ledger = replica.ledger("b")
    taken: set[str] = set()
    for number, step in enumerate(steps):
        node = board._live.view.node("data")
        if step == "acknowledge":
            ledger.flush()
            ledger.acknowledge(ledger.ours)
            taken = {key for key, _ in node.pairs}
        elif step == "restart":
            board._live.load()
        else:
            board.data = number
            ((key, _),) = node.pairs
            assert key not in taken
            taken.add(key)


def test_an_acknowledged_field_gets_by_with_two_keys() -> None:
    replica = Replica()
    board = replica.document(Board, "b")
    ledger = replica.ledger("b")
    keys = set()
    for number in range(20):
        board.data = number
        ((key, _),) = board._live.view.node("data").pairs
        keys.add(key)
        ledger.flush()
        ledger.acknowledge(ledger.ours)
    assert len(keys) <= 3  # the very first one is of a bank of its own


@given(values(), st.integers(1, 2**53 - 1), st.integers(1, 2**53), st.integers(0, 2**64 - 1))
def test_a_slot_comes_back_as_it_went(value: object, replica: int, seq: int, time: int) -> None:
    slot = Slot(time, replica, seq, 7, value)
    found = decode_slot(slot_key("a/b@c".replace("@", "%40"), replica, 7), encode_slot(slot))
    assert found is not None
    assert found[:4] == slot[:4]
    assert exactly(found.value, value)


@given(st.permutations([(1, 5, 10), (1, 6, 9), (2, 1, 9), (3, 2, 11)]))
def test_slots_are_in_canonical_order_and_the_last_word_of_each_replica(
    order: list[tuple[int, int, int]],
) -> None:
    pairs = [
        (slot_key("x", replica, seq), encode_slot(Slot(time, replica, seq, seq, None)))
        for replica, seq, time in order
    ]
    assert [(s.replica, s.seq) for s in newest(read_slots(pairs))] == [(1, 6), (2, 1), (3, 2)]


def test_a_slot_that_another_one_has_seen_does_not_count() -> None:
    """Nor one that has seen itself: it only takes away."""
    pairs = [
        (slot_key("x", slot.replica, slot.seq), encode_slot(slot))
        for slot in [
            Slot(5, 1, 5, 5, "seen"),
            Slot(6, 1, 6, 6, "later"),
            Slot(7, 2, 1, 1, "hides", seen={1: 5}),
            Slot(8, 3, 4, 4, None, seen={3: 4}),
        ]
    ]
    found = unseen(read_slots(pairs), lambda slot: slot.seen)
    assert [slot.value for slot in found] == ["later", "hides"]


@given(st.dictionaries(st.integers(1, 2**53 - 1), st.integers(0, 2**53), min_size=1, max_size=3))
def test_what_a_slot_has_seen_comes_back(seen: dict[int, int]) -> None:
    slot = Slot(9, 1, 2, 0, "x", None, 1, seen)
    assert decode_slot(slot_key("x", 1, 0), encode_slot(slot)) == slot


@pytest.mark.parametrize(
    "items",
    [
        [1, 9, "x", None, 1, 7],
        [1, 9, "x", None, 1, {}],
        [1, 9, "x", None, 1, [[1]]],
        [1, 9, "x", None, 1, [[1, -1]]],
        [1, 9, "x", None, 1, [[1, "2"]]],
        [1, 9, "x", None, 1, [[1, 2]], "more"],
    ],
)
def test_what_is_told_otherwise_is_no_slot(items: list[object]) -> None:
    assert decode_slot(slot_key("x", 1, 0), encode(items)) is None
