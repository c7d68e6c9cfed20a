"""Tree: whatever people move at once, no record is below itself, and all see the same tree."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crdtsync.document.guard import bounded
from crdtsync.strategies import Tree
from crdtsync.strategy import Base, Claim, ColumnIndex
from tests.generators import scalars

KEYS = ["", "a", "b", "c", "d", "e"]
Claims = dict[str, Claim[Any]]


def parents() -> st.SearchStrategy[Any]:
    return st.sampled_from(KEYS) | st.sampled_from([*KEYS, None, "gone"]) | scalars()


def claims() -> st.SearchStrategy[Claim[Any]]:
    bases = st.none() | st.builds(Base, parents(), st.just(0))
    return st.builds(Claim, parents(), st.integers(0, 3), st.integers(0, 2), bases)


def puts() -> st.SearchStrategy[list[tuple[str, Claim[Any] | None]]]:
    return st.lists(st.tuples(st.sampled_from(KEYS), st.none() | claims() | claims()), max_size=14)


def index_of(found: Claims) -> ColumnIndex:
    index = Tree().index()
    for key, claim in found.items():
        index.put(key, claim)
    return index


# --- the slow way ---------------------------------------------------------------------------------


def way_up(start: Any, above: dict[str, Any]) -> list[str]:
    """Return the records from one upwards, once round if there is a circle."""
    way: list[str] = []
    while isinstance(start, str) and start in above and start not in way:
        way.append(start)
        start = above[start]
    return way


def circles(above: dict[str, Any]) -> list[list[str]]:
    """Return the circles, each as the sorted records in it."""
    found = []
    for key, parent in above.items():
        if key in way_up(parent, above):
            circle = sorted(way_up(key, above))
            if circle not in found:
                found.append(circle)
    return found


def slowly(found: Claims) -> dict[str, Any]:
    """Return the parents that moves which gave way have, all worked out from scratch."""
    above = {key: claim.value for key, claim in found.items()}

    def when(key: str) -> tuple[int, int, str]:
        return found[key].time, found[key].replica, key

    given_way = sorted((max(circle, key=when) for circle in circles(above)), key=when)
    above |= dict.fromkeys(given_way)
    for key in given_way:
        base = found[key].base
        if base is not None and isinstance(base.value, str):
            above[key] = base.value
            if circles(above):
                above[key] = None
    assert not circles(above)
    return {key: above[key] for key in given_way}


# --- laws -----------------------------------------------------------------------------------------


@given(puts())
@example([("a", Claim("b", 2, 1, Base("c", 0))), ("b", Claim("a", 0, 1)),
          ("c", Claim("d", 1, 1, Base("a", 0))), ("d", Claim("c", 0, 1))])  # fmt: skip
@example([("", Claim("", 0, 0)), ("a", Claim("a", 0, 0)), ("a", None)])
def test_whatever_was_put_and_withdrawn_it_settles_as_if_worked_out_from_scratch(
    told: list[tuple[str, Claim[Any] | None]],
) -> None:
    index = Tree().index()
    held: Claims = {}
    for key, claim in told:
        index.put(key, claim)
        held.pop(key, None)
        if claim is not None:
            held[key] = claim
        settled = index.settled()
        assert {key: item.value for key, item in settled.items()} == slowly(held)
        assert settled == index_of(dict(sorted(held.items(), reverse=True))).settled()


@given(st.dictionaries(st.sampled_from(KEYS), claims()))
def test_no_record_is_below_itself(found: Claims) -> None:
    settled = index_of(found).settled()
    above = {
        key: settled[key].value if key in settled else claim.value for key, claim in found.items()
    }
    assert circles(above) == []


@given(st.dictionaries(st.sampled_from(KEYS), claims()))
def test_only_the_latest_move_of_a_circle_gives_way(found: Claims) -> None:
    above = {key: claim.value for key, claim in found.items()}
    settled = index_of(found).settled()
    for circle in circles(above):
        (gave_way,) = settled.keys() & set(circle)
        assert all(found[key].time <= found[gave_way].time for key in circle)
        assert settled[gave_way].rivals == tuple(key for key in circle if key != gave_way)
    assert len(settled) == len(circles(above))


# --- examples -------------------------------------------------------------------------------------


def test_the_later_of_two_moves_stays_where_it_was() -> None:
    index = index_of(
        {
            "root": Claim(None, 1, 1),
            "a": Claim("b", 5, 1, Base("root", 1)),
            "b": Claim("a", 6, 42, Base("root", 1)),
        }
    )
    (settled,) = index.settled().values()
    assert settled.value == "root"
    assert settled.rivals == ("a",)
    assert settled.reason == (
        "2 moves made a circle; this one, by replica 2a, is the latest: "
        "the record stays where it was"
    )


def test_a_record_below_itself_stands_at_the_top() -> None:
    settled = index_of({"a": Claim("a", 5, 1, Base("a", 1))}).settled()
    assert settled["a"].value is None
    assert settled["a"].rivals == ()
    assert settled["a"].reason == "a record cannot be below itself: it stands at the top"


@pytest.mark.parametrize("parent", [None, "gone", 7, True, ["a"], {"a": 1}])
def test_what_names_no_record_is_left_as_it_is(parent: Any) -> None:
    assert index_of({"a": Claim(parent, 5, 1), "b": Claim("a", 5, 1)}).settled() == {}


def test_a_record_that_comes_back_may_close_a_circle() -> None:
    index = index_of({"a": Claim("b", 5, 1)})
    assert index.settled() == {}
    index.put("b", Claim("a", 6, 1))
    assert list(index.settled()) == ["b"]
    index.put("b", None)
    assert index.settled() == {}


# --- cost -----------------------------------------------------------------------------------------


def steps(call: Any, *args: Any) -> int:
    """Count the lines of Python that a call takes."""
    import sys

    count = 0

    def trace(_frame: Any, _event: str, _argument: Any) -> Any:
        nonlocal count
        count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call(*args)
    finally:
        sys.settrace(before)
    return count


def test_a_move_costs_the_way_up_and_not_the_size_of_the_table() -> None:
    costs = []
    for size in (100, 10_000):
        index = index_of({str(key): Claim(str(key // 10), key, 1) for key in range(1, size)})
        index.settled()
        costs.append(steps(index.put, "7", Claim("3", size, 1)) + steps(index.settled))
    assert costs[0] == costs[1] < 200


def test_a_record_that_has_nothing_below_it_costs_nothing() -> None:
    index = index_of({f"{at:04}": Claim(f"{at - 1:04}", 1, 1) for at in range(3000)})
    index.put("child", Claim("leaf", 1, 1))
    index.put("child", None)
    assert steps(index.put, "leaf", Claim("2999", 1, 1)) < 50


def test_many_circles_on_a_deep_tree_are_settled_within_what_a_strategy_may_cost() -> None:
    deep = {f"d{at:05}": Claim(f"d{at - 1:05}", 1, 1) for at in range(3000)}
    pairs = {}
    for at in range(2000):
        pairs[f"l{at}"] = Claim(f"r{at}", 5, 1, Base("d02999", 1))
        pairs[f"r{at}"] = Claim(f"l{at}", 4, 1)
    index = Tree().index()
    for key, claim in (deep | pairs).items():
        bounded(index.put, key, claim)
    settled = bounded(index.settled)
    assert {item.value for item in settled.values()} == {"d02999"}
    assert len(settled) == 2000
