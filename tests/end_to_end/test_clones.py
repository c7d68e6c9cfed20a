"""Devices that come to documents, or come back to them, when the log below is gone."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio
import pytest
from anyio.abc import TaskStatus

from crdtsync.clock import HybridLogicalClock
from crdtsync.errors import RefusedError, TransportError
from crdtsync.replica import Replica
from crdtsync.server import Hub, MemoryBackend, ServerLimits, SqliteBackend
from crdtsync.server.backend import Backend
from crdtsync.server.erasures import Erasure
from crdtsync.server.lifecycle import State
from crdtsync.server.limits import ConnectionLimits
from crdtsync.server.snapshots import fetch_snapshot
from crdtsync.server.views import DocumentView
from crdtsync.server.yjs.replay import Replay
from crdtsync.sync import WireLimits
from crdtsync.transport import Backoff, Connection, FrameStream, connect, memory_pair
from crdtsync.transport.greeting import client_id
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
        async with AsyncExitStack() as stack:
            yield [
                await stack.enter_async_context(
                    connect(one, self.connector, backoff=Backoff(0.01, 0.02))
                )
                for one in replicas
            ]

    async def sync(self, *replicas: Replica) -> None:
        async with self.connected(*replicas) as connections:
            await all_synced(*connections)

    async def alone(self) -> None:
        """Return once the server has seen everybody leave."""
        with anyio.fail_after(30):
            while self.hub._clients:
                await anyio.lowlevel.checkpoint()

    async def offset(self, document: str = "board") -> int:
        return (await self.backend.state(document)).offset

    async def base(self, document: str = "board") -> int:
        return (await self.backend.state(document)).base


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


async def test_one_that_comes_back_from_below_brings_what_it_did_and_loses_nothing(
    backend: Backend, replicas: list[Replica]
) -> None:
    ann, bob, _ = replicas
    limits = replace(LIMITS, connection=ConnectionLimits(lag_entries_max=30))
    async with a_place(backend, limits) as place:
        work(ann, 30)
        bob.document(Board, "board")
        await place.sync(ann, bob)
        work(bob, 40, seed=2)  # off line, and nobody has seen it
        did = bob.ledger("board").next_seq - 1
        work(ann, 80, seed=3)
        await place.sync(ann)
        await place.hub.keep()
        known = {one.record.user: one for one in await place.hub.known_connections()}
        assert known["bob"].record.state is State.INACTIVE
        assert "lag_entries_max" in known["bob"].record.reason
        assert known["ann"].record.state is State.ACTIVE
        assert await place.base() > 30
        async with place.connected(bob, ann) as [connection, other]:
            events = connection.events()
            kinds = [(await anext(events)).kind for _ in range(2)]
            assert kinds == ["online", "cloned"]
            assert connection.standing == "inactive"
            await all_synced(connection, other)
            assert connection.status.unacknowledged == 0
            assert bob.ledger("board").acknowledged == did
            same(ann, bob)
            assert (await anext(events)).kind == "activated"


async def test_a_clone_goes_on_after_a_cut_anywhere(
    backend: Backend, replicas: list[Replica]
) -> None:
    ann, _, phone = replicas
    cuts = 0

    class Cut:
        """A stream that ends after so many frames."""

        def __init__(self, inner: FrameStream, frames: int) -> None:
            self._inner, self._left = inner, frames
            self.send, self.aclose = inner.send, inner.aclose

        async def receive(self) -> list[bytes]:
            nonlocal cuts
            payloads = await self._inner.receive()
            self._left -= len(payloads)
            if self._left < 0:
                cuts += 1
                raise TransportError("cut")
            return payloads

    async with a_place(backend) as place:
        work(ann, 300)
        await place.sync(ann)
        await place.hub.keep()
        frames = 4

        async def connector() -> FrameStream:
            nonlocal frames
            frames += 1
            return Cut(await place.connector(), frames)

        with anyio.fail_after(60):
            async with connect(phone, connector, backoff=Backoff(0.001, 0.002)) as connection:
                while not (phone.names() and phone.ledger("board").heads):
                    if phone.names() and (resume := phone.ledger("board").resume) is not None:
                        assert resume.held > 0
                    await anyio.sleep(0.001)
                frames = 10**9
                await connection.synced()
        assert cuts > 3
        same(ann, phone)


async def test_a_reader_that_falls_below_the_log_is_given_a_clone(
    backend: Backend, replicas: list[Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, bob, _ = replicas
    limits = replace(LIMITS, connection=ConnectionLimits(lag_entries_max=5))
    async with a_place(backend, limits) as place:
        async with place.connected(ann, bob) as [one, other]:
            bob.document(Board, "board")
            work(ann, 10)
            await all_synced(one, other)
            events = other.events()
            client = client_id(bob.id)
            # As if it had stopped to tell how far it holds the document.
            session = place.hub._clients[client]
            monkeypatch.setattr(session._documents, "advance", lambda _: None)
            work(ann, 60, seed=2)
            await all_synced(one, other)
            await place.hub.keep()
            assert (await anext(events)).kind == "downgraded"
            assert other.standing == "inactive"
            assert other.status.standing_reason.endswith("more than lag_entries_max")
            work(bob, 5, seed=3)
            await all_synced(one, other)
        same(ann, bob)
        async with place.connected(ann, bob) as connections:
            await all_synced(*connections)
            same(ann, bob)


async def test_who_is_retired_is_told_and_may_come_as_new(
    backend: Backend, replicas: list[Replica]
) -> None:
    ann, _, phone = replicas
    async with a_place(backend) as place:
        work(ann, 5)
        async with place.connected(ann, phone) as [one, other]:
            await all_synced(one, other)
            events = other.events()
            assert await place.hub.retire(client_id(phone.id), "sold")
            assert not await place.hub.retire(client_id(phone.id))
            kinds = [event.kind async for event in events]  # they end where the trying does
            assert kinds[-2:] == ["retired", "refused"]
            assert other.status.standing_reason == "sold"
            with pytest.raises(RefusedError, match="sold"):
                await other.synced()
            known = await place.hub.known_connections("ann")
            assert {one.record.state for one in known} == {State.ACTIVE, State.RETIRED}
            assert [len(one.followed) for one in known if one.record.state is State.RETIRED] == [0]
        work(phone, 5, seed=2)
        await place.sync(phone)
        await place.sync(ann, phone)
        same(ann, phone)
        known = await place.hub.known_connections("ann")
        assert {one.record.state for one in known} == {State.ACTIVE}


async def test_one_too_many_of_a_user_costs_the_least_valuable_its_cursor(
    backend: Backend,
) -> None:
    limits = replace(LIMITS, connection=ConnectionLimits(per_user_max=2))
    with ExitStack() as stack:
        devices = [stack.enter_context(Replica(user="ann")) for _ in range(3)]
        async with a_place(backend, limits) as place:
            work(devices[0], 10)
            await place.sync(devices[0])
            await place.alone()
            async with place.connected(*devices[1:]) as connections:
                await all_synced(*connections)
                with anyio.fail_after(30):
                    for one in connections:
                        while one.standing != "active":
                            await one._feed.news()
            states = {
                one.record.replica: one.record.state
                for one in await place.hub.known_connections("ann")
            }
            assert [states[device.id] for device in devices] == [
                State.INACTIVE,
                State.ACTIVE,
                State.ACTIVE,
            ]
            async with place.connected(*devices) as connections:
                await all_synced(*connections)
                same(*devices)
                work(devices[0], 5, seed=2)
                await all_synced(*connections)
                same(*devices)
                assert connections[0].standing == "inactive"  # the others are here, and keep up


@pytest.mark.parametrize("history", ["keep", "trim"])
async def test_what_is_not_kept_for_anybody_is_kept_if_one_wishes(
    backend: Backend, replicas: list[Replica], history: str
) -> None:
    ann, *_ = replicas
    async with a_place(backend, history=history) as place:
        work(ann, 60)
        await place.sync(ann)
        await place.hub.keep()
        base = await place.base()
        assert base > 20
        below = await backend.read("board", 0, 2**30, upto=base)
        assert len(below) == (base if history == "keep" else 1)


async def test_a_device_that_keeps_no_history_works_on_with_less(
    backend: Backend, tmp_path: Path
) -> None:
    path = tmp_path / "ann.db"
    with Replica(user="bob") as bob:
        async with a_place(backend) as place:
            for round_ in range(3):
                with Replica(path, user="ann", history="trim") as ann:
                    board = ann.document(Board, "board")
                    work(ann, 40, seed=round_)
                    work(bob, 10, seed=round_ + 9)
                    await place.sync(ann, bob)
                    count = ann.ledger("board").count
                    board._live.take_snapshot()
                    assert ann.ledger("board").count == 0 < count
                    assert len(list(board.log)) == 0
                    work(ann, 3, seed=round_ + 99)  # not sent: the next snapshot must not take it
                    board._live.take_snapshot()
                    assert ann.ledger("board").count == len(list(board.log)) > 0
                    same(ann)
            with Replica(path, user="ann", history="trim") as ann:
                await place.sync(ann, bob)
                same(ann, bob)
        async with a_place(MemoryBackend()) as elsewhere:  # which has nothing of it
            await elsewhere.sync(bob)
            with Replica(path, user="ann", history="trim") as ann:
                work(ann, 3)
                await elsewhere.sync(ann, bob)
                same(ann, bob)


async def test_what_is_erased_is_in_no_clone_and_in_no_device_for_long(
    backend: Backend, replicas: list[Replica]
) -> None:
    ann, _, phone = replicas
    async with a_place(backend, history="keep") as place:
        work(ann, 60)
        ann.document(Board, "board").body.insert(0, "secret")
        erased = ann.ledger("board").next_seq - 1
        ann.document(Board, "board").total.increment()
        await place.sync(ann)
        await place.hub.keep()
        await place.sync(phone)
        assert phone.ledger("board").base() is not None
        assert "secret" in str(phone.document(Board, "board").body)
        assert await backend.erase(Erasure("board", ann.id, erased, "by order"))
        assert (await backend.state("board")).snapshot is None
        async with place.connected(ann, phone) as connections:
            await all_synced(*connections)
        assert "secret" not in str(ann.document(Board, "board").body)
        assert phone.ledger("board").is_stale
        await place.hub.keep()  # another snapshot
        state = await backend.state("board")
        assert state.snapshot is not None
        whole = await fetch_snapshot(backend, "board", state.snapshot)
        assert b"secret" not in whole
        async with place.connected(ann, phone) as connections:
            events = connections[1].events()
            await all_synced(*connections)
            assert {(await anext(events)).kind for _ in range(2)} == {"online", "cloned"}
        assert "secret" not in str(phone.document(Board, "board").body)
        assert not phone.ledger("board").is_stale
        assert not phone._store.file.connection.execute(
            "SELECT count(*) FROM bases WHERE instr(state, 'secret')"
        ).get
        same(ann, phone)


async def test_clamps_come_with_a_clone(backend: Backend, replicas: list[Replica]) -> None:
    _, bob, phone = replicas
    ahead_ms = 10 * 365 * 86_400_000
    clock = HybridLogicalClock(lambda: time.time_ns() // 1_000_000 + ahead_ms)
    async with a_place(backend) as place:
        with Replica(user="ann", clock=clock) as ann:
            ann.document(Board, "board").data = "from the future"
            bob.document(Board, "board").data = "from now"
            await place.sync(ann)
            await place.sync(bob)
            work(bob, 40)
            await place.sync(ann, bob)
            await place.hub.keep()
            assert await place.base() > 0
            phone.document(Board, "board")
            await place.sync(phone)
            assert phone.ledger("board").base() is not None
            assert phone.ledger("board").clamps == bob.ledger("board").clamps != {}
            same(ann, bob, phone)


async def test_a_policy_that_looks_and_doors_for_others_begin_at_the_base(
    backend: Backend, replicas: list[Replica]
) -> None:
    ann, *_ = replicas
    async with a_place(backend, history="trim") as place:
        ann.document(Board, "board").data = "here"
        work(ann, 60)
        await place.sync(ann)
        await place.hub.keep()
        assert await place.base() > 20
        work(ann, 3, seed=2)
        await place.sync(ann)
        view = DocumentView("board")
        await view.follow(backend)
        replay = Replay("board")
        await replay.read(backend)
        board = ann.document(Board, "board")
        assert replay.clocks == board._live.crdt_clocks
        assert view.plain()["data"] == board.data
        await replay.read_anew(backend)
        assert replay.clocks == board._live.crdt_clocks
        replay.close()
