"""Frames on a byte stream: each is preceded by its length, four bytes, big-endian.

The length is checked before a byte of the frame is kept, so a peer cannot announce its way into
our memory. A WebSocket carries the same bytes, in messages that say nothing more.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Sequence

from crdtsync.errors import RemoteProtocolError

__all__ = ["PREFIX_BYTES", "FrameReader", "frame_bytes", "join_frames"]

PREFIX_BYTES = 4
_PREFIX = struct.Struct("!I")


def frame_bytes(payload: bytes) -> bytes:
    """Return a payload with its length in front.

    >>> frame_bytes(b"ab").hex()
    '000000026162'
    """
    return _PREFIX.pack(len(payload)) + payload


_framed_once = functools.lru_cache(maxsize=32)(frame_bytes)


def join_frames(payloads: Sequence[bytes]) -> bytes:
    """Return payloads one after the other, each with its length in front.

    A payload that goes out alone is mostly one that goes to many connections, as the same object:
    it is put behind its length once, and they all get the same bytes.
    """
    if len(payloads) == 1:
        return _framed_once(payloads[0])
    parts: list[bytes] = []
    for payload in payloads:
        parts.append(_PREFIX.pack(len(payload)))
        parts.append(payload)
    return b"".join(parts)


def _foreign(prefix: bytes) -> str | None:
    """Say which other protocol begins like that: what is mostly wrong is the scheme of a URL."""
    if prefix in {b"HTTP", b"GET "}:
        return "the other side speaks HTTP: is it ws:// or wss:// instead of a bare stream?"
    if prefix[:2] in {b"\x16\x03", b"\x15\x03"}:  # a handshake, an alert
        return "the other side speaks TLS: is it tls:// or wss:// instead of a bare stream?"
    return None


class FrameReader:
    """Cuts a byte stream into payloads, whatever pieces it arrives in.

    Every byte is copied a bounded number of times, so the time is linear in the stream's length.

    Args:
        frame_bytes_max: the largest payload accepted.
    """

    __slots__ = ("_buffer", "_frame_bytes_max")

    def __init__(self, frame_bytes_max: int) -> None:
        self._frame_bytes_max = frame_bytes_max
        self._buffer = bytearray()

    @property
    def pending(self) -> int:
        """Bytes of a frame that is not complete yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes of the stream; return the payloads that are complete with them.

        Raises:
            RemoteProtocolError: a frame is empty, or larger than allowed. The reader is then
                of no more use: nothing tells where the next frame begins.
        """
        buffer = self._buffer
        buffer += data
        payloads: list[bytes] = []
        at = 0
        available = len(buffer)
        while available - at >= PREFIX_BYTES:
            (length,) = _PREFIX.unpack_from(buffer, at)
            if not 0 < length <= self._frame_bytes_max:
                raise RemoteProtocolError(
                    _foreign(bytes(buffer[at : at + PREFIX_BYTES]))
                    or f"a frame of {length:,} bytes; accepted are 1 to {self._frame_bytes_max:,}"
                )
            end = at + PREFIX_BYTES + length
            if end > available:
                break
            payloads.append(bytes(memoryview(buffer)[at + PREFIX_BYTES : end]))
            at = end
        if at:
            del buffer[:at]
        return payloads
