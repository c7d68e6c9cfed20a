"""Positions: there is always room for another, and nobody else can make the same."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from crdtsync.strategies import Candidate, Order

between = Order().between
replicas = st.integers(1, 2**53 - 1)
garbage = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.text(
    "01azAZ", max_size=6
)
NAME_LENGTH = 9


@st.composite
def orders(draw: st.DrawFn) -> list[str]:
    """Draw positions as several replicas make them, by putting things anywhere."""
    order: list[str] = []
    for _ in range(draw(st.integers(1, 20))):
        at = draw(st.integers(0, len(order)))
        low = order[at - 1] if at else None
        high = order[at] if at < len(order) else None
        order.insert(at, between(low, high, draw(st.integers(1, 3) | replicas)))
    return order


@given(orders())
def test_things_stand_where_they_were_put(order: list[str]) -> None:
    assert all(low < high for low, high in pairwise(order))


@given(orders(), st.data(), replicas, replicas)
def test_two_replicas_never_make_the_same_position(
    order: list[str], data: st.DataObject, one: int, other: int
) -> None:
    made = []
    for replica in (one, other):
        at = data.draw(st.integers(0, len(order)))
        low = order[at - 1] if at else None
        high = order[at] if at < len(order) else None
        made.append(between(low, high, replica))
    assert (made[0] == made[1]) <= (one == other)
    assert (made[0][-NAME_LENGTH:] == made[1][-NAME_LENGTH:]) == (one == other)


@given(st.none() | garbage, st.none() | garbage, replicas)
@example("a", "a\0", 1)
@example("", "", 1)
@example(None, "", 1)
@example("b", "a", 1)
@example("z" * 27 + "z", None, 1)
@example(None, "A" + "0" * 26, 1)
@example("a0", "a00", 1)
def test_positions_written_by_hand_break_nothing(
    low: str | None, high: str | None, replica: int
) -> None:
    position = between(low, high, replica)
    assert position == between(low, high, replica)
    position.encode()
    if low is not None:
        assert position > low
        if high is not None and high <= low:
            assert position == between(low, None, replica)


@given(garbage, garbage, replicas)
def test_between_positions_written_by_hand_is_between_if_there_is_room(
    one: str, other: str, replica: int
) -> None:
    low, high = sorted((one, other))
    position = between(low, high, replica)
    has_room = low < high and not (high.startswith(low) and set(high[len(low) :]) <= set("\0"))
    if has_room and min(high[len(low) :], default="1") > "0":
        assert low < position < high


def lengths(count: int, low: str | None, high: str | None, move: str) -> int:
    """Put things into one spot, one after the other; return the length of the longest position."""
    longest = 0
    for at in range(count):
        position = between(low, high, 1 + at % 3)
        longest = max(longest, len(position))
        if move == "low" or (move == "both" and at % 2):
            low = position
        else:
            high = position
    return longest


def test_positions_grow_no_more_than_they_must() -> None:
    """A thousand things at either end, and in one spot as seen from either side, and closing in."""
    low = between(None, None, 1)
    high = between(low, None, 1)
    assert lengths(1000, low, None, "low") <= 3 + NAME_LENGTH
    assert lengths(1000, None, high, "high") <= 3 + NAME_LENGTH
    assert lengths(1000, low, high, "low") <= 250
    assert lengths(1000, low, high, "high") <= 250
    assert lengths(1000, low, high, "both") <= 300


def test_ends_have_room_for_millions() -> None:
    low, high = "d" + "z" * 4 + "1" * NAME_LENGTH, "W" + "0" * 4 + "1" * NAME_LENGTH
    assert between(low, None, 1) == "e00000" + "000000001"
    assert between(None, high, 1) == "Vzzzzz" + "000000001"
    assert between("Zz", None, 1) == "a0" + "000000001"
    assert between(None, "a0", 1) == "Zz" + "000000001"


def test_a_place_that_became_free_is_taken_by_a_short_position() -> None:
    order = [between(None, None, 1)]
    for _ in range(4):
        order.append(between(order[-1], None, 1))
    assert len(between(order[0], order[4], 2)) == len(order[0])


def test_a_thing_moved_twice_stands_where_it_was_moved_last() -> None:
    found = (Candidate("a5", 1, "ann", 1, 5), Candidate("a1", 2, "bob", 1, 6))
    assert Order().resolve(found) == "a1"
    assert Order().explain(found, "a1") == "bob's write is the latest of 2"
