"""Beginning above a clone: ours stay on top, and nothing bad takes the place of anything."""

from __future__ import annotations

import datetime
import io
import random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from crdtsync.clone import Clone, encode_clone, id_of
from crdtsync.errors import BundleError, CloneError, ForkError, SequenceGapError, StorageError
from crdtsync.log import Cursor, Entry
from crdtsync.replica import Received, Replica
from crdtsync.server.snapshots import extend_clone
from tests.document.boards import Board
from tests.replica.histories import act

CURSOR = Cursor(bytes(16), 99)


def work(replica: Replica, count: int, seed: int = 1) -> None:
    dice = random.Random(seed)
    for _ in range(count):
        act(replica.document(Board, "board"), dice)


def sealed(replica: Replica) -> list[Entry]:
    """Return a replica's log as a server has it."""
    ledger = replica.ledger("board")
    ledger._seals.seal(ledger.replica, ledger.next_seq - 1)
    return list(ledger.entries())


def give(replica: Replica, clone: Clone, step: int = 1000) -> bool:
    """Hand a clone to a replica in parts."""
    data = encode_clone(clone)
    taken = [
        replica.ledger("board").take_part(id_of(data), at, len(data), data[at : at + step], CURSOR)
        for at in range(0, len(data), step)
    ]
    assert not any(taken[:-1])
    return taken[-1]


@pytest.fixture
def ann() -> Iterator[Replica]:
    with Replica(user="ann") as ann:
        work(ann, 60)
        yield ann


@pytest.fixture
def bob(tmp_path: Path) -> Iterator[Replica]:
    with Replica(tmp_path / "bob.db", user="bob") as bob:
        yield bob


def clone_of(replica: Replica) -> Clone:
    clone = extend_clone("board", None, sealed(replica))
    assert clone is not None
    return clone


def test_a_clone_is_gone_on_from(ann: Replica, bob: Replica, tmp_path: Path) -> None:
    work(bob, 7, seed=2)
    did = bob.ledger("board").next_seq - 1
    board = bob.document(Board, "board")
    assert give(bob, clone_of(ann))
    ledger = bob.ledger("board")
    assert ledger.cursor == CURSOR
    assert ledger.next_seq - 1 == did
    assert ledger.count == len(list(board.log)) == did
    assert ledger.resume is None
    assert ledger.users == {ann.id: "ann", bob.id: "bob"}
    assert ledger.heads[ann.id] == ann.ledger("board").heads[ann.id]
    assert bob.document(Board, "board") is board
    ann.ledger("board").receive([entry.data for entry in sealed(bob)])
    assert board.to_dict() == ann.document(Board, "board").to_dict()
    assert bob.verify() == []
    work(ann, 5, seed=3)
    ledger.receive([entry.data for entry in sealed(ann)], prove=True)  # with all that is below
    work(bob, 3, seed=4)
    assert any(d.replica == ann.id for entry in board.log for d in entry.dependencies)
    ann.ledger("board").receive([entry.data for entry in sealed(bob)])
    assert board.to_dict() == ann.document(Board, "board").to_dict()
    before, vector = board.to_dict(), board.state_vector
    bob.close()
    with Replica(tmp_path / "bob.db") as again:
        assert again.document(Board, "board").to_dict() == before
        assert again.document(Board, "board").state_vector == vector
        assert again.verify() == []


def test_a_later_clone_takes_the_place_of_an_earlier_one(ann: Replica, bob: Replica) -> None:
    early = clone_of(ann)
    work(ann, 20, seed=2)
    late = clone_of(ann)
    give(bob, early)
    give(bob, late)
    assert bob.document(Board, "board").to_dict() == ann.document(Board, "board").to_dict()
    with pytest.raises(CloneError, match="lacks entry"):
        give(bob, early)
    assert bob.document(Board, "board").to_dict() == ann.document(Board, "board").to_dict()
    assert bob.verify() == []


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_parts_are_kept_until_all_are_here(bob: Replica, tmp_path: Path, step: int) -> None:
    with Replica(user="ann") as carl:
        work(carl, 3)
        data = encode_clone(clone_of(carl))
        ends = carl.ledger("board").vector
    for at in range(0, len(data), step):
        ledger = bob.ledger("board")
        resume = ledger.resume
        assert (0 if resume is None else resume.held) == at
        if at % 5 == 0:
            bob.close()
            bob = Replica(tmp_path / "bob.db")
            ledger = bob.ledger("board")
            with pytest.raises(CloneError, match="missing"):
                ledger.take_part(id_of(data), at + 1, len(data), b"x", CURSOR)
            if at:  # a repeat is ignored
                assert not ledger.take_part(id_of(data), 0, len(data), data[:at], CURSOR)
        taken = ledger.take_part(id_of(data), at, len(data), data[at : at + step], CURSOR)
        assert taken == (at + step >= len(data))
    assert bob.ledger("board").vector == ends
    bob.close()


def test_what_is_not_what_was_announced_is_forgotten(ann: Replica, bob: Replica) -> None:
    ledger, data = bob.ledger("board"), encode_clone(clone_of(ann))
    for bad in (b"\x00" + data[1:], data[:-1] + b"\x00"):
        with pytest.raises(CloneError, match="announced"):
            ledger.take_part(id_of(data), 0, len(data), bad, CURSOR)
        assert ledger.resume is None
    assert not ledger.take_part(b"x" * 32, 0, len(data), data[:9], CURSOR)
    assert ledger.take_part(id_of(data), 0, len(data), data, CURSOR)  # in place of those


def test_a_clone_must_be_whole_and_of_this_document(ann: Replica, bob: Replica) -> None:
    work(bob, 3)
    before = bob.document(Board, "board").to_dict()
    clone = clone_of(ann)
    for bad, why in (
        (clone._replace(state=b"\x00"), "cannot be loaded"),
        (clone._replace(clocks={**clone.clocks, 9: 4}), "cannot be loaded"),
        (clone._replace(document="other"), "document 'other'"),
    ):
        with pytest.raises(CloneError, match=why):
            give(bob, bad)
        assert bob.ledger("board").resume is None
        assert bob.document(Board, "board").to_dict() == before


def test_a_clone_that_contradicts_what_is_held_is_a_fork(ann: Replica, bob: Replica) -> None:
    with ExitStack() as stack:
        other = stack.enter_context(Replica(user="ann"))
        work(other, 3)
        clone = clone_of(ann)
        base = clone.logs[ann.id]
        bob.ledger("board").receive([entry.data for entry in sealed(ann)])
        unsealed = base._replace(seq=3, hash=bytes(32), key=None, seal=None)
        with pytest.raises(ForkError):
            give(bob, clone._replace(logs={ann.id: unsealed}))
        nobody = base._replace(key=None, seal=None)
        with pytest.raises(CloneError, match="another key"):
            give(bob, clone._replace(logs={ann.id: nobody}))


def test_a_clone_cannot_hold_what_we_have_not_shown_to_anybody(
    ann: Replica, bob: Replica, tmp_path: Path
) -> None:
    work(bob, 4)
    ledger = bob.ledger("board")
    base = clone_of(ann).logs[ann.id]._replace(replica=bob.id, seq=9, key=None, seal=None)
    clone = clone_of(ann)
    with pytest.raises(ForkError) as caught:
        give(bob, clone._replace(logs={**clone.logs, bob.id: base}))
    assert (caught.value.replica, caught.value.common) == (bob.id, 0)
    assert ledger.vector == {bob.id: ledger.next_seq - 1}


def test_below_the_base_nothing_is_forked_and_above_all_is_checked(
    ann: Replica, bob: Replica
) -> None:
    entries = sealed(ann)
    give(bob, clone_of(ann))
    ledger = bob.ledger("board")
    work(ann, 5, seed=7)
    more = sealed(ann)[len(entries) :]
    assert ledger.receive([e.data for e in entries[:3]], prove=True) == Received(0, 0)
    assert ledger.receive([e.data for e in more], prove=True) == Received(len(more), 0)
    # What is below cannot be handed on, and what stands on it is not offered without it.
    assert ledger.missing({}, 2**20) == []
    assert [one.seq for one in ledger.missing({ann.id: len(entries)}, 2**20)] == [
        entry.seq for entry in more
    ]


def test_what_cannot_be_kept_changes_nothing(
    ann: Replica, bob: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    work(bob, 3)
    before = bob.document(Board, "board").to_dict()

    def fail(*_: object) -> None:
        raise SequenceGapError("as if the process died here")

    monkeypatch.setattr(bob._store.bases, "write", fail)
    with pytest.raises(SequenceGapError):
        give(bob, clone_of(ann))
    monkeypatch.undo()
    assert bob.document(Board, "board").to_dict() == before
    assert bob.ledger("board").base() is None
    assert give(bob, clone_of(ann))  # the parts were kept


def test_a_damaged_base_is_told(ann: Replica, bob: Replica, tmp_path: Path) -> None:
    give(bob, clone_of(ann))
    bob._store.file.connection.execute("UPDATE bases SET state = x'00'")
    bob.close()
    with Replica(tmp_path / "bob.db") as again, pytest.raises(StorageError, match="damaged"):
        again.document(Board, "board")


def test_without_history_only_what_the_server_holds_is_let_go(tmp_path: Path) -> None:
    with Replica(tmp_path / "ann.db", user="ann", history="trim") as ann:
        work(ann, 20)
        board, ledger = ann.document(Board, "board"), ann.ledger("board")
        board._live.take_snapshot()
        assert ledger.base() is None
        ledger.proved()
        work(ann, 1, seed=2)
        board._live.take_snapshot()
        assert ledger.base() is None
        ledger.proved()
        vector = board.state_vector
        board._live.take_snapshot()
        assert (ledger.count, list(board.log)) == (0, [])
        work(ann, 2, seed=3)
        assert ann.verify() == []
    with Replica(tmp_path / "ann.db", user="ann") as ann:
        board = ann.document(Board, "board")
        assert len(list(board.log)) > 0
        assert ann.verify() == []
        assert all(board.state_vector[r] >= seq for r, seq in vector.items())
    with pytest.raises(ValueError, match="'keep' or 'trim'"):
        Replica(history="forget")  # type: ignore[arg-type]


def test_the_past_is_seen_as_far_as_it_is_here(ann: Replica, bob: Replica) -> None:
    board = ann.document(Board, "board")
    board.name = "hers"
    board.body.insert(0, "hello ")
    give(bob, clone_of(ann))
    his = bob.document(Board, "board")
    assert his.at(datetime.datetime.now(datetime.UTC)).to_dict() == his.to_dict()
    his.name = "his"
    his.body.insert(6, "there ")
    now = datetime.datetime.now(datetime.UTC)
    assert his.at(now).to_dict() == his.to_dict()
    assert his.at((bob.id, 1)).name == "his"
    assert str(his.at((bob.id, 1)).body).startswith("hello ")
    [version] = his.history("body")
    assert (version.before[:12], version.value[:12]) == (str(board.body)[:12], "hello there ")
    for moment in (now - datetime.timedelta(days=1), (ann.id, 3), {ann.id: 3}):
        with pytest.raises(LookupError, match=r"does not reach back|is not in the log"):
            his.at(moment)
    his.undo()
    his.undo()
    assert his.to_dict() == board.to_dict()
    with pytest.raises(BundleError, match="all of its log"):
        bob.export("board", io.BytesIO())
