"""Queries, seen from the wire: what the server names, in which order, and to whom."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import pytest

from crdtsync.errors import StorageError
from crdtsync.server import Hub, MemoryBackend, ServerLimits, SqliteBackend
from crdtsync.server.access import Level, PatternPolicy, Rule
from crdtsync.sync import Complete, Goodbye, Selected, Subscribe, WireLimits, encode_frame
from crdtsync.sync.frames import Ping, Pong, Select
from crdtsync.transport.stream import memory_pair
from tests.server.authors import Author
from tests.server.client import Client

READS = PatternPolicy(
    [
        Rule(Level.WRITE, ("board/*", "open"), everybody=True),
        Rule(Level.READ, ("home/{user}/**",), everybody=True),
    ]
)


async def store(backend: MemoryBackend | SqliteBackend, *names: str) -> None:
    for name in names:
        await backend.append(name, Author(document=name).write(1))


@asynccontextmanager
async def serving(
    backend: MemoryBackend | SqliteBackend,
    limits: ServerLimits | None = None,
    policy: PatternPolicy | None = None,
) -> AsyncIterator[Callable[[], object]]:
    async with Hub(backend, limits, policy=policy) as hub, anyio.create_task_group() as tasks:
        streams = []

        async def connect() -> Client:
            ours, theirs = memory_pair()
            streams.append(ours)
            tasks.start_soon(hub.serve, theirs)
            client = Client(ours)
            await client.hello(secrets.token_bytes(16))
            return client

        yield connect
        for stream in streams:
            await stream.aclose()
        tasks.cancel_scope.cancel()


async def select(client: Client, id_: int, **selectors: int) -> Selected:
    client.protocol.select(id_, selectors)
    await client.flush()
    return await client.until(Selected, lambda frame: frame.id == id_)
