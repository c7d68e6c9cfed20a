"""As of when entries count that come from clocks far ahead."""

from __future__ import annotations

from crdtsync.clock import millis, pack
from crdtsync.log import EMPTY_HEAD, EMPTY_UPDATE, Entry, make_entry, with_clamp
from crdtsync.server.timekeeper import Timekeeper

NOW = 1_700_000_000_000


def at(ms: int) -> Entry:
    return make_entry("b", 7, EMPTY_HEAD, pack(ms), "write", EMPTY_UPDATE)


def keeper(now: list[int]) -> Timekeeper:
    return Timekeeper(60, lambda: now[0])


def test_what_is_within_the_limit_stays_as_it_is() -> None:
    entries = [at(0), at(NOW), at(NOW + 60_000)]
    assert keeper([NOW]).clamped(entries) == entries
    assert keeper([NOW]).clamped([]) == []


def test_what_is_further_ahead_counts_as_of_now_in_its_order() -> None:
    now = [NOW]
    timekeeper = keeper(now)
    years = [at(NOW + 60_001), at(NOW * 2), at(NOW + 70_000)]
    clamped = timekeeper.clamped(years)
    assert [millis(entry.when) for entry in clamped] == [NOW] * 3
    assert sorted({entry.when for entry in clamped}) == [entry.when for entry in clamped]
    assert [entry.time for entry in clamped] == [entry.time for entry in years]
    now[0] += 1
    (later,) = timekeeper.clamped([at(NOW * 2)])
    assert later.when == pack(NOW + 1) > clamped[-1].when


def test_it_is_not_led_by_those_who_are_a_little_ahead() -> None:
    """Else what is written now by a sound clock would be hidden by what came before."""
    timekeeper = keeper([NOW])
    timekeeper.clamped([at(NOW + 59_000)])
    (clamped,) = timekeeper.clamped([at(NOW * 2)])
    assert clamped.when == pack(NOW)


def test_an_entry_that_was_clamped_before_keeps_its_place() -> None:
    timekeeper = keeper([NOW])
    before = with_clamp(at(NOW * 2), pack(NOW - 5000))
    overtaken = with_clamp(at(NOW - 1000), pack(NOW - 90_000))
    assert timekeeper.clamped([before, overtaken]) == [before, overtaken]
    (again,) = timekeeper.clamped([with_clamp(at(NOW * 2), pack(NOW + 90_000))])
    assert again.when == pack(NOW)
