"""Verification finds what is not as it was written, and nothing else."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import apsw
import pycrdt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync import Replica
from crdtsync.log import EMPTY_UPDATE, Entry, Head, decode_entry, make_entry
from crdtsync.replica import Problem
from tests.document.boards import Board
from tests.replica.histories import history
from tests.server.authors import Author

PLACE = "place >> 40 = (SELECT id FROM logs WHERE replica = ?) AND place & 0xffffffffff = ?"


@given(st.integers(0, 2**32))
def test_what_is_sound_has_no_problems(seed: int) -> None:
    for board in history(seed):
        assert isinstance(board, Board)
        follower = Replica()
        follower.ledger("board").receive([entry.data for entry in board.log])
        assert follower.verify() == []


def test_every_entry_is_checked_and_counted() -> None:
    replica = Replica()
    for name in ("a", "b"):
        for number in range(5):
            replica.document(Board, name).name = str(number)
    counts: list[int] = []
    assert replica.verify(counts.append) == []
    assert sum(counts) == 10


def test_verifying_leaves_no_trace(tmp_path: Path) -> None:
    with Replica(tmp_path / "a.db") as replica:
        board = replica.document(Board, "board")
        board.name = "one"
        before = board.to_dict()
    with Replica(tmp_path / "a.db") as replica:
        assert replica.verify() == []
        board = replica.document(Board, "board")
        assert type(board) is Board
        assert replica.verify() == []
        board.name = "two"
        assert replica.verify() == []
    assert before["name"] == "one"


# --- damage ---------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.db"


def written(path: Path) -> int:
    """Write five entries of our own; return whose they are."""
    with Replica(path, user="ann") as replica:
        board = replica.document(Board, "board")
        for number in range(5):
            board.name = f"n{number}"
        return replica.id


def replace(path: Path, replica: int, seq: int, data: bytes) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(f"UPDATE entries SET data = ? WHERE {PLACE}", (data, replica, seq))
    assert connection.changes() == 1
    connection.close()


def bytes_at(path: Path, replica: int, seq: int) -> bytes:
    connection = apsw.Connection(str(path))
    data = connection.execute(f"SELECT data FROM entries WHERE {PLACE}", (replica, seq)).get
    connection.close()
    assert isinstance(data, bytes)
    return data


def rewritten(entry: Entry) -> bytes:
    """Return an entry that is sound by itself, but is not the one that was written."""
    return make_entry(
        entry.document,
        entry.replica,
        Head(entry.seq - 1, entry.previous_hash),
        entry.time,
        "rewritten",
        entry.update,
    ).data


def problems_of(path: Path) -> list[Problem]:
    looking = Replica.open_read_only(path)
    found = looking.verify()
    looking.close()
    return found


def test_an_entry_that_was_rewritten_is_found_and_all_that_follow_it(path: Path) -> None:
    replica = written(path)
    replace(path, replica, 2, rewritten(decode_entry(bytes_at(path, replica, 2))))
    found = problems_of(path)
    assert [(problem.document, problem.replica, problem.seq) for problem in found] == [
        ("board", replica, seq) for seq in (2, 3, 4, 5)
    ]
    assert "not those that were written" in found[0].message


def test_an_entry_that_was_rewritten_with_its_digest_is_found_by_the_next_one(path: Path) -> None:
    replica = written(path)
    forged = rewritten(decode_entry(bytes_at(path, replica, 2)))
    replace(path, replica, 2, forged)
    connection = apsw.Connection(str(path))
    digest = hashlib.sha256(forged).digest()[:8]
    connection.execute("UPDATE entries SET digest = ? WHERE data = ?", (digest, forged))
    connection.close()
    found = problems_of(path)
    assert [problem.seq for problem in found] == [3, 4, 5]
    assert "it follows another entry 2" in found[0].message


@pytest.mark.parametrize("seq", [1, 3, 5])
def test_an_entry_that_is_torn_is_found_with_all_that_follow_it(path: Path, seq: int) -> None:
    replica = written(path)
    replace(path, replica, seq, bytes_at(path, replica, seq)[:-1])
    found = problems_of(path)
    assert [problem.seq for problem in found] == list(range(seq, 6))
    assert {problem.replica for problem in found} == {replica}


def test_an_entry_in_anothers_place_is_found(path: Path) -> None:
    replica = written(path)
    replace(path, replica, 2, bytes_at(path, replica, 3))
    assert [problem.seq for problem in problems_of(path)] == [2, 3, 4, 5]


def test_an_entry_that_is_gone_is_found_by_the_gap(path: Path) -> None:
    replica = written(path)
    connection = apsw.Connection(str(path))
    connection.execute(f"DELETE FROM entries WHERE {PLACE}", (replica, 2))
    connection.close()
    found = problems_of(path)
    assert [problem.seq for problem in found] == [3, 4, 5]
    assert "expected entry 2 next" in found[0].message


def test_what_depends_on_a_damaged_entry_is_found_and_what_does_not_is_sound(path: Path) -> None:
    ann, bob, cleo = Author(1), Author(2), Author(3)
    first = ann.write_many(2)
    alone = cleo.write()
    answer = bob.write((1, ann.head))
    with Replica(path) as replica:
        datas = [entry.data for entry in (*first, alone, answer)]
        assert replica.ledger("board").receive(datas).new == 4
    replace(path, 1, 2, first[1].data[:-1])
    assert [(problem.replica, problem.seq) for problem in problems_of(path)] == [(1, 2), (2, 1)]


def test_looking_changes_nothing(path: Path) -> None:
    replica = written(path)
    replace(path, replica, 3, b"")
    before = path.read_bytes()
    assert len(problems_of(path)) == len(problems_of(path)) == 3
    assert path.read_bytes() == before


def test_damage_that_was_set_aside_is_reported(path: Path) -> None:
    replica_id = written(path)
    replace(path, replica_id, 3, b"")
    with Replica(path) as replica:
        board = replica.document(Board, "board")
        assert board.name == "n1"
        found = replica.verify()
        assert [(problem.replica, problem.seq) for problem in found] == [
            (replica_id, seq) for seq in (3, 4, 5)
        ]
        assert all("set aside" in problem.message for problem in found)


# --- the state ------------------------------------------------------------------------------------


def test_a_snapshot_that_says_something_else_is_found(path: Path) -> None:
    with Replica(path) as replica:
        board = replica.document(Board, "board")
        board.body.append("right")
        board._live.take_snapshot()
        snapshot = replica.ledger("board").snapshot()
        assert snapshot is not None
        wrong = snapshot._replace(state=snapshot.state.replace(b"right", b"wrong"))
        replica.ledger("board").save_snapshot(wrong)
    found = problems_of(path)
    assert [(problem.replica, problem.seq) for problem in found] == [(None, None)]
    assert "differs from a replay" in found[0].message


def test_a_snapshot_whose_bytes_were_changed_is_passed_over(path: Path) -> None:
    with Replica(path) as replica:
        board = replica.document(Board, "board")
        board.body.append("right")
        board._live.take_snapshot()
    connection = apsw.Connection(str(path))
    state = connection.execute("SELECT state FROM snapshots").get
    assert isinstance(state, bytes)
    connection.execute("UPDATE snapshots SET state = ?", (state.replace(b"right", b"wrong"),))
    connection.close()
    with Replica(path) as replica:
        assert str(replica.document(Board, "board").body) == "right"
    assert problems_of(path) == []


def test_an_update_that_the_crdt_cannot_apply_is_named(path: Path) -> None:
    author = Author(5)
    doc: pycrdt.Doc[Any] = pycrdt.Doc(client_id=5)
    text = doc.get("body", type=pycrdt.Text)
    updates: list[bytes] = []
    doc.observe(lambda event: updates.append(event.update))
    text += "one"
    text += "two"
    entries = [author.write(update=updates[1]), author.write(update=EMPTY_UPDATE)]
    with Replica(path) as replica:
        board = replica.document(Board, "board")
        board.name = "mine"
        replica.ledger("board").receive([entry.data for entry in entries])
        assert board.name == "mine"
        problems = replica.verify()
        assert [(problem.replica, problem.seq) for problem in problems] == [(5, 1), (5, 2)]
        assert all("without effect" in problem.message for problem in problems)
