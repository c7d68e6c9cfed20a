"""Strategies that choose one of the values: which one, and what they say about it."""

from __future__ import annotations

import enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync.errors import SchemaError
from crdtsync.strategies import (
    Candidate,
    FirstWriterWins,
    KeepAll,
    LastWriterWins,
    Maximum,
    Merge,
    Minimum,
    Order,
    Ranked,
    Tree,
    Unique,
)
from crdtsync.strategy import load_strategy
from crdtsync.testing.generators import candidates
from crdtsync_strategies.total_order import order_key
from tests.generators import exactly, values

Candidates = tuple[Candidate[Any], ...]

CHOOSE_LAST: list[Any] = [LastWriterWins(), KeepAll(), Order(), Tree(), Unique(), Ranked(), Merge()]
CHOOSERS: list[Any] = [*CHOOSE_LAST, FirstWriterWins(), Maximum(), Minimum()]


def when(candidate: Candidate[Any]) -> tuple[int, int]:
    return candidate.time, candidate.replica


@given(candidates())
def test_the_last_writer_has_the_greatest_time_and_replica(found: Candidates) -> None:
    for strategy in CHOOSE_LAST:
        assert strategy.resolve(found) is max(found, key=when).value


@given(candidates())
def test_the_first_writer_has_the_smallest_time_and_replica(found: Candidates) -> None:
    assert FirstWriterWins().resolve(found) is min(found, key=when).value


@given(candidates())
def test_no_value_is_above_the_maximum_or_below_the_minimum(found: Candidates) -> None:
    keys = [order_key(candidate.value) for candidate in found]
    assert order_key(Maximum().resolve(found)) == max(keys)
    assert order_key(Minimum().resolve(found)) == min(keys)


@given(candidates(), st.randoms(use_true_random=False))
def test_maximum_and_minimum_do_not_look_at_the_order(found: Candidates, random: Any) -> None:
    shuffled = list(found)
    random.shuffle(shuffled)
    for strategy in (Maximum(), Minimum()):
        assert exactly(strategy.resolve(shuffled), strategy.resolve(found))


@given(candidates())
def test_a_value_that_was_not_chosen_can_be_left_out(found: Candidates) -> None:
    for strategy in CHOOSERS:
        chosen = strategy.resolve(found)
        for loser in found:
            rest = tuple(candidate for candidate in found if candidate is not loser)
            if loser.value is not chosen and rest:
                assert exactly(strategy.resolve(rest), chosen)


@given(candidates())
def test_the_reason_is_a_short_sentence(found: Candidates) -> None:
    for strategy in CHOOSERS:
        reason = strategy.explain(found, strategy.resolve(found))
        assert 10 < len(reason) < 150
        assert "\n" not in reason


def test_reasons_name_the_author() -> None:
    found = (
        Candidate("b", 42, None, 1, 5),
        Candidate("c", 2, "bob", 1, 6),
        Candidate("a", 1, "ann", 1, 7),
    )
    assert LastWriterWins().explain(found, "a") == "ann's write is the latest of 3"
    assert FirstWriterWins().explain(found, "b") == "replica 2a's write is the earliest of 3"
    assert Maximum().explain(found, "c") == "bob's value is the greatest of 3"
    assert Minimum().explain(found, "a") == "ann's value is the smallest of 3"
    assert Ranked(["a", "c"]).explain(found, "c") == "bob's value ranks highest of 3"
    assert Ranked(["z"]).explain(found, "a").startswith("none of the values is ranked; ann's")
    assert KeepAll().explain(found, "a").endswith("all are kept until somebody decides")


# --- ranked ---------------------------------------------------------------------------------------

orders = st.lists(values(), max_size=4, unique_by=order_key)


@given(
    orders.flatmap(
        lambda order: st.tuples(
            st.just(order), candidates(st.sampled_from(order) | values() if order else values())
        )
    )
)
def test_the_value_furthest_along_holds_and_the_latest_of_equals(
    drawn: tuple[list[Any], Candidates],
) -> None:
    order, found = drawn
    ranks = {order_key(value): rank for rank, value in enumerate(order)}
    best = max(found, key=lambda item: (ranks.get(order_key(item.value), -1), *when(item)))
    assert Ranked(order).resolve(found) is best.value


@given(orders)
def test_an_order_is_remade_from_its_parameters(order: list[Any]) -> None:
    ranked = Ranked(order)
    again = load_strategy("ranked", 1, ranked.parameters)
    assert exactly(again.parameters, ranked.parameters)
    ranked.parameters["order"].append("more")
    assert exactly(again.parameters, ranked.parameters)


def test_one_and_true_are_two_values_in_an_order() -> None:
    found = (Candidate(1, 1, None, 1, 0), Candidate(True, 2, None, 1, 1))
    assert Ranked([True, 1]).resolve(found) is found[0].value


def test_a_value_twice_in_an_order_is_an_error() -> None:
    with pytest.raises(ValueError, match="twice"):
        Ranked(["a", "b", "a"])
    with pytest.raises(SchemaError, match="twice"):
        load_strategy("ranked", 1, {"order": [1, 1]})


def test_an_enumeration_can_be_an_order() -> None:
    class Status(enum.StrEnum):
        TODO = "todo"
        DONE = "done"

    found = (Candidate("done", 1, None, 1, 0), Candidate("todo", 2, None, 1, 1))
    assert Ranked(Status).resolve(found) == "done"
