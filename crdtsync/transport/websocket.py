"""WebSocket, the client's side: websockets' protocol without I/O, on any byte stream of anyio's.

Nothing is compressed: entries hold encoded data already, and what a peer's bytes can grow into is
bounded by their number. A message, and the fragments that it comes in, is bounded before it is
read.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress

import anyio
from anyio.abc import ByteStream
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import WebSocketURI

from crdtsync.errors import RemoteProtocolError, TransportError
from crdtsync.transport.address import Address
from crdtsync.transport.messages import MESSAGE_BYTES_MAX
from crdtsync.transport.stream import map_errors

__all__ = ["WebSocket", "open_websocket"]

_RECEIVE_BYTES = 64 * 1024
_CLOSE_TIMEOUT_S = 0.5
_ORDERLY = (1000, 1001)  # all is said; whoever closes goes away
_BINARY_ONLY = 1003
_PONGS_OWED_MAX = 16
_ANSWER_SHOWN = 200


async def open_websocket(stream: ByteStream, address: Address) -> WebSocket:
    """Make a WebSocket of a stream that leads to a web server.

    Raises:
        TransportError: the server does not agree; the message holds what it answered.
    """
    host, path = ("localhost", "/") if address.is_unix else (address.host, address.path)
    uri = WebSocketURI(address.is_secure, host, address.port or 80, path, "")
    protocol = ClientProtocol(uri, max_size=MESSAGE_BYTES_MAX)
    websocket = WebSocket(stream, protocol, str(address))
    await websocket.greet()
    return websocket


class WebSocket:
    """A `crdtsync.transport.MessageStream`. Made by `open_websocket`."""

    def __init__(self, stream: ByteStream, protocol: ClientProtocol, name: str) -> None:
        self._stream = stream
        self._protocol = protocol
        self._name = name
        self._sending = anyio.Lock()
        self._is_amid_send = False
        self._pongs_owed = 0
        self._fault: str | None = None
        self._part = bytearray()  # of a message that is not whole yet
        self._whole: deque[bytes] = deque()

    async def greet(self) -> None:
        """Ask for the WebSocket, and wait for the answer."""
        self._protocol.send_request(self._protocol.connect())
        await self._flush()
        while self._protocol.state is State.CONNECTING:
            try:
                await self._take_in()
            except TransportError:
                if self._protocol.handshake_exc is None:
                    raise
            if self._protocol.handshake_exc is not None:
                why = _explain(self._protocol.handshake_exc)
                raise TransportError(f"{self._name}: {why}") from self._protocol.handshake_exc

    async def receive(self) -> bytes | None:
        while not self._whole:
            if self._protocol.state is not State.OPEN:
                self._check_end()
                return None
            await self._take_in()
        return self._whole.popleft()

    def receive_nowait(self) -> bytes | None:
        return self._whole.popleft() if self._whole else None

    async def send(self, data: bytes, /) -> None:
        try:
            self._protocol.send_binary(data)
        except WebSocketException as error:
            raise TransportError(f"{self._name}: the connection was closed") from error
        async with self._sending:
            await self._flush()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        gone = (TransportError, OSError, anyio.BrokenResourceError)
        with anyio.move_on_after(_CLOSE_TIMEOUT_S, shield=True), suppress(*gone):
            async with self._sending:
                if not self._is_amid_send:  # in the middle of a message, it would be a part of it
                    if self._protocol.state is State.OPEN:
                        self._protocol.send_close(code, reason)
                    await self._flush()
        with anyio.move_on_after(_CLOSE_TIMEOUT_S, shield=True), suppress(*gone):
            await self._stream.aclose()

    def _check_end(self) -> None:
        """Raise if the connection did not come to its end in order."""
        broken, closed = self._protocol.parser_exc, self._protocol.close_rcvd
        if broken is not None and not isinstance(broken, EOFError):
            self._fault = str(broken)
        if self._fault is not None:
            raise RemoteProtocolError(f"{self._name}: {self._fault}")
        if closed is None:
            raise TransportError(f"{self._name}: the connection was closed")
        if closed.code not in _ORDERLY:
            raise TransportError(f"{self._name}: the server closed: {closed}")

    async def _take_in(self) -> None:
        """Receive some bytes; keep the messages that are whole with them, and answer pings."""
        try:
            with map_errors(self._name):
                data = await self._stream.receive(_RECEIVE_BYTES)
        except TransportError:
            with suppress(EOFError):
                self._protocol.receive_eof()
            raise
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                self._keep(event)
        # Who sends at the moment sends the pongs too: waiting for that could be waiting for a
        # server that waits for us. Unless it is many of them.
        if not self._sending.locked() or self._pongs_owed > _PONGS_OWED_MAX:
            async with self._sending:
                await self._flush()

    def _keep(self, frame: Frame) -> None:
        if frame.opcode is Opcode.TEXT:
            self._fault = "a text message; all are to be binary"
            self._protocol.fail(_BINARY_ONLY, self._fault)
        elif frame.opcode is Opcode.PING:
            self._pongs_owed += 1
        elif frame.opcode in {Opcode.BINARY, Opcode.CONT}:
            self._part += frame.data
            if frame.fin:
                self._whole.append(bytes(self._part))
                self._part.clear()

    async def _flush(self) -> None:
        while data := b"".join(self._protocol.data_to_send()):
            self._pongs_owed = 0
            self._is_amid_send = True
            with map_errors(self._name):
                await self._stream.send(data)
            self._is_amid_send = False


def _explain(error: Exception) -> str:
    if not isinstance(error, InvalidStatus):
        return f"there is no WebSocket: {error.__cause__ or error}"
    response = error.response
    status = f"the server answered {response.status_code} {response.reason_phrase}"
    elsewhere = response.headers.get("Location")
    said = bytes(response.body or b"").decode("utf-8", "replace").strip()
    more = f"see {elsewhere}" if elsewhere else said[:_ANSWER_SHOWN]
    return f"{status}: {more}" if more else status
