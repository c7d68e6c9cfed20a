"""Texts take Python indices; each trap of the CRDT library below is closed by a test here."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync import Replica
from tests.document.boards import Board

ALPHABET = "ab é😀👩‍👩‍👧\u0301𝄞"


def pair() -> tuple[Replica, Replica, Board, Board]:
    one, other = Replica(), Replica()
    return one, other, one.document(Board, "b"), other.document(Board, "b")


def test_an_insert_behind_an_emoji_lands_behind_it_everywhere() -> None:
    one, other, board, copy = pair()
    board.body.append("a😀b")
    board.body.insert(2, "X")
    one.merge(other)
    assert str(board.body) == str(copy.body) == "a😀Xb"


def test_deleting_one_character_of_many_bytes_deletes_it_whole() -> None:
    one, other, board, copy = pair()
    board.body.append("h\u00e9llo e\u0301 👩‍👩‍👧")
    board.body.delete(1, 2)
    board.body.delete(len(board.body) - 1, len(board.body))
    one.merge(other)
    assert str(board.body) == str(copy.body) == "hllo e\u0301 👩‍👩‍"


@given(st.data())
def test_edits_at_any_index_equal_those_of_a_str(data: st.DataObject) -> None:
    one, other, board, copy = pair()
    expected = ""
    for _ in range(data.draw(st.integers(1, 8))):
        start = data.draw(st.integers(0, len(expected)))
        stop = data.draw(st.integers(start, len(expected)))
        new = data.draw(st.text(ALPHABET, max_size=5))
        board.body.replace(start, stop, new)
        expected = expected[:start] + new + expected[stop:]
        assert str(board.body) == expected
        assert len(board.body) == len(expected)
    one.merge(other)
    assert str(copy.body) == expected


@given(st.data())
def test_concurrent_edits_converge_while_both_are_being_read(data: st.DataObject) -> None:
    one, other, board, copy = pair()
    board.body.append(data.draw(st.text(ALPHABET, max_size=12)))
    one.merge(other)
    for _ in range(data.draw(st.integers(1, 4))):
        for side in board, copy:
            for _ in range(data.draw(st.integers(0, 3))):
                length = len(side.body)
                start = data.draw(st.integers(0, length))
                stop = data.draw(st.integers(start, length))
                side.body.replace(start, stop, data.draw(st.text(ALPHABET, max_size=4)))
        one.merge(other)
        assert str(board.body) == str(copy.body)
        assert str(board.body) == str(board.body._node.root)


@pytest.mark.parametrize("index", [4, -5, 10**9])
def test_an_index_outside_the_text_is_an_index_error_and_changes_nothing(index: int) -> None:
    board = Replica().document(Board, "b")
    board.body.append("abc")
    attempts: list[Callable[[], None]] = [
        lambda: board.body.insert(index, "x"),
        lambda: board.body.delete(0, index),
        lambda: board.body.replace(index, 0, "x"),
    ]
    for act in attempts:
        with pytest.raises(IndexError, match="in a text of 3 characters"):
            act()
    assert str(board.body) == "abc"
    assert len(board.log) == 1


def test_negative_indices_count_from_the_end() -> None:
    board = Replica().document(Board, "b")
    board.body.append("abc")
    board.body.insert(-1, "X")
    board.body.delete(-2, 4)
    assert str(board.body) == "ab"


def test_a_lone_surrogate_is_refused_before_anything_happens() -> None:
    board = Replica().document(Board, "b")
    with pytest.raises(ValueError, match="lone surrogate"):
        board.body.append("a\ud800")
    with pytest.raises(ValueError, match="lone surrogate"):
        board.body = "\udfff"  # type: ignore[assignment]
    assert len(board.log) == 0


@given(st.text(ALPHABET, max_size=20), st.text(ALPHABET, max_size=20))
def test_assignment_makes_it_equal_by_small_edits(old: str, new: str) -> None:
    one, other, board, copy = pair()
    board.body.assign(old)
    one.merge(other)
    board.body.assign(new)
    one.merge(other)
    assert str(board.body) == str(copy.body) == new


def test_assignment_keeps_what_others_typed_elsewhere_in_the_text() -> None:
    one, other, board, copy = pair()
    board.body.append("the quick brown fox")
    one.merge(other)
    board.body.assign("the slow brown fox")
    copy.body.append(" jumps")
    one.merge(other)
    assert str(board.body) == str(copy.body) == "the slow brown fox jumps"


def test_formatting_is_kept_and_shared() -> None:
    one, other, board, copy = pair()
    board.body.append("é bold")
    board.body.format(2, 6, {"bold": True})
    one.merge(other)
    assert copy.body.runs() == [("é ", {}), ("bold", {"bold": True})]
    assert str(copy.body) == "é bold"


def test_reads_like_a_str() -> None:
    board = Replica().document(Board, "b")
    board.body += "hello"
    assert board.body == "hello"
    assert board.body[1:3] == "el"
    assert "ell" in board.body
    assert repr(board.body) == "Text('hello')"
    with pytest.raises(TypeError):
        hash(board.body)


def test_a_long_text_and_a_long_paste() -> None:
    one, other, board, copy = pair()
    board.body.append("é" * 100_000)
    board.body.insert(50_000, "x" * 50_000)
    one.merge(other)
    assert str(copy.body) == str(board.body)
    assert len(copy.body) == 150_000
