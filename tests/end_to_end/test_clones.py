"""Devices that come to documents, or come back to them, when the log below is gone."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import pytest
from anyio.abc import TaskStatus

from crdtsync.replica import Replica
from crdtsync.server import Hub, MemoryBackend, ServerLimits, SqliteBackend
from crdtsync.server.backend import Backend
from crdtsync.sync import WireLimits
from crdtsync.transport import Backoff, Connection, FrameStream, connect, memory_pair
from tests.document.boards import Board
from tests.replica.histories import act
from tests.transport.home import all_synced

LIMITS = ServerLimits(
    wire=WireLimits(frame_bytes_max=2048),
    hot_entries_max=20,
    retry_after_ms=10,
    keep_interval_s=3600,
)


class Place:
    """A hub that replicas can be connected to."""

    def __init__(self, hub: Hub, backend: Backend, tasks: anyio.abc.TaskGroup) -> None:
        self.hub = hub
        self.backend = backend
        self._tasks = tasks

    async def connector(self) -> FrameStream:
        ours, theirs = memory_pair()
        self._tasks.start_soon(self.hub.serve, theirs)
        return ours

    @asynccontextmanager
    async def connected(self, *replicas: Replica) -> AsyncIterator[list[Connection]]:
        async with anyio.create_task_group(), AsyncStack() as stack:
            yield [
                await stack.enter(connect(one, self.connector, backoff=Backoff(0.01, 0.02)))
                for one in replicas
            ]

    async def sync(self, *replicas: Replica) -> None:
        async with self.connected(*replicas) as connections:
            await all_synced(*connections)

    async def offset(self, document: str = "board") -> int:
        return (await self.backend.state(document)).offset

    async def base(self, document: str = "board") -> int:
        return (await self.backend.state(document)).base


class AsyncStack:
    def __init__(self) -> None:
        from contextlib import AsyncExitStack

        self._stack = AsyncExitStack()

    async def __aenter__(self) -> AsyncStack:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    async def enter(self, context):  # type: ignore[no-untyped-def]
        return await self._stack.enter_async_context(context)


@asynccontextmanager
async def a_place(
    backend: Backend, limits: ServerLimits = LIMITS, history: str = "trim"
) -> AsyncIterator[Place]:
    async def run(*, task_status: TaskStatus[Hub]) -> None:
        async with Hub(backend, limits, history=history) as hub:  # type: ignore[arg-type]
            task_status.started(hub)
            await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        yield Place(await tasks.start(partial(run)), backend, tasks)
        tasks.cancel_scope.cancel()


@pytest.fixture(params=["memory", "sqlite"])
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Backend]:
    backend = (
        MemoryBackend() if request.param == "memory" else SqliteBackend(tmp_path / "server.db")
    )
    yield backend
    await backend.aclose()


@pytest.fixture
def replicas() -> Iterator[list[Replica]]:
    with ExitStack() as stack:
        yield [stack.enter_context(Replica(user=user)) for user in ("ann", "bob", "ann")]


def work(replica: Replica, count: int, seed: int = 1) -> None:
    dice = random.Random(seed)
    for _ in range(count):
        act(replica.document(Board, "board"), dice)


def same(*replicas: Replica) -> None:
    first, *others = (replica.document(Board, "board") for replica in replicas)
    for other in others:
        assert other.to_dict() == first.to_dict()
        assert other.state_vector == first.state_vector
    for replica in replicas:
        assert replica.verify() == []


async def test_a_new_device_is_cloned_and_knows_what_its_user_follows(
    backend: Backend, replicas: list[Replica]
) -> None:
    ann, bob, phone = replicas
    async with a_place(backend) as place:
        work(ann, 60)
        async with place.connected(ann, bob) as connections:
            bob.document(Board, "board")
            await all_synced(*connections)
            assert [one.standing for one in connections] == ["active", "active"]
        await place.hub.keep()
        assert 0 < await place.base() <= await place.offset()
        assert phone.names() == []
        async with place.connected(phone) as [connection]:
            events = connection.events()
            kinds = [(await anext(events)).kind for _ in range(3)]
            assert kinds == ["online", "cloned", "activated"]
            await connection.synced()
            assert connection.standing == "active"
            assert connection.status.standing_since is not None
            assert phone.names() == ["board"]
            assert phone.ledger("board").count == await place.offset() - await place.base()
            same(ann, phone)
            work(phone, 10, seed=2)
        await place.sync(ann, bob, phone)
        same(ann, bob, phone)
