"""A web client that says whatever it is told to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
from anyio.abc import ByteStream
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from crdtsync.transport import parse_url

__all__ = ["RawWebSocket", "frame", "open_raw", "request", "status_of"]


def request(path: str = "/", headers: str = "", *, upgrade: bool = True) -> bytes:
    """Return a request for a WebSocket, or a plain one."""
    wanted = (
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    )
    host = "" if "Host:" in headers else "Host: localhost\r\n"
    return f"GET {path} HTTP/1.1\r\n{host}{wanted if upgrade else ''}{headers}\r\n".encode()


def frame(opcode: Opcode, data: bytes = b"", *, fin: bool = True) -> bytes:
    """Return a frame as clients send it."""
    return Frame(opcode, data, fin).serialize(mask=True)


async def status_of(url: str, asked: bytes) -> tuple[int, str]:
    """Return status and text of the answer to a request."""
    address = parse_url(url)
    async with await anyio.connect_tcp(address.host, address.port) as stream:
        await stream.send(asked)
        got = b""
        with anyio.fail_after(30):
            while b"\r\n\r\n" not in got:
                got += await stream.receive()
            if not got.startswith(b"HTTP/1.1 101"):
                head = got.lower().partition(b"\r\n\r\n")[0]
                if b"content-length: " in head:
                    length = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
                    while len(got.partition(b"\r\n\r\n")[2]) < length:
                        got += await stream.receive()
    return int(got[9:12]), got.partition(b"\r\n\r\n")[2].decode().strip()


class RawWebSocket:
    """Sends raw bytes after an honest greeting; looks at what comes."""

    def __init__(self, stream: ByteStream, left: bytes) -> None:
        self.stream = stream
        self._parser = ClientProtocol(parse_uri("ws://localhost"), state=State.OPEN, max_size=None)
        self._parser.receive_data(left)
        self.frames: list[Frame] = []

    async def send(self, data: bytes) -> None:
        await self.stream.send(data)

    async def until(self, when: Callable[[Frame], bool]) -> Frame:
        """Return the first frame of a kind."""
        with anyio.fail_after(30):
            while True:
                for event in self._parser.events_received():
                    assert isinstance(event, Frame)
                    self.frames.append(event)
                    if when(event):
                        return event
                self._parser.receive_data(await self.stream.receive())

    async def close_code(self) -> int:
        """Return the code of the Close that the server sends."""
        close = await self.until(lambda one: one.opcode is Opcode.CLOSE)
        return int.from_bytes(close.data[:2], "big")

    async def until_gone(self) -> None:
        """Return when the server has hung up."""
        with anyio.fail_after(30):
            try:
                while True:
                    await self.stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return


@asynccontextmanager
async def open_raw(url: str, path: str = "/", headers: str = "") -> AsyncIterator[RawWebSocket]:
    """Open a WebSocket."""
    address = parse_url(url)
    async with await anyio.connect_tcp(address.host, address.port) as stream:
        await stream.send(request(path, headers))
        got = b""
        with anyio.fail_after(30):
            while b"\r\n\r\n" not in got:
                got += await stream.receive()
        assert got.startswith(b"HTTP/1.1 101"), got
        yield RawWebSocket(stream, got.partition(b"\r\n\r\n")[2])
