"""Presence of set elements: removal against work that it has not seen, as the strategy decides."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from crdtsync import Document, Replica, Set, field
from crdtsync.clock import HybridLogicalClock
from crdtsync.strategies import AddWins, Candidate
from crdtsync.strategy import Removal


class Gone:
    """What anybody removed is gone, unless somebody who saw that added it again."""

    name = "gone"
    version = 1

    def present(self, writes: Sequence[Candidate[Any]], removals: Sequence[Removal], /) -> bool:
        return False


class Latest:
    name = "latest"
    version = 1

    def present(self, writes: Sequence[Candidate[Any]], removals: Sequence[Removal], /) -> bool:
        return bool(writes) and writes[-1].time > max(removal.time for removal in removals)


class Broken:
    name = "broken"
    version = 1

    def present(self, writes: Sequence[Candidate[Any]], removals: Sequence[Removal], /) -> bool:
        raise RuntimeError("no idea")


class Sets(Document):
    plain: Set[str]
    added: Set[str] = field(presence=AddWins())
    gone: Set[str] = field(presence=Gone())
    latest: Set[str] = field(presence=Latest())
    broken: Set[str] = field(presence=Broken())


NAMES = ["plain", "added", "gone", "latest", "broken"]


def pair() -> tuple[Replica, Replica, Any, Any]:
    ticks = itertools.count(1000)
    one, other = (Replica(clock=HybridLogicalClock(lambda: next(ticks))) for _ in range(2))
    return one, other, one.document(Sets, "s"), other.document(Sets, "s")


def contents(document: Any) -> dict[str, set[str]]:
    return {name: set(getattr(document, name)) for name in NAMES}


def test_a_removal_meets_an_addition_that_it_has_not_seen() -> None:
    one, other, here, there = pair()
    for name in NAMES:
        getattr(here, name).add("x")
    one.merge(other)
    for name in NAMES:
        getattr(here, name).add("x")  # again, unseen by what follows
        getattr(there, name).remove("x")
    one.merge(other)
    assert contents(here) == contents(there)
    assert contents(here) == {
        "plain": {"x"},
        "added": {"x"},
        "gone": set(),
        "latest": set(),
        "broken": {"x"},  # what fails loses nothing
    }
    for name in NAMES:
        getattr(here, name).add("x")  # having seen it all
    one.merge(other)
    assert contents(there) == {key: {"x"} for key in NAMES}


def test_removal_without_contradiction_is_removal_under_all() -> None:
    one, other, here, there = pair()
    for name in NAMES:
        getattr(here, name).update({"x", "y"})
        getattr(here, name).remove("x")
    one.merge(other)
    for name in NAMES:
        getattr(there, name).remove("y")
        getattr(there, name).discard("z")
    one.merge(other)
    assert contents(here) == contents(there) == {key: set() for key in NAMES}


steps = st.lists(
    st.tuples(
        st.integers(0, 1), st.sampled_from(["add", "discard", "merge"]), st.sampled_from("xy")
    ),
    max_size=14,
)


@given(steps)
def test_an_explicit_add_wins_is_what_sets_do_anyway(script: list[tuple[int, str, str]]) -> None:
    one, other, here, there = pair()
    for who, what, element in script:
        if what == "merge":
            one.merge(other)
        else:
            for name in NAMES:
                getattr(getattr((here, there)[who], name), what)(element)
    one.merge(other)
    assert contents(here) == contents(there)
    assert here.plain == here.added == here.broken
    assert set(here.gone) <= set(here.plain)
    here._live.load()
    assert contents(here) == contents(there)
