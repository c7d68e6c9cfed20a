"""What damage, a loss or a careless neighbour must not lead to. Each was seen once."""

from __future__ import annotations

import shutil
from pathlib import Path

import apsw
import pytest

from crdtsync import Replica
from crdtsync.errors import ForkError, LimitError, StorageError, StoreLockedError
from crdtsync.limits import Limits
from tests.document.boards import Board


def damage_entry(path: Path, replica: int, seq: int) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(
        "UPDATE entries SET data = zeroblob(40) WHERE place = "
        "((SELECT id FROM logs WHERE replica = ?) << 40) | ?",
        (replica, seq),
    )
    assert connection.changes() == 1
    connection.close()


def test_a_snapshot_of_what_was_damaged_is_not_used_again(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with Replica(path) as replica:
        board = replica.document(Board, "b")
        for number in range(5):
            board.body.append(f"old{number} ")
        board._live.take_snapshot()
        name = replica.id
    damage_entry(path, name, 5)
    with Replica(path) as replica:
        board = replica.document(Board, "b")
        board.body.append("new4 ")
        expected = str(board.body)
    with Replica(path) as replica:
        assert str(replica.document(Board, "b").body) == expected == "old0 old1 old2 old3 new4 "


def test_what_was_known_before_a_loss_is_said_again(tmp_path: Path) -> None:
    """Else a third replica could apply our next entry before what it builds on, and lose it."""
    path = tmp_path / "a.db"
    server, other = Replica(), Replica()
    with Replica(path) as replica:
        board = replica.document(Board, "b")
        for number in range(3):
            board.data = number
        server.merge(replica)
        other.document(Board, "b").body.append("hello")
        replica.ledger("b").receive([entry.data for entry in other.document(Board, "b").log])
        name = replica.id
    damage_entry(path, name, 3)
    with Replica(path) as replica:
        replica.document(Board, "b")
        server.merge(replica)
    with Replica(path) as replica:
        board = replica.document(Board, "b")
        board.body.insert(5, " world")
        (dependency,) = list(board.log)[-1].dependencies
        assert dependency.replica == other.id
        board.data = "later"
        assert list(board.log)[-1].dependencies == ()
    with Replica(path) as replica:
        board = replica.document(Board, "b")
        board.data = "later still"
        assert list(board.log)[-1].dependencies == ()
        third = Replica().ledger("b")
        ours = [entry.data for entry in board.log if entry.replica == name]
        assert third.receive(ours).held > 0


def test_damaged_entries_are_not_sent(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with Replica(path) as replica:
        board = replica.document(Board, "b")
        for number in range(5):
            board.data = number
        name = replica.id
    damage_entry(path, name, 3)
    with Replica(path) as replica, Replica() as peer:
        replica.merge(peer)
        assert peer.ledger("b").vector == {name: 2}
        assert [problem.seq for problem in replica.verify()] == [3, 4, 5]
    with Replica(path) as replica:
        assert [problem.seq for problem in replica.verify()] == [3, 4, 5]


@pytest.mark.parametrize("depth", [30, 31, 32])
def test_what_can_be_written_can_be_read_again(tmp_path: Path, depth: int) -> None:
    value: object = 1
    for _ in range(depth):
        value = [value]
    path = tmp_path / "a.db"
    with Replica(path) as replica:
        board = replica.document(Board, "b")
        with board.action("deep", value=value):
            board.data = value
    with Replica(path) as replica:
        board = replica.document(Board, "b")
        assert board.data == value
        assert [entry.arguments for entry in board.log] == [{"value": value}]
        with pytest.raises(ValueError, match="nested too deeply"):
            board.data = [value] * 2 if depth == 32 else [[[value]]]


def test_a_store_is_read_whatever_the_limits_are_now(tmp_path: Path) -> None:
    with Replica(tmp_path / "a.db") as replica:
        replica.document(Board, "b").body.append("x" * 10_000)
    small = Limits(entry_bytes_max=2000)
    with Replica(tmp_path / "a.db", limits=small) as replica:
        board = replica.document(Board, "b")
        assert len(board.body) == 10_000
        with pytest.raises(LimitError, match="entry_bytes_max=2,000"):
            board.body.append("x" * 5_000)


def test_a_link_is_no_way_round_the_lock(tmp_path: Path) -> None:
    with Replica(tmp_path / "a.db"):
        (tmp_path / "link.db").symlink_to(tmp_path / "a.db")
        with pytest.raises(StoreLockedError):
            Replica(tmp_path / "link.db")
    with pytest.raises(StorageError, match="needs a file name"):
        Replica("")


def test_a_listener_that_fails_does_not_undo_what_has_happened(
    caplog: pytest.LogCaptureFixture,
) -> None:
    replica = Replica()
    board = replica.document(Board, "b")

    def fail(name: str) -> None:
        raise RuntimeError("listener broke")

    replica.subscribe(fail)
    board.name = "x"
    assert board.name == "x"
    assert "listener broke" in caplog.text


def test_forks_of_others_logs_cannot_be_mended_here(tmp_path: Path) -> None:
    with Replica(tmp_path / "a.db") as replica:
        replica.document(Board, "b").data = 1
    shutil.copy(tmp_path / "a.db", tmp_path / "b.db")
    with Replica(tmp_path / "a.db") as one, Replica(tmp_path / "b.db") as other:
        ann, bob = Replica(), Replica()
        one.document(Board, "b").data = 2
        one.merge(ann)
        other.document(Board, "b").data = 3
        other.merge(bob)
        with pytest.raises(ForkError, match="not mended it yet"):
            ann.merge(bob)
