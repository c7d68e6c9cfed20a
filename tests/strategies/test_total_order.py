"""The total order: it covers all that can be stored, and tells apart what is stored differently."""

from __future__ import annotations

import datetime
import decimal
import itertools
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crdtsync.codec import decode, encode
from crdtsync_strategies.total_order import order_key
from tests.generators import scalars, values

LARGE = 10**4900


def numbers() -> st.SearchStrategy[Any]:
    small = st.sampled_from([0, 1, -1, 2, 10, 100])
    return st.one_of(
        small,
        small.map(float),
        st.builds(Decimal, st.sampled_from(["0", "0E+2", "1", "1.0", "1.00", "-1E+2", "0.1"])),
        st.just(-0.0),
        st.sampled_from([0.1, math.inf, -math.inf]),
        st.integers(),
        st.floats(allow_nan=False),
        st.decimals(allow_nan=False, allow_infinity=False),
        st.sampled_from([LARGE, LARGE - 1, -LARGE, LARGE + 1]),
        st.sampled_from([Decimal(LARGE), Decimal("-1E+4900"), Decimal("9.9E+4899")]),
        st.sampled_from([Decimal("1E+999999"), Decimal("1E-999999")]),
    )


@given(values() | numbers(), values() | numbers())
@example([1], [True])
@example(0.0, -0.0)
@example(Decimal("1.0"), Decimal("1.00"))
@example([math.nan], [math.nan])
def test_two_values_have_the_same_key_exactly_if_they_are_stored_as_the_same_bytes(
    one: Any, other: Any
) -> None:
    same = order_key(one) == order_key(other)
    assert same == (encode(one) == encode(other))
    assert order_key(one) == order_key(decode(encode(one)))
    if same:
        assert hash(order_key(one)) == hash(order_key(other))


@given(st.lists(values() | scalars() | numbers(), min_size=3, max_size=3))
def test_any_two_values_can_be_compared_and_any_three_are_in_one_order(three: list[Any]) -> None:
    orders = [sorted(map(order_key, found)) for found in itertools.permutations(three)]
    assert all(order == orders[0] for order in orders)


@given(numbers(), numbers())
def test_numbers_are_compared_by_value_whatever_their_types(one: Any, other: Any) -> None:
    large = [abs(number) >= LARGE and type(number) is not float for number in (one, other)]
    if one < other and not all(large):
        assert order_key(one) < order_key(other)


@given(st.lists(scalars(), max_size=3), st.lists(scalars(), max_size=3))
def test_lists_are_compared_by_their_first_item_that_differs(
    one: list[Any], other: list[Any]
) -> None:
    keys = [order_key(item) for item in one], [order_key(item) for item in other]
    assert (order_key(one) < order_key(other)) == (keys[0] < keys[1])


def test_types_come_in_the_order_that_is_written_down() -> None:
    import uuid

    found: list[Any] = [
        None,
        False,
        True,
        math.nan,
        -math.inf,
        -1,
        0,
        -0.0,
        0.0,
        Decimal(0),
        1,
        1.5,
        Decimal(2),
        math.inf,
        "",
        "a",
        b"",
        datetime.date(1, 1, 1),
        datetime.datetime(1, 1, 1, tzinfo=datetime.UTC),
        uuid.UUID(int=0),
        [],
        [None],
        {},
        {"a": 1},
    ]
    assert sorted(found, key=order_key) == found
    keys = [order_key(value) for value in found]
    assert all(low < high for low, high in itertools.pairwise(keys))


def test_date_times_are_compared_by_the_instant() -> None:
    east = datetime.timezone(datetime.timedelta(hours=2))
    noon = datetime.datetime(2020, 1, 1, 12, tzinfo=datetime.UTC)
    assert order_key(noon) < order_key(noon.astimezone(east))
    assert order_key(noon.astimezone(east)) < order_key(noon + datetime.timedelta(seconds=1))


@given(st.lists(numbers(), min_size=2, max_size=4))
def test_what_the_app_does_with_its_decimal_context_changes_nothing(found: list[Any]) -> None:
    expected = sorted(map(order_key, found))
    with decimal.localcontext(decimal.Context(prec=1, traps=[decimal.FloatOperation])):
        assert sorted(map(order_key, found)) == expected


def test_large_numbers_take_no_time() -> None:
    huge = 1 << 3_000_000
    found = [Decimal("1E+999999"), huge, 1.5, -huge, Decimal("-1E+999999")]
    assert sorted(found, key=order_key) == [-huge, Decimal("-1E+999999"), 1.5, huge, found[0]]


def test_a_subclass_counts_as_what_it_is_stored_as() -> None:
    import enum

    class Color(enum.StrEnum):
        RED = "red"

    assert order_key(Color.RED) == order_key("red")


@pytest.mark.parametrize("value", [(), set(), object(), [()]])
def test_what_cannot_be_stored_has_no_place(value: Any) -> None:
    with pytest.raises(TypeError, match="cannot be stored"):
        order_key(value)
