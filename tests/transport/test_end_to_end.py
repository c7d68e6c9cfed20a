"""Real replicas, the real server, real connections: everyone ends up with the same."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import TaskGroup, TaskStatus

from crdtsync.errors import TransportError
from crdtsync.replica import Replica
from crdtsync.server import Hub, ServerLimits, SqliteBackend, serve
from crdtsync.sync import WireLimits
from crdtsync.transport import (
    Backoff,
    Connection,
    Connector,
    FrameStream,
    connect,
    connect_stream,
    memory_pair,
)
from tests.document.boards import Board
from tests.replica.histories import act

DOCUMENT = "board"
LIMITS = ServerLimits(retry_after_ms=10)


class Home:
    """A server that can be started and stopped, and keeps its file and its address.

    Args:
        transport: how clients reach it.
        folder: where its files are.
    """

    def __init__(self, transport: str, folder: Path) -> None:
        self.data = folder / "server.db"
        self._memory = transport == "memory"
        self._url = "tcp://127.0.0.1:0" if transport == "tcp" else f"unix://{folder}/socket"
        self._inside: tuple[Hub, TaskGroup] | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with SqliteBackend(self.data) as backend, anyio.create_task_group() as tasks:
            if self._memory:
                self._inside = await tasks.start(self._run_hub, backend), tasks
            else:
                [self._url] = await tasks.start(partial(serve, backend, [self._url], limits=LIMITS))
            try:
                yield
            finally:
                self._inside = None
                tasks.cancel_scope.cancel()

    async def _run_hub(
        self, backend: SqliteBackend, *, task_status: TaskStatus[Hub] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        async with Hub(backend, LIMITS) as hub:
            task_status.started(hub)
            await anyio.sleep_forever()

    async def connector(self) -> FrameStream:
        """Connect to the server, if it runs."""
        if not self._memory:
            return await connect_stream(self._url)
        if self._inside is None:
            raise TransportError("the server does not run")
        hub, tasks = self._inside
        ours, theirs = memory_pair()
        tasks.start_soon(hub.serve, theirs)
        return ours

    def connect(self, replica: Replica) -> AbstractAsyncContextManager[Connection]:
        """Connect a replica that does not wait long between tries."""
        return connect(replica, self.connector, backoff=Backoff(0.02, 0.05))


@pytest.fixture(params=["memory", "tcp", "unix"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    return Home(request.param, tmp_path)


async def all_synced(*connections: Connection) -> None:
    """Bring what each has done to all the others."""
    with anyio.fail_after(60):
        for _ in range(2):
            async with anyio.create_task_group() as tasks:
                for connection in connections:
                    tasks.start_soon(connection.synced)


def assert_same(*replicas: Replica, document: str = DOCUMENT) -> None:
    first, *others = (replica.document(Board, document) for replica in replicas)
    for other in others:
        assert other.to_dict() == first.to_dict()
        assert other.state_vector == first.state_vector


async def test_two_replicas_converge(home: Home) -> None:
    dice = random.Random(1)
    async with home.running():
        with Replica(user="ann") as ann, Replica(user="bob") as bob:
            boards = [replica.document(Board, DOCUMENT) for replica in (ann, bob)]
            async with home.connect(ann) as one, home.connect(bob) as other:
                for _ in range(4):
                    for _ in range(10):
                        act(dice.choice(boards), dice)
                        await anyio.lowlevel.checkpoint()
                    await all_synced(one, other)
                    assert_same(ann, bob)
                status = one.status
                assert (status.unsent, status.unacknowledged, status.behind) == (0, 0, 0)
                assert status.last_proof is not None


async def test_work_off_line_is_carried_over(home: Home) -> None:
    with Replica(user="ann") as ann, Replica(user="bob") as bob:
        async with home.connect(ann) as one, home.connect(bob) as other:
            for replica in (ann, bob):
                dice = random.Random(replica.id)
                for _ in range(30):
                    act(replica.document(Board, DOCUMENT), dice)
            assert one.status.unacknowledged == ann.ledger(DOCUMENT).next_seq - 1 > 0
            async with home.running():
                await all_synced(one, other)
                assert_same(ann, bob)
                assert one.status.unacknowledged == 0


async def test_a_server_that_is_started_again_finds_everyone_where_they_were(
    home: Home, tmp_path: Path
) -> None:
    dice = random.Random(2)
    with Replica(tmp_path / "ann.db", user="ann") as ann, Replica(user="bob") as bob:
        boards = [replica.document(Board, DOCUMENT) for replica in (ann, bob)]
        async with home.connect(ann) as one, home.connect(bob) as other:
            for _ in range(3):
                for _ in range(5):
                    act(dice.choice(boards), dice)
                async with home.running():
                    for _ in range(5):
                        act(dice.choice(boards), dice)
                    await all_synced(one, other)
                    assert_same(ann, bob)
        known = ann.ledger(DOCUMENT).cursor
    with Replica(tmp_path / "ann.db", user="ann") as ann:
        assert ann.ledger(DOCUMENT).cursor == known
        async with home.running(), home.connect(ann) as one:
            await all_synced(one)


async def test_a_server_that_lost_everything_gets_it_back_from_anyone(home: Home) -> None:
    with Replica(user="ann") as ann, Replica(user="bob") as bob, Replica(user="carl") as carl:
        for replica in (ann, bob):
            replica.document(Board, DOCUMENT).add(f"{replica.user}'s task")
        async with home.connect(ann) as one:
            async with home.running(), home.connect(bob) as other:
                await all_synced(one, other)
            home.data.unlink()  # and with it its epoch
            async with home.running(), home.connect(carl) as third:
                await all_synced(one, third)
                carl.document(Board, DOCUMENT)
                await all_synced(third)
                assert_same(ann, bob, carl)


async def test_repeats_are_harmless(home: Home) -> None:
    dice = random.Random(3)
    async with home.running():
        with Replica(user="ann") as ann, Replica(user="bob") as bob:
            for replica in (ann, bob):
                for _ in range(20):
                    act(replica.document(Board, DOCUMENT), dice)
            # Both hold all of it, and neither knows that the other and the server do.
            ann.merge(bob)
            async with home.connect(ann) as one, home.connect(bob) as other:
                await all_synced(one, other)
                assert_same(ann, bob)
            assert len(ann.verify()) == 0


async def test_large_entries_travel_in_pieces(home: Home) -> None:
    async with home.running():
        with Replica(user="ann") as ann, Replica(user="bob") as bob:
            text = "añ😀" * 40_000
            ann.document(Board, DOCUMENT).body.append(text)
            bob.document(Board, DOCUMENT)
            async with home.connect(ann) as one, home.connect(bob) as other:
                await all_synced(one)
                await all_synced(other)
                assert str(bob.document(Board, DOCUMENT).body) == text


async def test_many_entries_and_little_credit(home: Home) -> None:
    async with home.running():
        with Replica(user="ann") as ann, Replica(user="bob") as bob:
            board = ann.document(Board, DOCUMENT)
            for number in range(1500):
                board.name = f"{number}"
            bob.document(Board, DOCUMENT)
            small = connect(bob, home.connector, limits=WireLimits(credit_bytes=1000))
            async with home.connect(ann) as one, small as other:
                await all_synced(one)
                await all_synced(other)
                assert_same(ann, bob)


async def test_documents_are_synchronized_side_by_side_and_only_those_wanted(home: Home) -> None:
    async with home.running():
        with Replica(user="ann") as ann, Replica(user="bob") as bob:
            for number in range(30):
                ann.document(Board, f"board {number}").name = f"{number}"
            ann.document(Board, "private").name = "mine"
            wanted = [f"board {number}" for number in range(30)]
            async with (
                connect(ann, home.connector, documents=wanted) as one,
                connect(bob, home.connector, documents=[*wanted, "private"]) as other,
            ):
                await all_synced(one)
                await all_synced(other)
                for name in wanted:
                    assert_same(ann, bob, document=name)
                assert bob.ledger("private").vector == {}


async def test_changes_arrive_while_the_other_waits(home: Home) -> None:
    async with home.running():
        with Replica(user="ann") as ann, Replica(user="bob") as bob:
            ours, theirs = (replica.document(Board, DOCUMENT) for replica in (ann, bob))
            came = anyio.Event()
            theirs.observe(lambda change: came.set())
            async with home.connect(ann) as one, home.connect(bob) as other:
                await all_synced(one, other)
                ours.name = "hello"
                with anyio.fail_after(30):
                    await came.wait()
                assert theirs.name == "hello"


async def test_what_listens_there_may_be_no_server_at_all() -> None:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    dice, calls, enough = random.Random(4), 0, anyio.Event()

    async def babble(stream: anyio.abc.SocketStream) -> None:
        nonlocal calls
        calls += 1
        if calls == 5:
            enough.set()
        async with stream:
            try:
                await stream.send(dice.randbytes(dice.randrange(1, 5000)))
                await stream.receive()
            except (anyio.BrokenResourceError, anyio.EndOfStream):
                return

    with Replica(user="ann") as ann:
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, babble)
            url = f"tcp://127.0.0.1:{port}"
            connector: Connector = partial(connect_stream, url)
            async with connect(ann, connector, backoff=Backoff(0.01, 0.01)) as connection:
                with anyio.fail_after(30):
                    await enough.wait()
                ann.document(Board, DOCUMENT).name = "works all the same"
                assert connection.state in {"connecting", "waiting"}
                assert connection.status.unacknowledged == 1
            tasks.cancel_scope.cancel()


async def test_the_replicas_own_door(tmp_path: Path) -> None:
    async with SqliteBackend(tmp_path / "server.db") as backend, anyio.create_task_group() as tasks:
        [url] = await tasks.start(partial(serve, backend, ["tcp://127.0.0.1:0"]))
        with Replica(user="ann") as ann:
            ann.document(Board, DOCUMENT).name = "here"
            async with ann.connect(url) as connection:
                await all_synced(connection)
                assert connection.state == "online"
        tasks.cancel_scope.cancel()
