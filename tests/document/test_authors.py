"""Who wrote which characters, against a replay that watches each of them appear."""

from __future__ import annotations

import random
from typing import Any

import pycrdt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crdtsync import Document, Replica, Text
from crdtsync.document.authors import Authored
from crdtsync.document.ids import Ids

WORDS = ["a", "bc", "é", "😀", "x😀y", "long enough to be cut"]


class Page(Document):
    title: str = ""
    body: Text
    other: Text


def typed(seed: int, steps: int = 40) -> Any:
    """Let three people type, delete and format in one text, and in another one."""
    dice = random.Random(seed)
    fleet = [Replica(user=f"user {n}") for n in range(3)]
    pages = [replica.document(Page, "page") for replica in fleet]
    for _ in range(steps):
        page: Any = dice.choice(pages)
        text = dice.choice([page.body, page.body, page.other])
        at = dice.randint(0, len(text))
        match dice.randrange(8):
            case 0 | 1 | 2 | 3:
                text.insert(at, dice.choice(WORDS))
            case 4:
                with page.action("several"):
                    text.insert(at, dice.choice(WORDS))
                    page.title = "t"
                    text.insert(dice.randint(0, len(text)), dice.choice(WORDS))
            case 5:
                text.delete(at, min(len(text), at + 3))
            case 6:
                text.format(at, min(len(text), at + 3), bold=True)
            case _:
                dice.choice(fleet).merge(dice.choice(fleet))
    for replica in fleet:
        fleet[0].merge(replica)
    return pages[0]


def watched(page: Any) -> list[tuple[str, int, int]]:
    """Replay the log one by one, and put each entry's name on the characters it brings."""
    doc: pycrdt.Doc[Any] = pycrdt.Doc()
    root = doc.get("body", type=pycrdt.Text)
    found: list[tuple[str, int, int]] = []  # one for each byte
    for entry in page.log:
        deltas: list[Any] = []

        def follow(event: Any, into: Any = deltas) -> None:
            into.append(event.delta)

        subscription = root.observe(lambda event: follow(event))  # noqa: PLW0108
        doc.apply_update(entry.update)
        root.unobserve(subscription)
        at = 0
        for step in (step for delta in deltas for step in delta):
            if "retain" in step:
                at += step["retain"]
            elif "delete" in step:
                del found[at : at + step["delete"]]
            else:
                named = [
                    (character, entry.replica, entry.seq)
                    for character in step["insert"]
                    for _ in character.encode()
                ]
                found[at:at] = named
                at += len(named)
    characters = []
    while found:
        characters.append(found[0])
        del found[: len(found[0][0].encode())]
    return characters


def spread(authors: list[Authored]) -> list[tuple[str, int, int | None]]:
    return [(c, found.replica, found.seq) for found in authors for c in found.text]


@settings(max_examples=60)
@given(st.integers(0, 10**9))
def test_every_character_has_its_author(seed: int) -> None:
    page = typed(seed)
    found = page.body.authors()
    assert spread(found) == watched(page)
    assert "".join(one.text for one in found) == str(page.body)
    assert [str(page.body)[one.start : one.start + len(one.text)] for one in found] == [
        one.text for one in found
    ]
    times = {(entry.replica, entry.seq): entry.time for entry in page.log}
    for one in found:
        assert one.user == page.log.user_of(one.replica)
        assert one.time is not None
        assert int(one.time.timestamp() * 1000 + 0.5) == times[one.replica, one.seq] >> 16


@given(st.integers(0, 10**9))
@settings(max_examples=30)
def test_ids_lead_back_to_where_they_are(seed: int) -> None:
    page = typed(seed)
    ids = Ids(page._live.view.doc, "body")
    found = [ids.of(index) for index in range(len(page.body))]
    assert len(set(found)) == len(found)
    assert [ids.index(id_) for id_ in found if id_ is not None] == list(range(len(found)))
    assert ids.index((1, 0)) is None
    assert ids.of(len(found)) is None


def test_an_empty_text() -> None:
    assert Replica().document(Page, "page").body.authors() == []


def test_what_was_deleted_has_no_author() -> None:
    page = Replica(user="ann").document(Page, "page")
    page.body.append("gone")
    page.body.append("kept")
    page.body.delete(0, 4)
    page.body.delete(0, 1)
    assert [(one.text, one.seq) for one in page.body.authors()] == [("ept", 2)]
    assert [
        (one.text, one.seq) for one in page.at((page._live.journal.replica, 3)).body.authors()
    ] == [("kept", 2)]


def test_characters_of_a_front_end_are_its_own() -> None:
    """What is in the text and in no log has no entry."""
    page = Replica(user="ann").document(Page, "page")
    page.body.append("ours")
    front: pycrdt.Doc[Any] = pycrdt.Doc(client_id=77)
    front.apply_update(page._live.view.doc.get_update())
    front.get("body", type=pycrdt.Text).insert(2, "-")
    page._live.view.doc.apply_update(front.get_update())
    found = [(one.text, one.replica, one.user, one.seq) for one in page.body.authors()]
    ours = page._live.journal.replica
    assert found == [("ou", ours, "ann", 1), ("-", 77, None, None), ("rs", ours, "ann", 1)]


@pytest.mark.parametrize("steps", [400])
def test_many_entries(steps: int) -> None:
    page = typed(7, steps)
    assert spread(page.body.authors()) == watched(page)


@settings(max_examples=20)
@given(st.integers(0, 10**9))
def test_more_runs_than_there_are_codes(seed: int) -> None:
    page = typed(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("crdtsync.document.ids.CODES", 3)
        patch.setattr("crdtsync.update.coded.CODES", 3)
        assert spread(page.body.authors()) == watched(page)


def test_a_shared_type_inside_a_text_takes_one_place() -> None:
    doc: pycrdt.Doc[Any] = pycrdt.Doc(client_id=7)
    doc["text"] = text = pycrdt.Text("ab")
    text.insert_embed(1, pycrdt.Map({"key": "value"}))
    ids = Ids(doc, "text")
    assert [ids.of(index) for index in range(3)] == [(7, 0), None, (7, 1)]
    assert [ids.index((7, 0)), ids.index((7, 1))] == [0, 2]
