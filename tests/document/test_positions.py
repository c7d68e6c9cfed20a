"""Positions in texts: they stay with their characters, whoever types where."""

from __future__ import annotations

from typing import Any

import pycrdt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crdtsync import Document, Replica, Text
from crdtsync.document.crdt import clocks
from crdtsync.document.positions import Positions
from crdtsync.document.rope import EMBED, Rope
from crdtsync.document.shadow import Shadow
from crdtsync.errors import ActionError
from crdtsync.position import Place, Position
from crdtsync.update import deleting, neutralize
from tests.document.slow_positions import SlowPositions


class Page(Document):
    body: Text
    other: Text


def page_of(replica: Replica) -> Page:
    return replica.document(Page, "page")


def meet(one: Replica, other: Replica) -> None:
    one.merge(other)
    other.merge(one)


LETTERS = "aé漢😀"
edits = st.lists(
    st.tuples(
        st.integers(0, 1),  # whose
        st.integers(0, 12),  # where
        st.integers(0, 3),  # how many are deleted
        st.text(LETTERS, max_size=3),
        st.booleans(),  # whether they meet afterwards
    ),
    max_size=12,
)


def edit(page: Page, at: int, count: int, text: str) -> None:
    length = len(page.body)
    at = min(at, length)
    page.body.replace(at, min(at + count, length), text)


def rope_of(doc: pycrdt.Doc[Any], path: str = "text") -> Rope:
    parts = doc.get(path, type=pycrdt.Text).diff()
    return Rope("".join(part if isinstance(part, str) else EMBED for part, _ in parts))


def positions_of(doc: pycrdt.Doc[Any], shadow: Shadow | None = None) -> Positions:
    return Positions(shadow or Shadow(doc), "text", rope_of(doc))


def check_against_oracle(doc: pycrdt.Doc[Any], path: str, positions: Positions) -> None:
    """Check every index, and every id that there is in the document, and some that are not."""
    slow = SlowPositions(doc, path)
    for index in range(slow.length + 1):
        assert positions.at(index) == slow.at(index)
    ids = [(client, clock) for client, end in clocks(doc).items() for clock in range(end + 2)]
    for id_ in [*ids, (2**53 - 1, 2**53 - 1)]:
        for is_after in (False, True):
            position = Position.of(Place(id_, None, is_after=is_after))
            assert positions.index(position) == slow.index(position), (id_, is_after)
    assert set(slow.ids) <= set(ids)


@given(edits, edits)
@example([(0, 0, 0, "😀a", False)], [(0, 0, 1, "", True)])
def test_positions_stay_with_their_characters(before: Any, after: Any) -> None:
    with Replica() as one, Replica() as other:
        pages = [page_of(one), page_of(other)]
        for who, at, count, text, they_meet in before:
            edit(pages[who], at, count, text)
            if they_meet:
                meet(one, other)
        meet(one, other)
        length = len(pages[0].body)
        positions = [pages[0].body.position(index) for index in range(length + 1)]
        assert [pages[1].body.index(position) for position in positions] == list(range(length + 1))
        assert positions == [pages[1].body.position(index) for index in range(length + 1)]
        # The oracle: a list of the characters, each with its number, changed alongside.
        kept: list[int | None] = list(range(length))
        for _, where, count, text, _ in after:
            at = min(where, len(kept))
            edit(pages[0], at, count, text)
            kept[at : at + count] = [None] * len(text)
        for number, position in enumerate(positions[:-1]):
            found = pages[0].body.index(position)
            assert found is not None
            if number in kept:
                assert kept[found] == number
            else:  # between what is left of its neighbours
                left = [n for n in kept[:found] if n is not None]
                right = [n for n in kept[found:] if n is not None]
                assert all(n < number for n in left)
                assert all(n > number for n in right)
            assert pages[0].body.index(position.to_json()) == found
        assert pages[0].body.index(positions[-1]) == len(pages[0].body)
        meet(one, other)
        assert [pages[1].body.index(p) for p in positions] == [
            pages[0].body.index(p) for p in positions
        ]


@given(edits)
def test_replicas_agree_with_the_oracle(history: Any) -> None:
    with Replica() as one, Replica() as other:
        pages = [page_of(one), page_of(other)]
        for who, at, count, text, they_meet in history:
            edit(pages[who], at, count, text)
            if they_meet:
                meet(one, other)
            if count == 2:
                pages[who]._live.load()
            if count == 3:
                pages[who].body.format(0, len(pages[who].body), bold=bool(at % 2) or None)
            for page in pages:
                view = page._live.view
                check_against_oracle(view.doc, "body", page.body._node.positions)


CLIENTS = (1, 300, 2**31, 2**32 - 1, 2**40 + 9, 2**53 - 1)
steps = st.lists(
    st.tuples(
        st.integers(0, 2),  # whose
        st.sampled_from(["insert", "insert", "delete", "format", "embed", "nest", "map", "meet"]),
        st.integers(0, 12),  # where
        st.integers(1, 3),
        st.text(LETTERS + "\u0301", min_size=1, max_size=3),
        st.booleans(),  # whether it is refused
    ),
    max_size=14,
)


def carry_out(doc: pycrdt.Doc[Any], kind: str, at: int, count: int, letters: str) -> None:
    text, rope = doc.get("text", type=pycrdt.Text), rope_of(doc)
    at = min(at, len(rope))
    start, stop = rope.offset(at), rope.offset(min(at + count, len(rope)))
    match kind:
        case "insert":
            text.insert(start, letters)
        case "delete" if stop > start:
            del text[start:stop]
        case "format" if stop > start:
            text.format(start, stop, {"bold": count == 1 or None})
        case "embed":
            text.insert_embed(start, {"image": letters})
        case "nest":
            inner = pycrdt.Map({"key": letters}) if count == 1 else pycrdt.Text(letters)
            text.insert_embed(start, inner)
            inner_text = pycrdt.Text(letters)
            doc.get("map", type=pycrdt.Map)[str(count)] = inner_text
            inner_text.insert(0, letters)
            del doc.get("map", type=pycrdt.Map)[str(count)]
        case "map":
            doc.get("map", type=pycrdt.Map)[str(count)] = letters
            doc.get("other", type=pycrdt.Text).insert(0, letters)


@given(st.permutations(CLIENTS), steps)
def test_any_history_agrees_with_the_oracle(clients: list[int], history: Any) -> None:
    docs: list[pycrdt.Doc[Any]] = [pycrdt.Doc(client_id=client) for client in clients[:3]]
    server: pycrdt.Doc[Any] = pycrdt.Doc(client_id=clients[3])
    shadow = Shadow(server)
    copy = shadow._copy
    for who, kind, at, count, letters, is_refused in history:
        doc = docs[who]
        if kind == "meet":
            doc.apply_update(docs[count - 1].get_update())
            continue
        before = doc.get_state()
        carry_out(doc, kind, at, count, letters)
        update = doc.get_update(before)
        server.apply_update(neutralize(update) if is_refused else update)
        check_against_oracle(server, "text", positions_of(server, shadow))
    assert shadow._copy is copy  # and never was everything read again


def test_attributes_of_a_text_are_not_in_it() -> None:
    doc: pycrdt.Doc[Any] = pycrdt.Doc(client_id=7)
    doc["text"] = pycrdt.Text("text")
    shadow = Shadow(doc)
    stranger: pycrdt.Doc[Any] = pycrdt.Doc(client_id=8)
    stranger["text"] = attributes = pycrdt.Map({"language": "en"})
    attributes["language"] = "fr"
    doc.apply_update(stranger.get_update())
    check_against_oracle(doc, "text", positions_of(doc, shadow))


def test_a_character_that_was_cut_in_two() -> None:
    doc: pycrdt.Doc[Any] = pycrdt.Doc(client_id=7)
    doc["text"] = text = pycrdt.Text("a😀b")
    shadow = Shadow(doc)
    doc.apply_update(deleting({7: [(1, 2)]}))
    check_against_oracle(doc, "text", positions_of(doc, shadow))
    text += "c"
    check_against_oracle(doc, "text", positions_of(doc, shadow))


@given(edits)
def test_where_all_is_ascii_the_crdt_library_says_the_same(history: Any) -> None:
    docs: list[pycrdt.Doc[Any]] = [pycrdt.Doc(client_id=client) for client in (1, 2)]
    texts = [doc.get("text", type=pycrdt.Text) for doc in docs]
    sticky: list[pycrdt.StickyIndex] = []
    for who, where, count, letters, they_meet in history:
        text = texts[who]
        at = min(where, len(text))
        del text[at : min(at + count, len(text))]
        text.insert(at, "x" * len(letters))
        if they_meet:
            docs[0].apply_update(docs[1].get_update())
            docs[1].apply_update(docs[0].get_update())
            sticky += [texts[0].sticky_index(i, pycrdt.Assoc.AFTER) for i in range(len(texts[0]))]
            sticky += [texts[0].sticky_index(i, pycrdt.Assoc.BEFORE) for i in range(len(texts[0]))]
    positions = positions_of(docs[0])
    for index in sticky:
        assert positions.index(index.encode()) == index.get_index()
    for at in range(len(texts[0])):
        assert positions.at(at) == texts[0].sticky_index(at, pycrdt.Assoc.AFTER).encode()


def test_embedded_objects_and_formats_count_as_they_are_seen() -> None:
    doc: pycrdt.Doc[Any] = pycrdt.Doc(client_id=7)
    doc["text"] = text = pycrdt.Text("ab😀")
    text.insert_embed(1, {"image": 1})
    text.format(0, 1, {"bold": True})
    shadow = Shadow(doc)
    positions = positions_of(doc, shadow)
    found = [positions.at(index) for index in range(5)]
    assert [positions.index(position) for position in found] == list(range(5))
    del text[1:2]
    positions = positions_of(doc, shadow)
    assert [positions.index(one) for one in found] == [0, 1, 1, 2, 3]


def test_what_is_no_position_of_this_text_is_none() -> None:
    with Replica() as replica, Replica() as stranger:
        page, strange = page_of(replica), page_of(stranger)
        page.body.append("body")
        page.other.append("other")
        strange.body.append("strange")
        for position in (
            page.other.position(2),
            page.other.position(5),
            strange.body.position(2),
            b"",
            b"nonsense",
            {},
            {"item": 7},
            Position(b"\x02\x07\x03\x00"),
        ):
            assert page.body.index(position) is None
        assert page.other.index(page.other.position(-1)) == 4
        with pytest.raises(IndexError):
            page.body.position(5)


def test_an_empty_text_has_one_position() -> None:
    with Replica() as replica:
        page = page_of(replica)
        start = page.body.position(0)
        assert page.body.index(start) == 0
        page.body.append("more")
        assert page.body.index(start) == 4
        assert page.body.index(Position(b"\x01\x04body\x41")) == 0


def test_an_open_action_has_to_end_first() -> None:
    with Replica() as replica:
        page = page_of(replica)
        with page.action("type"):
            assert page.body.index(page.body.position(0)) == 0
            page.body.append("text")
            with pytest.raises(ActionError, match="after the action"):
                page.body.position(0)
            with pytest.raises(ActionError, match="after the action"):
                page.body.index(b"")
        assert page.body.index(page.body.position(2)) == 2
