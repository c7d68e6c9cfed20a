"""One file, one process, and a clear word about anything else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from crdtsync import Document, Replica
from crdtsync.errors import StorageError, StoreFormatError, StoreLockedError
from crdtsync.storage import StoreFile, kind_of, open_file

SCHEMA = "CREATE TABLE IF NOT EXISTS things(name TEXT PRIMARY KEY)"

HOLDER = """
import sys
from crdtsync.storage import open_file
store = open_file(sys.argv[1], "test", "CREATE TABLE IF NOT EXISTS things(name TEXT PRIMARY KEY)")
with store.transaction() as connection:
    connection.execute("INSERT INTO things VALUES('theirs')")
print("open", flush=True)
sys.stdin.read()
store.close()
"""


def opened(path: Path | str, **options: object) -> StoreFile:
    return open_file(path, "test", SCHEMA, **options)  # type: ignore[arg-type]


def things(store: StoreFile) -> list[str]:
    return [name for (name,) in store.connection.execute("SELECT name FROM things ORDER BY name")]


def put(store: StoreFile, name: str) -> None:
    store.connection.execute("INSERT INTO things VALUES(?)", (name,))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.db"


@pytest.fixture
def other_process(path: Path) -> Callable[[], subprocess.Popen[str]]:
    """Return a function that lets another process open the file and wait."""

    def begin() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        return process

    return begin


def stop(process: subprocess.Popen[str], *, kill: bool = False) -> None:
    if kill:
        process.kill()
    process.communicate("")


# --- opening --------------------------------------------------------------------------------------


def test_what_is_kept_is_there_when_it_is_opened_again(path: Path) -> None:
    store = opened(path)
    with store.transaction():
        put(store, "a")
    store.close()
    store.close()
    again = opened(os.fspath(path))
    assert things(again) == ["a"]
    again.close()


def test_a_file_can_be_nowhere() -> None:
    one, other = opened(":memory:"), opened(":memory:")
    put(one, "a")
    assert things(other) == []
    assert not os.path.exists(":memory:")
    assert not os.path.exists(":memory:-lock")
    one.close()
    other.close()


@pytest.mark.parametrize(("durability", "level"), [("process", 1), ("power", 2)])
def test_durability_decides_whether_a_commit_is_flushed(
    path: Path, durability: str, level: int
) -> None:
    store = opened(path, durability=durability)
    assert store.connection.pragma("journal_mode") == "wal"
    assert store.connection.pragma("synchronous") == level
    with store.transaction(durable=True) as connection:
        assert connection.pragma("synchronous") == 2
    assert store.connection.pragma("synchronous") == level
    with pytest.raises(ZeroDivisionError), store.transaction(durable=True):
        raise ZeroDivisionError
    assert store.connection.pragma("synchronous") == level
    store.close()


def test_an_empty_file_is_a_new_store(path: Path) -> None:
    path.touch()
    opened(path).close()
    opened(path).close()


# --- transactions ---------------------------------------------------------------------------------


class Stop(BaseException):
    pass


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, Stop])
def test_a_transaction_that_fails_leaves_nothing(path: Path, error: type[BaseException]) -> None:
    store = opened(path)
    with pytest.raises(error), store.transaction():
        put(store, "a")
        raise error
    assert things(store) == []
    with store.transaction():
        put(store, "b")
    assert things(store) == ["b"]
    store.close()


def test_a_statement_that_fails_is_a_storage_error_with_its_cause(path: Path) -> None:
    store = opened(path)
    with pytest.raises(StorageError) as caught, store.transaction():
        put(store, "a")
        put(store, "a")
    assert isinstance(caught.value.__cause__, apsw.ConstraintError)
    assert caught.value.path == str(path)
    assert things(store) == []
    store.close()


def test_a_closed_file_is_a_storage_error(path: Path) -> None:
    store = opened(path)
    store.close()
    with pytest.raises(StorageError), store.transaction():
        pass


def test_a_store_is_opened_once_in_a_process_too(path: Path) -> None:
    store = opened(path)
    with pytest.raises(StoreLockedError, match="or this one has it open already: close it"):
        opened(path)
    store.close()
    opened(path).close()


# --- other processes ------------------------------------------------------------------------------


def test_a_second_process_is_kept_out_until_the_first_one_closes(
    path: Path, other_process: Callable[[], subprocess.Popen[str]]
) -> None:
    process = other_process()
    with pytest.raises(StoreLockedError) as caught:
        opened(path)
    assert "another process has this store open" in str(caught.value)
    assert caught.value.path == str(path)
    stop(process)
    store = opened(path)
    assert things(store) == ["theirs"]
    store.close()


def test_a_process_that_is_killed_leaves_no_lock(
    path: Path, other_process: Callable[[], subprocess.Popen[str]]
) -> None:
    stop(other_process(), kill=True)
    store = opened(path)
    assert things(store) == ["theirs"]
    store.close()


def test_a_second_opening_in_the_same_process_is_kept_out(path: Path) -> None:
    store = opened(path)
    with pytest.raises(StoreLockedError):
        opened(path)
    put(store, "a")  # and the first one is not disturbed
    store.close()
    opened(path).close()


def test_others_may_look_while_it_is_open(
    path: Path, other_process: Callable[[], subprocess.Popen[str]]
) -> None:
    process = other_process()
    store = opened(path, read_only=True)
    assert things(store) == ["theirs"]
    with pytest.raises(StorageError), store.transaction():
        put(store, "mine")
    store.close()
    stop(process)
    again = opened(path)
    assert things(again) == ["theirs"]
    again.close()


def test_one_who_looks_sees_what_is_kept_meanwhile(path: Path) -> None:
    store = opened(path)
    looking = opened(path, read_only=True)
    assert things(looking) == []
    with store.transaction():
        put(store, "a")
        assert things(looking) == []
    assert things(looking) == ["a"]
    looking.close()
    store.close()


# --- what is not a store --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [b"hello", b"x" * 99, b"x" * 5000, b"SQLite format 3\x00" + b"\xff" * 5000, b"\x00" * 4096],
    ids=["short", "a header's length", "long", "a torn header", "zeros"],
)
@pytest.mark.parametrize("read_only", [False, True])
def test_a_file_that_is_something_else_is_refused_and_left_alone(
    path: Path, data: bytes, read_only: bool
) -> None:
    path.write_bytes(data)
    with pytest.raises(StorageError):
        opened(path, read_only=read_only)
    assert path.read_bytes() == data


@pytest.mark.parametrize(
    "statements",
    [
        "CREATE TABLE theirs(x); INSERT INTO theirs VALUES(1)",
        "CREATE TABLE meta(name, value)",
        "PRAGMA application_id = 7",
        "PRAGMA application_id = 7; CREATE TABLE theirs(x)",
    ],
)
def test_another_programs_database_is_refused_and_left_alone(path: Path, statements: str) -> None:
    theirs = apsw.Connection(str(path))
    theirs.execute(statements)
    theirs.close()
    before = path.read_bytes()
    with pytest.raises(StoreFormatError):
        opened(path)
    with pytest.raises(StoreFormatError):
        opened(path, read_only=True)
    assert path.read_bytes() == before


def test_a_newer_version_is_refused_and_left_alone(path: Path) -> None:
    store = opened(path)
    store.connection.pragma("user_version", 2)
    store.close()
    before = path.read_bytes()
    with pytest.raises(StoreFormatError, match="written in format 2; this crdtsync reads format 1"):
        opened(path)
    assert path.read_bytes() == before


def test_a_store_of_another_kind_is_refused(path: Path) -> None:
    opened(path).close()
    with pytest.raises(StoreFormatError, match="the store of a test, not of a server"):
        open_file(path, "server", SCHEMA)
    opened(path).close()


@pytest.mark.parametrize("read_only", [False, True])
def test_a_folder_is_no_store(tmp_path: Path, read_only: bool) -> None:
    with pytest.raises(StorageError, match="this is a folder"):
        opened(tmp_path, read_only=read_only)


def test_there_is_no_kind_of_what_is_not_there(path: Path) -> None:
    with pytest.raises(StorageError, match="there is no such file"):
        kind_of(path)
    assert not path.exists()


def test_a_store_that_is_refused_is_not_left_locked(path: Path) -> None:
    path.write_bytes(b"x" * 5000)
    with pytest.raises(StoreFormatError):
        opened(path)
    path.unlink()
    opened(path).close()


# --- places where nothing can be ------------------------------------------------------------------


@pytest.mark.parametrize("read_only", [False, True])
def test_a_folder_that_is_not_there_is_a_storage_error(tmp_path: Path, read_only: bool) -> None:
    with pytest.raises(StorageError) as caught:
        opened(tmp_path / "none" / "a.db", read_only=read_only)
    assert str(tmp_path / "none" / "a.db") in str(caught.value)


def test_a_directory_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        opened(tmp_path)
    with pytest.raises(StorageError):
        opened(tmp_path, read_only=True)


def test_looking_makes_nothing(path: Path) -> None:
    with pytest.raises(StorageError, match="no such file"):
        opened(path, read_only=True)
    assert list(path.parent.iterdir()) == []


def test_any_name_will_do(tmp_path: Path) -> None:
    for name in ("with space.db", "ünï😀.db", "a?mode=memory", "file:x", "%41", "#h", "'q\""):
        store = opened(tmp_path / name)
        put(store, name)
        store.close()
        assert (tmp_path / name).exists()
        again = opened(tmp_path / name)
        assert things(again) == [name]
        again.close()


def test_where_every_commit_is_flushed_the_log_does_not_grow_with_them(tmp_path: Path) -> None:
    """To flush a file that has grown costs twice: once for its bytes, once for its length."""
    schema = "CREATE TABLE IF NOT EXISTS t(x)"
    file = open_file(tmp_path / "a.db", "replica", schema, durability="power")
    log = tmp_path / "a.db-wal"
    length = log.stat().st_size
    for number in range(200):
        file.connection.execute("INSERT INTO t VALUES(?)", (number,))
    assert log.stat().st_size == length > 200 * 4096
    tables = file.connection.execute("SELECT name FROM sqlite_schema").fetchall()
    assert sorted(tables) == [("meta",), ("sqlite_autoindex_meta_1",), ("t",)]
    file.close()
    again = open_file(tmp_path / "a.db", "replica", schema, durability="power")
    assert again.connection.execute("SELECT count(*) FROM t").get == 200
    assert (tmp_path / "a.db").stat().st_size < 20 * 4096
    again.close()


@pytest.mark.skipif(os.name == "nt", reason="no such permissions")
def test_nobody_else_can_read_a_new_store(tmp_path):
    path = tmp_path / "a.db"
    with Replica(path) as replica:
        replica.document(Document, "d")
        for name in ("a.db", "a.db-wal", "a.db-shm"):
            assert (tmp_path / name).stat().st_mode & 0o077 == 0
    path.chmod(0o644)  # what its owner opens to others stays so
    with Replica(path):
        assert path.stat().st_mode & 0o077 == 0o044
