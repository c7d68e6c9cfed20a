"""What is written in one turn goes out in one go, in order, and before the end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from websockets.asyncio.client import connect

from crdtsync.server import MemoryBackend, web_app
from crdtsync.server.web.gathering import GatheringTransport
from crdtsync.server.web.runner import listen_web
from crdtsync.transport import MessageStream, parse_url

pytestmark = pytest.mark.anyio

LARGE = bytes(300_000)


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Wire:
    """Where it goes."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.writes.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


def gathering() -> tuple[Any, Wire]:
    wire: Any = Wire()
    return GatheringTransport(wire, asyncio.get_running_loop()), wire


async def test_one_turn_is_one_write():
    transport, wire = gathering()
    for turn in range(2):
        for letter in b"ab", b"cd":
            transport.write(letter)
        assert len(wire.writes) == turn
        await asyncio.sleep(0)
    assert wire.writes == [b"abcd", b"abcd"]


async def test_much_is_not_kept_until_the_end_of_the_turn():
    transport, wire = gathering()
    transport.write(b"first")
    transport.write(LARGE)
    assert wire.writes == [b"first" + LARGE]
    transport.write(b"last")
    await asyncio.sleep(0)
    assert wire.writes[1:] == [b"last"]


async def test_what_was_written_goes_before_the_end():
    transport, wire = gathering()
    transport.write(b"goodbye")
    transport.close()
    assert (wire.writes, transport.is_closing()) == ([b"goodbye"], True)
    await asyncio.sleep(0)
    assert wire.writes == [b"goodbye"]


async def test_a_client_gets_all_in_order():
    class Talkative:
        message_bytes_max = 10

        async def serve(self, stream: MessageStream, request: Any) -> None:
            for number in range(300):
                await stream.send(bytes([number % 256]))
                if number % 100 == 0:
                    await stream.send(LARGE)
            await stream.close()

    app = web_app(MemoryBackend())
    app.doors["/talk"] = Talkative()
    listener = await listen_web(parse_url("ws://127.0.0.1:0"))
    async with app:
        serving = asyncio.create_task(listener.serve(app))

        async with connect(f"{listener.url}talk", max_size=None) as socket:
            got = [message async for message in socket]
        serving.cancel()
        await asyncio.wait([serving])
    assert [one[0] for one in got if len(one) == 1] == [n % 256 for n in range(300)]
    assert got.count(LARGE) == 3
