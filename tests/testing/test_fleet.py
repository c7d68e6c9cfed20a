"""A fleet: the same calls give the same history, and what differs is found."""

from __future__ import annotations

import pytest

from crdtsync import Counter, Document, Record, Table
from crdtsync.testing import DivergenceError, Fleet


class Row(Record):
    label: str = ""


class Sheet(Document):
    total: Counter
    name: str = ""
    rows: Table[Row]


def test_entries_arrive_in_any_order_and_more_than_once() -> None:
    with Fleet(Sheet, replicas=2) as fleet:
        for n in range(3):
            fleet[0].name = f"n{n}"
        assert fleet.lacking(1, 0) == fleet.held(0) == [(0, 1), (0, 2), (0, 3)]
        fleet.deliver(0, 1, [(0, 3), (0, 2), (0, 3)])
        assert fleet.held(1) == []
        fleet.deliver(0, 1, [(0, 1), (0, 1)])
        assert fleet[1].name == "n2"
        fleet.check()


def test_the_same_calls_give_the_same_entries() -> None:
    def hashes() -> list[bytes]:
        with Fleet(Sheet) as fleet:
            fleet[0].rows.add(label="a")
            fleet.set_clock(1, fleet.clock(1) + 1000)
            fleet[1].rows.add(label="b")
            fleet.heal()
            fleet.restart(2)
            return [entry.hash for entry in fleet[2].log]

    assert hashes() == hashes()


def test_clocks_stand_still_until_they_are_set() -> None:
    with Fleet(Sheet, replicas=2) as fleet:
        fleet[0].name = "later"
        fleet.set_clock(1, fleet.clock(0) - 5_000)
        fleet[1].name = "earlier"
        fleet.heal()
        assert [document.name for document in fleet] == ["later", "later"]


def test_replicas_that_hold_different_entries_are_not_the_same() -> None:
    with Fleet(Sheet, replicas=2) as fleet:
        fleet[0].rows.add(key="a", label="x")
        fleet.merge(0, 1)
        fleet[0].rows["a"].label = "y"
        with pytest.raises(DivergenceError, match="replicas 0 and 1 differ in rows/a/label: 'y'"):
            fleet.check()
        fleet.heal()
        fleet.check()


def test_what_is_stored_must_be_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    with Fleet(Sheet, replicas=2) as fleet:
        monkeypatch.setattr(fleet.replicas[1], "verify", lambda: ["entry 7 does not fit"])
        with pytest.raises(DivergenceError, match="replica 1 is not sound: entry 7"):
            fleet.check()


def test_an_action_may_refuse_but_not_half() -> None:
    with Fleet(Sheet, replicas=1) as fleet:
        with fleet.attempt(0):
            raise KeyError
        with pytest.raises(DivergenceError, match="but changed the document"):  # noqa: SIM117
            with fleet.attempt(0):
                fleet[0].name = "changed"
                raise ValueError
        with pytest.raises(ZeroDivisionError), fleet.attempt(0):
            raise ZeroDivisionError


def test_a_restart_keeps_everything(tmp_path: object) -> None:
    with Fleet(Sheet, replicas=2) as fleet:
        fleet[0].total.increment(3)
        first = fleet[0]
        fleet.restart(0, snapshot=True)
        assert fleet[0] is not first
        fleet[0].total.increment()
        fleet.deliver(0, 1)
        assert int(fleet[1].total) == 4
