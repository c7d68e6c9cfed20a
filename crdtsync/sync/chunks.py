"""Frames that are too large to be sent whole: cut here, put together there.

The pieces of one frame come in order and are not mixed with those of another; frames of other
types may come in between. A frame put together is never itself a piece.
"""

from __future__ import annotations

from collections.abc import Iterator

from crdtsync.errors import RemoteProtocolError
from crdtsync.sync.frames import Chunk
from crdtsync.sync.wire import encode_frame

__all__ = ["CHUNK_OVERHEAD_BYTES", "Assembler", "split"]

CHUNK_OVERHEAD_BYTES = 32
"""At least what a Chunk adds to its part: array, type, two numbers, a bool, a string's length."""


def split(payload: bytes, chunk_id: int, frame_bytes_max: int) -> Iterator[bytes]:
    """Yield the encoded Chunk frames that carry a payload.

    Args:
        payload: an encoded frame.
        chunk_id: tells this frame's pieces from another's.
        frame_bytes_max: none of the frames yielded is larger.
    """
    step = frame_bytes_max - CHUNK_OVERHEAD_BYTES
    for index, start in enumerate(range(0, len(payload), step)):
        end = start + step
        yield encode_frame(Chunk(chunk_id, index, end >= len(payload), payload[start:end]))


class Assembler:
    """Puts one chunked frame together at a time.

    Args:
        message_bytes_max: the largest frame that may come out.
    """

    __slots__ = ("_id", "_index", "_message_bytes_max", "_parts", "_size")

    def __init__(self, message_bytes_max: int) -> None:
        self._message_bytes_max = message_bytes_max
        self._parts: list[bytes] = []
        self._reset()

    def _reset(self) -> None:
        self._id = 0
        self._index = 0
        self._size = 0
        self._parts.clear()

    def add(self, chunk: Chunk) -> bytes | None:
        """Take the next piece; return the frame when it was the last.

        Raises:
            RemoteProtocolError: it is not the next piece, or the frame becomes too large.
        """
        if self._index == 0:
            self._id = chunk.id
        if chunk.id != self._id or chunk.index != self._index:
            raise RemoteProtocolError(
                f"piece {chunk.index} of chunked frame {chunk.id}, "
                f"where piece {self._index} of {self._id} was next"
            )
        self._size += len(chunk.part)
        if self._size > self._message_bytes_max:
            raise RemoteProtocolError(
                f"a chunked frame of more than {self._message_bytes_max:,} bytes"
            )
        self._parts.append(chunk.part)
        self._index += 1
        if not chunk.last:
            return None
        whole = b"".join(self._parts)
        self._reset()
        return whole
