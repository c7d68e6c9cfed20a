"""Who is downgraded, and who is slowed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync.server import Candidate, ConnectionLimits, ConnectionRecord, LeastValuable
from crdtsync.server.lifecycle import State
from crdtsync.server.policy import overdue
from crdtsync.server.throttle import Throttle

LIMITS = ConnectionLimits(lag_entries_max=10, lag_bytes_max=1000, lag_age_max_s=100)


def candidate(
    name: bytes, *, online: bool = False, entries: int = 0, size: int = 0, idle_s: float = 0
) -> Candidate:
    record = ConnectionRecord(name, "ann", 1, State.ACTIVE, "", 0, 0)
    return Candidate(record, online, entries, size, idle_s)


candidates = st.lists(
    st.builds(
        candidate,
        st.binary(min_size=16, max_size=16),
        online=st.booleans(),
        entries=st.integers(0, 3),
        size=st.integers(0, 3),
        idle_s=st.floats(0, 10),
    ),
    max_size=8,
    unique_by=lambda one: one.record.client,
)


@given(candidates, st.integers(-1, 10))
def test_who_keeps_up_goes_last(offered: Sequence[Candidate], need: int) -> None:
    chosen = LeastValuable().choose(offered, need)
    assert len(chosen) == min(max(need, 0), len(offered))
    spared = [one for one in offered if one not in chosen]
    if any(one.keeps_up for one in chosen):
        assert all(one.keeps_up for one in spared)
    assert list(chosen) == list(LeastValuable().choose(list(reversed(offered)), need))


def test_idleness_lag_and_cost_are_weighed() -> None:
    kept_up = candidate(b"a", online=True)
    slow = candidate(b"b", online=True, entries=5, size=10)
    away = candidate(b"c", idle_s=10)
    long_away = candidate(b"d", idle_s=1000)
    costly = candidate(b"e", entries=9, size=900, idle_s=10)
    order = LeastValuable().choose([kept_up, slow, away, long_away, costly], 5)
    assert [one.record.client for one in order] == [b"d", b"e", b"c", b"b", b"a"]


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (candidate(b"a", entries=11), "lag_entries_max"),
        (candidate(b"a", entries=1, size=1001), "lag_bytes_max"),
        (candidate(b"a", online=True, entries=11), "lag_entries_max"),
        (candidate(b"a", entries=1, idle_s=101), "lag_age_max_s"),
        (candidate(b"a", idle_s=10**6), None),
        (candidate(b"a", online=True, entries=1, idle_s=101), None),
        (candidate(b"a", entries=10, size=1000, idle_s=100), None),
    ],
)
def test_limits_on_lag_name_themselves(one: Candidate, why: str | None) -> None:
    said = overdue(one, LIMITS)
    assert (said is None) if why is None else (said is not None and why in said)


@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 50), st.floats(0, 3)), max_size=40),
    st.integers(1, 1000),
    st.integers(1, 100),
)
def test_nobody_pushes_faster_than_they_may(
    pushes: list[tuple[int, int, float]], bytes_per_s: int, entries_per_s: int
) -> None:
    throttle, now = Throttle(bytes_per_s, entries_per_s), 0.0
    size = entries = 0
    for some_bytes, some_entries, later in pushes:
        now += later
        if not throttle.waits(now):
            # Whoever may push now has paid for all before, but for a burst of a second.
            assert size <= bytes_per_s * (now + 1) + 1e-6
            assert entries <= entries_per_s * (now + 1) + 1e-6
            throttle.spend(some_bytes, some_entries, now)
            size, entries = size + some_bytes, entries + some_entries
    assert not throttle.waits(now + size / bytes_per_s + entries / entries_per_s)
