"""Waits between tries."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crdtsync.transport import Backoff


@given(st.lists(st.floats(0, 1), max_size=30))
def test_waits_stay_below_a_bound_that_doubles(draws: list[float]) -> None:
    given_draws = iter(draws)
    backoff = Backoff(1, 20, random=lambda: next(given_draws))
    for number in range(len(draws)):
        assert 0 <= backoff.delay_s() <= min(20, 2**number)


def test_after_a_reset_waits_are_short_again() -> None:
    backoff = Backoff(1, 100, random=lambda: 1.0)
    assert [backoff.delay_s() for _ in range(3)] == [1, 2, 4]
    backoff.reset()
    assert backoff.delay_s() == 1


def test_clients_do_not_come_back_at_one_moment() -> None:
    assert len({Backoff().delay_s() for _ in range(20)}) > 1
