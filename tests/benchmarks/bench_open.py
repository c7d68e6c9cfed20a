"""Opening a document of 100,000 entries with a snapshot: floor = loading its CRDT state."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pycrdt
import pytest

from crdtsync import Counter, Document, Record, Replica, Table
from tests.benchmarks.ratio import measure

ENTRIES = 100_000


class Task(Record):
    title: str = ""
    status: str = "todo"
    votes: Counter


class Board(Document):
    tasks: Table[Task]


@pytest.mark.parametrize("records", [1_000, 10_000])
def test_open(benchmark: Any, tmp_path: Path, records: int) -> None:
    path = tmp_path / "ours.db"
    with Replica(path, user="ann") as replica:
        board = replica.document(Board, "b")
        ledger = replica.ledger("b")
        rng = random.Random(1)
        tasks = [board.tasks.add(title=f"task {n}") for n in range(records)]
        for number in range(ENTRIES - records):
            if number % 50 == 0:  # the server keeps up
                ledger.acknowledge(ledger.vector)
            task = rng.choice(tasks)
            if number % 3 == 0:
                task.votes.increment()
            elif number % 3 == 1:
                task.title = f"title {number}"
            else:
                task.status = "done"
        board._live.take_snapshot()
        snapshot = ledger.snapshot()
    assert snapshot is not None
    state = snapshot.state

    def floor() -> None:
        pycrdt.Doc().apply_update(state)

    def ours() -> None:
        with Replica(path) as replica:
            assert len(replica.document(Board, "b").tasks) == records

    measure(
        benchmark,
        f"opening 100,000 entries on {records:,} records",
        ours=ours,
        floor=floor,
        operations=1,
        rounds=7,
        goal="≤ 2 times loading the CRDT state",
    )
