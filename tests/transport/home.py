"""A real server for tests: it can be stopped and started again, and keeps its logs and address."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import TaskGroup, TaskStatus

from crdtsync.errors import TransportError
from crdtsync.replica import Replica
from crdtsync.server import Backend, Hub, MemoryBackend, ServerLimits, SqliteBackend
from crdtsync.transport import (
    Backoff,
    Connection,
    FrameStream,
    connect,
    connect_stream,
    memory_pair,
)
from tests.certificates import authority
from tests.document.boards import Board
from tests.web import serve_anywhere

__all__ = ["DOCUMENT", "HOMES", "Home", "all_synced", "assert_same", "entries_of"]

DOCUMENT = "board"
HOMES = ["memory", "tcp", "unix", "ws", "wss", "memory, MemoryBackend", "tcp, MemoryBackend"]
LIMITS = ServerLimits(retry_after_ms=10)


class Home:
    """The server.

    Args:
        kind: one of HOMES: how clients reach it, and where its logs are.
        folder: where its files are.
    """

    def __init__(self, kind: str, folder: Path) -> None:
        transport, _, backend = kind.partition(", ")
        self._data = folder / "server.db"
        self._kept = MemoryBackend() if backend else None
        self._memory = transport == "memory"
        host = "127.0.0.1:0"
        self._url = f"unix://{folder}/socket" if transport == "unix" else f"{transport}://{host}"
        self._inside: tuple[Hub, TaskGroup] | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run while the context is open."""
        async with self._backend() as backend, anyio.create_task_group() as tasks:
            if self._memory:
                self._inside = await tasks.start(self._run_hub, backend), tasks
            else:
                run = partial(serve_anywhere, backend, self._url, limits=LIMITS)
                self._url = await tasks.start(run)
            try:
                yield
            finally:
                self._inside = None
                tasks.cancel_scope.cancel()

    @asynccontextmanager
    async def _backend(self) -> AsyncIterator[Backend]:
        if self._kept is not None:
            yield self._kept
            return
        async with SqliteBackend(self._data) as backend:
            yield backend

    async def _run_hub(
        self, backend: Backend, *, task_status: TaskStatus[Hub] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        async with Hub(backend, LIMITS) as hub:
            task_status.started(hub)
            await anyio.sleep_forever()

    def lose_everything(self) -> None:
        """Begin with empty logs, and so with another epoch, at the next start."""
        if self._kept is None:
            self._data.unlink()
        else:
            self._kept = MemoryBackend()

    async def connector(self) -> FrameStream:
        """Connect to the server, if it runs."""
        if not self._memory:
            return await connect_stream(self._url, ssl_context=authority().client)
        if self._inside is None:
            raise TransportError("the server does not run")
        hub, tasks = self._inside
        ours, theirs = memory_pair()
        tasks.start_soon(hub.serve, theirs)
        return ours

    def connect(self, replica: Replica, **options: Any) -> AbstractAsyncContextManager[Connection]:
        """Connect a replica that does not wait long between tries."""
        return connect(replica, self.connector, backoff=Backoff(0.02, 0.05), **options)


async def all_synced(*connections: Connection) -> None:
    """Bring what each has done to all the others."""
    with anyio.fail_after(60):
        for _ in range(2):
            async with anyio.create_task_group() as tasks:
                for connection in connections:
                    tasks.start_soon(connection.synced)


def assert_same(*replicas: Replica, document: str = DOCUMENT) -> None:
    """Check that replicas show, and have logged, the same."""
    first, *others = (replica.document(Board, document) for replica in replicas)
    for other in others:
        assert other.to_dict() == first.to_dict()
        assert other.state_vector == first.state_vector


def entries_of(replica: Replica) -> dict[str, list[bytes]]:
    """Return everything that a replica has stored, by the hashes, which seals do not change."""
    return {
        name: [entry.hash for entry in replica.ledger(name).entries()] for name in replica.names()
    }
