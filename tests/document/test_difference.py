"""What differs between two moments is enough to make one of the other."""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from crdtsync import Difference, Replica
from tests.document.boards import Board
from tests.replica.histories import history


def patched(plain: Any, found: list[Difference]) -> Any:
    """Make of one view another."""
    for path, before, after, edits in found:
        inside = plain
        for key in path[:-1]:
            inside = inside[key]
        if after is None and isinstance(before, dict):
            del inside[path[-1]]
            continue
        assert inside.get(path[-1]) == before
        if edits:
            text = before
            for start, stop, put, _ in edits:
                text = text[:start] + put + text[stop:]
            assert text == after
        inside[path[-1]] = after
    return plain


@settings(max_examples=15)
@given(st.integers(0, 10**6))
def test_it_leads_from_one_to_the_other(seed: int) -> None:
    board = history(seed)[0]
    moments: list[Any] = list(board.log)[::4]
    for one, other in itertools.product(moments, [*moments, None]):
        then = board if other is None else board.at(other)
        assert patched(board.at(one).to_dict(), board.diff(one, other)) == then.to_dict()


def test_what_is_equal_does_not_differ() -> None:
    board: Any = Replica().document(Board, "b")
    board.data = 1
    board.tasks.add(key="t", title="one")
    now = board.state_vector
    assert board.diff(now) == board.diff(now, now) == []
    board.data = True
    board.tasks["t"].title = "two"
    assert board.diff(now) == [
        Difference(("data",), 1, True),
        Difference(("tasks", "t", "title"), "one", "two"),
    ]
    assert board.diff(board.state_vector, now) == [
        Difference(("data",), True, 1),
        Difference(("tasks", "t", "title"), "two", "one"),
    ]
