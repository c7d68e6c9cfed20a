"""The client's WebSocket, against web servers that behave in all sorts of ways."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import ByteStream, SocketAttribute, SocketStream
from websockets.frames import Close, Frame, Opcode
from websockets.utils import accept_key

from crdtsync.errors import RemoteProtocolError, TransportError
from crdtsync.sync import WireLimits
from crdtsync.transport import connect_stream, parse_url
from crdtsync.transport.messages import MESSAGE_BYTES_MAX
from crdtsync.transport.websocket import WebSocket, open_websocket

Handler = Callable[[SocketStream], Awaitable[None]]


@asynccontextmanager
async def web_server(handle: Handler) -> AsyncIterator[str]:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:

        async def close_after(stream: SocketStream) -> None:
            async with stream:
                await handle(stream)

        tasks.start_soon(listener.serve, close_after)
        yield f"ws://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
        tasks.cancel_scope.cancel()


async def request_of(stream: ByteStream) -> str:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += await stream.receive()
    return head.decode()


async def greet(stream: ByteStream, more: str = "", with_it: bytes = b"") -> str:
    """Agree to a WebSocket; return what was asked."""
    request = await request_of(stream)
    key = request.partition("Sec-WebSocket-Key: ")[2].partition("\r\n")[0]
    await stream.send(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept_key(key)}\r\n{more}\r\n".encode()
        + with_it
    )
    return request


def frame(opcode: Opcode, data: bytes = b"", *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=False)


async def open_to(url: str) -> WebSocket:
    address = parse_url(url)
    return await open_websocket(await anyio.connect_tcp(address.host, address.port), address)


@asynccontextmanager
async def against(handle: Handler) -> AsyncIterator[WebSocket]:
    """Open a WebSocket to a server that goes on so after its greeting."""

    done = anyio.Event()

    async def greet_and_handle(stream: SocketStream) -> None:
        await greet(stream)
        await handle(stream)
        done.set()

    with anyio.fail_after(30):
        async with web_server(greet_and_handle) as url:
            websocket = await open_to(url)
            try:
                yield websocket
            finally:
                await websocket.close()
            await done.wait()


async def until_gone(stream: ByteStream) -> bytes:
    """Return all that comes until the client is gone."""
    got = b""
    try:
        while True:
            got += await stream.receive()
    except (anyio.EndOfStream, anyio.BrokenResourceError):
        return got


async def test_what_it_asks_for() -> None:
    asked = []

    async def handle(stream: SocketStream) -> None:
        asked.append(await greet(stream))
        await until_gone(stream)

    async with web_server(handle) as url:
        stream = await connect_stream(f"{url}/sync")
        await stream.aclose()
    assert asked[0].startswith("GET /sync/ HTTP/1.1\r\n")
    assert f"Host: {url[5:]}\r\n" in asked[0]
    assert "Extensions" not in asked[0]  # nothing is compressed
    assert "Origin" not in asked[0]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 7\r\n\r\nno sync", "404 Not Found: no sync"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n" + b"<p>" * 1000, "502 Bad Gateway: <p><p>"),
        (
            b"HTTP/1.1 301 Moved\r\nLocation: https://x/\r\nContent-Length: 0\r\n\r\n",
            "see https://x/",
        ),
        (b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", "no WebSocket"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "200 OK"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "no WebSocket"),
        (b"\x00\x01" * 50_000, "no WebSocket"),
        (b"HTTP/1.1 101 Yes\r\n" + b"X: y\r\n" * 10_000, "no WebSocket"),
        (b"", "closed"),
        (b"HTTP/1.1 1", "closed|no WebSocket"),
    ],
)
async def test_who_does_not_agree_is_reported_with_their_answer(answer: bytes, why: str) -> None:
    async def handle(stream: SocketStream) -> None:
        await request_of(stream)
        if answer:
            await stream.send(answer)

    async with web_server(handle) as url:
        with anyio.fail_after(30), pytest.raises(TransportError, match=why) as caught:
            await connect_stream(url)
        assert url[5:] in str(caught.value)
        assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "more", ["Sec-WebSocket-Extensions: permessage-deflate\r\n", "Sec-WebSocket-Protocol: x\r\n"]
)
async def test_what_was_not_asked_for_is_not_accepted(more: str) -> None:
    async def handle(stream: SocketStream) -> None:
        await greet(stream, more)

    async with web_server(handle) as url:
        with anyio.fail_after(30), pytest.raises(TransportError, match="no WebSocket"):
            await connect_stream(url)


async def test_what_comes_with_the_greeting_counts_from_then_on() -> None:
    async def handle(stream: SocketStream) -> None:
        await greet(stream, more="", with_it=frame(Opcode.BINARY, b"x") + frame(Opcode.TEXT, b"y"))
        await until_gone(stream)

    async with web_server(handle) as url:
        websocket = await open_to(url)
        assert await websocket.receive() == b"x"
        with pytest.raises(RemoteProtocolError, match="text"):
            await websocket.receive()
        await websocket.close()


async def test_who_never_answers_is_given_up() -> None:
    async def handle(stream: SocketStream) -> None:
        await until_gone(stream)

    async with web_server(handle) as url:
        with anyio.fail_after(30), pytest.raises(TransportError, match="no connection within"):
            await connect_stream(url, WireLimits(connect_timeout_s=0.1))


async def test_messages_come_in_order_whatever_their_fragments() -> None:
    async def handle(stream: SocketStream) -> None:
        parts = [
            frame(Opcode.BINARY, b"one"),
            frame(Opcode.BINARY, b"t", fin=False),
            frame(Opcode.PING, b"are you there?"),
            frame(Opcode.CONT, b"", fin=False),
            frame(Opcode.CONT, b"wo"),
            frame(Opcode.BINARY, b""),
            frame(Opcode.BINARY, b"three"),
            frame(Opcode.CLOSE, Close(1001, "bye").serialize()),
        ]
        for part in b"".join(parts):
            await stream.send(bytes([part]))
        got.append(await until_gone(stream))

    got: list[bytes] = []
    async with against(handle) as websocket:
        assert [await websocket.receive() for _ in range(4)] == [b"one", b"two", b"", b"three"]
        assert await websocket.receive() is None
        assert await websocket.receive() is None
        with pytest.raises(TransportError, match="closed"):
            await websocket.send(b"too late")
    pong, close = Opcode.PONG, Opcode.CLOSE
    assert [sent[0] & 15 for sent in masked(got[0])] == [pong, close]
    assert masked(got[0])[0][1] == b"are you there?"


def masked(data: bytes) -> list[tuple[int, bytes]]:
    """Take apart what a client sent: small frames only."""
    found = []
    while data:
        size = data[1] & 127
        assert size < 126
        mask, body = data[2:6], data[6 : 6 + size]
        found.append((data[0], bytes(byte ^ mask[at % 4] for at, byte in enumerate(body))))
        data = data[6 + size :]
    return found


async def test_a_close_with_a_reason_is_reported() -> None:
    async def handle(stream: SocketStream) -> None:
        await stream.send(frame(Opcode.CLOSE, Close(1012, "back in a minute").serialize()))
        await until_gone(stream)

    async with against(handle) as websocket:
        with pytest.raises(TransportError, match=r"1012.*back in a minute"):
            await websocket.receive()


async def test_an_end_without_a_close_is_reported() -> None:
    async def handle(stream: SocketStream) -> None:
        await stream.send(frame(Opcode.BINARY, b"cut short")[:-1])

    async with against(handle) as websocket:
        for _ in range(2):
            with pytest.raises(TransportError):
                await websocket.receive()


LARGE = bytes(MESSAGE_BYTES_MAX + 1)
COMPRESSED = bytearray(frame(Opcode.BINARY, b"bomb"))
COMPRESSED[0] |= 0x40  # the bit that says so


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        pytest.param(frame(Opcode.BINARY, LARGE), 1009, id="too large"),
        pytest.param(frame(Opcode.BINARY, LARGE)[:10], 1009, id="announced too large"),
        pytest.param(
            frame(Opcode.BINARY, b"x", fin=False) + frame(Opcode.CONT, LARGE[1:], fin=False),
            1009,
            id="too large in fragments",
        ),
        pytest.param(bytes(COMPRESSED), 1002, id="compressed"),
        pytest.param(frame(Opcode.TEXT, b"text"), 1003, id="text"),
        pytest.param(frame(Opcode.CONT, b"x"), 1002, id="continues nothing"),
        pytest.param(b"\x83\x00", 1002, id="unknown opcode"),
        pytest.param(b"\x82\x84abcdtext", 1002, id="masked"),
    ],
)
async def test_who_breaks_the_protocol_is_told_so(sent: bytes, code: int) -> None:
    async def handle(stream: SocketStream) -> None:
        await stream.send(sent)
        got.append(await until_gone(stream))

    got: list[bytes] = []
    async with against(handle) as websocket:
        with pytest.raises(RemoteProtocolError):
            await websocket.receive()
        with pytest.raises(TransportError):
            await websocket.send(b"x")
    [(opcode, reason)] = masked(got[0])
    assert opcode & 15 == Opcode.CLOSE
    assert int.from_bytes(reason[:2], "big") == code


class Blocked(ByteStream):
    """Takes the greeting, then nothing; gives what it is told to."""

    def __init__(self, gives: bytes, times: int) -> None:
        self._key = ""
        self._gives = gives
        self._left = times
        self.is_blocked = False
        self.received = 0

    async def send(self, item: bytes) -> None:
        if self._key:
            self.is_blocked = True
            await anyio.sleep_forever()
        self._key = item.decode().partition("Sec-WebSocket-Key: ")[2].partition("\r\n")[0]

    async def receive(self, max_bytes: int = 65536) -> bytes:
        if self.received == 0:
            self.received = 1
            return (
                "HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Accept: {accept_key(self._key)}\r\n\r\n"
            ).encode()
        if self._left == 0:
            await anyio.sleep_forever()
        self._left -= 1
        self.received += 1
        return self._gives

    async def send_eof(self) -> None: ...

    async def aclose(self) -> None: ...


async def test_what_comes_is_read_while_a_send_waits_and_a_pong_with_it() -> None:
    stream = Blocked(frame(Opcode.PING) + frame(Opcode.BINARY, b"x"), 10)
    websocket = await open_websocket(stream, parse_url("ws://localhost"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(websocket.send, b"blocked")
        await anyio.wait_all_tasks_blocked()
        assert stream.is_blocked
        with anyio.fail_after(30):
            assert [await websocket.receive() for _ in range(10)] == [b"x"] * 10
        tasks.cancel_scope.cancel()


async def test_pings_without_end_are_not_kept_for_a_server_that_takes_no_pong() -> None:
    stream = Blocked(frame(Opcode.PING, bytes(125)), 10_000)
    websocket = await open_websocket(stream, parse_url("ws://localhost"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(websocket.send, b"blocked")
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(websocket.receive)
        await anyio.wait_all_tasks_blocked()
        assert stream.received < 100
        tasks.cancel_scope.cancel()


async def test_closing_never_waits_long_and_cuts_nothing_in_two(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("crdtsync.transport.websocket._CLOSE_TIMEOUT_S", 0.01)
    websocket = await open_websocket(Blocked(b"", 0), parse_url("ws://localhost"))
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(websocket.send, b"blocked")
            await anyio.wait_all_tasks_blocked()
            await websocket.close()
            await websocket.close()
            tasks.cancel_scope.cancel()
