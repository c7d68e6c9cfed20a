"""When the disk is flushed: what is sent can never be lost by the one who sent it.

A loss of power keeps what was flushed, and of the rest whatever it likes. So it is enough to count
the flushes of the write-ahead log, as SQLite asks the operating system for them.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
import apsw

flushes = 0
SYSTEM = apsw.vfs_names()[0]

class File(apsw.VFSFile):
    def xSync(self, flags):
        global flushes
        flushes += self.wal
        return super().xSync(flags)

class Counting(apsw.VFS):
    def __init__(self):
        super().__init__("counting", SYSTEM, makedefault=True)

    def xOpen(self, name, flags):
        file = File(SYSTEM, name, flags)
        file.wal = bool(flags[0] & apsw.SQLITE_OPEN_WAL)
        return file

counting = Counting()
from crdtsync import Replica
from crdtsync.log import Cursor
from tests.document.boards import Board

def flushed(act):
    before = flushes
    act()
    return flushes - before

replica = Replica(sys.argv[1], user="ann", durability=sys.argv[2])
board = replica.document(Board, "b")
board.name = "first"
ledger = replica.ledger("b")

def ten_actions():
    for number in range(10):
        board.data = number

peer = Replica()
peer.document(Board, "b").name = "peer"
theirs = [entry.data for entry in peer.document(Board, "b").log]
print(
    flushed(ten_actions),
    flushed(ledger.flush),
    flushed(ledger.flush),
    flushed(lambda: ledger.acknowledge({replica.id: 5})),
    flushed(lambda: ledger.receive(theirs, Cursor(bytes(16), 1))),
)
"""


@pytest.mark.parametrize(
    ("durability", "expected"), [("process", "0 1 0 0 0"), ("power", "10 1 0 1 1")]
)
def test_the_disk_is_flushed_before_anything_is_sent(
    tmp_path: Path, durability: str, expected: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "a.db"), durability],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert (done.stdout.strip(), done.stderr) == (expected, "")
