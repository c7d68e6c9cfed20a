"""What is bundled: how strategies are found by name, and an app's own."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Any

import pytest

import crdtsync_strategies
from crdtsync.errors import SchemaError
from crdtsync.strategies import (
    AddWins,
    Candidate,
    CustomStrategy,
    FirstWriterWins,
    KeepAll,
    LastWriterWins,
    Maximum,
    Merge,
    Minimum,
    Order,
    Presence,
    Ranked,
    RemoveWins,
    Strategy,
    Tree,
    Unique,
    resolver,
)
from crdtsync.strategy import GROUP, ColumnStrategy, Positional, load_strategy

BUNDLED: dict[str, Any] = {
    "add-wins": AddWins,
    "fww": FirstWriterWins,
    "keep-all": KeepAll,
    "lww": LastWriterWins,
    "maximum": Maximum,
    "merge": Merge,
    "minimum": Minimum,
    "order": Order,
    "ranked": Ranked,
    "remove-wins": RemoveWins,
    "tree": Tree,
    "unique": Unique,
}
PROTOCOLS: dict[Any, set[str]] = {
    Presence: {"add-wins", "lww", "remove-wins"},
    ColumnStrategy: {"tree", "unique"},
    Positional: {"order"},
    Strategy: set(BUNDLED) - {"add-wins", "remove-wins"},
}


# --- how they are found ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(BUNDLED))
def test_a_bundled_strategy_is_found_by_the_name_it_stores(name: str) -> None:
    found = load_strategy(name)
    assert type(found) is BUNDLED[name]
    assert found.name == name
    assert type(found.version) is int


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_a_bundled_strategy_can_decide(protocol: Any) -> None:
    able = {name for name in BUNDLED if isinstance(load_strategy(name), protocol)}
    assert able == PROTOCOLS[protocol]


def test_everything_bundled_is_registered() -> None:
    bundled = {
        point.value for point in metadata.entry_points(group=GROUP) if "crdtsync_" in point.value
    }
    strategies = set(crdtsync_strategies.__all__) - {"CustomStrategy", "resolver"}
    assert bundled == {f"crdtsync_strategies:{name}" for name in strategies}


def test_every_strategy_installed_is_named_as_it_is_registered() -> None:
    for point in metadata.entry_points(group=GROUP):
        assert load_strategy(point.name).name == point.name


def test_a_strategy_nobody_installed_is_an_error_that_says_which_are_known() -> None:
    with pytest.raises(SchemaError) as caught:
        load_strategy("third-party")
    message = str(caught.value)
    assert "'third-party'" in message
    assert all(name in message for name in BUNDLED)


@pytest.mark.parametrize("cls", [*BUNDLED.values(), CustomStrategy])
def test_every_module_answers_its_question(cls: type) -> None:
    doc = sys.modules[cls.__module__].__doc__
    assert doc is not None
    assert doc.startswith("Question:")
    places = [doc.index(f"\n\n{heading}") for heading in ("Answer:", "Law:", "Source:")]
    assert places == sorted(places)


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
