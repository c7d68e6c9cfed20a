"""Logs that were continued in two places: what both copies of a store did counts, and once."""

from __future__ import annotations

import datetime
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crdtsync import Counter, Document, List, Record, Replica, RichText, Set, Table, Text, field
from crdtsync.document import Change
from crdtsync.document.erasure import erase
from crdtsync.errors import ActionError, ForkError
from crdtsync.log import Cursor, hash_of, with_clamp
from crdtsync.strategies import KeepAll, RemoveWins
from crdtsync.testing import actions
from crdtsync.testing.edit import Edit, Row

NAME = "board"
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # files in memory: much is flushed
NAMES = {"Decimal": Decimal, "UUID": UUID, "datetime": datetime, "inf": float("inf")}


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "crdtsync.replica")


class Step(Record):
    label: str = ""
    done: Counter


class Task(Record):
    title: str = ""
    votes: Counter
    tags: Set[str]
    notes: Text
    steps: Table[Step]


class Board(Document):
    name: str = field(default="", strategy=KeepAll())
    data: object = None
    total: Counter
    members: Set[int]
    gone: Set[int] = field(presence=RemoveWins())
    body: Text
    items: List[object]
    page: RichText
    tasks: Table[Task]
    lost: Table[Task] = field(presence=RemoveWins())


EDITS = st.lists(actions(Board), max_size=8)


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        yield Path(name)


def opened(stack: ExitStack, path: Path, user: str = "ann") -> Replica:
    return stack.enter_context(Replica(path, user=user))


def board_of(replica: Replica) -> Board:
    return replica.document(Board, NAME)


def carry_out(replica: Replica, edits: Sequence[Any]) -> None:
    document = board_of(replica)
    for edit in edits:
        exec(edit.line(document), NAMES | {"document": document})


def settle(replica: Replica) -> None:
    """Let all that a replica did be acknowledged: it can use the keys of its slots again."""
    ledger = replica.ledger(NAME)
    ledger.acknowledge(ledger.ours)


def sound(replica: Replica) -> dict[str, Any]:
    assert replica.verify() == []
    board = board_of(replica)
    assert not board._live.without_effect
    with Replica() as fresh:
        replayed = fresh.document(Board, NAME)
        found = replica.ledger(NAME).missing({}, sys.maxsize)
        fresh.ledger(NAME).receive([entry.data for entry in found], prove=True)
        assert replayed.to_dict() == board.to_dict()
    return board.to_dict()


# --- one copy ------------------------------------------------------------------------------------


TOGGLE = Edit((), "tasks", "table", "toggle", ("a", {}))
NOTE = Edit((Row("tasks", "a", {}),), "notes", "text", "replace", (0, 0, "a"))


@example([("ann", [TOGGLE, NOTE])], [TOGGLE, TOGGLE])  # one entry writes one slot twice
@given(st.lists(st.tuples(st.sampled_from(["ann", "bob", "settle"]), EDITS), max_size=6), EDITS)
def test_what_is_written_anew_shows_what_it_showed(
    history: list[tuple[str, list[Any]]], edits: list[Any]
) -> None:
    with ExitStack() as stack:
        ann = stack.enter_context(Replica(user="ann"))
        bob = stack.enter_context(Replica(user="bob"))
        for who, done in history:
            carry_out(bob if who == "bob" else ann, done)
            if who == "settle":
                ann.merge(bob)
                settle(ann)
        old, common = ann.id, ann.ledger(NAME).next_seq - 1
        carry_out(ann, edits)
        shown = board_of(ann).to_dict()
        conflicts = [
            (one.path, one.chosen, [c.value for c in one.candidates])
            for one in board_of(ann).conflicts()
        ]
        done = [(e.name, e.arguments, e.time, e.schema_version) for e in board_of(ann).log]
        ann.mend(NAME, old, common)
        assert sound(ann) == shown
        assert [
            (one.path, one.chosen, [c.value for c in one.candidates])
            for one in board_of(ann).conflicts()
        ] == conflicts
        assert sorted(map(repr, done)) == sorted(
            repr((e.name, e.arguments, e.time, e.schema_version)) for e in board_of(ann).log
        )
        assert ann.ledger(NAME).heads.get(old, (0,))[0] == common
        ann.merge(bob)
        carry_out(ann, edits)
        ann.merge(bob)
        assert sound(bob) == sound(ann)


# --- two copies ----------------------------------------------------------------------------------


@given(
    EDITS,
    st.booleans(),
    EDITS,
    EDITS,
    EDITS,
    st.lists(st.integers(0, 2), max_size=6),
    EDITS,
)
def test_copies_that_both_went_on_converge(
    before: list[Any],
    settled: bool,
    first: list[Any],
    second: list[Any],
    third: list[Any],
    order: list[int],
    after: list[Any],
) -> None:
    with folder() as path, ExitStack() as stack:
        with Replica(path / "0.db", user="ann") as ann:
            carry_out(ann, before)
            if settled:
                settle(ann)
        shutil.copy(path / "0.db", path / "1.db")
        group = [opened(stack, path / "0.db"), opened(stack, path / "1.db")]
        group.append(opened(stack, path / "2.db", "bob"))
        hub = stack.enter_context(Replica())
        for replica, edits in zip(group, (first, second, third), strict=True):
            carry_out(replica, edits)
        for who in order:
            group[who].merge(hub)
        for replica in group:
            carry_out(replica, after)
        for replica in group * 2:
            replica.merge(hub)
        shown = [sound(replica) for replica in (*group, hub)]
        assert all(one == shown[0] for one in shown[1:])


def two_copies(stack: ExitStack, path: Path, *names: str) -> tuple[Replica, Replica]:
    """Return two copies of a store in which one action was done in each of some documents."""
    with Replica(path / "0.db", user="ann") as ann:
        for name in names:
            ann.document(Tally, name).total.increment(100)
    shutil.copy(path / "0.db", path / "1.db")
    return opened(stack, path / "0.db"), opened(stack, path / "1.db")


def test_work_on_top_of_a_former_log_is_written_anew_as_well(tmp_path: Path) -> None:
    with ExitStack() as stack:
        one, two = two_copies(stack, tmp_path, "a", "b")
        peer = stack.enter_context(Replica())
        for name in ("a", "b"):
            one.document(Tally, name).total.increment(10)
            two.document(Tally, name).total.increment(1)
        one.merge(peer)
        old = two.id
        two.mend("a", old, 1)
        first = two.id
        two.document(Tally, "b").total.increment(2)  # builds on what the log of b is to lose
        two.document(Tally, "a").total.increment(2)
        two.merge(peer)
        assert len({old, first, two.id}) == 3
        assert two.ledger("b").vector == {old: 2, two.id: 2}
        assert two.ledger("a").vector == {old: 2, first: 2}
        one.merge(peer)
        for replica in (one, two, peer):
            assert replica.verify() == []
            assert [int(replica.document(Tally, name).total) for name in "ab"] == [113, 113]


def test_what_came_after_our_last_entry_is_still_news_to_the_next(tmp_path: Path) -> None:
    with ExitStack() as stack:
        one, two = two_copies(stack, tmp_path, "a")
        one.document(Tally, "a").total.increment(10)
        peer = stack.enter_context(Replica())
        for number in range(2):
            two.document(Tally, "a").total.increment(1)
            peer.document(Tally, "a").marks.add(f"{number}")
            found = peer.ledger("a").missing({peer.id: number}, 10**6)
            two.ledger("a").receive([one.data for one in found if one.replica == peer.id])
        old, ledger = two.id, two.ledger("a")
        two.mend("a", old, 1)
        two.document(Tally, "a").total.increment(1)
        seen = [{d.replica: d.seq for d in e.dependencies} for e in ledger.entries() if e.seq]
        assert seen[-3:] == [{old: 1}, {peer.id: 1}, {peer.id: 2}]
    with Replica(tmp_path / "1.db") as two:
        assert two.verify() == []


def test_documents_that_did_not_fork_go_on_under_the_new_id(tmp_path: Path) -> None:
    with ExitStack() as stack:
        one, two = two_copies(stack, tmp_path, "a", "b")
        peer = stack.enter_context(Replica())
        one.document(Tally, "a").total.increment(10)
        one.merge(peer)
        tally, told = two.document(Tally, "b"), list[Change]()
        tally.observe(told.append)
        tally.total.increment(1)
        old, ledger = two.id, two.ledger("b")
        two.rotate()
        assert (ledger.ours, ledger.unacknowledged) == ({old: 2, two.id: 0}, 2)
        tally.total.increment(2)
        assert int(tally.total) == 103
        last = list(ledger.entries())[-1]
        assert [one.replica for one in last.dependencies] == [old]
        assert last.user == "ann"
        assert last.extra["key"] != next(iter(ledger.entries())).extra["key"]
        ledger.acknowledge({old: 1})
        assert ledger.ours == {old: 2, two.id: 1}
        ledger.refuse(old, 2, "no")
        assert int(tally.total) == 102
        [refusal] = tally.refusals()
        assert refusal.entry.replica == old
        tally.forget(refusal)
        assert tally.refusals() == []
        ledger.acknowledge({old: 9, two.id: 9})
        assert ledger.unacknowledged == 2  # the server may have a copy's entries
        ledger.acknowledge({old: 2, two.id: 1})
        assert (ledger.ours, ledger.unacknowledged) == ({two.id: 1}, 0)
        two.merge(peer)
        assert peer.verify() == two.verify() == []
        assert int(peer.document(Tally, "b").total) == 102
        assert [change.origin for change in told] == ["local", "local", "remote"]
    with Replica(tmp_path / "1.db", user="ann") as two:
        assert two.owns(old)
        assert two.ledger("b").ours == {two.id: 1}


def test_a_branch_that_was_not_written_here_is_not_written_anew(tmp_path: Path) -> None:
    with ExitStack() as stack:
        one, two = two_copies(stack, tmp_path, "a")
        one.document(Tally, "a").total.increment(10)
        two.document(Tally, "a").total.increment(1)
        old, peer = two.id, stack.enter_context(Replica())
        two.merge(peer)  # which knows another branch from now on
        two.merge(one)
        assert two.ledger("a").vector == {old: 2, two.id: 1}
        with pytest.raises(ForkError, match="not written here"):
            two.mend("a", old, 1)
        with pytest.raises(ForkError, match="continued in two places"):
            two.merge(peer)
        assert int(two.document(Tally, "a").total) == 111


def test_an_open_action_is_not_overtaken(tmp_path: Path) -> None:
    with ExitStack() as stack:
        one, two = two_copies(stack, tmp_path, "a", "b")
        one.document(Tally, "a").total.increment(10)
        tally = two.document(Tally, "a")
        tally.total.increment(1)
        old = two.id
        for name in ("a", "b"):
            with two.document(Tally, name).action("open"):
                two.document(Tally, name).total.increment(1)
                with pytest.raises(ActionError, match="action 'open' is open on document"):
                    two.merge(one)
                with pytest.raises(ActionError):
                    two.rotate()
        assert two.id == old
        two.merge(one)
        assert int(tally.total) == 112


def test_nothing_is_deleted(tmp_path: Path) -> None:
    with ExitStack() as stack:
        one, two = two_copies(stack, tmp_path, "a")
        one.document(Tally, "a").total.increment(10)
        for _ in range(3):
            two.document(Tally, "a").total.increment(1)
        before = [entry.hash for entry in two.ledger("a").entries()]
        log = two.ledger("a")._stored.logs[two.id]
        two.merge(one)
        kept = two._store.logs.superseded(log)
        assert [hash_of(data) for data in kept] == before[1:]


def test_what_is_erased_is_not_kept_under_the_id_it_had_before(tmp_path: Path) -> None:
    with ExitStack() as stack:
        one, two = two_copies(stack, tmp_path, "a")
        tally = two.document(Tally, "a")
        for text in ("secret", "plain"):
            one.document(Tally, "a").total.increment(1)
            tally.text.append(text)
        ledger = two.ledger("a")
        log, table = ledger._stored.logs[two.id], two._store.logs
        two.merge(one)
        secret = next(entry for entry in ledger.entries() if b"secret" in entry.update)
        assert secret.replica == two.id
        assert [b"secret" in data for data in table.superseded(log)] == [True, False]
        ledger.receive([erase(secret, "by order", ledger.heads).data], Cursor(bytes(16), 1))
        assert [b"secret" in data for data in table.superseded(log)] == [False]
        assert str(tally.text) == "plain"


def test_what_is_erased_is_not_kept_under_any_of_several_ids(tmp_path: Path) -> None:
    with ExitStack() as stack:
        one, two = two_copies(stack, tmp_path, "a")
        one.document(Tally, "a").total.increment(1)
        two.document(Tally, "a").text.append("secret")
        ledger, table = two.ledger("a"), two._store.logs
        first = ledger._stored.logs[two.id]
        two.merge(one)
        second = ledger._stored.logs[two.id]
        third = table.add_log(ledger.number, two.id + 1)
        table.supersede(second, 1, (third, 1))
        assert len(table.superseded(first)) == len(table.superseded(second)) == 1
        table.forget_erased(third, 1)
        assert table.superseded(first) == table.superseded(second) == []


def test_a_clamp_goes_with_what_is_written_anew(tmp_path: Path) -> None:
    """The entry that stands there now counts as of another time."""
    with ExitStack() as stack:
        one, two = two_copies(stack, tmp_path, "a")
        one.document(Tally, "a").total.increment(1)
        tally = two.document(Tally, "a")
        tally.total.increment(1)
        ledger = two.ledger("a")
        mine = list(ledger.entries())[-1]
        ledger.receive([with_clamp(mine, mine.time - 1).data], Cursor(bytes(16), 1))
        assert list(ledger.clamps) == [(mine.replica, mine.seq)]
        two.merge(one)
        assert not ledger.clamps
        two.close()
        two = opened(stack, tmp_path / "1.db")
        assert not two.ledger("a").clamps


class Tally(Document):
    total: Counter
    marks: Set[str]
    text: Text
    items: List[str]
    tasks: Table[Task]


@given(st.data())
def test_everything_is_there_exactly_once(data: st.DataObject) -> None:
    """The oracle knows of each action what it added, and nothing of replicas."""
    done: list[tuple[str, int]] = []

    def act(replica: Replica) -> None:
        tally = replica.document(Tally, "tally")
        for _ in range(data.draw(st.integers(0, 4))):
            mark, count = f"<{len(done)}>", data.draw(st.integers(1, 5))
            with tally.action("act", mark=mark):
                tally.total.increment(count)
                tally.marks.add(mark)
                tally.text.insert(data.draw(st.sampled_from([0, len(tally.text)])), mark)
                tally.items.append(mark)
                task = tally.tasks.get("t") or tally.tasks.add(key="t")
                task.votes.increment(count)
                task.notes.append(mark)
            done.append((mark, count))
        if data.draw(st.booleans()):
            ledger = replica.ledger("tally")
            ledger.acknowledge(ledger.ours)

    with folder() as path, ExitStack() as stack:
        with Replica(path / "0.db", user="ann") as ann:
            act(ann)
            act(ann)
        copies = data.draw(st.integers(1, 3))
        for copy in range(1, copies + 1):
            shutil.copy(path / "0.db", path / f"{copy}.db")
        group = [opened(stack, path / f"{number}.db") for number in range(copies + 1)]
        hub = stack.enter_context(Replica())
        for _ in range(data.draw(st.integers(1, 8))):
            replica = data.draw(st.sampled_from(group))
            act(replica)
            if data.draw(st.booleans()):
                replica.merge(hub)
        for replica in group * 2:
            replica.merge(hub)
        for replica in (*group, hub):
            assert replica.verify() == []
            tally = replica.document(Tally, "tally")
            expected = sorted(mark for mark, _ in done)
            assert int(tally.total) == sum(count for _, count in done)
            assert sorted(tally.marks) == expected
            assert sorted(tally.items) == expected
            assert sorted(str(tally.text).replace("><", "> <").split()) == expected
            if done:
                assert int(tally.tasks["t"].votes) == sum(count for _, count in done)
                notes = str(tally.tasks["t"].notes)
                assert sorted(notes.replace("><", "> <").split()) == expected
        texts = {str(replica.document(Tally, "tally").text) for replica in (*group, hub)}
        assert len(texts) == 1


def test_undo_reaches_back_to_former_ids_and_leaves_what_the_copy_did(tmp_path: Path) -> None:
    with ExitStack() as stack:
        with Replica(tmp_path / "0.db", user="ann") as ann:
            ann.document(Board, NAME).total.increment(100)
        shutil.copy(tmp_path / "0.db", tmp_path / "1.db")
        one, two = (opened(stack, tmp_path / name) for name in ("0.db", "1.db"))
        peer = stack.enter_context(Replica())
        board_of(one).total.increment(10)
        board_of(two).total.increment(1)
        moment = board_of(two).state_vector
        assert board_of(two).at(moment).total == 101
        one.merge(peer)
        two.merge(peer)
        settle(two)
        board = board_of(two)
        assert board.total == 111
        assert board.at((one.id, 2)).total == 110
        assert board.at((two.id, 1)).total == 101
        while board.undo() is not None:
            pass
        assert board.total == 10
        while board.redo() is not None:
            pass
        assert board.total == 111
        two.merge(peer)
        assert sound(two) == sound(peer)
