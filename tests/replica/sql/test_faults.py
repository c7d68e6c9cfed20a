"""A killed process, a full disk: the tables are never ahead of the log, nor behind it."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from crdtsync import Replica
from crdtsync.errors import StorageError
from tests.document.boards import Board
from tests.replica.sql.tables import expected, found
from tests.replica.test_faults import Disk, disk

__all__ = ["disk"]

ROOT = Path(__file__).parents[3]
TABLES = ["board", "board_tasks", "board_tasks_steps"]

WORKER = """
import sys
from crdtsync import Replica
from crdtsync.log import Cursor
from tests.document.boards import Board

replica = Replica(sys.argv[1], durability=sys.argv[2], user="ann")
replica.sql_view(Board)
board = replica.document(Board, "board")
ours = replica.ledger("board")
begin = int(sys.argv[3])
other = Replica(user="bob")
other.ledger("board").receive([entry.data for entry in board.log])
theirs = other.document(Board, "board")
for number in range(begin, begin + 1_000_000):
    with board.action("do", number=number):
        board.name = str(number)
        board.body.append("x" * 500)
        key = board.add(f"task {number}")
        board.tasks[key].steps.add(label=str(number))
        if number % 50 == 49:
            board.body.delete(0, len(board.body))
            for key in list(board.tasks)[:40]:
                del board.tasks[key]
    print("did", number, flush=True)
    if number % 3 == 0:
        theirs.total.increment()
        theirs.add(f"theirs {number}")
        found = other.ledger("board").missing(ours.vector, 10**6)
        ours.receive([entry.data for entry in found], Cursor(b"e" * 16, number))
    if number % 7 == 0:
        ours.refuse(ours.replica, ours.next_seq - 1, "no")
"""


def check(path: Path) -> int:
    """Check the tables against a replay of the log; return how often the worker acted."""
    shown = found(path, TABLES)
    with Replica.open_read_only(path) as looking:
        looking._store.snapshot = lambda _document: None  # type: ignore[method-assign,assignment]
        board = looking.document(Board, "board")
        assert shown == expected([board], Board.__crdtsync_schema__, "board")
        return sum(1 for entry in board.log if entry.name == "do")


@pytest.mark.parametrize("durability", ["process", "power"])
def test_the_tables_are_the_logs_after_a_kill(tmp_path: Path, durability: str) -> None:
    path = tmp_path / "a.db"
    dice = random.Random()
    done = 0
    for _ in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(path), durability, str(done)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(dice.randint(1, 150))]
        process.kill()
        lines += process.communicate()[0].splitlines()
        told = [int(line.split()[1]) for line in lines if line.endswith("\n")]
        done = check(path)
        assert done >= max(told, default=0) + 1


def test_a_full_disk_leaves_log_and_tables_as_they_were(disk: Disk) -> None:
    path = disk.folder / "a.db"
    with Replica(path) as replica, Replica() as bob:
        view = replica.sql_view(Board)
        board = replica.document(Board, "board")
        board.name = "begun"
        replica.merge(bob)
        theirs = bob.document(Board, "board")
        for number in range(20):
            theirs.add(f"{number}" * 3000)
        before = None
        with disk.full():
            with pytest.raises(StorageError):
                for _ in range(10_000):
                    before = board.to_dict(), board.state_vector, found(path, view.tables)
                    board.add("x" * 2000)
            for _ in range(3):
                with pytest.raises(StorageError):
                    replica.merge(bob)
                assert (board.to_dict(), board.state_vector, found(path, view.tables)) == before
        replica.merge(bob)
        board.add("goes on")
        assert found(path, view.tables) == expected([board], Board.__crdtsync_schema__, "board")
        assert replica.verify() == []
    assert check(path) == 0
