"""Streams of frames: whole and in order, errors mapped, whatever carries them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteStream
from hypothesis import given
from hypothesis import strategies as st

from crdtsync.errors import RemoteProtocolError, TransportError
from crdtsync.server import MemoryBackend, web_app
from crdtsync.server.web import WebRequest
from crdtsync.sync import WireLimits, join_frames
from crdtsync.transport import (
    ByteFrameStream,
    FrameStream,
    MessageFrameStream,
    MessageStream,
    connect_stream,
    listen,
    memory_pair,
)
from crdtsync.transport.messages import MESSAGE_BYTES_MAX
from tests.certificates import authority
from tests.web import serving_app

LIMITS = WireLimits(frame_bytes_max=1024)
KINDS = ["memory", "tcp", "tls", "unix", "ws", "wss", "ws+unix"]


@asynccontextmanager
async def pair(kind: str, folder: Path) -> AsyncIterator[tuple[FrameStream, FrameStream]]:
    """Give both ends of a connection."""
    if kind == "memory":
        ours, theirs = memory_pair()
        try:
            yield ours, theirs
        finally:
            await ours.aclose()
            await theirs.aclose()
        return
    accepted: list[FrameStream] = []
    came, over = anyio.Event(), anyio.Event()

    async def handler(stream: FrameStream) -> None:
        accepted.append(stream)
        came.set()
        await over.wait()

    url = f"{kind}://{folder}/s" if kind.endswith("unix") else f"{kind}://127.0.0.1:0"
    async with _handling(url, handler) as found:
        client = await connect_stream(found, LIMITS, ssl_context=authority().client)
        with anyio.fail_after(30):
            await came.wait()
        yield client, accepted[0]
        over.set()
        await client.aclose()


@asynccontextmanager
async def _handling(
    url: str, handler: Callable[[FrameStream], Awaitable[None]]
) -> AsyncIterator[str]:
    if url.startswith("ws"):
        app = web_app(MemoryBackend())
        app.doors["/"] = Handing(handler)
        async with serving_app(app, url) as found:
            yield found
        return
    async with anyio.create_task_group() as tasks:
        listener = await listen(url, LIMITS, authority().server)
        tasks.start_soon(listener.serve, handler)
        yield listener.url
        await listener.aclose()
        tasks.cancel_scope.cancel()


class Handing:
    message_bytes_max = MESSAGE_BYTES_MAX

    def __init__(self, handler: Callable[[FrameStream], Awaitable[None]]) -> None:
        self._handler = handler

    async def serve(self, stream: MessageStream, request: WebRequest) -> None:
        await self._handler(MessageFrameStream(stream, LIMITS.frame_bytes_max))


@pytest.mark.parametrize("kind", KINDS)
async def test_frames_arrive_whole_and_in_order(kind: str, tmp_path: Path) -> None:
    sent = [bytes([number % 256]) * (number % 300 + 1) for number in range(2000)]
    got: list[bytes] = []
    async with pair(kind, tmp_path) as (one, other):

        async def send() -> None:
            for start in range(0, len(sent), 100):
                await one.send(sent[start : start + 100])
            await one.send([])

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send)
            with anyio.fail_after(30):
                while len(got) < len(sent):
                    got += await other.receive()
    assert got == sent


@pytest.mark.parametrize("kind", KINDS)
async def test_the_end_is_a_transport_error(kind: str, tmp_path: Path) -> None:
    async with pair(kind, tmp_path) as (one, other):
        assert isinstance(one, FrameStream)
        await other.send([b"last"])
        await other.aclose()
        await other.aclose()
        with anyio.fail_after(30):
            assert await one.receive() == [b"last"]
            with pytest.raises(TransportError, match="closed"):
                await one.receive()
            with pytest.raises(TransportError):
                for _ in range(1000):  # a socket may take some before it knows
                    await one.send([bytes(1000)])
        with pytest.raises(TransportError):
            await other.receive()


class InPieces(ByteStream):
    """Gives bytes in the pieces that they are cut into."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    async def receive(self, max_bytes: int = 65536) -> bytes:
        if not self._pieces:
            raise anyio.EndOfStream
        return self._pieces.pop(0)

    async def send(self, item: bytes) -> None:
        self._pieces.append(item)

    async def send_eof(self) -> None: ...

    async def aclose(self) -> None: ...


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=8), st.data())
def test_frames_are_whole_whatever_the_stream_is_cut_into(
    frames: list[bytes], data: st.DataObject
) -> None:
    whole, pieces, at = join_frames(frames), [], 0
    while at < len(whole):
        step = data.draw(st.integers(1, 60))
        pieces.append(whole[at : at + step])
        at += step

    async def receive_all() -> list[bytes]:
        stream, got = ByteFrameStream(InPieces(pieces), 40), []
        with pytest.raises(TransportError):
            while True:
                got += await stream.receive()
        return got

    assert anyio.run(receive_all) == frames


async def test_frames_sent_together_leave_as_one_write() -> None:
    inner = InPieces([])
    stream = ByteFrameStream(inner, 10)
    await stream.send([b"a", b"b"])
    await stream.send([])
    assert inner._pieces == [join_frames([b"a", b"b"])]


class OneByteAtATime(ByteStream):
    def __init__(self, data: bytes) -> None:
        self._data = data

    async def receive(self, max_bytes: int = 65536) -> bytes:
        if not self._data:
            raise anyio.EndOfStream
        byte, self._data = self._data[:1], self._data[1:]
        return byte

    async def send(self, item: bytes) -> None:
        raise OSError(28, "out of something")

    async def send_eof(self) -> None: ...

    async def aclose(self) -> None:
        raise anyio.BrokenResourceError


async def test_a_part_of_a_frame_is_a_sign_of_life() -> None:
    stream = ByteFrameStream(OneByteAtATime(join_frames([b"ab", b"c"])), 10)
    assert [await stream.receive() for _ in range(11)] == [[]] * 5 + [[b"ab"]] + [[]] * 4 + [[b"c"]]
    with pytest.raises(TransportError):
        await stream.receive()


async def test_too_large_a_frame_is_the_peers_error() -> None:
    stream = ByteFrameStream(OneByteAtATime(b"\x00\x00\x00\x0b"), 10)
    with pytest.raises(RemoteProtocolError, match="11 bytes"):
        for _ in range(4):
            await stream.receive()


async def test_errors_of_the_system_are_mapped_with_their_cause() -> None:
    stream = ByteFrameStream(OneByteAtATime(b""), 10, "tcp://there:1")
    with pytest.raises(TransportError, match=r"tcp://there:1.*out of something") as caught:
        await stream.send([b"x"])
    assert isinstance(caught.value.__cause__, OSError)
    await stream.aclose()  # never raises


class NeverCloses(OneByteAtATime):
    async def aclose(self) -> None:
        await anyio.sleep_forever()


async def test_closing_never_waits_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crdtsync.transport.stream.CLOSE_TIMEOUT_S", 0.01)
    with anyio.fail_after(30):
        await ByteFrameStream(NeverCloses(b""), 10).aclose()
