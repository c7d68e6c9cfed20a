"""What is admitted does not depend on the order of arrival, and what is held harms nothing."""

from __future__ import annotations

import itertools

import pytest

from crdtsync import Replica
from crdtsync.errors import BrokenChainError, EntryError, ForkError
from crdtsync.log import EMPTY_HEAD, EMPTY_UPDATE, Cursor, Dependency, Entry, Head, make_entry

CURSOR = Cursor(bytes(16), 7)


def chain(replica: int, count: int, head: Head = EMPTY_HEAD, name: str = "x") -> list[Entry]:
    entries = []
    for _ in range(count):
        entries.append(make_entry("b", replica, head, 1, name, EMPTY_UPDATE))
        head = Head(entries[-1].seq, entries[-1].hash)
    return entries


def depending(replica: int, *on: Entry, hash_: bytes | None = None) -> Entry:
    dependencies = tuple(Dependency(e.replica, e.seq, hash_ or e.hash) for e in on)
    return make_entry("b", replica, EMPTY_HEAD, 1, "x", EMPTY_UPDATE, dependencies=dependencies)


def datas(entries: list[Entry]) -> list[bytes]:
    return [entry.data for entry in entries]


def test_a_held_entry_that_turns_out_forged_is_refused_once_and_then_forgotten() -> None:
    ledger = Replica().ledger("b")
    seven, nine = chain(7, 2), chain(9, 6)
    ledger.receive([depending(8, seven[1], hash_=bytes(32)).data])
    with pytest.raises(ForkError, match="its author saw another entry 2"):
        ledger.receive(datas(seven))
    assert ledger.vector == {7: 2}
    assert ledger.receive(datas(nine), CURSOR)[:2] == (6, 0)
    assert ledger.cursor == CURSOR


def test_a_dependency_on_another_entry_is_refused_in_whatever_order_entries_come() -> None:
    seven = chain(7, 3)
    forged = depending(8, seven[1], hash_=bytes(32))
    for order in itertools.permutations([*seven, forged]):
        ledger = Replica().ledger("b")
        refused = 0
        for entry in order:
            try:
                ledger.receive([entry.data])
            except EntryError:
                refused += 1
        assert refused == 1
        assert ledger.vector == {7: 3}


def test_a_forged_entry_that_came_first_does_not_hide_the_genuine_one() -> None:
    ledger = Replica().ledger("b")
    genuine = chain(7, 3)
    (forged,) = chain(7, 1, Head(2, bytes(32)))
    ledger.receive([forged.data, genuine[2].data, genuine[2].data])
    assert ledger.receive(datas(genuine[:2]))[:2] == (3, 0)
    assert ledger.vector == {7: 3}


def test_only_forged_entries_held_are_refused_and_forgotten() -> None:
    ledger = Replica().ledger("b")
    genuine = chain(7, 3)
    (forged,) = chain(7, 1, Head(2, bytes(32)))
    ledger.receive([forged.data])
    with pytest.raises(BrokenChainError):
        ledger.receive(datas(genuine[:2]))
    assert ledger.receive([genuine[2].data])[:2] == (1, 0)


def test_a_fork_within_one_batch_is_found() -> None:
    ledger = Replica().ledger("b")
    one, other = chain(7, 3), chain(7, 1, name="y")
    with pytest.raises(ForkError):
        ledger.receive(datas([*one, *other]))
    assert ledger.vector == {7: 3}


def test_a_long_log_in_reverse_costs_in_proportion() -> None:
    """It took 7 seconds when every entry looked at every other one that was held."""
    ledger = Replica().ledger("b")
    for entry in reversed(chain(7, 5000)):
        ledger.receive([entry.data])
    assert ledger.vector == {7: 5000}


def test_logs_that_wait_for_each_other_are_untangled() -> None:
    ledger = Replica().ledger("b")
    seven = chain(7, 1)
    eight = depending(8, seven[0])
    nine = depending(9, eight)
    ten = depending(10, nine, seven[0])
    assert ledger.receive(datas([ten, nine, eight]))[:2] == (0, 3)
    assert ledger.receive(datas(seven))[:2] == (4, 0)
