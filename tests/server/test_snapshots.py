"""Snapshots: what is in them, that they go on from each other, and that nothing bad gets in."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pycrdt
import pytest

from crdtsync.clone import Clone, decode_clone, encode_clone
from crdtsync.document.crdt import clocks
from crdtsync.document.materialize import live_slots_of, load_state
from crdtsync.errors import CloneError, StorageError
from crdtsync.log import Entry
from crdtsync.replica import Replica
from crdtsync.server import MemoryBackend
from crdtsync.server.snapshots import extend_clone, fetch_snapshot, take_snapshot
from tests.document.boards import Board
from tests.replica.histories import act
from tests.server.authors import Author


@pytest.fixture(scope="module")
def history() -> list[Entry]:
    """What two replicas have done that merged now and then."""
    dice = random.Random(3)
    with Replica(user="ann") as ann, Replica(user="bob") as bob:
        boards = [replica.document(Board, "board") for replica in (ann, bob)]
        ledgers = [replica.ledger("board") for replica in (ann, bob)]
        for step in range(120):
            act(dice.choice(boards), dice)
            if step % 17 == 0 or step == 119:
                for ledger in ledgers:
                    ledger._seals.seal(ledger.replica, ledger.next_seq - 1)
                ann.merge(bob)
        return list(ledgers[0].entries())


def taken(document: str, clone: Clone | None, entries: list[Entry]) -> Clone:
    found = extend_clone(document, clone, entries)
    assert found is not None
    return found


def state_of(entries: list[Entry]) -> pycrdt.Doc[Any]:
    doc: pycrdt.Doc[Any] = pycrdt.Doc()
    for entry in entries:
        doc.apply_update(entry.update)
    return doc


def test_a_clone_is_the_state_and_the_ends_of_the_logs(history: list[Entry]) -> None:
    clone = taken("board", None, history)
    doc = state_of(history)
    assert clone.clocks == clocks(doc)
    assert load_state(clone.state, clone.clocks) == live_slots_of(doc)
    last = {entry.replica: entry for entry in history}
    assert {r: (b.head, b.time, b.seal) for r, b in clone.logs.items()} == {
        r: ((e.seq, e.hash), e.time, e.seal) for r, e in last.items()
    }
    assert {b.user for b in clone.logs.values()} == {"ann", "bob"}
    assert all(b.key is not None for b in clone.logs.values())
    depended = {d[:2] for entry in history for d in entry.dependencies}
    assert {r for r, b in clone.logs.items() if b.tip} == {
        r for r, e in last.items() if all(q != r or seq < e.seq for q, seq in depended)
    }


@pytest.mark.parametrize("seed", range(5))
def test_clones_that_go_on_from_each_other_hold_the_same(history: list[Entry], seed: int) -> None:
    dice = random.Random(seed)
    cuts = sorted(dice.sample(range(1, len(history)), 3))
    clone: Clone | None = None
    for begin, end in zip([0, *cuts], [*cuts, len(history)], strict=True):
        clone = taken("board", clone, history[begin:end])
    whole = taken("board", None, history)
    assert clone is not None
    assert (clone.logs, clone.clocks) == (whole.logs, whole.clocks)
    assert load_state(clone.state, clone.clocks) == load_state(whole.state, whole.clocks)


def test_a_clone_is_believed_only_with_its_seals(history: list[Entry]) -> None:
    clone = taken("board", None, history)
    assert decode_clone(encode_clone(clone)) == clone
    replica, base = next(iter(clone.logs.items()))
    for forged in (
        base._replace(seal=None),
        base._replace(seal=bytes(64)),
        base._replace(hash=bytes(32)),
        base._replace(seq=base.seq + 1),
        base._replace(seq=0),
        base._replace(time=-1),
        base._replace(user=7),  # type: ignore[arg-type]  # as a hostile server may
    ):
        data = encode_clone(clone._replace(logs={**clone.logs, replica: forged}))
        with pytest.raises(CloneError):
            decode_clone(data)
    for data in (b"", b"\x80", encode_clone(clone)[:-1], encode_clone(clone) + b"\x00"):
        with pytest.raises(CloneError):
            decode_clone(data)


async def test_the_backend_keeps_the_newest(history: list[Entry], tmp_path: Path) -> None:
    backend = MemoryBackend()
    assert await take_snapshot(backend, "board") is None
    await backend.append("board", history[:50])
    first = await take_snapshot(backend, "board")
    assert first is not None
    assert 30 < first.offset <= 50
    assert all(e.seal for e in {e.replica: e for e in history[: first.offset]}.values())
    assert await take_snapshot(backend, "board") is None
    await backend.append("board", history[50:])
    await backend.trim("board", 50, drop=True)
    second = await take_snapshot(backend, "board")
    assert second is not None
    assert second.offset == len(history)
    clone = decode_clone(await fetch_snapshot(backend, "board", second))
    whole = taken("board", None, history)
    assert (clone.logs, clone.clocks) == (whole.logs, whole.clocks)
    with pytest.raises(StorageError):
        await fetch_snapshot(backend, "board", first)


async def test_what_is_without_effect_or_damaged_is_in_no_snapshot(
    history: list[Entry],
) -> None:
    author = Author(5)
    entries = [*history[:20], author.write(update=b"\x01\x01\x05\x00\xff"), author.write()]
    assert extend_clone("board", None, entries) is None
    backend = MemoryBackend()
    await backend.append("board", history[:20])
    before = await take_snapshot(backend, "board")
    held = backend._documents["board"]
    await backend.append("board", history[20:])
    held.rows[25] = held.rows[25]._replace(data=b"\xff" * 40)
    with pytest.raises(StorageError):
        await take_snapshot(backend, "board")
    assert (await backend.state("board")).snapshot == before
