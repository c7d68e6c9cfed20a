"""The fan-out: one encoding, one send per receiver, whatever there is to send."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import pytest

from crdtsync.errors import TransportError
from crdtsync.server import Hub, MemoryBackend
from crdtsync.sync import Complete, Entries, decode_frame
from crdtsync.transport.stream import FrameStream, memory_pair
from tests.server.authors import Author
from tests.server.client import Client


class Counting:
    """A stream that keeps what was sent, send by send."""

    def __init__(self, stream: FrameStream) -> None:
        self.stream = stream
        self.sends: list[Sequence[bytes]] = []

    async def send(self, payloads: Sequence[bytes]) -> None:
        self.sends.append(payloads)
        await self.stream.send(payloads)

    async def receive(self) -> list[bytes]:
        return await self.stream.receive()

    async def aclose(self) -> None:
        await self.stream.aclose()


async def test_all_receivers_get_the_same_bytes_in_one_send_each():
    backend = MemoryBackend()
    author = Author(1)
    async with Hub(backend) as hub, anyio.create_task_group() as tasks:
        clients: list[Client] = []
        streams: list[Counting] = []
        for _ in range(50):
            ours, theirs = memory_pair()
            streams.append(Counting(theirs))
            clients.append(Client(ours))
            tasks.start_soon(hub.serve, streams[-1])
            await clients[-1].hello()
            await clients[-1].follow()
        for stream in streams:
            stream.sends.clear()
        await backend.append("board", author.write_many(10))
        for client in clients:
            assert len(await client.until_entries(10)) == 10
        assert all(len(stream.sends) == 1 for stream in streams)
        assert len({id(payload) for stream in streams for payload in stream.sends[0]}) == 1
        (payload,) = streams[0].sends[0]
        frame = decode_frame(payload)
        assert isinstance(frame, Entries)
        assert frame.entries == tuple(entry.data for entry in author.entries)
        for client in clients:
            await client.stream.aclose()
        tasks.cancel_scope.cancel()


async def test_a_connection_served_by_hand_ends_with_its_task():
    async with Hub(MemoryBackend()) as hub:
        ours, theirs = memory_pair()
        client = Client(ours)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hub.serve, theirs)
            await client.hello()
            await client.follow()
            tasks.cancel_scope.cancel()
        assert (await client.until_goodbye()).code == "stopping"
        with pytest.raises(TransportError):
            await client.receive()
        await ours.aclose()


async def test_what_the_body_of_a_hub_raises_comes_out_as_it_is():
    with pytest.raises(ZeroDivisionError):
        async with Hub(MemoryBackend()):
            raise ZeroDivisionError


async def test_priorities_are_told_back():
    async with Hub(MemoryBackend()) as hub, anyio.create_task_group() as tasks:
        ours, theirs = memory_pair()
        client = Client(ours)
        tasks.start_soon(hub.serve, theirs)
        await client.hello()
        await client.subscribe("board", priority=7)
        assert (await client.until(Complete)).priority == 7
        await ours.aclose()
        tasks.cancel_scope.cancel()
