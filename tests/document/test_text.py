"""Texts take Python indices; each trap of the CRDT library below is closed by a test here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pycrdt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync import Replica
from crdtsync.errors import ActionError
from crdtsync.log import EMPTY_HEAD, Head, make_entry
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
    board.body.format(2, 6, bold=True)
    one.merge(other)
    assert copy.body.runs() == [("é ", {}), ("bold", {"bold": True})]
    assert str(copy.body) == "é bold"


def test_text_continues_the_formatting_before_it_unless_told_otherwise() -> None:
    one, other, board, copy = pair()
    with board.action("write"):
        board.body.append("ab", bold=True)
        board.body.append("c")
        board.body.insert(1, "😀", bold=None, em={})
        seen = board.body.runs()
    assert seen == [("a", {"bold": True}), ("😀", {"em": {}}), ("bc", {"bold": True})]
    one.merge(other)
    assert board.body.runs() == copy.body.runs() == seen


def test_an_attribute_that_json_does_not_carry_is_refused_before_anything_happens() -> None:
    board = Replica().document(Board, "b")
    board.body.append("abc")
    for attribute in 2**60, b"", float("inf"), {1: 2}, (1, 2):
        with pytest.raises((TypeError, ValueError)):
            board.body.format(0, 1, n=attribute)
    assert len(board.log) == 1


class Editor:
    """Somebody else's CRDT document, whose changes a replica receives."""

    def __init__(self, kind: type[Any] = pycrdt.Text) -> None:
        self.doc: pycrdt.Doc[Any] = pycrdt.Doc(client_id=9)
        self.root = self.doc.get("body", type=kind)
        self.head = EMPTY_HEAD

    def send(self, replica: Replica) -> None:
        for entry in replica.document(Board, "b").log:
            if entry.replica != 9:
                self.doc.apply_update(entry.update)

    def receive(self, replica: Replica, change: Callable[[Any], object]) -> None:
        """Change the editor's text, and let the replica receive that."""
        state = self.doc.get_state()
        with self.doc.transaction():
            change(self.root)
        update = self.doc.get_update(state)
        entry = make_entry("b", 9, self.head, 1, "x", update)
        self.head = Head(entry.seq, entry.hash)
        replica.ledger("b").receive([entry.data])


def test_an_embedded_object_is_one_character() -> None:
    replica, other = Replica(), Replica()
    board = replica.document(Board, "b")
    editor = Editor()
    editor.receive(replica, lambda text: text.insert(0, "é́😀"))
    assert str(board.body) == "é́😀"
    editor.receive(replica, lambda text: text.insert_embed(4, {"image": "a.png"}, {"bold": True}))
    assert str(board.body) == "é́￼😀"
    assert board.body.runs()[1] == ({"image": "a.png"}, {"bold": True})
    board.body.insert(3, "X")
    board.body.append("￼")
    board.body.delete(3, 4)
    replica.merge(other)
    assert str(other.document(Board, "b").body) == str(board.body) == "é́￼😀￼"
    board.body.assign("é́!")
    assert str(board.body) == "é́!"
    assert str(board.body._node.root) == "é́!"


@given(st.data())
def test_edits_among_embedded_objects_equal_those_of_a_str(data: st.DataObject) -> None:
    replica = Replica()
    board = replica.document(Board, "b")
    editor = Editor()
    for _ in range(data.draw(st.integers(1, 4))):
        editor.send(replica)

        def change(root: pycrdt.Text) -> None:
            root.insert(0, data.draw(st.text(ALPHABET, max_size=4)))
            for _ in range(data.draw(st.integers(1, 2))):
                root.insert_embed(data.draw(st.sampled_from([0, len(root)])), {"n": 1})

        editor.receive(replica, change)
        expected = str(board.body)
        start = data.draw(st.integers(0, len(expected)))
        stop = data.draw(st.integers(start, len(expected)))
        new = data.draw(st.text(ALPHABET + "￼", max_size=3))
        board.body.replace(start, stop, new)
        expected = expected[:start] + new + expected[stop:]
        assert str(board.body) == expected
        board._live.load()
        assert str(board.body) == expected


@pytest.mark.parametrize("read_before", [False, True])
def test_a_text_that_holds_other_things_is_shown_and_not_edited(read_before: bool) -> None:
    """An edit at a place that is not sure would make replicas differ, or fail in the CRDT."""
    replica = Replica()
    board = replica.document(Board, "b")
    board.body.append("text")
    if read_before:
        str(board.body)
    editor = Editor(pycrdt.Array)
    editor.receive(replica, lambda items: items.extend([1, "x😀"]))
    assert str(board.body) == "text"
    with pytest.raises(ActionError, match="holds other things than text"):
        board.body.append("!")
    board.name = "works"
    assert len(board.log) == 3
    editor.receive(replica, lambda items: items.clear())
    board.body.append("!")
    assert str(board.body) == "text!"
    board._live.load()
    assert str(board.body) == "text!"


def test_an_embedded_string_is_not_taken_for_text() -> None:
    replica = Replica()
    board = replica.document(Board, "b")
    str(board.body)
    editor = Editor()
    editor.receive(replica, lambda text: text.insert_embed(0, "looks like text"))
    for _ in range(2):
        with pytest.raises(ActionError, match="holds other things than text"):
            board.body.append("!")
        board._live.load()


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
