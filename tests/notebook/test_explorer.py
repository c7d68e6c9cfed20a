"""The log explorer: every moment of a log, as it arrived and as its author saw it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings

from crdtsync import Document, Replica, Text
from crdtsync.notebook import authorship, causal_graph
from crdtsync.notebook.explorer import SEEN, explore
from crdtsync.testing import History, histories


class Note(Document):
    name: str = "none"
    text: Text


@pytest.fixture
def note() -> Note:
    """Return a note of Ann's with four entries: two of hers, and two of Ben's beside the second."""
    ann, ben = Replica(user="ann"), Replica(user="ben")
    hers, his = ann.document(Note, "note"), ben.document(Note, "note")
    hers.name = "first"
    ann.merge(ben)
    hers.text.append("Ann's. ")
    his.text.append("Ben's. ")
    his.name = "second"
    ann.merge(ben)
    return hers


def test_it_begins_with_the_present(note: Note) -> None:
    explorer = explore(note)
    assert explorer.slider.value == explorer.slider.max == 4
    assert "4 of 4 entries" in explorer.still
    assert authorship(note, changed=[("name",)]) in explorer.still


def test_each_entry_shows_what_it_did(note: Note) -> None:
    explorer = explore(note)
    changed = []
    for count in range(5):
        explorer.slider.value = count
        assert f"{count} of 4 entries" in explorer.still
        assert explorer._shown.value == explorer.still
        changed.append([name for name in ("name", "text") if f"● {name}" in explorer.still])
    assert changed == [[], ["name"], ["text"], ["text"], ["name"]]


def test_its_author_has_not_seen_what_was_done_meanwhile(note: Note) -> None:
    explorer = explore(note)
    explorer.slider.value = 3
    assert "Ann&#x27;s." in explorer.still
    explorer.side.value = SEEN
    assert "Ann&#x27;s." not in explorer.still
    assert "Ben&#x27;s." in explorer.still


def test_in_the_graph_the_moment_stands_out(note: Note) -> None:
    entries = list(note.log)
    assert 'opacity="0.25"' not in causal_graph(note)
    drawn = causal_graph(note, moment=entries[0])
    assert drawn.count("<circle") == 4 + 1
    assert drawn.count(' opacity="0.25"') == 3
    now = causal_graph(note, moment=note.state_vector)
    assert now.count("<circle") == 4 + 2


def test_only_the_newest_entries_can_be_walked_through(note: Note) -> None:
    explorer = explore(note, entries_max=2)
    assert explorer.slider.max == 2
    explorer.slider.value = 0
    assert note.at(next(iter(note.log))).name in explorer.still


def test_a_document_without_entries_can_be_explored() -> None:
    empty = Replica().document(Note, "note")
    assert "before the first" in explore(empty).still


def test_where_no_kernel_runs_the_last_picture_is_shown(note: Note) -> None:
    explorer = explore(note)
    explorer.slider.value = 2
    assert explorer._repr_mimebundle_()["text/html"] == explorer.still


@settings(max_examples=10, deadline=None)
@given(histories(Note, replicas=3))
def test_every_moment_of_any_history_can_be_looked_at(history: History) -> None:
    with history.play() as fleet:
        fleet.heal()
        document = fleet[0]
        explorer = explore(document)
        explorer.side.value = SEEN
        for count, entry in enumerate(document.log, 1):
            explorer.slider.value = count
            assert plain(explorer.still).endswith(plain(authorship(document.at(entry))))


def plain(markup: str) -> str:
    """Return what is said, without marks."""
    return re.sub(r"<style>.*?</style>|<[^>]+>|● ", "", markup)
