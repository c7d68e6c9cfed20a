"""What the bundled strategies promise, as laws over any candidates."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from importlib import metadata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync.errors import SchemaError
from crdtsync.strategies import (
    AddWins,
    Candidate,
    CustomStrategy,
    KeepAll,
    LastWriterWins,
    Presence,
    Removal,
    Strategy,
    resolver,
)
from crdtsync.strategy import GROUP, load_strategy
from tests.generators import values

_replicas = st.integers(1, 5)


@st.composite
def candidates(draw: st.DrawFn, *, value: Any = None) -> list[Candidate[Any]]:
    """Draw candidates as a field has them: one for each replica, ordered by (time, replica)."""
    replicas = draw(st.lists(_replicas, min_size=1, unique=True))
    drawn = [
        Candidate(
            draw(values() if value is None else value),
            replica,
            draw(st.none() | st.just("ann")),
            draw(st.integers(1, 6)),
            draw(st.integers(0, 3)),
        )
        for replica in replicas
    ]
    return sorted(drawn, key=lambda item: (item.time, item.replica))


@st.composite
def removals(draw: st.DrawFn) -> list[Removal]:
    """Draw live deletions, at least one."""
    seen = st.dictionaries(_replicas, st.integers(0, 6))
    return draw(
        st.lists(
            st.builds(Removal, _replicas, st.integers(1, 6), st.integers(0, 3), seen),
            min_size=1,
            max_size=4,
        )
    )


# --- fields ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", [LastWriterWins(), KeepAll()], ids=lambda item: item.name)
@given(found=candidates())
def test_the_value_is_that_of_the_greatest_time_and_replica(
    strategy: Strategy, found: list[Candidate[Any]]
) -> None:
    before = copy.deepcopy(found)
    chosen = strategy.resolve(tuple(found))
    greatest = max(found, key=lambda item: (item.time, item.replica))
    assert chosen is greatest.value
    assert strategy.resolve(tuple(found)) is chosen
    assert found == before


@pytest.mark.parametrize("strategy", [LastWriterWins(), KeepAll()], ids=lambda item: item.name)
@given(found=candidates())
def test_a_candidate_that_loses_can_be_left_out(
    strategy: Strategy, found: list[Candidate[Any]]
) -> None:
    for loser in found[:-1]:
        assert strategy.resolve([item for item in found if item is not loser]) is found[-1].value


# --- presence -------------------------------------------------------------------------------------


@given(candidates(value=st.just(True)), removals())
def test_a_record_is_there_if_some_write_was_seen_by_no_deletion(
    writes: list[Candidate[Any]], gone: list[Removal]
) -> None:
    unseen = [
        write
        for write in writes
        if not any(removal.seen.get(write.replica, 0) >= write.seq for removal in gone)
    ]
    assert AddWins().present(writes, gone) == bool(unseen)


@given(candidates(value=st.just(True)), removals(), st.randoms())
def test_presence_does_not_depend_on_the_order_of_arrival(
    writes: list[Candidate[Any]], gone: list[Removal], random: Any
) -> None:
    expected = AddWins().present(writes, gone)
    random.shuffle(writes)
    random.shuffle(gone)
    assert AddWins().present(writes, gone) == expected


@given(candidates(value=st.just(True)), removals(), candidates(value=st.just(True)), removals())
def test_more_writes_only_add_and_more_deletions_only_remove(
    writes: list[Candidate[Any]],
    gone: list[Removal],
    more_writes: list[Candidate[Any]],
    more_gone: list[Removal],
) -> None:
    judge = AddWins()
    assert judge.present(writes + more_writes, gone) >= judge.present(writes, gone)
    assert judge.present(writes, gone + more_gone) <= judge.present(writes, gone)


def test_without_writes_there_is_no_record() -> None:
    assert not AddWins().present([], [Removal(1, 1, 0, {})])


# --- an app's own ---------------------------------------------------------------------------------


def test_a_resolver_is_a_strategy_named_after_its_function() -> None:
    @resolver(version=3)
    def longest(found: Sequence[Candidate[str]]) -> str:
        return max((item.value for item in found), key=len)

    assert isinstance(longest, CustomStrategy)
    assert isinstance(longest, Strategy)
    assert (longest.name, longest.version) == ("longest", 3)
    assert repr(longest) == "<resolver longest version 3>"
    found = [Candidate("abc", 1, None, 1, 0), Candidate("d", 2, "bob", 1, 1)]
    assert longest.resolve(found) == "abc"


def test_a_resolver_can_be_given_a_name() -> None:
    @resolver(version=1, name="app.first")
    def whatever(found: Sequence[Candidate[int]]) -> int:
        return found[0].value

    assert whatever.name == "app.first"


# --- how they are found ---------------------------------------------------------------------------

BUNDLED: dict[str, Any] = {"lww": LastWriterWins, "keep-all": KeepAll, "add-wins": AddWins}


@pytest.mark.parametrize("name", sorted(BUNDLED))
def test_a_bundled_strategy_is_found_by_the_name_it_stores(name: str) -> None:
    found = load_strategy(name)
    assert type(found) is BUNDLED[name]
    assert found.name == name
    assert type(found.version) is int
    assert isinstance(found, Presence if name == "add-wins" else Strategy)


def test_every_strategy_installed_is_named_as_it_is_registered() -> None:
    for point in metadata.entry_points(group=GROUP):
        assert load_strategy(point.name).name == point.name


def test_a_strategy_nobody_installed_is_an_error_that_says_which_are_known() -> None:
    with pytest.raises(SchemaError) as caught:
        load_strategy("third-party")
    message = str(caught.value)
    assert "'third-party'" in message
    assert all(name in message for name in BUNDLED)


@pytest.mark.parametrize("cls", [LastWriterWins, KeepAll, AddWins, CustomStrategy])
def test_every_module_answers_its_question(cls: type) -> None:
    import sys

    doc = sys.modules[cls.__module__].__doc__
    assert doc is not None
    assert doc.startswith("Question:")
    for heading in ("Answer:", "Law:", "Source:"):
        assert f"\n\n{heading}" in doc
