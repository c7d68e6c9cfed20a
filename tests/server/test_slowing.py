"""Clients that ask for too much are slowed or told to come back, and lose nothing."""

from __future__ import annotations

import anyio

from crdtsync.server import Hub, MemoryBackend, ServerLimits
from crdtsync.server.limits import ConnectionLimits
from crdtsync.sync import Goodbye, WireLimits
from crdtsync.transport import memory_pair
from tests.server.authors import Author
from tests.server.client import Client, serving


async def test_who_pushes_too_fast_waits_for_credit() -> None:
    limits = ServerLimits(
        wire=WireLimits(credit_bytes=1000, handshake_timeout_s=0.4),
        connection=ConnectionLimits(push_bytes_per_s=2000),
    )
    backend = MemoryBackend()
    async with serving(backend, limits=limits) as connect:
        client: Client = await connect()
        await client.subscribe()
        author = Author(1)
        began = anyio.current_time()
        with anyio.fail_after(30):
            for _ in range(12):
                while not client.protocol.can_push:
                    await client.receive()
                await client.push_durably([author.write(size=500)])
        assert anyio.current_time() - began > 1  # 7 kB at 2 kB/s, but for a burst of a second
        assert (await backend.state("board")).heads == {1: author.head}


async def test_when_too_much_waits_who_comes_is_told_to_come_back() -> None:
    async with Hub(MemoryBackend(), ServerLimits(memory_bytes_max=100)) as hub:
        hub.memory.used = 100
        ours, theirs = memory_pair()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hub.serve, theirs)
            goodbye = await Client(ours).until(Goodbye)
            await ours.aclose()
        assert (goodbye.code, goodbye.retry_after_ms) == ("busy", hub.limits.retry_after_ms)
        assert "waits to be sent" in goodbye.reason


async def test_when_too_much_waits_entries_wait_and_come_in_the_end() -> None:
    backend = MemoryBackend()
    author = Author(1)
    await backend.append("board", author.write_many(3))
    limits = ServerLimits(wire=WireLimits(handshake_timeout_s=0.4))
    async with Hub(backend, limits) as hub, anyio.create_task_group() as tasks:
        ours, theirs = memory_pair()
        tasks.start_soon(hub.serve, theirs)
        client = Client(ours)
        await client.hello()
        hub.memory.used += hub.memory.most
        await client.subscribe()
        with anyio.move_on_after(0.3):
            await client.until_entries(1)
        assert client.entries == {}
        hub.memory.used -= hub.memory.most
        assert len(await client.until_entries(3)) == 3
        await ours.aclose()
    assert hub.memory.used == 0
