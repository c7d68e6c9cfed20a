"""Unique: no two records show one value, and the first to claim it keeps it."""

from __future__ import annotations

import datetime
import itertools
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crdtsync.codec import check_value, encode
from crdtsync.document.guard import bounded
from crdtsync.errors import SchemaError
from crdtsync.strategies import Unique
from crdtsync.strategy import Claim, ColumnIndex, load_strategy
from tests.generators import values

KEYS = ["", "a", "b", "c", "d"]
Claims = dict[str, Claim[Any]]
CROWDED = ["x", "x (2)", "x (3)", "x (2) (2)", 1, 2, 3, True, 1.0, None, [1], ""]


def claims() -> st.SearchStrategy[Claim[Any]]:
    value = st.just("x") | st.sampled_from(CROWDED) | values()
    written = st.builds(Claim, value, st.integers(1, 3), st.integers(1, 2), st.none())
    return written | written | st.builds(Claim, value, st.just(0), st.just(0), st.none())


def puts() -> st.SearchStrategy[list[tuple[str, Claim[Any] | None]]]:
    return st.lists(st.tuples(st.sampled_from(KEYS), st.none() | claims() | claims()), max_size=12)


def index_of(found: Claims, strategy: Unique | None = None) -> ColumnIndex:
    index = (strategy or Unique()).index()
    for key, claim in found.items():
        index.put(key, claim)
    return index


def shown(found: Claims, strategy: Unique | None = None) -> dict[str, Any]:
    settled = index_of(found, strategy).settled()
    return {
        key: settled[key].value if key in settled else claim.value for key, claim in found.items()
    }


def together(*claimed: Any) -> Claims:
    """Return claims of records a, b, c, …, one after the other."""
    return {key: Claim(value, at, 1) for at, (key, value) in enumerate(zip("abcdef", claimed), 1)}  # noqa: B905


# --- the slow way ---------------------------------------------------------------------------------


def numbered(value: Any, number: int) -> Any:
    if type(value) is str:
        return f"{value} ({number})"
    return value + number - 1 if type(value) is int else None


def slowly(found: Claims) -> dict[str, Any]:
    """Return what the records at odds get, worked out from scratch."""
    taken = {encode(claim.value) for claim in found.values()}
    result = {}
    first_of: dict[bytes, str] = {}
    for key in sorted(found, key=lambda key: (found[key].time, found[key].replica, key)):
        claim = found[key]
        if claim.value is None or claim.time == 0:
            continue
        told = encode(claim.value)
        if told not in first_of:
            first_of[told] = key
            continue
        result[first_of[told]] = claim.value
        others = (numbered(claim.value, number) for number in itertools.count(2))
        other = next(other for other in others if other is None or encode(other) not in taken)
        result[key] = other
        taken.add(encode(other))
    return result


# --- laws -----------------------------------------------------------------------------------------


@given(puts())
@example([("a", Claim("x", 1, 1)), ("b", Claim("x", 1, 1)), ("a", None), ("c", Claim("x", 2, 1))])
def test_whatever_was_put_and_withdrawn_it_settles_as_if_worked_out_from_scratch(
    told: list[tuple[str, Claim[Any] | None]],
) -> None:
    index = Unique().index()
    held: Claims = {}
    for key, claim in told:
        index.put(key, claim)
        held.pop(key, None)
        if claim is not None:
            held[key] = claim
        settled = index.settled()
        expected = slowly(held)
        assert {k: encode(item.value) for k, item in settled.items()} == {
            k: encode(value) for k, value in expected.items()
        }
        assert settled == index_of(dict(sorted(held.items(), reverse=True))).settled()


def often_wrong(value: Any, number: int) -> Any:
    match number % 5:
        case 0:
            raise ValueError(value)
        case 1:
            return {value}
        case 2:
            return "\ud800"
        case 3:
            odd = datetime.timezone(datetime.timedelta(microseconds=1))
            return datetime.datetime(2020, 1, 1, tzinfo=odd)
        case _:
            return f"{value!r}"


@pytest.mark.parametrize(
    "strategy",
    [Unique(), Unique(often_wrong), Unique(lambda *_: "x"), Unique(lambda *_: None)],
    ids=["default", "often wrong", "always the same", "none"],
)
@given(found=st.dictionaries(st.sampled_from(KEYS), claims()))
def test_no_two_records_that_somebody_wrote_show_one_value(strategy: Unique, found: Claims) -> None:
    values_shown = shown(found, strategy)
    for value in values_shown.values():
        check_value(value)
    told = [
        encode(value)
        for key, value in values_shown.items()
        if value is not None and found[key].time > 0
    ]
    assert len(told) == len(set(told))


@given(st.dictionaries(st.sampled_from(KEYS), claims()))
def test_who_is_at_odds_with_whom(found: Claims) -> None:
    settled = index_of(found).settled()
    for key, item in settled.items():
        same = [
            other
            for other, claim in found.items()
            if claim.time > 0 and encode(claim.value) == encode(found[key].value)
        ]
        first = min(same, key=lambda key: (found[key].time, found[key].replica, key))
        assert len(same) > 1
        others = sorted(set(same) - {first})
        assert item.rivals == (tuple(others) if key == first else (first,))


# --- examples -------------------------------------------------------------------------------------


def test_the_first_to_claim_a_name_keeps_it() -> None:
    settled = index_of(together("garden", "garden", "garden")).settled()
    assert {key: item.value for key, item in settled.items()} == {
        "a": "garden",
        "b": "garden (2)",
        "c": "garden (3)",
    }
    assert settled["a"].reason == "this record is the first of 3 that claimed the value"
    assert settled["b"].reason == "record 'a' claimed the same value first"


@pytest.mark.parametrize(
    ("claimed", "values_shown"),
    [
        (("x", "x", "x (2)"), ["x", "x (3)", "x (2)"]),
        (("x", "x", "x (2)", "x (2)"), ["x", "x (3)", "x (2)", "x (2) (2)"]),
        ((7, 7, 7, 8), [7, 9, 10, 8]),
        ((1, 1.0, True), [1, 1.0, True]),
        ((1.5, 1.5), [1.5, None]),
        ((True, True), [True, None]),
        (([1], [1]), [[1], None]),
        (("", ""), ["", " (2)"]),
        ((None, None), [None, None]),
    ],
)
def test_what_the_others_get(claimed: tuple[Any, ...], values_shown: list[Any]) -> None:
    assert list(shown(together(*claimed)).values()) == values_shown


def test_a_default_is_not_contested_but_not_free_either() -> None:
    found = {"a": Claim("x", 0, 0), "b": Claim("x", 0, 0), "c": Claim("x", 4, 1)}
    assert index_of(found).settled() == {}
    found |= {"d": Claim("x", 5, 1), "e": Claim("x (2)", 0, 0)}
    assert shown(found)["d"] == "x (3)"


def test_the_earlier_a_claim_the_lower_its_number() -> None:
    found = {key: Claim("x", time, 1) for key, time in {"a": 3, "b": 2, "c": 1}.items()}
    assert shown(found) == {"a": "x (3)", "b": "x (2)", "c": "x"}
    found = {key: Claim("x", 1, replica) for key, replica in {"a": 2, "b": 1, "c": 1}.items()}
    assert shown(found) == {"a": "x (3)", "b": "x", "c": "x (2)"}


def test_when_the_first_goes_the_next_has_the_name() -> None:
    index = index_of(together("x", "x"))
    index.put("a", None)
    assert index.settled() == {}


# --- an app's own rule ----------------------------------------------------------------------------


def slug(value: Any, number: int) -> str:
    return f"{value}-{number}"


def test_an_app_can_say_what_the_others_get() -> None:
    found = together("x", "x", "x-3", "x")
    assert list(shown(found, Unique(otherwise=slug)).values()) == ["x", "x-2", "x-3", "x-4"]


def test_a_rule_that_never_ends_at_a_free_value_is_asked_a_bounded_number_of_times() -> None:
    asked = []

    def stubborn(value: Any, number: int) -> Any:
        asked.append(number)
        return value

    found = together("x", "x", "x", "x (b)")
    assert list(shown(found, Unique(stubborn)).values()) == ["x", "x (b) (b)", "x (c)", "x (b)"]
    assert len(asked) == 200
    assert shown(together(1, 1), Unique(stubborn))["b"] is None


def test_a_rule_that_answers_differently_each_time_is_not_followed() -> None:
    counter = itertools.count()
    strategy = Unique(lambda value, number: f"{value}{next(counter)}")
    assert shown(together("x", "x"), strategy)["b"] == "x (2)"


def test_a_rule_cannot_change_what_was_claimed() -> None:
    def greedy(value: list[int], number: int) -> Any:
        value.append(number)
        return len(value)

    assert list(shown(together([1], [1]), Unique(greedy)).values()) == [[1], 2]


def test_the_rule_is_part_of_what_tells_strategies_apart() -> None:
    assert Unique().parameters == {}
    assert Unique(slug).parameters == {"otherwise": "slug", "version": 1}
    assert Unique(slug, version=2).parameters == {"otherwise": "slug", "version": 2}
    assert isinstance(load_strategy("unique", 1, {}), Unique)
    with pytest.raises(SchemaError, match="a function that the app has, not 'slug'"):
        load_strategy("unique", 1, Unique(slug).parameters)


# --- cost -----------------------------------------------------------------------------------------


def test_thousands_of_records_of_one_name_stay_within_what_a_strategy_may_cost() -> None:
    index = Unique().index()
    for at in range(10_000):
        bounded(index.put, f"k{at:05}", Claim("x", at + 1, 1))
    settled = bounded(index.settled)
    assert settled["k09999"].value == "x (10000)"
