"""A device: its documents, its exchanges with others, and its end."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from crdtsync import Document, Replica
from crdtsync.errors import ActionError, SchemaError, StorageError
from tests.document.boards import Board, Task
from tests.replica.histories import act


class Other(Document):
    title: str = ""


# --- documents ------------------------------------------------------------------------------------


def test_documents_are_found_by_name(tmp_path: Path) -> None:
    names = ["b", "a/1", "ünï 😀", "x" * 512]
    with Replica(tmp_path / "a.db") as replica:
        for name in names:
            board = replica.document(Board, name)
            board.name = name
            assert replica.document(Board, name) is board
            assert board.document_name == name
        assert len(replica.documents()) == 4
    with Replica(tmp_path / "a.db") as replica:
        assert replica.names() == sorted(names)
        assert replica.documents() == []
        assert [replica.document(Board, name).name for name in names] == names


@pytest.mark.parametrize(("cls", "name"), [(Board, 3), (Board, None), (Task, "a"), ("a", Board)])
def test_what_is_no_class_or_name_of_a_document_is_told(cls: Any, name: Any) -> None:
    with Replica() as replica:
        with pytest.raises(TypeError, match="a document"):
            replica.document(cls, name)
        assert replica.names() == []


def test_a_user_is_a_text(tmp_path: Path) -> None:
    user: Any = 3
    with pytest.raises(TypeError, match="named by a str, not by 3"):
        Replica(tmp_path / "a.db", user=user)
    assert not (tmp_path / "a.db").exists()


def test_only_replicas_are_merged() -> None:
    other: Any = "ann.db"
    with Replica() as replica, pytest.raises(TypeError, match=r"not with 'ann\.db'"):
        replica.merge(other)


@pytest.mark.parametrize("name", ["", "x" * 513])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    replica = Replica()
    with pytest.raises(ValueError, match="1 to 512 characters"):
        replica.document(Board, name)
    assert replica.names() == []


def test_a_document_is_not_open_as_two_classes() -> None:
    replica = Replica()
    replica.document(Board, "board")
    with pytest.raises(SchemaError, match="is open as Board, not as Other"):
        replica.document(Other, "board")


def test_without_its_class_a_document_is_read_as_it_was_declared_last(tmp_path: Path) -> None:
    with Replica(tmp_path / "a.db") as replica:
        board = replica.document(Board, "board")
        board.add("Buy milk", tags=["x"])
        board.name = "one"
        before = board.to_dict()
    looking = Replica.open_read_only(tmp_path / "a.db")
    assert looking.document(Document, "board").to_dict() == before
    looking.close()


def test_documents_do_not_touch_each_other() -> None:
    replica = Replica()
    one, two = replica.document(Board, "one"), replica.document(Board, "two")
    one.name = "1"
    two.body.append("2")
    assert (one.name, str(one.body)) == ("1", "")
    assert (two.name, str(two.body)) == ("Untitled", "2")
    assert one.state_vector == two.state_vector == {replica.id: 1}


def test_durability_is_one_of_two() -> None:
    with pytest.raises(ValueError, match="'process' or 'power', not 'none'"):
        Replica(durability="none")  # type: ignore[arg-type]
    with Replica(durability="power") as replica:
        replica.document(Board, "board").name = "flushed"


# --- exchange -------------------------------------------------------------------------------------


def test_merging_exchanges_all_documents_both_ways() -> None:
    ann, bob = Replica(user="ann"), Replica(user="bob")
    ann.document(Board, "hers").name = "hers"
    bob.document(Board, "his").name = "his"
    ann.document(Board, "both").total.increment(2)
    bob.document(Board, "both").total.increment(3)
    ann.merge(bob)
    assert ann.names() == bob.names() == ["both", "hers", "his"]
    for name in ann.names():
        assert ann.ledger(name).heads == bob.ledger(name).heads
        assert ann.document(Board, name).to_dict() == bob.document(Board, name).to_dict()
    assert int(bob.document(Board, "both").total) == 5
    assert bob.document(Board, "hers").log.user_of(ann.id) == "ann"


def test_merging_again_changes_nothing() -> None:
    ann, bob = Replica(), Replica()
    ann.document(Board, "board").name = "one"
    ann.merge(bob)
    seen: list[Any] = []
    ann.document(Board, "board").observe(seen.append)
    bob.document(Board, "board").observe(seen.append)
    ann.merge(bob)
    bob.merge(ann)
    ann.merge(ann)
    assert seen == []


def test_what_is_larger_than_one_exchange_comes_whole() -> None:
    ann, bob = Replica(), Replica()
    board = ann.document(Board, "board")
    for _ in range(8):
        board.body.append("x" * 400_000)
    ann.merge(bob)
    assert len(bob.document(Board, "board").body) == 3_200_000
    assert bob.ledger("board").heads == ann.ledger("board").heads


def test_a_copied_store_is_found_out_and_mended(tmp_path: Path) -> None:
    with Replica(tmp_path / "a.db") as replica:
        replica.document(Board, "board").name = "one"
    (tmp_path / "b.db").write_bytes((tmp_path / "a.db").read_bytes())
    with Replica(tmp_path / "a.db") as one, Replica(tmp_path / "b.db") as two:
        assert one.id == two.id
        one.merge(two)
        one.document(Board, "board").name = "here"
        two.document(Board, "board").name = "there"
        two.document(Board, "board").name = "and on"
        one.merge(two)
        assert one.id != two.id
        for replica in (one, two):
            conflict = replica.document(Board, "board").candidates("name")
            assert {found.value for found in conflict} == {"here", "and on"}
            assert replica.verify() == []
        one.document(Board, "board").name = "settled"
        two.merge(one)
        assert two.document(Board, "board").name == "settled"


def test_an_exchange_during_an_action_waits_for_its_end() -> None:
    ann, bob = Replica(), Replica()
    hers, his = ann.document(Board, "board"), bob.document(Board, "board")
    hers.total.increment()
    ann.merge(bob)
    his.total.increment()
    with hers.action("long"):
        hers.name = "mine"
        ann.merge(bob)
        assert int(hers.total) == 1
    assert int(hers.total) == 2
    ann.merge(bob)
    assert hers.to_dict() == his.to_dict()
    assert ann.verify() == bob.verify() == []


# --- the end --------------------------------------------------------------------------------------


def test_after_the_end_reading_works_and_acting_does_not(tmp_path: Path) -> None:
    replica = Replica(tmp_path / "a.db")
    board = replica.document(Board, "board")
    board.name = "last"
    before = board.to_dict()
    replica.close()
    replica.close()
    assert board.to_dict() == before
    with pytest.raises(ActionError, match="is closed"):
        board.name = "later"
    with pytest.raises(StorageError):
        replica.names()
    with pytest.raises(StorageError):
        replica.document(Board, "another")
    with pytest.raises(StorageError):
        list(board.log)
    with Replica(tmp_path / "a.db") as again:
        assert again.document(Board, "board").to_dict() == before


def test_it_says_who_it_is() -> None:
    replica = Replica(user="ann")
    assert repr(replica) == f"<Replica {replica.id:x} of ann at :memory:>"


# --- any course of events -------------------------------------------------------------------------


class Devices(RuleBasedStateMachine):
    """Three devices act, exchange, are closed and opened again; nothing is lost on any of them."""

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.folder = tempfile.TemporaryDirectory(prefix="crdtsync-test")
        self.paths = [Path(self.folder.name) / f"{number}.db" for number in range(3)]
        self.replicas = [Replica(path, user=path.stem) for path in self.paths]
        self.held: list[set[tuple[int, int]]] = [set() for _ in self.paths]

    def board(self, at: int) -> Board:
        return self.replicas[at].document(Board, "board")

    @rule(at=st.integers(0, 2), count=st.integers(1, 4))
    def act(self, at: int, count: int) -> None:
        for _ in range(count):
            act(self.board(at), self.dice)

    @rule(at=st.integers(0, 2))
    def fail(self, at: int) -> None:
        board = self.board(at)
        before = board.to_dict(), board.state_vector
        with pytest.raises(ZeroDivisionError), board.action("doomed"):
            board.name = "doomed"
            board.body.append("doomed")
            raise ZeroDivisionError
        assert (board.to_dict(), board.state_vector) == before

    @rule(source=st.integers(0, 2), sink=st.integers(0, 2), size=st.sampled_from([1, 500, 10**6]))
    def deliver(self, source: int, sink: int, size: int) -> None:
        ours, theirs = self.replicas[source].ledger("board"), self.replicas[sink].ledger("board")
        ours.flush()
        theirs.receive([entry.data for entry in ours.missing(theirs.vector, size)])

    @rule(at=st.integers(0, 2), snapshot=st.booleans())
    def restart(self, at: int, snapshot: bool) -> None:
        before = self.board(at).to_dict()
        if snapshot:
            self.board(at)._live.take_snapshot()
        self.replicas[at].close()
        self.replicas[at] = Replica(self.paths[at], user=self.paths[at].stem)
        assert self.board(at).to_dict() == before

    @rule(one=st.integers(0, 2), other=st.integers(0, 2))
    def meet(self, one: int, other: int) -> None:
        self.replicas[one].merge(self.replicas[other])
        assert self.board(one).view_hash() == self.board(other).view_hash()

    @precondition(lambda self: hasattr(self, "replicas"))
    @invariant()
    def nothing_is_lost(self) -> None:
        for at, replica in enumerate(self.replicas):
            vector = replica.ledger("board").vector
            held = {(name, seq) for name, last in vector.items() for seq in range(1, last + 1)}
            assert held >= self.held[at]
            self.held[at] = held

    def teardown(self) -> None:
        if not hasattr(self, "replicas"):
            return
        for one in self.replicas:
            for other in self.replicas:
                one.merge(other)
        hashes = {self.board(at).view_hash() for at in range(3)}
        problems = [replica.verify() for replica in self.replicas]
        for replica in self.replicas:
            replica.close()
        self.folder.cleanup()
        assert len(hashes) == 1
        assert problems == [[], [], []]


TestDevices = Devices.TestCase
TestDevices.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
