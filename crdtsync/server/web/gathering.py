"""Sending in one go what is written in one turn of the event loop, to each connection.

asyncio hands every write to the system at once, and each costs as much as a large one: a client
that is told of twenty changes that they are stored takes twenty system calls, or TLS records.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, BaseTransport, Transport
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

__all__ = ["GatheringProtocol", "GatheringTransport"]

_GATHERED_BYTES_MAX = 64 * 1024
"""With more, it is sent before the turn's end: the transport tells only then that it is full."""


class GatheringProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, which gathers what it writes."""

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        gathering: Any = GatheringTransport(self.transport, self.loop)
        self.transport = gathering


class GatheringTransport:
    """A transport, of which `write` and `close` are other than they were."""

    def __init__(self, transport: Transport, loop: AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._gathered = bytearray()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._gathered:
            self._loop.call_soon(self._flush)
        self._gathered += data
        if len(self._gathered) > _GATHERED_BYTES_MAX:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._gathered:
            gathered, self._gathered = bytes(self._gathered), bytearray()
            self._transport.write(gathered)
