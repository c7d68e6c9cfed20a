"""An update under another author's id is the same update, held against pycrdt."""

from __future__ import annotations

import random
from typing import Any

import pycrdt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync.update import Deletion, Moves, read_parts, reauthor, write

OLD, OTHER, NEW = 2**52 + 7, 2**52 + 900, 2**52 + 8


def new_doc(client: int) -> pycrdt.Doc[Any]:
    doc: pycrdt.Doc[Any] = pycrdt.Doc(client_id=client)
    doc["map"], doc["text"] = pycrdt.Map(), pycrdt.Text()
    doc["items"], doc["page"] = pycrdt.Array(), pycrdt.XmlFragment()
    return doc


def shown(doc: pycrdt.Doc[Any]) -> tuple[Any, ...]:
    page = str(doc["page"])
    return doc["map"].to_py(), doc["text"].diff(), doc["items"].to_py(), page


def edit(doc: pycrdt.Doc[Any], dice: random.Random) -> None:
    text, items, page = doc["text"], doc["items"], doc["page"]
    at = dice.choice([0, len(str(text).encode())])
    match dice.randrange(8):
        case 0 | 1:
            text.insert(at, dice.choice(["a", "é😀", "long text"]))
        case 2 if len(text):
            length = len(str(text)[0].encode())
            del text[0:length]
        case 3 if len(text):
            text.format(0, len(text), {"bold": dice.choice([True, None])})
        case 4:
            items.insert(dice.randint(0, len(items)), dice.choice([1.0, b"x", ["y", {"z": None}]]))
        case 5 if len(items):
            del items[dice.randrange(len(items))]
        case 6:
            doc["map"][dice.choice("abc")] = dice.choice(
                [1.0, pycrdt.Text("deep"), pycrdt.Map({"k": pycrdt.Array([1.0])})]
            )
        case _:
            page.children.append(pycrdt.XmlElement("p", {"a": "b"}, [pycrdt.XmlText("é")]))
            if dice.random() < 0.5:
                page.children[0].attributes["a"] = "c"


@given(st.randoms(use_true_random=False), st.integers(0, 8), st.integers(1, 12))
def test_a_document_shows_the_same_under_the_new_id(
    dice: random.Random, before: int, after: int
) -> None:
    doc, other = new_doc(OLD), new_doc(OTHER)
    updates: list[bytes] = []
    doc.observe(lambda event: updates.append(event.update))
    for _ in range(before):
        with doc.transaction():
            edit(doc, dice)
        edit(other, dice)
        if dice.random() < 0.5:
            other.apply_update(doc.get_update(other.get_state()))
    doc.apply_update(other.get_update(doc.get_state()))
    base = doc.get_update()
    updates.clear()
    for _ in range(after):
        with doc.transaction():
            edit(doc, dice)
            edit(doc, dice)
    moved, moves = new_doc(1), Moves(NEW)
    moved.apply_update(base)
    for update in updates:
        moved.apply_update(write(*reauthor(*read_parts(update), moves)))
    assert shown(moved) == shown(doc)
    sections = {OLD: 0, NEW: 0} | clocks(moved)
    assert sections[OLD] + sections[NEW] == clocks(doc).get(OLD, 0)
    # What is merged with the other branch stays what it is.
    doc.apply_update(moved.get_update(doc.get_state()))


def clocks(doc: pycrdt.Doc[Any]) -> dict[int, int]:
    decoder = pycrdt.Decoder(doc.get_state())
    return {
        decoder.read_var_uint(): decoder.read_var_uint() for _ in range(decoder.read_var_uint())
    }


@given(
    st.lists(st.tuples(st.sampled_from([OLD, OTHER]), st.integers(0, 3), st.integers(1, 5))),
    st.integers(0, 40),
    st.integers(0, 40),
)
def test_runs_go_where_each_of_their_structs_goes(
    runs: list[tuple[int, int, int]], clock: int, length: int
) -> None:
    moves, went = Moves(NEW, 100), dict[tuple[int, int], tuple[int, int]]()
    ends = {OLD: 0, OTHER: 0}
    for client, gap, count in runs:
        start = ends[client] + gap
        for at in range(start, start + count):
            went[client, at] = NEW, 100 + len(went)
        moves.add(client, start, count)
        ends[client] = start + count
    for client in (OLD, OTHER, 3):
        pieces = list(moves.runs(Deletion(client, clock, length)))
        ids = [(one.client, one.clock + at) for one in pieces for at in range(one.length)]
        assert ids == [went.get((client, at), (client, at)) for at in range(clock, clock + length)]


@given(st.randoms(use_true_random=False))
def test_what_is_read_is_written_again(dice: random.Random) -> None:
    doc, updates = new_doc(OLD), list[bytes]()
    doc.observe(lambda event: updates.append(event.update))
    for _ in range(8):
        edit(doc, dice)
    for update in updates:
        assert write(*read_parts(update)) == update


def test_what_cannot_be_read_is_said_to_be_so() -> None:
    with pytest.raises(ValueError, match="cut short"):
        read_parts(b"\x01\x01\x05\x00\x08")
