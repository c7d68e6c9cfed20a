"""Whatever happens to connections, nothing is lost and nothing is done twice.

A drawn history runs over real replicas, the real exchange and the real hub, in memory and in
virtual time: connections are made and cut anywhere, downgraded, retired and fenced; logs are
snapshotted and trimmed; the server is started again, also under another epoch; the policy chooses
whom it likes.
"""

from __future__ import annotations

import copy
import random
import re
import secrets
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, Literal
from unittest import mock

import anyio
import anyio.lowlevel
import trio.testing
from anyio.abc import TaskStatus
from hypothesis import given, settings
from hypothesis import strategies as st

from crdtsync.errors import TransportError
from crdtsync.replica import Replica
from crdtsync.server import Candidate, Hub, MemoryBackend, ServerLimits
from crdtsync.server.lifecycle import State
from crdtsync.server.limits import ConnectionLimits
from crdtsync.sync import WireLimits
from crdtsync.transport import Backoff, Connection, FrameStream, connect, memory_pair
from crdtsync.transport.greeting import client_id
from tests.document.boards import Board

DOCUMENT = "board"
LIMITS = ServerLimits(
    wire=WireLimits(frame_bytes_max=512, message_bytes_max=64 * 1024, credit_bytes=2048),
    connection=ConnectionLimits(
        per_user_max=2, per_document_max=3, active_max=3, lag_entries_max=12
    ),
    hot_entries_max=3,
    retry_after_ms=10,
    keep_interval_s=1e9,  # when the history says so
)
USERS = ("ann", "ann", "ann", "bob")
History = Literal["keep", "trim"]


class Cut:
    """A stream that ends after so many frames, in whichever direction."""

    def __init__(self, inner: FrameStream, frames: int) -> None:
        self._inner = inner
        self._left = frames

    def _count(self, payloads: Sequence[bytes]) -> None:
        self._left -= len(payloads)
        if self._left < 0:
            raise TransportError("cut")

    async def send(self, payloads: Sequence[bytes]) -> None:
        try:
            self._count(payloads)
        except TransportError:
            await self._inner.send(payloads[: max(0, self._left + len(payloads))])
            raise
        await self._inner.send(payloads)

    async def receive(self) -> list[bytes]:
        payloads = await self._inner.receive()
        self._count(payloads)
        return payloads

    async def aclose(self) -> None:
        await self._inner.aclose()


def copied(backend: MemoryBackend) -> MemoryBackend:
    """Return what a backup of a server brings back: all that is stored."""
    copied = MemoryBackend(backend.epoch)
    for name in ("_documents", "_devices", "_connections", "_followed", "_kept", "_erasures"):
        setattr(copied, name, copy.deepcopy(getattr(backend, name)))
    return copied


class Whim:
    """A policy that chooses whom it likes, and some who are not on offer."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice

    def choose(self, candidates: Sequence[Candidate], need: int) -> Sequence[Candidate]:
        return self._dice.sample(candidates, self._dice.randint(0, len(candidates)))


class World:
    """A server, four devices of two users, and what was done on each."""

    def __init__(self, stack: ExitStack, seed: int, device: History, server: History) -> None:
        self.dice = random.Random(seed)
        self.server: History = server
        self.backend = MemoryBackend()
        self.saved = copied(self.backend)
        self.replicas = [stack.enter_context(Replica(user=u, history=device)) for u in USERS]
        self.boards = [replica.document(Board, DOCUMENT) for replica in self.replicas]
        self.did: list[str] = []
        self.own = [0] * len(USERS)  # how much each device has done
        self.online: dict[int, tuple[anyio.Event, anyio.Event, Connection]] = {}
        self.cuts: dict[int, int] = {}
        self.hub: Hub | None = None
        self._inside: anyio.abc.TaskGroup | None = None
        self._stopped = anyio.Event()

    # What can happen. `which` is a device, `size` a number that says how much.

    async def act(self, which: int, size: int) -> None:
        for _ in range(size % 4 + 1):
            token = f"<{len(self.did)}>"
            self.did.append(token)
            self.own[which] += 1
            board = self.boards[which]
            with board.action("act"):
                board.body.insert(0, token)
                board.total.increment()
                board.members.add(token)
                board.name = token

    async def come(self, which: int, size: int) -> None:
        if which not in self.online:
            self.online[which] = await self.tasks.start(self.stay, which)
        await self.idle(which, size)

    async def stay(
        self, which: int, *, task_status: TaskStatus[tuple[anyio.Event, anyio.Event, Connection]]
    ) -> None:
        leave, left = anyio.Event(), anyio.Event()
        connecting = connect(self.replicas[which], self.connector(which), backoff=Backoff(0.5, 5))
        async with connecting as connection:
            task_status.started((leave, left, connection))
            await leave.wait()
        left.set()

    async def go(self, which: int, size: int) -> None:
        if which in self.online:
            leave, left, _ = self.online.pop(which)
            leave.set()
            await left.wait()

    async def cut(self, which: int, size: int) -> None:
        """Cut the next connections of a device after so many frames, until `mend`."""
        await self.go(which, 0)
        self.cuts[which] = size
        await self.come(which, size)

    async def mend(self, which: int, size: int) -> None:
        self.cuts.pop(which, None)

    async def idle(self, which: int, size: int) -> None:
        for _ in range(size * 3):
            await anyio.lowlevel.checkpoint()
        await anyio.sleep(size)

    async def visit(self, which: int, size: int) -> None:
        """Come, stay for long enough to hold everything, and go; then the server tidies up."""
        await self.mend(which, 0)
        await self.come(which, 30)
        await self.go(which, 0)
        await self.keep(which, 0)

    async def twice(self, which: int, size: int) -> None:
        """A second socket of the same device fences the first."""
        connecting = connect(self.replicas[which], self.connector(which))
        async with connecting:
            await self.idle(which, size)

    async def keep(self, which: int, size: int) -> None:
        assert self.hub is not None
        base = (await self.backend.state(DOCUMENT)).base
        await self.hub.keep()
        floor, moved = await self.backend.floor(DOCUMENT), await self.backend.state(DOCUMENT)
        assert floor is None or moved.base in {base, *range(floor + 1)}
        await self.check()

    async def downgrade(self, which: int, size: int) -> None:
        assert self.hub is not None
        await self.hub._downgrade(client_id(self.replicas[which].id), "drawn")

    async def retire(self, which: int, size: int) -> None:
        assert self.hub is not None
        await self.hub.retire(client_id(self.replicas[which].id))

    async def snapshot(self, which: int, size: int) -> None:
        self.boards[which]._live.take_snapshot()

    async def restart(self, which: int, size: int) -> None:
        """Start the server again, now and then from a copy that knows no connection."""
        await self.stop()
        if size % 3 == 0:
            other = MemoryBackend(secrets.token_bytes(16))
            other._documents = copy.deepcopy(self.backend._documents)
            self.backend = other
        await self.start()

    async def save(self, which: int, size: int) -> None:
        """Make a backup of the server."""
        self.saved = copied(self.backend)

    async def restore(self, which: int, size: int) -> None:
        """Start the server again from the backup: it has forgotten what came since."""
        await self.stop()
        self.backend = copied(self.saved)
        await self.start()

    # What must hold.

    async def check(self) -> None:
        for replica, own in zip(self.replicas, self.own, strict=True):
            ledger = replica.ledger(DOCUMENT)
            assert ledger.next_seq - 1 == own
            assert ledger.damage == []
        state = await self.backend.state(DOCUMENT)
        floor = await self.backend.floor(DOCUMENT)
        assert state.base <= (state.snapshot.offset if state.snapshot else 0)
        if floor is not None:
            for client, followed in self.backend._followed.items():
                one = followed.get(DOCUMENT)
                if one is not None and one.offset is not None:
                    assert self.backend._connections[client].state is State.ACTIVE
                    assert floor <= one.offset
        assert self.hub is not None
        frame = LIMITS.wire.frame_bytes_max
        each = LIMITS.turn_bytes_max + LIMITS.unsent_bytes_max + frame
        assert 0 <= self.hub.memory.used <= len(self.hub._sessions) * each

    async def end(self) -> None:
        """Bring everybody together, and see that all was done once."""
        self.cuts.clear()
        for which in range(len(USERS)):
            await self.go(which, 0)
            await self.come(which, 1)
        with anyio.fail_after(1000):
            for _ in range(2):
                for _, _, connection in self.online.values():
                    await connection.synced()
        for replica, board in zip(self.replicas, self.boards, strict=True):
            assert sorted(re.findall(r"<\d+>", str(board.body))) == sorted(self.did)
            assert int(board.total) == len(self.did)
            assert set(board.members) == set(self.did)
            assert board.to_dict() == self.boards[0].to_dict()
            assert board.state_vector == self.boards[0].state_vector
            assert replica.verify() == []
        await self.check()
        for which in range(len(USERS)):
            await self.go(which, 0)
        assert self.hub is not None
        while self.hub._sessions:  # noqa: ASYNC110 - virtual time
            await anyio.sleep(1)
        assert self.hub.memory.used == 0

    # The server.

    def connector(self, which: int) -> Callable[[], Any]:
        async def connector() -> FrameStream:
            if self._inside is None or self.hub is None:
                raise TransportError("nobody there")
            ours, theirs = memory_pair()
            self._inside.start_soon(self.hub.serve, theirs)
            frames = self.cuts.get(which)
            return ours if frames is None else Cut(ours, frames)

        return connector

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        policy = Whim(self.dice)
        async with (
            Hub(self.backend, LIMITS, connection_policy=policy, history=self.server) as self.hub,
            anyio.create_task_group() as self._inside,
        ):
            task_status.started()
            await self._stopped.wait()
            self._inside.cancel_scope.cancel()
        self.hub = self._inside = None

    async def start(self) -> None:
        self._stopped = anyio.Event()
        await self.tasks.start(self.run)

    async def stop(self) -> None:
        self._stopped.set()
        while self.hub is not None:
            await anyio.lowlevel.checkpoint()

    async def live(self, events: Sequence[tuple[str, int, int]]) -> None:
        async with anyio.create_task_group() as self.tasks:
            await self.start()
            for what, which, size in events:
                await getattr(self, what)(which, size)
                if self.hub is not None:
                    await self.check()
            await self.end()
            await self.stop()


EVENTS = [
    *["act"] * 3,
    *["visit", "come", "cut", "keep"] * 2,
    "go",
    "mend",
    "idle",
    "twice",
    "downgrade",
    "retire",
    "snapshot",
    "restart",
    "save",
    "restore",
]


async def _inline(work: Callable[..., Any], *arguments: Any) -> Any:
    """Do what would be done in a thread, which knows no virtual time."""
    return work(*arguments)


@settings(max_examples=60)
@given(
    events=st.lists(
        st.tuples(st.sampled_from(EVENTS), st.integers(0, len(USERS) - 1), st.integers(0, 30)),
        min_size=10,
        max_size=60,
    ),
    seed=st.integers(0, 2**32),
    device=st.sampled_from(["keep", "trim"]),
    server=st.sampled_from(["keep", "trim"]),
)
def test_nothing_is_lost_and_nothing_is_done_twice(
    events: list[tuple[str, int, int]], seed: int, device: History, server: History
) -> None:
    async def main() -> None:
        with ExitStack() as stack:
            await World(stack, seed, device, server).live(events)

    clock = trio.testing.MockClock(autojump_threshold=0)
    with mock.patch("crdtsync.server.snapshots.to_thread.run_sync", _inline):
        anyio.run(main, backend="trio", backend_options={"clock": clock})
