"""Streams of frames: the only thing that the drivers of the protocol know of the outside.

A `FrameStream` carries payloads, each of which is one frame. There is one for every kind of
connection; all errors of the event loop and the operating system are mapped here, and nowhere
else, to `TransportError` with their cause kept.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

import anyio
from anyio.abc import ByteStream
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from crdtsync.errors import TransportError
from crdtsync.sync import FrameReader, join_frames

__all__ = ["ByteFrameStream", "FrameStream", "MemoryFrameStream", "memory_pair"]

RECEIVE_BYTES = 256 * 1024
CLOSE_TIMEOUT_S = 1.0


@runtime_checkable
class FrameStream(Protocol):
    """A connection that keeps frames whole and in order. One task sends, one task receives."""

    async def send(self, payloads: Sequence[bytes]) -> None:
        """Send frames, all in one go; return when the transport has room for more.

        Raises:
            TransportError: the connection is gone.
        """
        ...

    async def receive(self) -> list[bytes]:
        """Return the frames that have arrived, waiting for bytes where there are none.

        The list is empty where only a part of a frame came: a sign of life nevertheless.

        Raises:
            TransportError: the connection is gone.
            RemoteProtocolError: the peer sent something larger than a frame may be.
        """
        ...

    async def aclose(self) -> None:
        """Close the connection. Never raises, never waits long; a second call does nothing."""
        ...


@contextmanager
def map_errors(what: str) -> Iterator[None]:
    """Turn the errors of anyio and the operating system into ours."""
    try:
        yield
    except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
        cause = error.__cause__
        reason = _reason(cause) if isinstance(cause, OSError) else "the connection was closed"
        raise TransportError(f"{what}: {reason}") from error
    except anyio.BusyResourceError as error:
        # Of TLS, where a peer asks for something to be sent while something else is being sent.
        raise TransportError(f"{what}: the peer wants to change keys in mid-sentence") from error
    except OSError as error:
        raise TransportError(f"{what}: {_reason(error)}") from error


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError) and error.reason == "WRONG_VERSION_NUMBER":
        return "TLS is not spoken there: is it tcp:// or ws://?"
    return str(error)


class ByteFrameStream:
    """Frames over a stream of bytes: TCP, TLS, Unix sockets.

    Args:
        stream: any byte stream of anyio's.
        frame_bytes_max: the largest frame accepted.
        name: of the peer, for error messages.
    """

    def __init__(self, stream: ByteStream, frame_bytes_max: int, name: str = "peer") -> None:
        self._stream = stream
        self._reader = FrameReader(frame_bytes_max)
        self._name = name

    async def send(self, payloads: Sequence[bytes]) -> None:
        if payloads:
            with map_errors(self._name):
                await self._stream.send(join_frames(payloads))

    async def receive(self) -> list[bytes]:
        with map_errors(self._name):
            data = await self._stream.receive(RECEIVE_BYTES)
        return self._reader.feed(data)

    async def aclose(self) -> None:
        with anyio.move_on_after(CLOSE_TIMEOUT_S, shield=True):
            try:
                await self._stream.aclose()
            except (OSError, anyio.BrokenResourceError):
                return  # it is gone, which is what was asked for


class MemoryFrameStream:
    """One end of a connection within a process. Made by `memory_pair`."""

    def __init__(
        self,
        outgoing: MemoryObjectSendStream[list[bytes]],
        incoming: MemoryObjectReceiveStream[list[bytes]],
    ) -> None:
        self._outgoing = outgoing
        self._incoming = incoming

    async def send(self, payloads: Sequence[bytes]) -> None:
        if payloads:
            with map_errors("memory"):
                await self._outgoing.send(list(payloads))

    async def receive(self) -> list[bytes]:
        with map_errors("memory"):
            return await self._incoming.receive()

    async def aclose(self) -> None:
        self._outgoing.close()
        self._incoming.close()


def memory_pair(buffered: int = 16) -> tuple[MemoryFrameStream, MemoryFrameStream]:
    """Return the two ends of a connection within this process.

    Args:
        buffered: sends that may wait for the receiver before the sender has to.
    """
    forth = anyio.create_memory_object_stream[list[bytes]](buffered)
    back = anyio.create_memory_object_stream[list[bytes]](buffered)
    return MemoryFrameStream(forth[0], back[1]), MemoryFrameStream(back[0], forth[1])
