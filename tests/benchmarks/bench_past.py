"""Looking back into a log of 100,000 entries: floor = replaying all up to there.

And taking back the newest action: floor = doing it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from crdtsync import Counter, Document, Record, Replica, Table, Text
from crdtsync.document.materialize import materialize
from crdtsync.document.past import PastJournal
from crdtsync.document.view import View
from tests.benchmarks.ratio import measure

ENTRIES = 100_000
RECORDS = 1000


class Task(Record):
    title: str = ""
    status: str = "todo"
    votes: Counter


class Board(Document):
    name: str = ""
    body: Text
    tasks: Table[Task]


class _Replay(PastJournal):
    """A past of which no state is kept."""

    def snapshot(self) -> None:
        return None


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    path: Path = tmp_path_factory.mktemp("past") / "ours.db"
    with Replica(path, user="ann") as replica:
        board = replica.document(Board, "b")
        ledger = replica.ledger("b")
        dice = random.Random(1)
        tasks = [board.tasks.add(title=f"task {n}") for n in range(RECORDS)]
        for number in range(ENTRIES - RECORDS):
            if number % 50 == 0:  # the server keeps up
                ledger.acknowledge(ledger.vector)
            task = dice.choice(tasks)
            match number % 4:
                case 0:
                    task.votes.increment()
                case 1:
                    task.title = f"title {number}"
                case 2:
                    task.status = "done"
                case _:
                    board.body.insert(dice.randint(0, len(board.body)), "ab")
        yield board


def _upto(board: Board, percent: int) -> dict[int, int]:
    return {replica: seq * percent // 100 for replica, seq in board.state_vector.items()}


@pytest.mark.parametrize("percent", [10, 50, 90])
@pytest.mark.parametrize("kept", [False, True])
def test_looking_back(benchmark: Any, board: Board, percent: int, kept: bool) -> None:
    vector, live = _upto(board, percent), board._live

    def floor() -> None:
        material = materialize(_Replay(live.journal, vector))
        View(live.schema, live.journal.users, 1).show(material.doc, material.slots)

    def ours() -> None:
        if not kept:
            store = live.journal._store  # type: ignore[attr-defined]
            with store.file.transaction():
                store.drop_snapshot(live.journal.number)  # type: ignore[attr-defined]
        assert len(board.at(vector).tasks) == RECORDS

    measure(
        benchmark,
        f"at() {percent} % of 100,000 entries, {'near a kept state' if kept else 'no state kept'}",
        ours=ours,
        floor=floor,
        operations=1,
        rounds=3,
        goal="below 1" if kept else "≤ 1.5, and states are kept for the next look",
    )


def _rename(page: Any, number: int) -> None:
    page.name = f"name {number}"


def _type(page: Any, number: int) -> None:
    page.body.insert(number % (len(page.body) + 1), "word ")


def _add(page: Any, number: int) -> None:
    page.tasks.add(title=f"task {number}")


@pytest.mark.parametrize("act", [_rename, _type, _add])
@pytest.mark.parametrize("entries", [100, 5000])
def test_undo(benchmark: Any, act: Callable[[Any, int], None], entries: int) -> None:
    page = Replica(user="ann").document(Board, "b")
    for number in range(entries):
        (_rename, _type, _add)[number % 3](page, number)
    rounds = 5

    def floor() -> None:
        for number in range(rounds):
            act(page, number)

    def ours() -> None:
        for _ in range(rounds):
            page.undo()

    measure(
        benchmark,
        f"undo of {act.__name__.strip('_')} after {entries:,} entries",
        ours=ours,
        floor=floor,
        operations=rounds,
        rounds=3,
        goal="grows with the document, not with the log",
    )
