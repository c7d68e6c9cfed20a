"""Real faults on real files: what was done stays done, whatever happens to the process or disk."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync import Replica
from crdtsync.errors import StorageError
from crdtsync.log import Cursor, Entry
from crdtsync.replica import Ledger
from tests.document.boards import Board
from tests.replica.histories import act
from tests.server.authors import Author

resource = pytest.importorskip("resource", reason="faults are made with POSIX means")

ROOT = Path(__file__).parents[2]
EPOCH = b"e" * 16


def state(board: Board) -> tuple[Any, ...]:
    """Return all that a failure must leave as it was."""
    journal = board._live.journal
    assert isinstance(journal, Ledger)
    return (
        board.to_dict(),
        board._live._doc.get_update(),
        [entry.data for entry in board.log],
        dict(journal.heads),
        (journal.sent, journal.acknowledged, journal.cursor),
    )


# --- the process is killed ------------------------------------------------------------------------

# Acts, and takes in what another replica did. Says of each when it is done.
WORKER = """
import sys
from crdtsync import Replica
from crdtsync.log import Cursor
from tests.document.boards import Board

replica = Replica(sys.argv[1], durability=sys.argv[2], user="ann")
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
        if number % 50 == 49:
            board.body.delete(0, len(board.body))
    print("did", number, flush=True)
    if number % 3 == 0:
        theirs.total.increment()
        found = other.ledger("board").missing(ours.vector, 10**6)
        ours.receive([entry.data for entry in found], Cursor(b"e" * 16, number))
        print("received", number, flush=True)
    if number % 5 == 0:
        ours.flush()
        print("sent", ours.sent, flush=True)
"""


@pytest.mark.parametrize("durability", ["process", "power"])
def test_what_was_done_before_a_kill_is_there_after_it(tmp_path: Path, durability: str) -> None:
    path = tmp_path / "a.db"
    dice = random.Random()
    did: list[int] = []
    received = sent = 0
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(path), durability, str(len(did))],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(dice.randint(1, 250))]
        process.kill()
        lines += process.communicate()[0].splitlines()
        for line in lines:
            kind, _, number = line.rstrip("\n").partition(" ")
            if kind == "did":
                did.append(int(number))
            elif kind == "received":
                received = int(number)
            elif kind == "sent":
                sent = int(number)
        with Replica(path, user="ann") as replica:
            board = replica.document(Board, "board")
            ours = replica.ledger("board")
            kept = [entry.arguments["number"] for entry in board.log if entry.name == "do"]
            assert kept[: len(did)] == did
            assert len(kept) - len(did) in {0, 1}  # one more may be done, but not yet said
            assert board.name == str(kept[-1])
            assert ours.sent >= sent
            assert ours.cursor is None or ours.cursor.offset >= received
            assert sum(ours.vector.values()) == len(list(board.log))
            assert replica.verify() == []
            did = kept


# --- the disk is full -----------------------------------------------------------------------------


class Disk(NamedTuple):
    """A folder whose room can be used up and made again."""

    folder: Path
    full: Callable[[], Any]


def _mounted(folder: Path) -> bool:
    options = ["-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    try:
        return subprocess.run(["mount", *options], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@pytest.fixture(params=["small disk", "file size limit"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    """Return a disk that can be full: a small real one, or a limit that the system enforces."""
    if request.param == "small disk":
        folder = tmp_path / "disk"
        folder.mkdir()
        if os.geteuid() != 0 or not _mounted(folder):
            pytest.skip("only root may mount a small disk here")
        try:
            yield Disk(folder, lambda: _filled(folder))
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=True)
    else:
        yield Disk(tmp_path, lambda: _limited(tmp_path))


@contextmanager
def _filled(folder: Path) -> Iterator[None]:
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            pass
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def _limited(folder: Path) -> Iterator[None]:
    size = max(path.stat().st_size for path in folder.iterdir())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_stops_new_work_and_harms_nothing(disk: Disk) -> None:
    path = disk.folder / "a.db"
    dice = random.Random(5)
    author = Author(9)
    replica = Replica(path, user="ann")
    board, ours = replica.document(Board, "board"), replica.ledger("board")
    for _ in range(30):
        act(board, dice)
    ours.receive([author.write().data], Cursor(EPOCH, 1))
    later = [entry.data for entry in author.write_many(20, size=20_000)]
    before = state(board)
    with disk.full():
        with pytest.raises(StorageError):  # until then, what is done is done
            for number in range(10_000):
                before = state(board)
                with board.action("fill", number=number):
                    board.name = "x" * 1000
                    board.body.append("filling")
                    board.add("another")
        assert state(board) == before
        for attempt in range(3):
            with pytest.raises(StorageError), board.action("more", attempt=attempt):
                board.data = "x" * 20_000
                board.body.delete(0, len(board.body))
            with pytest.raises(StorageError):
                ours.receive(later, Cursor(EPOCH, 2))
            assert state(board) == before
            assert [entry.data for entry in ours.entries()] == before[2]
    board.name = "works again"
    assert ours.receive(later, Cursor(EPOCH, 2)).new == 20
    board.body.append(" and goes on")
    after = state(board)
    assert after[2][: len(before[2])] == before[2]
    assert replica.verify() == []
    replica.close()
    with Replica(path, user="ann") as again:
        found = again.document(Board, "board")
        assert state(found)[2:] == after[2:]
        assert found.to_dict() == after[0]
        assert again.verify() == []


def test_what_was_done_before_the_disk_was_full_is_there_after_a_restart(disk: Disk) -> None:
    path = disk.folder / "a.db"
    replica = Replica(path)
    board = replica.document(Board, "board")
    board.name = "begun"
    with disk.full():
        done = 0
        with pytest.raises(StorageError):
            for number in range(10_000):
                with board.action("fill", number=number):
                    board.data = "x" * 2000
                done += 1
        before = board.to_dict()
        with suppress(StorageError):  # opening may need room, too
            replica.close()
            Replica(path).close()
    with Replica(path) as again:
        found = again.document(Board, "board")
        assert found.to_dict() == before
        fills = [entry.arguments["number"] for entry in found.log if entry.name == "fill"]
        assert fills == list(range(done))
        assert again.verify() == []
        found.name = "goes on"


def test_a_disk_full_while_a_store_is_made_leaves_nothing_half_made(disk: Disk) -> None:
    (disk.folder / "other").write_bytes(b"")
    with disk.full():
        for _ in range(2):
            with pytest.raises(StorageError):
                Replica(disk.folder / "a.db").document(Board, "board")
    with Replica(disk.folder / "a.db") as replica:
        replica.document(Board, "board").name = "made"
        assert replica.verify() == []


# --- bits are flipped -----------------------------------------------------------------------------


class Written:
    """A store, as its bytes, and what is in it. No dataclass: hypothesis would print it all."""

    def __init__(self, file: bytes, entries: list[Entry], peer: Replica, view: str) -> None:
        self.file = file
        self.entries = entries
        self.peer = peer
        self.view = view


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Return the store of one of two replicas that know all of each other."""
    path = tmp_path_factory.mktemp("written") / "a.db"
    dice = random.Random(11)
    peer = Replica(user="bob")
    theirs = peer.document(Board, "board")
    with Replica(path, user="ann") as replica:
        board = replica.document(Board, "board")
        for _ in range(5):
            for _ in range(2):
                act(board, dice)
            act(theirs, dice)
            if dice.random() < 0.6:
                replica.merge(peer)
        act(board, dice)
        replica.merge(peer)
        entries, view = list(board.log), board.view_hash()
    return Written(path.read_bytes(), entries, peer, view)


def sound(entries: list[Entry], damaged: Entry) -> list[tuple[int, int]]:
    """Return what neither is the damaged entry nor stands on it, in the order of arrival."""
    lost: dict[int, int] = {damaged.replica: damaged.seq}
    kept = []
    for entry in entries:
        stands_on_it = any(
            dependency.seq >= lost.get(dependency.replica, 2**60)
            for dependency in entry.dependencies
        )
        if entry.seq >= lost.get(entry.replica, 2**60) or stands_on_it:
            lost[entry.replica] = min(entry.seq, lost.get(entry.replica, 2**60))
        else:
            kept.append((entry.replica, entry.seq))
    return kept


def put(path: Path, at: int, data: bytes) -> None:
    """Put bytes into the place of the entry that arrived as number `at`."""
    connection = apsw.Connection(str(path))
    connection.execute("UPDATE entries SET data = ? WHERE position = ?", (data, at + 1))
    assert connection.changes() == 1
    connection.close()


def rows(path: Path, table: str) -> int:
    connection = apsw.Connection(str(path))
    count = connection.execute(f"SELECT count(*) FROM {table}").get
    connection.close()
    assert isinstance(count, int)
    return count


def names(board: Board) -> list[tuple[int, int]]:
    return [(entry.replica, entry.seq) for entry in board.log]


def check_damage(path: Path, written: Written, at: int, data: bytes) -> None:
    """Damage one entry and check that only it and what stands on it is lost, and comes again."""
    entries, damaged = written.entries, written.entries[at]
    path.write_bytes(written.file)
    put(path, at, data)
    expected = sound(entries, damaged)

    looking = Replica.open_read_only(path)
    reported = {(problem.replica, problem.seq) for problem in looking.verify()}
    assert reported
    assert reported.isdisjoint(expected)
    assert names(looking.document(Board, "board")) == expected
    looking.close()

    with Replica(path, user="ann") as replica:
        board = replica.document(Board, "board")
        assert names(board) == expected
        board.to_dict()
        assert {(p.replica, p.seq) for p in replica.verify()} == reported
    assert rows(path, "entries") == len(expected)
    assert rows(path, "damaged") == len(entries) - len(expected)

    with Replica(path, user="ann") as replica:
        board = replica.document(Board, "board")
        assert names(board) == expected
        _receive_all(replica, written.peer)
        assert sorted(names(board)) == sorted((entry.replica, entry.seq) for entry in entries)
        assert board.view_hash() == written.view
        assert replica.verify() == []
        board.name = "goes on"
    with Replica(path, user="ann") as replica:
        assert replica.document(Board, "board").name == "goes on"
        assert replica.verify() == []


def _receive_all(replica: Replica, peer: Replica) -> None:
    ours, theirs = replica.ledger("board"), peer.ledger("board")
    ours.receive([entry.data for entry in theirs.missing(ours.vector, 10**9)])
    assert ours.heads == theirs.heads


@given(
    entry=st.integers(0, 10_000),
    flips=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 7)), min_size=1, max_size=3),
)
def test_flipped_bits_lose_only_what_stands_on_them(
    written: Written,
    tmp_path_factory: pytest.TempPathFactory,
    entry: int,
    flips: list[tuple[int, int]],
) -> None:
    at = entry % len(written.entries)
    data = bytearray(written.entries[at].data)
    for byte, bit in flips:
        data[byte % len(data)] ^= 1 << bit
    if bytes(data) != written.entries[at].data:
        check_damage(tmp_path_factory.mktemp("flip") / "a.db", written, at, bytes(data))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["empty", "torn", "longer", "another"])
def test_an_entry_replaced_loses_only_what_stands_on_it(
    written: Written, tmp_path: Path, kind: str, seed: int
) -> None:
    dice = random.Random(seed)
    at = dice.randrange(len(written.entries))
    data = written.entries[at].data
    replaced = {
        "empty": b"",
        "torn": data[: dice.randrange(len(data))],
        "longer": data + b"\x00",
        "another": written.entries[at - 1].data,
    }
    check_damage(tmp_path / "a.db", written, at, replaced[kind])


def test_several_documents_suffer_only_where_they_are_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with Replica(path) as replica:
        for name in ("a", "b", "c"):
            for number in range(3):
                replica.document(Board, name).name = f"{name}{number}"
    connection = apsw.Connection(str(path))
    connection.execute(
        "UPDATE entries SET data = zeroblob(20) WHERE place & 0xffffffffff = 2 AND place >> 40 = "
        "(SELECT id FROM logs WHERE document = (SELECT id FROM documents WHERE name = 'b'))"
    )
    assert connection.changes() == 1
    connection.close()
    with Replica(path) as replica:
        found = [replica.document(Board, name).name for name in ("a", "b", "c")]
        assert found == ["a2", "b0", "c2"]
        assert {(problem.document, problem.seq) for problem in replica.verify()} == {
            ("b", 2),
            ("b", 3),
        }
