"""Selectors and their priorities."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync.errors import ConfigurationError
from crdtsync.pattern import matches
from crdtsync.selection import PRIORITY, SELECTORS_MAX, Selection

names = st.sampled_from(["a", "b", "a/b", "a/c", "ann/a", "b/ann"])
patterns = st.sampled_from(["*", "a/*", "?", "**", "{user}/*", "a/**", "*/ann"])
tags = st.sampled_from(["urgent", "old", ""])
selectors = st.dictionaries(
    names | patterns | tags.map("tag:{}".format), st.integers(0, 9), max_size=6
)


def priority_slowly(
    selected: dict[str, int], document: str, user: str | None, borne: set[str]
) -> int | None:
    """Say each kind of selector in a line of its own."""
    found = []
    for selector, priority in selected.items():
        if selector.startswith("tag:"):
            hit = selector[4:] in borne
        else:
            hit = matches(selector, document, user)  # a name is a pattern without signs
        if hit:
            found.append(priority)
    return min(found, default=None)


@given(selectors, names, st.sampled_from([None, "ann"]), st.sets(tags))
def test_the_lowest_priority_of_all_that_select_it(
    selected: dict[str, int], document: str, user: str | None, borne: set[str]
) -> None:
    expected = priority_slowly(selected, document, user, borne)
    assert Selection(selected).priority(document, user, borne) == expected


@given(selectors)
def test_what_a_server_is_asked_is_the_same_selection_without_names(
    selected: dict[str, int],
) -> None:
    selection = Selection(selected)
    assert {**selection.names, **selection.wide} == selected
    again = Selection(selection.wide)
    assert (again.names, again.patterns, again.tags) == ({}, selection.patterns, selection.tags)


def test_one_several_or_with_priorities() -> None:
    assert Selection("board").names == {"board": PRIORITY}
    assert Selection(["board", "diary"], 3).names == {"board": 3, "diary": 3}
    assert Selection({"board": 0}, 3).names == {"board": 0}
    assert Selection([]).priority("board") is None


@pytest.mark.parametrize(
    "selected", [{"a**": 0}, {"*/{user}x": 0}, {"a": -1}, {"a": 2**63}, {"*" * 513: 0}]
)
def test_what_is_no_selector(selected: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError):
        Selection(selected)


def test_so_many_patterns_but_any_number_of_names() -> None:
    Selection([f"a{number}" for number in range(1000)])
    Selection([f"a{number}*" for number in range(SELECTORS_MAX)])
    with pytest.raises(ConfigurationError, match="at once"):
        Selection([f"a{number}*" for number in range(SELECTORS_MAX + 1)])
