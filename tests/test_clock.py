"""Time goes on, whatever the wall clocks and the others say."""

from __future__ import annotations

import datetime
import time

from hypothesis import given
from hypothesis import strategies as st

from crdtsync.clock import AHEAD_MAX_MS, HybridLogicalClock, millis, pack, to_datetime

YEAR_MS = 365 * 24 * 3600 * 1000
NOW_MS = 1_700_000_000_000


class Wall:
    def __init__(self, ms: int = NOW_MS) -> None:
        self.ms = ms

    def __call__(self) -> int:
        return self.ms


_moves = st.one_of(
    st.tuples(st.just("tick"), st.just(0)),
    st.tuples(st.just("wall"), st.integers(-20 * YEAR_MS, 20 * YEAR_MS) | st.integers(-5, 5)),
    st.tuples(st.just("see"), st.integers(-20 * YEAR_MS, 20 * YEAR_MS) | st.integers(-5, 70_000)),
    st.tuples(st.just("resume"), st.integers(-YEAR_MS, 20 * YEAR_MS)),
)


@given(st.lists(_moves, max_size=40))
def test_every_tick_is_later_than_all_given_and_followed(moves: list[tuple[str, int]]) -> None:
    wall = Wall()
    clock = HybridLogicalClock(wall)
    known = [0]
    for kind, by in moves:
        if kind == "wall":
            wall.ms = max(0, wall.ms + by)
        elif kind == "see":
            peer = pack(max(0, wall.ms + by), 7)
            before = clock.last
            if clock.see(peer):
                known.append(peer)
            else:
                assert by > AHEAD_MAX_MS
                assert clock.last == before
        elif kind == "resume":
            known.append(pack(max(0, wall.ms + by)))
            clock.resume(known[-1])
        else:
            given_ = clock.tick()
            assert given_ > max(known)
            assert millis(given_) >= wall.ms
            assert clock.last == given_
            known.append(given_)


@given(st.integers(0, AHEAD_MAX_MS))
def test_a_peer_a_little_ahead_is_followed(ahead_ms: int) -> None:
    clock = HybridLogicalClock(Wall())
    peer = pack(NOW_MS + ahead_ms, 65_535)
    assert clock.see(peer)
    assert clock.tick() == peer + 1


@given(st.integers(AHEAD_MAX_MS + 1, 100 * YEAR_MS))
def test_a_peer_far_ahead_does_not_drag_the_clock_along(ahead_ms: int) -> None:
    clock = HybridLogicalClock(Wall())
    assert not clock.see(pack(NOW_MS + ahead_ms))
    assert clock.tick() == pack(NOW_MS)


def test_a_peer_far_ahead_of_the_wall_but_not_of_this_clock_is_no_news() -> None:
    clock = HybridLogicalClock(Wall())
    clock.resume(pack(NOW_MS + YEAR_MS))
    assert clock.see(pack(NOW_MS + YEAR_MS - 1))


def test_the_bound_can_be_chosen() -> None:
    clock = HybridLogicalClock(Wall(), ahead_max_ms=10)
    assert clock.see(pack(NOW_MS + 10))
    assert not clock.see(pack(NOW_MS + 11))


def test_a_wall_clock_that_jumps_back_for_years_does_not_turn_time_round() -> None:
    wall = Wall()
    clock = HybridLogicalClock(wall)
    before = clock.tick()
    wall.ms -= 30 * YEAR_MS
    ticks = [clock.tick() for _ in range(70_000)]  # more than the counter's 16 bits
    assert ticks == list(range(before + 1, before + 70_001))
    wall.ms += 40 * YEAR_MS
    assert clock.tick() == pack(wall.ms)


def test_after_a_restart_time_goes_on_however_wrong_it_was() -> None:
    own = pack(NOW_MS + 50 * YEAR_MS)
    clock = HybridLogicalClock(Wall())
    clock.resume(own)
    clock.resume(pack(5))
    assert clock.tick() == own + 1


@given(st.integers(0, 2**48 - 1), st.integers(0, 65_535))
def test_a_timestamp_carries_milliseconds_and_counter(ms: int, counter: int) -> None:
    assert millis(pack(ms, counter)) == ms
    assert pack(ms, counter) < pack(ms + 1)
    assert pack(ms, counter) < 2**64


@given(st.integers(0, 253_402_300_799_000))
def test_wall_time_is_read_to_the_millisecond(ms: int) -> None:
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    found = to_datetime(pack(ms, 9))
    assert abs(found - epoch - datetime.timedelta(milliseconds=ms)) <= datetime.timedelta(
        microseconds=20  # a float's grain, 8,000 years on
    )


@given(st.integers(0, 2**80))
def test_no_timestamp_is_too_absurd_to_show(timestamp: int) -> None:
    assert to_datetime(timestamp).tzinfo is datetime.UTC


def test_the_wall_clock_is_the_systems() -> None:
    before = time.time_ns() // 1_000_000
    ticked = millis(HybridLogicalClock().tick())
    assert before <= ticked <= time.time_ns() // 1_000_000
