"""What takes effect depends on which entries are held, and not on the order in which they came."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import pycrdt
from hypothesis import given
from hypothesis import strategies as st

from crdtsync.document.crdt import clocks
from crdtsync.document.effect import apply_what_can_be, took_effect
from crdtsync.log import Entry
from crdtsync.update import needs
from tests.adversary.forger import Forger

seeds = st.integers(0, 2**32)


def type_or_delete(dice: random.Random, doc: pycrdt.Doc[Any]) -> None:
    text = doc.get("body", type=pycrdt.Text)
    if len(text) > 3 and dice.random() < 0.4:
        start = dice.randrange(len(text) - 1)
        del text[start : start + 2]
    else:
        text.insert(dice.randint(0, len(text)), "ab")


def session(dice: random.Random, authors: int = 3, steps: int = 14) -> list[Entry]:
    """Let authors type, each seeing what the others did, and none of them saying so."""
    forgers = [Forger(2**40 + number) for number in range(authors)]
    for _ in range(steps):
        author = dice.choice(forgers)
        author.see(*[entry.update for other in forgers for entry in other.entries])
        author.edit(partial(type_or_delete, dice))
    return [entry for author in forgers for entry in author.entries]


def shuffled(entries: list[Entry], dice: random.Random) -> list[Entry]:
    """Mix the logs, each in its own order."""
    logs: dict[int, list[Entry]] = {}
    for entry in entries:
        logs.setdefault(entry.replica, []).append(entry)
    order = [entry.replica for entry in entries]
    dice.shuffle(order)
    return [logs[replica].pop(0) for replica in order]


def apply(entries: list[Entry]) -> tuple[pycrdt.Doc[Any], set[tuple[int, int]]]:
    failures: dict[tuple[int, int], str] = {}
    while True:
        doc: pycrdt.Doc[Any] = pycrdt.Doc(client_id=1)
        waiting = apply_what_can_be(doc, entries, failures)
        if waiting is not None:
            return doc, {name for held in waiting.values() for name in held.reasons()}


@given(seeds, st.data())
def test_the_same_entries_in_any_order_give_the_same(seed: int, data: st.DataObject) -> None:
    dice = random.Random(seed)
    entries = session(dice)
    kept = [entry for entry in entries if entry.seq <= data.draw(st.integers(1, 6))]
    shown = []
    for _ in range(3):
        doc, without = apply(shuffled(kept, dice))
        shown.append((str(doc.get("body", type=pycrdt.Text)), clocks(doc), without))
        anew: pycrdt.Doc[Any] = pycrdt.Doc(client_id=2)
        anew.apply_update(doc.get_update())
        assert str(anew.get("body", type=pycrdt.Text)) == shown[-1][0]  # nothing was kept back
    assert shown[0] == shown[1] == shown[2]


@given(seeds)
def test_an_entry_is_whole_exactly_if_what_it_needs_was_there(seed: int) -> None:
    dice = random.Random(seed)
    doc: pycrdt.Doc[Any] = pycrdt.Doc(client_id=1)
    for entry in shuffled(session(dice), dice):
        before = clocks(doc)
        fits = all(before.get(client, 0) >= end for client, end in needs(entry.update).items())
        doc.apply_update(entry.update)
        assert took_effect([entry], before, clocks(doc)) == fits
        if not fits:
            break


def test_structs_that_begin_before_the_end_of_the_log_have_no_effect() -> None:
    """Else the order of arrival would decide between two contents of the same clocks."""
    evil = Forger(2**40)
    body = evil.doc.get("body", type=pycrdt.Text)
    first = evil.edit(lambda _: body.insert(0, "one"))
    other: pycrdt.Doc[Any] = pycrdt.Doc(client_id=evil.replica)
    other.get("body", type=pycrdt.Text).insert(0, "other")
    second = evil.write(other.get_update())
    doc, without = apply([first, second])
    assert str(doc.get("body", type=pycrdt.Text)) == "one"
    assert without == {(evil.replica, 2)}
    quick: pycrdt.Doc[Any] = pycrdt.Doc(client_id=1)
    quick.apply_update(first.update)
    quick.apply_update(second.update)
    assert not took_effect([first, second], {}, clocks(quick))
