"""WebSockets as ASGI 3 gives them, and answers to HTTP requests."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any, TypeAlias

import anyio

from crdtsync.errors import RemoteProtocolError, TransportError

__all__ = ["AsgiWebSocket", "Event", "Receive", "Scope", "Send", "headers_of", "respond"]

Event: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Event]]
Send: TypeAlias = Callable[[Event], Awaitable[None]]

_CLOSE_TIMEOUT_S = 1.0
_HELD_BYTES = 256 * 1024
_ORDERLY = (1000, 1001, 1005)  # all is said; whoever closes goes away; no reason given
_BINARY_ONLY = 1003
_TOO_BIG = 1009


class AsgiWebSocket:
    """A `crdtsync.transport.MessageStream` that an ASGI server carries.

    ASGI gives one message at a time, and whether there are more cannot be asked. So a task of its
    own takes them in, a bounded amount ahead of the reader, who then finds what has come meanwhile.

    Args:
        receive: the server's function.
        send: the server's function. It returns when the connection has room for more.
        message_bytes_max: the largest message accepted.
    """

    def __init__(self, receive: Receive, send: Send, message_bytes_max: int) -> None:
        self._receive = receive
        self._send = send
        self._message_bytes_max = message_bytes_max
        self._events: deque[Event] = deque()  # that have come, and were not taken
        self._held_bytes = 0
        self._came: anyio.Event | None = None  # there while the reader waits
        self._room: anyio.Event | None = None  # there while `take_in` does
        self._is_closed = False

    async def take_in(self) -> None:
        """Take in what comes. It runs beside the reader, until the end."""
        while True:
            event = await self._receive()
            self._events.append(event)
            self._held_bytes += _size(event)
            if self._came is not None:
                self._came.set()
            if event["type"] == "websocket.disconnect":
                return
            while self._held_bytes > _HELD_BYTES:
                self._room = anyio.Event()
                await self._room.wait()

    async def receive(self) -> bytes | None:
        while not self._events:
            if self._is_closed:
                return None
            self._came = anyio.Event()
            await self._came.wait()
            self._came = None
        event = self._take()
        if event["type"] == "websocket.disconnect":
            self._is_closed = True
            code = event.get("code", 1005)
            if code in _ORDERLY:
                return None
            raise TransportError(f"the connection was closed ({code})")
        data: bytes | None = event.get("bytes")
        if data is None:
            await self.close(_BINARY_ONLY, "binary messages only")
            raise RemoteProtocolError("a text message; all are to be binary")
        if len(data) > self._message_bytes_max:
            await self.close(_TOO_BIG, f"messages of up to {self._message_bytes_max:,} bytes only")
            raise RemoteProtocolError(
                f"a message of {len(data):,} bytes; accepted are {self._message_bytes_max:,}"
            )
        return data

    def receive_nowait(self) -> bytes | None:
        if not self._events:
            return None
        data: bytes | None = self._events[0].get("bytes")
        if data is None or len(data) > self._message_bytes_max:
            return None  # for `receive` to tell
        self._take()
        return data

    def _take(self) -> Event:
        event = self._events.popleft()
        self._held_bytes -= _size(event)
        if self._room is not None:
            self._room.set()
            self._room = None
        return event

    async def send(self, data: bytes, /) -> None:
        if self._is_closed:
            raise TransportError("the connection was closed")
        try:
            await self._send({"type": "websocket.send", "bytes": data})
        except OSError as error:
            self._is_closed = True
            raise TransportError(f"the connection was closed: {error}") from error

    async def close(self, code: int = 1000, reason: str = "") -> None:
        if self._is_closed:
            return
        self._is_closed = True
        with anyio.move_on_after(_CLOSE_TIMEOUT_S, shield=True), suppress(OSError):
            await self._send({"type": "websocket.close", "code": code, "reason": reason})


def _size(event: Event) -> int:
    return len(event.get("bytes") or event.get("text") or b"")


def headers_of(scope: Scope) -> dict[str, str]:
    """Return a request's headers by their names in lower case; of several, the last."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


async def respond(scope: Scope, send: Send, status: int, text: str) -> None:
    """Answer a request with a line of text: a plain one, or one for a WebSocket with a refusal."""
    kind = "http.response"
    if scope["type"] == "websocket":
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": 1008, "reason": text})
            return
        kind = "websocket.http.response"
    body = f"{text}\n".encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"x-content-type-options", b"nosniff"),
    ]
    await send({"type": f"{kind}.start", "status": status, "headers": headers})
    await send({"type": f"{kind}.body", "body": body})
