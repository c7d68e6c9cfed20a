"""What SQL tables cost: an action with them and without, on a small document and on a large one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crdtsync import Document, Record, Replica, Table, Text
from tests.benchmarks.ratio import measure


class Task(Record):
    title: str = ""
    notes: Text


class Board(Document):
    name: str = ""
    tasks: Table[Task]


@pytest.mark.parametrize("records", [10, 10_000])
def test_an_action_with_sql_tables(benchmark: Any, tmp_path: Path, records: int) -> None:
    with Replica(tmp_path / "with.db") as shown, Replica(tmp_path / "without.db") as bare:
        shown.sql_view(Board)
        boards = [replica.document(Board, "board") for replica in (shown, bare)]
        for board in boards:
            for begin in range(0, records, 500):
                with board.action("fill"):
                    for number in range(begin, min(begin + 500, records)):
                        board.tasks.add(key=f"{number}", title="twenty characters   ")
        ours, theirs = (board.tasks["7"] for board in boards)

        def with_tables() -> None:
            for _ in range(200):
                ours.title = "twenty characters   "

        def without() -> None:
            for _ in range(200):
                theirs.title = "twenty characters   "

        measure(
            benchmark,
            f"action on one field with SQL tables, {records:,} records",
            ours=with_tables,
            floor=without,
            operations=200,
            rounds=20,
            goal="≤ 2 times the action without, whatever the number of records",
        )
