"""The history of a place is what a slow replay shows of it, entry by entry."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crdtsync import Replica
from crdtsync.errors import SchemaError
from tests.document.boards import Board
from tests.replica.histories import history

PLACES = ["name", "total", "members", "body", "items", "options", ""]


def shown(board: Any, place: str) -> Any:
    return board.to_dict()[place] if place else board.to_dict()


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.sampled_from(PLACES))
def test_it_is_a_slow_replay(seed: int, place: str) -> None:
    board = history(seed)[0]
    replica = Replica()
    slow: Any = replica.document(Board, "board")
    expected = []
    for entry in board.log:
        before = shown(slow, place)
        replica.ledger("board").receive([entry.data])
        if shown(slow, place) != before:
            expected.append(((entry.replica, entry.seq), before, shown(slow, place)))
    found = [
        ((v.replica, v.action.entry.seq), v.before, v.value)
        for v in board.history(place)
        if v.before != v.value
    ]
    assert found == expected


@settings(max_examples=15)
@given(st.integers(0, 10**6))
def test_the_edits_of_a_text_make_it(seed: int) -> None:
    text = ""
    for version in history(seed, steps=40)[0].history("body"):
        assert text == version.before
        for start, stop, put, _ in version.edits:
            assert put is not None
            text = text[:start] + put + text[stop:]
        assert text == version.value


def test_a_record() -> None:
    board: Any = Replica(user="ann").document(Board, "b")
    board.tasks.add(key="t/1", title="one")
    board.tasks["t/1"].title = "two"
    del board.tasks["t/1"]
    board.undo()
    board.name = "something else"
    found = board.history("tasks/t%2F1")
    assert [version.kind for version in found] == ["created", "changed", "deleted", "revived"]
    assert [version.value and version.value["title"] for version in found] == [
        "one",
        "two",
        None,
        "two",
    ]
    assert [version.action.name for version in found] == ["add", "set", "delete", "undo"]
    assert {version.user for version in found} == {"ann"}
    assert found == board.history(("tasks", "t/1")) == board.history(board.tasks["t/1"])
    titles = board.history("tasks/t%2F1/title")
    assert [version.value for version in titles] == ["one", "two"]


def test_what_was_written_beside_others() -> None:
    ann, ben = Replica(user="ann"), Replica(user="ben")
    one, two = ann.document(Board, "b"), ben.document(Board, "b")
    one.tasks.add(key="t", title="t")
    ann.merge(ben)
    one.tasks["t"].status, two.tasks["t"].status = "done", "doing"  # done is further
    ann.merge(ben)
    found = one.history("tasks/t/status")
    assert [(v.user, v.written, v.value) for v in found] == [
        ("ann", "done", "done"),
        ("ben", "doing", "done"),
    ]


def test_formatting_is_an_edit() -> None:
    board: Any = Replica().document(Board, "b")
    board.body.append("Hello 😀")
    board.body.format(0, 5, bold=True)
    assert [tuple(version.edits) for version in board.history(board.body)] == [
        ((0, 0, "Hello 😀", {}),),
        ((0, 5, None, {"bold": True}),),
    ]


def test_nothing_is_declared_there() -> None:
    board = Replica().document(Board, "b")
    for place in ("nowhere", "name/x", "tasks/t/nowhere"):
        with pytest.raises(SchemaError, match="nothing is declared"):
            board.history(place)


def test_of_the_past() -> None:
    board: Any = Replica().document(Board, "b")
    board.name = "one"
    moment = board.state_vector
    board.name = "two"
    assert [version.value for version in board.at(moment).history("name")] == ["one"]
