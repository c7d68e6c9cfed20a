"""What users may do, over real sockets: refused as data, with a reason, and without a trace."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import TaskStatus

from crdtsync import Counter, Document, Record, Replica, Set, Table, Text, action
from crdtsync.errors import ActionError, RefusedError
from crdtsync.log import ERASED, REFUSED
from crdtsync.refusal import neutral_form
from crdtsync.server import MemoryBackend, SqliteBackend, serve
from crdtsync.server.access import ALLOWED, Decision, JudgedAction, View, refused
from crdtsync.server.authentication import Authenticator, Identity


class Task(Record):
    title: str = ""


class Board(Document):
    name: str = ""
    votes: Counter
    tags: Set[str]
    notes: Text
    tasks: Table[Task]

    @action
    def rename(self, name: str) -> str:
        self.name = name
        return name


class Policy:
    """Made of functions."""

    def __init__(
        self,
        judge: Callable[[JudgedAction, View], Decision] = lambda action, view: ALLOWED,
        *,
        readers: set[str | None] | None = None,
        writers: set[str | None] | None = None,
        uses_view: bool = False,
    ) -> None:
        self.judge = judge
        self.uses_view = uses_view
        self._readers = readers
        self._writers = writers

    def may_read(self, user: Identity, document: str) -> Decision:
        open_ = self._readers is None or user.user in self._readers
        return ALLOWED if open_ else refused("you may not read this")

    def may_write(self, user: Identity, document: str) -> Decision:
        open_ = self._writers is None or user.user in self._writers
        return ALLOWED if open_ else refused("you may only read this")


def no_shouting(action: JudgedAction, view: View) -> Decision:
    if str(action.arguments.get("name", "")).isupper():
        return refused("no shouting")
    return ALLOWED


@asynccontextmanager
async def served(
    folder: Path,
    policy: Policy,
    backend: MemoryBackend | SqliteBackend | None = None,
    authenticator: Authenticator | None = None,
) -> AsyncIterator[str]:
    async with anyio.create_task_group() as tasks:

        async def run(*, task_status: TaskStatus[list[str]]) -> None:
            await serve(
                backend or MemoryBackend(),
                [f"unix://{folder}/s"],
                policy=policy,
                authenticator=authenticator,
                task_status=task_status,
            )

        (url,) = await tasks.start(run)
        with anyio.fail_after(60):
            yield url
        tasks.cancel_scope.cancel()


async def sync(url: str, *replicas: Replica) -> None:
    """Let all hold what all have done."""
    for _ in range(2):
        for replica in replicas:
            async with replica.connect(url) as connection:
                await connection.synced()


async def test_a_refused_action_has_no_effect_anywhere_and_its_author_is_told(
    tmp_path: Path,
) -> None:
    async with served(tmp_path, Policy(no_shouting)) as url:
        with Replica(tmp_path / "a.db", user="ann") as ann, Replica(user="bob") as bob:
            hers, his = ann.document(Board, "b"), bob.document(Board, "b")
            hers.rename("calm")
            hers.rename("LOUD")
            hers.votes.increment(2)
            hers.tags.add("kept")
            assert hers.name == "LOUD"
            await sync(url, ann, bob)
            for board in hers, his:
                assert board.name == "calm"
                assert int(board.votes) == 2
                assert set(board.tags) == {"kept"}
                assert board.conflicts() == []
            (refusal,) = hers.refusals()
            assert (refusal.name, refusal.reason) == ("rename", "no shouting")
            assert refusal.arguments == {"name": "LOUD"}
            assert his.refusals() == []
            assert [entry.refusal for entry in his.log] == [None, "no shouting", None, None]
            assert "LOUD" not in str([entry.data for entry in his.log])
            hers.rename("later")
            await sync(url, ann, bob)
            assert hers.name == his.name == "later"
        with Replica(tmp_path / "a.db", user="ann") as ann:
            hers = ann.document(Board, "b")
            assert hers.name == "later"
            assert [refusal.reason for refusal in hers.refusals()] == ["no shouting"]
            assert ann.verify() == []


async def test_a_refused_action_can_be_tried_again(tmp_path: Path) -> None:
    strict = True

    def judge(action: JudgedAction, view: View) -> Decision:
        return no_shouting(action, view) if strict else ALLOWED

    async with served(tmp_path, Policy(judge)) as url:
        with Replica(user="ann") as ann, Replica(user="bob") as bob:
            hers, his = ann.document(Board, "b"), bob.document(Board, "b")
            hers.rename("LOUD")
            with hers.action("by hand", name="LOUDER"):
                hers.name = "LOUDER"
            await sync(url, ann)
            assert hers.name == ""
            strict = False
            rename, by_hand = hers.refusals()
            assert hers.retry(rename) == "LOUD"
            with pytest.raises(ActionError, match="'by hand' is no method of Board"):
                hers.retry(by_hand)
            hers.forget(by_hand)
            assert hers.refusals() == []
            await sync(url, ann, bob)
            assert hers.name == his.name == "LOUD"


async def test_a_reader_s_writes_are_refused_and_it_reads_on(tmp_path: Path) -> None:
    async with served(tmp_path, Policy(writers={"ann"})) as url:
        with Replica(user="ann") as ann, Replica(user="bob") as bob:
            hers, his = ann.document(Board, "b"), bob.document(Board, "b")
            hers.notes.append("hello")
            await sync(url, ann, bob)
            his.notes.append(" world")
            his.tasks.add(title="mine")
            async with bob.connect(url) as connection:
                await connection.synced()
                assert connection.state == "online"
                assert str(his.notes) == "hello"
                assert len(his.tasks) == 0
                hers.name = "new"
                await sync(url, ann)
                await connection.synced()
            assert his.to_dict() == hers.to_dict()
            assert [refusal.reason for refusal in his.refusals()] == ["you may only read this"] * 2


async def test_a_document_that_may_not_be_read_fails_by_itself(tmp_path: Path) -> None:
    class Half(Policy):
        def may_read(self, user: Identity, document: str) -> Decision:
            return ALLOWED if document == "open" else refused("not yours")

    async with served(tmp_path, Half()) as url:
        with Replica(user="ann") as ann, Replica(user="bob") as bob:
            ann.document(Board, "open").name = "x"
            ann.document(Board, "secret").name = "y"
            async with ann.connect(url) as connection:
                with pytest.raises(RefusedError, match="not yours") as refusal:
                    await connection.synced()
                assert refusal.value.code == "forbidden"
                assert connection.state == "online"
            async with ann.connect(url, documents=["open"]) as connection:
                await connection.synced()
            his = bob.document(Board, "open")
            async with bob.connect(url, documents=["open"]) as connection:
                await connection.synced()
            assert his.name == "x"


async def test_a_policy_that_fails_refuses(tmp_path: Path) -> None:
    def fault(action: JudgedAction, view: View) -> Decision:
        raise RuntimeError("a bug")

    async with served(tmp_path, Policy(fault)) as url:
        with Replica(user="ann") as ann:
            hers = ann.document(Board, "b")
            hers.name = "x"
            await sync(url, ann)
            assert hers.name == ""
            assert hers.refusals()[0].reason == "the server's access policy failed"


async def test_a_policy_may_look_at_the_document(tmp_path: Path) -> None:
    def locked(action: JudgedAction, view: View) -> Decision:
        fields: Mapping[str, Any] = view()
        return refused("it is locked") if fields.get("name") == "locked" else ALLOWED

    async with served(tmp_path, Policy(locked, uses_view=True)) as url:
        with Replica(user="ann") as ann, Replica(user="bob") as bob:
            hers, his = ann.document(Board, "b"), bob.document(Board, "b")
            his.votes.increment()
            hers.name = "locked"
            await sync(url, bob, ann)
            his.votes.increment()
            hers.tags.add("x")
            await sync(url, ann, bob)
            assert int(his.votes) == 1
            assert not hers.tags
            assert hers.to_dict() == his.to_dict()


async def test_who_had_it_from_elsewhere_hears_of_the_refusal_as_well(tmp_path: Path) -> None:
    """Two devices meet before either meets the server."""
    async with served(tmp_path, Policy(no_shouting)) as url, AsyncExitStack() as stack:
        ann = stack.enter_context(Replica(tmp_path / "a.db", user="ann"))
        bob = stack.enter_context(Replica(tmp_path / "b.db", user="bob"))
        hers, his = ann.document(Board, "b"), bob.document(Board, "b")
        hers.rename("LOUD")
        ann.merge(bob)
        assert his.name == "LOUD"
        his.votes.increment()
        heard: list[Any] = []
        his.observe(heard.append)
        await sync(url, ann, bob)
        for board in hers, his:
            assert board.name == ""
            assert int(board.votes) == 1
        assert any(e.refusal for change in heard for e in change.entries)
        assert his.refusals() == []
        assert len(hers.refusals()) == 1
        assert ann.verify() == bob.verify() == []


async def test_what_comes_marked_is_no_way_round_a_policy(tmp_path: Path) -> None:
    """A client pushes an entry as if it had been refused, or erased, with its effect in it."""
    async with served(tmp_path, Policy(no_shouting)) as url:
        for mark in REFUSED, ERASED:
            with Replica(user="mallory") as mallory, Replica(user="bob") as bob:
                hers, his = mallory.document(Board, mark), bob.document(Board, mark)
                hers.rename("LOUD")
                (entry,) = hers.log
                forged = neutral_form(entry, entry.update, mark, "no")
                ledger = mallory.ledger(mark)
                ledger._store.logs.replace(ledger._stored.logs[mallory.id], forged)
                async with mallory.connect(url) as connection:
                    with pytest.raises(RefusedError, match="still writes something"):
                        await connection.synced()
                await sync(url, bob)
                assert list(his.log) == []


async def test_it_stays_refused_when_everything_is_read_back_from_disk(tmp_path: Path) -> None:
    for round_ in (1, 2):
        async with (
            SqliteBackend(tmp_path / "server.db") as backend,
            served(tmp_path, Policy(no_shouting), backend) as url,
        ):
            with Replica(tmp_path / "a.db", user="ann") as ann, Replica(user="new") as new:
                hers, seen = ann.document(Board, "b"), new.document(Board, "b")
                hers.rename("LOUD")
                hers.votes.increment()
                await sync(url, ann, new)
                assert hers.name == seen.name == ""
                assert int(hers.votes) == int(seen.votes) == round_


class Tokens:
    """Lets in whoever shows their own name, and believes nobody."""

    requires_loopback = False

    async def authenticate(self, token: str | None, *, user: str | None) -> Identity:
        return Identity(token)


async def test_a_copy_is_another_device_of_the_same_user(tmp_path: Path) -> None:
    """What it writes anew is judged as its user's, and sealed with the new key."""
    first, second = tmp_path / "a.db", tmp_path / "b.db"

    def only_ann(action: JudgedAction, view: View) -> Decision:
        return ALLOWED if action.user == "ann" else refused("only ann may")

    async with AsyncExitStack() as stack:
        backend = await stack.enter_async_context(SqliteBackend(tmp_path / "server.db"))
        url = await stack.enter_async_context(served(tmp_path, Policy(only_ann), backend, Tokens()))
        with Replica(first, user="ann") as ann:
            ann.document(Board, "b").votes.increment(100)
            ann.document(Board, "other").votes.increment(100)
            async with ann.connect(url, token="ann") as connection:
                await connection.synced()
        shutil.copy(first, second)
        ann = stack.enter_context(Replica(first, user="ann"))
        copy = stack.enter_context(Replica(second, user="ann"))
        ann.document(Board, "b").votes.increment(10)
        copy.document(Board, "b").votes.increment(1)
        copy.document(Board, "other").votes.increment(1)
        for replica in (ann, copy, ann):
            async with replica.connect(url, token="ann") as connection:
                await connection.synced()
        devices = {device.replica: device for device in await backend.devices()}
        assert copy.id != ann.id
        assert devices.keys() == {ann.id, copy.id}
        assert {device.user for device in devices.values()} == {"ann"}
        assert devices[ann.id].key != devices[copy.id].key
        for replica in (ann, copy):
            assert int(replica.document(Board, "b").votes) == 111
            assert int(replica.document(Board, "other").votes) == 101
            assert replica.document(Board, "b").refusals() == []
            assert replica.verify() == []
