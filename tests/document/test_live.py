"""The live document: what it holds on to, and what it keeps for the next time."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import pytest

from crdtsync import Document, Replica
from crdtsync.document import live as live_module
from crdtsync.errors import ActionError, SchemaError
from tests.document.boards import Board


def test_a_closed_replica_frees_its_documents() -> None:
    """An observed CRDT document holds itself, and so would all that its observer holds."""
    kept: list[weakref.ref[Any]] = []
    for close in True, False:
        one, other = Replica(), Replica()
        board, copy = one.document(Board, "b"), other.document(Board, "b")
        board.body.append("x")
        copy.observe(lambda change: None)
        str(copy.body)
        list(copy.items)
        one.merge(other)
        board.body.append("y")
        one.merge(other)
        kept += [weakref.ref(board._live), weakref.ref(copy._live), weakref.ref(copy._live._doc)]
        if close:
            one.close()
            other.close()
        del one, other, board, copy
    gc.collect()
    assert [reference() for reference in kept] == [None] * 6


@pytest.mark.parametrize("how", ["close", "crash"])
def test_a_load_replays_a_bounded_tail(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_module, "_TAIL_BYTES_AT_REST_MAX", 4_000)
    monkeypatch.setattr(live_module, "_TAIL_BYTES_MAX", 40_000)
    replica = Replica(tmp_path / "a.db", user="ann")
    board = replica.document(Board, "b")
    for number in range(300):
        board.data = number
        board.body.append("é")
    expected, path = board.to_dict(), tmp_path / "a.db"
    snapshot = replica.ledger("b").snapshot()
    assert snapshot is not None
    assert sum(snapshot.vector.values()) > 300
    if how == "close":
        replica.close()
    else:
        path = tmp_path / "copy.db"
        path.write_bytes((tmp_path / "a.db").read_bytes())
        wal = tmp_path / "a.db-wal"
        (tmp_path / "copy.db-wal").write_bytes(wal.read_bytes())
    with Replica(path) as again:
        ledger = again.ledger("b")
        if how == "close":
            kept = ledger.snapshot()
            assert kept is not None
            assert kept.vector == ledger.vector
        assert again.document(Board, "b").to_dict() == expected
        assert again.verify() == []
    replica.close()


def test_a_spoiled_snapshot_is_passed_over(tmp_path: Path) -> None:
    with Replica(tmp_path / "a.db") as replica:
        board = replica.document(Board, "b")
        board.name = "x"
        board._live.take_snapshot()
        board.name = "y"
        expected = board.to_dict()
    for column, value in ("state", b"junk"), ("clocks", b"\x80"), ("slots", b"\xff"):
        with Replica(tmp_path / "a.db") as replica:
            connection = replica._store.file.connection
            connection.execute(f"UPDATE snapshots SET {column} = ?", (value,))
            assert replica.document(Board, "b").to_dict() == expected


def test_a_document_is_one_object_and_of_one_class() -> None:
    class Other(Document):
        name: str = ""

    replica = Replica()
    board = replica.document(Board, "b")
    assert replica.document(Board, "b") is board
    assert replica.document(Document, "b") is board
    with pytest.raises(SchemaError, match="is open as Board, not as Other"):
        replica.document(Other, "b")
    looked_at = replica.document(Document, "other")
    assert isinstance(replica.document(Other, "other"), Other)
    with pytest.raises(ActionError, match="is closed"), looked_at.action("x"):
        pass
    with pytest.raises(ValueError, match="1 to 512 characters"):
        replica.document(Board, "")


def test_a_store_is_read_without_the_class(tmp_path: Path) -> None:
    one, other = Replica(tmp_path / "a.db", user="ann"), Replica(user="bob")
    board, copy = one.document(Board, "b"), other.document(Board, "b")
    key = board.add("task", ["x"])
    one.merge(other)
    board.name, copy.name = "a", "b"
    board.tasks[key].status, copy.tasks[key].status = "done", "doing"
    one.merge(other)
    board.tasks[key].steps.add(label="s")
    expected = board.to_dict()
    settled = expected["tasks"][key].pop("status")
    one.close()
    replica = Replica.open_read_only(tmp_path / "a.db")
    document = replica.document(Document, "b")
    seen = document.to_dict()
    assert settled == "done"
    assert seen["tasks"][key].pop("status") in {"done", "doing"}
    assert seen == expected
    errors = sorted(conflict.error or "" for conflict in document.conflicts())
    assert not errors[0]
    assert "no strategy is installed under the name 'furthest'" in errors[1]
    replica.close()


def test_a_closed_document_takes_no_more_actions() -> None:
    replica = Replica()
    board = replica.document(Board, "b")
    board.name = "x"
    replica.close()
    replica.close()
    with pytest.raises(ActionError, match="is closed"):
        board.name = "y"
    assert board.name == "x"
