"""The replica's file: one identity, one process, and what is written is read back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from crdtsync import Replica
from crdtsync.document import Snapshot
from crdtsync.errors import StorageError, StoreFormatError, StoreLockedError
from crdtsync.identity import is_replica_id
from crdtsync.log import Cursor
from crdtsync.replica.store import Progress, Store
from tests.document.boards import Board

WRITER = """
import sys
from crdtsync import Replica
from tests.document.boards import Board
replica = Replica(sys.argv[1], user="ann")
board = replica.document(Board, "board")
board.name = "begun"
print(replica.id, flush=True)
for line in sys.stdin:
    board.name = line.strip()
    print(len(board.log), flush=True)
"""


class Writer:
    """Another process that has a replica open and writes when told to."""

    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        self.replica = int(self._answer())

    def _answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def write(self, name: str) -> int:
        assert self.process.stdin is not None
        self.process.stdin.write(name + "\n")
        self.process.stdin.flush()
        return int(self._answer())

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.db"


@pytest.fixture
def writer(path: Path) -> Iterator[Writer]:
    writer = Writer(path)
    yield writer
    writer.end()


def opened(path: Path) -> Store:
    return Store(path, durability="process")


# --- who ------------------------------------------------------------------------------------------


def test_a_store_keeps_its_replicas_id(path: Path) -> None:
    with Replica(path) as replica:
        first = replica.id
    assert is_replica_id(first)
    with Replica(str(path)) as replica:
        assert replica.id == first
        assert replica.path == str(path)


def test_every_store_has_an_id_of_its_own(tmp_path: Path) -> None:
    ids = {Replica().id for _ in range(20)} | {Replica(tmp_path / f"{n}").id for n in range(5)}
    assert len(ids) == 25


# --- one process ----------------------------------------------------------------------------------


def test_a_second_process_gets_a_clear_error(path: Path, writer: Writer) -> None:
    with pytest.raises(StoreLockedError, match="another process has this store open"):
        Replica(path)
    assert writer.write("goes on") == 2


def test_the_next_process_goes_on_where_a_killed_one_stopped(path: Path, writer: Writer) -> None:
    writer.write("last words")
    writer.end()
    with Replica(path) as replica:
        assert replica.id == writer.replica
        assert replica.document(Board, "board").name == "last words"
        assert replica.verify() == []


def test_a_look_while_another_process_writes(path: Path, writer: Writer) -> None:
    for number in range(3):
        writer.write(f"n{number}")
        looking = Replica.open_read_only(path)
        assert looking.id == writer.replica
        board = looking.document(Board, "board")
        assert board.name == f"n{number}"
        assert len(list(board.log)) == number + 2
        assert looking.verify() == []
        looking.close()
    assert writer.write("undisturbed") == 5


def test_one_who_looks_cannot_act(path: Path, writer: Writer) -> None:
    looking = Replica.open_read_only(path)
    board = looking.document(Board, "board")
    before = board.to_dict()
    with pytest.raises(StorageError):
        board.name = "mine"
    assert board.to_dict() == before
    with pytest.raises(StorageError, match="there is no document 'other'"):
        looking.document(Board, "other")
    looking.close()
    assert writer.write("undisturbed") == 2


# --- what is not a replica ------------------------------------------------------------------------


def test_what_is_not_a_database_is_refused(path: Path) -> None:
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreFormatError, match="this is not a crdtsync store"):
        Replica(path)
    assert path.read_bytes() == b"not a database" * 1000


def test_another_programs_database_is_refused(path: Path) -> None:
    theirs = apsw.Connection(str(path))
    theirs.execute("CREATE TABLE photos(name); INSERT INTO photos VALUES('a')")
    theirs.close()
    with pytest.raises(StoreFormatError, match="database of another program"):
        Replica(path)
    theirs = apsw.Connection(str(path))
    assert theirs.execute("SELECT name FROM photos").get == "a"
    assert theirs.execute("SELECT count(*) FROM sqlite_schema").get == 1
    theirs.close()


def test_a_store_of_a_newer_version_is_refused(path: Path) -> None:
    Replica(path).close()
    connection = apsw.Connection(str(path))
    connection.pragma("user_version", 99)
    connection.close()
    with pytest.raises(StoreFormatError, match="format 99"):
        Replica(path)
    with pytest.raises(StoreFormatError, match="format 99"):
        Replica.open_read_only(path)


def test_a_folder_that_is_missing_and_a_folder_as_a_file(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="does its folder exist"):
        Replica(tmp_path / "none" / "a.db")
    with pytest.raises(StorageError):
        Replica(tmp_path)
    with pytest.raises(StorageError, match="no such file"):
        Replica.open_read_only(tmp_path / "none.db")


# --- what is written is read back -----------------------------------------------------------------


@pytest.mark.parametrize("cursor", [None, Cursor(b"e" * 16, 0), Cursor(b"f" * 16, 2**62)])
def test_progress_comes_back(path: Path, cursor: Cursor | None) -> None:
    store = opened(path)
    assert store.progress(1) == Progress()
    with store.file.transaction():
        store.write_progress(1, Progress(7, 5, cursor))
        store.write_progress(2, Progress(1, 1))
    store.close()
    store = opened(path)
    assert store.progress(1) == Progress(7, 5, cursor)
    assert store.progress(2) == Progress(1, 1)
    store.close()


def test_a_schemas_description_comes_back(path: Path) -> None:
    description = Board.__crdtsync_schema__.describe()
    store = opened(path)
    assert store.schema_description(1) is None
    store.write_schema_description(1, description)
    store.write_schema_description(1, description)
    store.close()
    store = opened(path)
    assert store.schema_description(1) == description
    store.close()


def _snapshot_of(replica: Replica) -> Snapshot:
    board = replica.document(Board, "board")
    board.body.append("text")
    board._live.take_snapshot()
    found = replica.ledger("board").snapshot()
    assert found is not None
    return found


def test_a_snapshot_comes_back(path: Path) -> None:
    with Replica(path) as replica:
        found = _snapshot_of(replica)
        assert found.vector == {replica.id: 1}
    with Replica(path) as replica:
        assert replica.ledger("board").snapshot() == found


@pytest.mark.parametrize("column", ["vector", "clocks"])
def test_a_snapshot_that_cannot_be_read_is_done_without(path: Path, column: str) -> None:
    with Replica(path) as replica:
        _snapshot_of(replica)
    connection = apsw.Connection(str(path))
    connection.execute(f"UPDATE snapshots SET {column} = x'ff'")
    connection.close()
    with Replica(path) as replica:
        assert replica.ledger("board").snapshot() is None
        assert str(replica.document(Board, "board").body) == "text"
        assert replica.verify() == []
