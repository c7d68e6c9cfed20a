"""Receiving 100 entries at a time: floor = decode, hash, apply, one insert each."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import Any

import cbor2
import pycrdt
import pytest

from crdtsync import Document, Record, Replica, Table, Text
from tests.benchmarks.floors import bare_database
from tests.benchmarks.ratio import measure

ROUNDS = 60
BATCH = 100


class Task(Record):
    title: str = ""
    status: str = "todo"


class Board(Document):
    tasks: Table[Task]
    body: Text


def history(count: int, kind: str) -> list[bytes]:
    """Return entries that one busy person made."""
    with Replica(user="ann") as replica:
        board = replica.document(Board, "board/1")
        rng = random.Random(1)
        tasks = [board.tasks.add(title=f"task {n}") for n in range(100)]
        ledger = replica.ledger("board/1")
        for number in range(count - 100):
            if number % 50 == 0:  # the server keeps up
                ledger.flush()
                ledger.acknowledge(ledger.ours)
            if kind == "text":
                board.body.insert(
                    rng.randrange(max(1, len(board.body) - 20), 10**9) % (len(board.body) + 1), "x"
                )
            else:
                rng.choice(tasks).title = f"title {number}"
        return [entry.data for entry in board.log]


@pytest.mark.parametrize("kind", ["fields", "text"])
def test_receive(benchmark: Any, tmp_path: Path, kind: str) -> None:
    datas = history((ROUNDS + 1) * BATCH, kind)
    batches = [datas[start : start + BATCH] for start in range(0, len(datas), BATCH)]
    connection = bare_database(tmp_path / "bare.db")
    doc: pycrdt.Doc[Any] = pycrdt.Doc()
    bare, own = iter(batches), iter(batches)
    with Replica(tmp_path / "ours.db", user="bob") as replica:
        board = replica.document(Board, "board/1")
        ledger = replica.ledger("board/1")

        def floor() -> None:
            with connection:
                for data in next(bare):
                    hashlib.sha256(data).digest()
                    doc.apply_update(cbor2.loads(data)[10])
                    connection.execute("INSERT INTO entries(data) VALUES(?)", (data,))

        def ours() -> None:
            ledger.receive(next(own))

        measure(
            benchmark,
            f"receiving 100 entries ({kind})",
            ours=ours,
            floor=floor,
            operations=BATCH,
            rounds=ROUNDS,
            goal="≤ 1.5 times decode + hash + apply + insert",
        )
        assert len(board.log) == len(datas)
        assert len(board.tasks) == 100
