"""Streams of messages, such as WebSockets, and frames upon them.

A message is a piece of the same bytes that a TCP connection would carry: frames, each preceded by
its length. Where a message ends has no meaning. So what is sent in one go is one message, however
many frames it holds, and what is large is several: no message is above `MESSAGE_BYTES_MAX`, which
every proxy lets through, and each that arrives is a sign of life on a slow line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from crdtsync.errors import TransportError
from crdtsync.sync import FrameReader, join_frames

__all__ = ["MESSAGE_BYTES_MAX", "MessageFrameStream", "MessageStream"]

MESSAGE_BYTES_MAX = 64 * 1024
"""The largest message of the native protocol.

Measured in bulk, with both ends in one process: at 256 KiB a byte costs a quarter less processor
time, at 16 KiB half as much again. What is written by hand is far below either.
"""


@runtime_checkable
class MessageStream(Protocol):
    """A connection that carries binary messages. One task sends, one task receives."""

    async def receive(self) -> bytes | None:
        """Return the next message; None once the peer has closed in order.

        Raises:
            TransportError: the connection is gone.
            RemoteProtocolError: the peer sent what it must not.
        """
        ...

    def receive_nowait(self) -> bytes | None:
        """Return the next message if it has come already; None where there is none."""
        ...

    async def send(self, data: bytes, /) -> None:
        """Send a message; return when the transport has room for more.

        Raises:
            TransportError: the connection is gone.
        """
        ...

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection. Never raises, never waits long; a second call does nothing.

        Args:
            code: why, as in RFC 6455, section 7.4.
            reason: why, in no more than 123 bytes.
        """
        ...


class MessageFrameStream:
    """Frames over a stream of messages.

    Args:
        messages: what carries them.
        frame_bytes_max: the largest frame accepted.
        name: of the peer, for error messages.
    """

    def __init__(self, messages: MessageStream, frame_bytes_max: int, name: str = "peer") -> None:
        self._messages = messages
        self._reader = FrameReader(frame_bytes_max)
        self._name = name

    async def send(self, payloads: Sequence[bytes]) -> None:
        if not payloads:
            return
        data = join_frames(payloads)
        if len(data) <= MESSAGE_BYTES_MAX:
            await self._messages.send(data)
            return
        for start in range(0, len(data), MESSAGE_BYTES_MAX):
            await self._messages.send(data[start : start + MESSAGE_BYTES_MAX])

    async def receive(self) -> list[bytes]:
        data = await self._messages.receive()
        if data is None:
            raise TransportError(f"{self._name}: the connection was closed")
        frames = self._reader.feed(data)
        while (more := self._messages.receive_nowait()) is not None:
            frames += self._reader.feed(more)
        return frames

    async def aclose(self) -> None:
        await self._messages.close()
