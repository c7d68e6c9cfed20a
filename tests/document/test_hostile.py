"""Entries that pass as entries but hold CRDT updates that cannot be applied."""

from __future__ import annotations

from typing import Any

import pycrdt
import pytest

from crdtsync import Replica
from crdtsync.errors import ForeignStructsError, MalformedEntryError
from crdtsync.log import EMPTY_HEAD, Entry, Head, make_entry
from tests.document.boards import Board

EVIL = 2**52 + 1


def update_of(client: int, texts: list[str]) -> list[bytes]:
    """Return one genuine update of a client for each text."""
    doc: pycrdt.Doc[Any] = pycrdt.Doc(client_id=client)
    updates: list[bytes] = []
    doc.observe(lambda event: updates.append(event.update))
    text = doc.get("body", type=pycrdt.Text)
    for part in texts:
        text.insert(len(text), part)
    return updates


def chain(updates: list[bytes], replica: int = EVIL) -> list[Entry]:
    head, entries = EMPTY_HEAD, []
    for update in updates:
        entries.append(make_entry("b", replica, head, 1 << 40, "x", update))
        head = Head(entries[-1].seq, entries[-1].hash)
    return entries


def victim() -> tuple[Replica, Board]:
    replica = Replica(user="ann")
    board = replica.document(Board, "b")
    board.name = "mine"
    board.body.append("honest ")
    return replica, board


def receive(replica: Replica, entries: list[Entry]) -> None:
    replica.ledger("b").receive([entry.data for entry in entries])


@pytest.mark.parametrize("observed", [False, True])
def test_a_malformed_update_stays_without_effect_and_harms_nothing_else(observed: bool) -> None:
    replica, board = victim()
    if observed:
        board.observe(lambda change: None)
    good = update_of(EVIL, ["one "])[0]
    entries = chain([good, good[:12] + b"\xff" * 20])
    receive(replica, entries)
    assert sorted(str(board.body).split()) == ["honest", "one"]
    assert board.name == "mine"
    board.name = "goes on"
    assert board._live.without_effect.keys() == {(EVIL, 2)}
    assert [problem.seq for problem in replica.verify()] == [2]
    other = Replica()
    replica.merge(other)
    assert other.document(Board, "b").to_dict() == board.to_dict()


def test_a_gap_in_the_structs_never_waits_silently() -> None:
    """Pending structs are left out of the CRDT's state: a snapshot would lose them for good."""
    replica, board = victim()
    first, _, third = update_of(EVIL, ["one ", "two ", "three "])
    receive(replica, chain([first, third]))
    assert sorted(str(board.body).split()) == ["honest", "one"]
    assert board._live.without_effect.keys() == {(EVIL, 2)}
    board._live.take_snapshot()
    assert replica.ledger("b").snapshot() is None


def test_structs_in_anothers_name_are_refused() -> None:
    replica, board = victim()
    with pytest.raises(ForeignStructsError, match="writes in the name of replica"):
        receive(replica, chain(update_of(replica.id, ["forged"])))
    two = pycrdt.merge_updates(*update_of(EVIL, ["a"]), *update_of(EVIL + 1, ["b"]))
    with pytest.raises(ForeignStructsError, match="in the name of 2 replicas"):
        receive(replica, chain([two]))
    with pytest.raises(MalformedEntryError, match="cut short"):
        receive(replica, chain([b"\x01\x01"]))
    assert str(board.body) == "honest "
    assert len(board.log) == 2


def test_slots_that_are_none_are_ignored_alike_everywhere() -> None:
    replica, board = victim()
    doc: pycrdt.Doc[Any] = pycrdt.Doc(client_id=EVIL)
    updates: list[bytes] = []
    doc.observe(lambda event: updates.append(event.update))
    slots = doc.get("slots", type=pycrdt.Map)
    junk: list[tuple[str, Any]] = [
        ("name@zz.0", b"\x83\x01\x02\x03"),
        ("name@1.0", b"not cbor"),
        ("name@1.2", b"\x81\x01"),
        ("name", 5),
        ("", b""),
        ("tasks@1.0", b"\x83\x01\x02\x03"),
        ("tasks/t/title/deeper@1.0", b"\x83\x01\x02\x03"),
        ("members@1.0", b"\x83\x01\x02\x03"),
        ("unknown/path@1.0", b"\x83\x01\x02\x03"),
        ("total@1.0", b"\x83\x01\x02\x61x"),
        ("tasks/t@1.0", b"\x83\x01\x02\x81\x01"),
    ]
    for key, value in junk:
        slots[key] = value
    receive(replica, chain(updates))
    assert board.name == "mine"
    assert int(board.total) == 0
    before = board.to_dict()
    board._live.load()
    assert board.to_dict() == before
    other = Replica()
    replica.merge(other)
    assert other.document(Board, "b").to_dict() == before
    board.name = "settled"
    board.total.increment()
    replica.merge(other)
    assert other.document(Board, "b").to_dict() == board.to_dict()


def test_two_documents_of_one_replica_id_are_told_apart() -> None:
    """Two CRDT documents with one client id differ for ever, with equal state vectors."""
    from crdtsync.errors import ForkError

    replica, board = victim()
    forged = chain(update_of(replica.id, ["other "]), replica.id)
    with pytest.raises(ForkError, match="continued in two places"):
        receive(replica, forged)
    assert str(board.body) == "honest "


def put(change: Any) -> tuple[Replica, Board, list[Entry]]:
    """Return a victim who has read its list, and an entry that changes that otherwise than we."""
    replica, board = victim()
    assert list(board.items) == []
    doc: pycrdt.Doc[Any] = pycrdt.Doc(client_id=EVIL)
    updates: list[bytes] = []
    doc.observe(lambda event: updates.append(event.update))
    change(doc.get("items", type=pycrdt.Array))
    return replica, board, chain(updates)


def nest(items: Any) -> None:
    for _ in range(4):
        with items.doc.transaction():
            for _ in range(150):
                items.append(pycrdt.Array([]))
                items = items[len(items) - 1]


def change_within(items: Any) -> None:
    items.append(pycrdt.Map({"a": 1}))
    items.append(pycrdt.Array([]))
    items[1].append(pycrdt.Text("x"))
    items[0]["b"] = 2
    items[1][0].insert(0, "y")
    items.append(pycrdt.XmlFragment())


def append_oddities(items: Any) -> None:
    deep: Any = "value"
    for _ in range(100):
        deep = [deep]
    items.extend([deep, {"a": deep}, None, 2.0**80])


@pytest.mark.parametrize("change", [nest, change_within, append_oddities])
def test_what_others_put_into_a_list_is_shown_alike_live_and_anew(change: Any) -> None:
    replica, board, entries = put(change)
    for entry in entries:
        receive(replica, [entry])
        live = board.to_dict()
        board._live.load()
        assert board.to_dict() == live
        assert list(board.items) == live["items"]
    if change is change_within:
        assert list(board.items) == [{"a": 1, "b": 2}, ["yx"], None]
    board.items.append("goes on")
    other = Replica()
    replica.merge(other)
    assert other.document(Board, "b").to_dict() == board.to_dict()
