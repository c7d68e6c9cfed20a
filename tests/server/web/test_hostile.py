"""Hostile web clients, on real sockets: they get nothing, and nobody else notices."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from websockets.frames import Frame, Opcode

from crdtsync.server import MemoryBackend, ServerLimits, web_app
from crdtsync.server.yjs import YjsLimits
from crdtsync.sync import WireLimits, frame_bytes
from crdtsync.transport import connect_stream, parse_url
from crdtsync.transport.messages import MESSAGE_BYTES_MAX
from tests.server.authors import Author
from tests.server.client import Client
from tests.server.web.raw import RawWebSocket, frame, open_raw, request
from tests.web import is_trio, serving_app

ROOT = Path(__file__).parents[3]
LIMITS = ServerLimits(
    wire=WireLimits(handshake_timeout_s=0.5, silence_timeout_s=1), close_timeout_s=0.5
)


MOST = YjsLimits().message_bytes_max
"""What the web server takes: the most that any of its doors does."""


@asynccontextmanager
async def serving() -> AsyncIterator[str]:
    async with serving_app(web_app(MemoryBackend(), limits=LIMITS)) as url:
        yield url


async def check_honest(url: str, number: int = 1) -> None:
    """Check that others are served meanwhile."""
    client, author = Client(await connect_stream(url)), Author(number, f"board {number}")
    with anyio.fail_after(30):
        await client.hello()
        await client.follow(author.document)
        await client.push_durably([author.write()], author.document)
    await client.stream.aclose()


async def told(socket: RawWebSocket, *codes: int) -> None:
    """Check that the Close says why; hypercorn, on trio, just closes."""
    if is_trio():
        return
    assert await socket.close_code() in codes


Attack = Callable[[RawWebSocket], Awaitable[None]]


async def announce_too_much(socket: RawWebSocket) -> None:
    await socket.send(frame(Opcode.BINARY, bytes(MOST + 1))[:20])
    await told(socket, 1009)


async def too_much_in_fragments(socket: RawWebSocket) -> None:
    await socket.send(frame(Opcode.BINARY, bytes(MOST), fin=False))
    await socket.send(frame(Opcode.CONT, bytes(1), fin=False))
    await told(socket, 1009)


async def fragments_without_end(socket: RawWebSocket) -> None:
    await socket.send(frame(Opcode.BINARY, b"x", fin=False))
    try:
        while True:
            await socket.send(frame(Opcode.CONT, b"", fin=False) * 100)
            await anyio.sleep(0.001)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        return


async def a_text(socket: RawWebSocket) -> None:
    await socket.send(frame(Opcode.TEXT, b"text"))
    await told(socket, 1003)


async def not_even_a_text(socket: RawWebSocket) -> None:
    await socket.send(frame(Opcode.TEXT, b"\xff\xff"))
    await told(socket, 1003, 1007)


async def a_bomb(socket: RawWebSocket) -> None:
    """Compressed, which nobody agreed to."""
    packer = zlib.compressobj(wbits=-15)
    bomb = packer.compress(bytes(10_000_000)) + packer.flush(zlib.Z_SYNC_FLUSH)
    sent = bytearray(frame(Opcode.BINARY, bomb[:-4]))
    sent[0] |= 0x40
    await socket.send(bytes(sent))
    await told(socket, 1002, 1009)


async def unmasked(socket: RawWebSocket) -> None:
    await socket.send(Frame(Opcode.BINARY, b"hello").serialize(mask=False))
    await told(socket, 1002)


async def unknown_opcode(socket: RawWebSocket) -> None:
    await socket.send(b"\x83\x80\x00\x00\x00\x00")
    await told(socket, 1002)


async def drip(socket: RawWebSocket) -> None:
    """A message that never becomes whole."""
    try:
        for byte in frame(Opcode.BINARY, bytes(1000)):
            await socket.send(bytes([byte]))
            await anyio.sleep(0.01)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        return


async def silence(socket: RawWebSocket) -> None:
    pass


async def noise(socket: RawWebSocket) -> None:
    await socket.send(frame(Opcode.BINARY, os.urandom(1000)))


async def a_huge_frame(socket: RawWebSocket) -> None:
    await socket.send(frame(Opcode.BINARY, b"\xff\xff\xff\xff"))


async def a_type_that_nobody_knows_before_welcome(socket: RawWebSocket) -> None:
    await socket.send(frame(Opcode.BINARY, frame_bytes(b"\x82\x18\xc8\x01")))


ATTACKS: list[Attack] = [
    announce_too_much,
    too_much_in_fragments,
    fragments_without_end,
    a_text,
    not_even_a_text,
    a_bomb,
    unmasked,
    unknown_opcode,
    drip,
    silence,
    noise,
    a_huge_frame,
    a_type_that_nobody_knows_before_welcome,
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda one: one.__name__)
async def test_who_does_this_is_let_go_in_time_and_alone(attack: Attack) -> None:
    async with serving() as url, open_raw(url) as socket:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(check_honest, url)
            with anyio.fail_after(30):
                await attack(socket)
                await socket.until_gone()
        await check_honest(url, 2)


async def test_types_that_nobody_knows_are_passed_over() -> None:
    async with serving() as url:
        client = Client(await connect_stream(url))
        await client.hello()
        await client.stream.send([b"\x82\x18\xc8\x01"])
        await client.follow()
        await client.stream.aclose()


@pytest.fixture
def own_server(anyio_backend: str) -> None:
    if anyio_backend == "trio":
        pytest.skip("what comes before a WebSocket is the web server's, and ours runs on asyncio")


@pytest.mark.usefixtures("own_server")
@pytest.mark.parametrize(
    "sent", [b"", b"G", request()[:-2], request(), b"GET / HTTP/1.1\r\nX: " + b"y" * 10]
)
async def test_who_never_asks_for_anything_is_hung_up_on(sent: bytes) -> None:
    async with serving() as url:
        address = parse_url(url)
        async with await anyio.connect_tcp(address.host, address.port) as raw:
            if sent:
                await raw.send(sent)
            await check_honest(url)
            with anyio.fail_after(30):
                await RawWebSocket(raw, b"").until_gone()


@pytest.mark.usefixtures("own_server")
async def test_a_request_that_drips_is_hung_up_on() -> None:
    async with serving() as url:
        address = parse_url(url)
        async with await anyio.connect_tcp(address.host, address.port) as raw:
            with anyio.fail_after(30), pytest.raises(anyio.BrokenResourceError):
                await raw.send(b"GET / HTTP/1.1\r\n")
                while True:
                    await raw.send(b"X: y\r\n")
                    await anyio.sleep(0.01)


@pytest.mark.usefixtures("own_server")
async def test_headers_without_end_are_not_kept() -> None:
    async with serving() as url:
        address = parse_url(url)
        async with await anyio.connect_tcp(address.host, address.port) as raw:
            await raw.send(b"GET / HTTP/1.1\r\n")
            sent = 0
            with anyio.fail_after(30), pytest.raises(anyio.BrokenResourceError):
                while True:
                    await raw.send(b"X: " + bytes(b"y" * 10_000) + b"\r\n")
                    sent += 10_000
            assert sent < 20_000_000  # what the sockets hold


@pytest.mark.usefixtures("own_server")
async def test_who_neither_reads_nor_closes_is_hung_up_on() -> None:
    async with serving() as url, open_raw(url) as socket:
        # It answers nothing and takes nothing, not even the end.
        ping = frame(Opcode.PING, bytes(125)) * 1000
        with anyio.fail_after(30), pytest.raises(anyio.BrokenResourceError):
            while True:
                await socket.send(ping)
        await check_honest(url)


def memory_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads memory from /proc")
@pytest.mark.usefixtures("own_server")
async def test_a_thousand_that_never_say_who_they_are() -> None:
    """A third never asks, a third opens a WebSocket, a third sends most of a large message."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    command = [sys.executable, "-m", "tests.server.web.process"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)  # noqa: ASYNC220
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        await check_honest(url)
        before = memory_bytes(process.pid)
        gone = 0

        async def attack(number: int) -> None:
            nonlocal gone
            address = parse_url(url)
            async with await anyio.connect_tcp(address.host, address.port) as raw:
                if number % 3:
                    await raw.send(request())
                if number % 3 == 2:
                    await raw.send(frame(Opcode.BINARY, bytes(MESSAGE_BYTES_MAX))[:-1])
                await RawWebSocket(raw, b"").until_gone()
                gone += 1

        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                for number in range(1000):
                    tasks.start_soon(attack, number)
                for number in range(10):
                    await check_honest(url, number + 2)
                most = memory_bytes(process.pid)
        assert gone == 1000
        # The third's messages, twice; and 64 KiB for whatever each connection is.
        assert most - before < 1000 * 64 * 1024 + 334 * 2 * MESSAGE_BYTES_MAX
        await check_honest(url, 100)
    finally:
        process.kill()
        process.communicate()
