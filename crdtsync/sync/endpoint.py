"""What both ends of a connection have in common: a queue of frames, chunks, credit, goodbye.

Bytes in, events out. Nothing here knows a socket, a clock or a task. A driver

1. hands every payload that arrives to `receive` and deals with the events it returns;
2. sends what `data_to_send` returns, in order, after every call into the protocol;
3. closes the connection when `closed` is true and all has been sent. That is so after either
   side's Goodbye, and after a RemoteProtocolError, for which the Goodbye is already queued.

Credit. Data frames (Entries, SnapshotPart, Push) count with the length of their encoding. A side
sends them while its credit is above zero, so it can go below by one frame; the receiver gives
credit back by calling `returned` once it has dealt with a frame, not when it has merely read it.
Small returns are gathered up to a quarter of the window, which can never stall a sender.
"""

from __future__ import annotations

import enum

from crdtsync.errors import LocalProtocolError, RemoteProtocolError
from crdtsync.sync.chunks import Assembler, split
from crdtsync.sync.fields import NUMBER_MAX, TEXT_LENGTH_MAX
from crdtsync.sync.frames import (
    Chunk,
    Credit,
    Entries,
    Frame,
    Goodbye,
    Ping,
    Pong,
    Push,
    SnapshotPart,
)
from crdtsync.sync.limits import WireLimits
from crdtsync.sync.wire import decode_frame, encode_frame

__all__ = ["Endpoint", "State"]


class State(enum.Enum):
    """How far a connection has got."""

    NEW = "new"
    """Nothing was said yet."""
    GREETED = "greeted"
    """The client said Hello; the server has not answered with Welcome."""
    OPEN = "open"
    """After Welcome."""
    CLOSED = "closed"
    """Goodbye was said, or the peer broke the protocol: only what is queued is still sent."""


class Endpoint:
    """One end of a connection; `ClientProtocol` and `ServerProtocol` add who may say what.

    Args:
        limits: what this side accepts, and allows itself until it knows the peer's limits.
    """

    def __init__(self, limits: WireLimits | None = None) -> None:
        self.limits = limits or WireLimits()
        self._state = State.NEW
        self._queue: list[bytes] = []
        self._assembler = Assembler(self.limits.message_bytes_max)
        self._frame_bytes_max = self.limits.frame_bytes_max
        self._message_bytes_max = self.limits.message_bytes_max
        self._chunks_sent = 0
        self._nonces = 0
        self._credit = 0
        self._allowed = self.limits.credit_bytes  # what the peer may still send
        self._unreturned = 0  # received and not yet dealt with
        self._owed = 0  # dealt with and not yet given back

    @property
    def state(self) -> State:
        """How far the connection has got."""
        return self._state

    @property
    def closed(self) -> bool:
        """Whether the driver is to close once everything queued is sent."""
        return self._state is State.CLOSED

    @property
    def credit(self) -> int:
        """Bytes of data frames that may be sent now; below zero after one that went over."""
        return self._credit

    @property
    def message_bytes_max(self) -> int:
        """The largest frame, chunked or not, that the peer takes."""
        return self._message_bytes_max

    def data_to_send(self) -> list[bytes]:
        """Return the payloads queued since the last call. Each is one frame."""
        queue, self._queue = self._queue, []
        return queue

    def receive(self, payload: bytes) -> list[Frame]:
        """Take one frame from the peer; return what the driver has to deal with.

        After the end of the connection nothing comes out any more, whatever goes in.

        Raises:
            RemoteProtocolError: the peer broke the protocol. The Goodbye that says so is queued.
        """
        if self._state is State.CLOSED:
            return []
        try:
            frame = self._read(payload)
            return [] if frame is None else self._accept(frame)
        except RemoteProtocolError as error:
            self.goodbye("protocol", str(error))
            raise

    def returned(self, size: int) -> None:
        """Give credit back for data frames that have been dealt with.

        Args:
            size: their `size`.
        """
        if size > self._unreturned:
            raise LocalProtocolError("more credit was given back than was used")
        self._unreturned -= size
        self._owed += size
        if self._owed >= max(1, self.limits.credit_bytes // 4) and self._state is State.OPEN:
            self._send(Credit(self._owed))
            self._allowed += self._owed
            self._owed = 0

    def ping(self) -> int:
        """Ask whether the peer is there; return the number its Pong will carry."""
        nonce = self._next_nonce()
        self._send(Ping(nonce))
        return nonce

    def pong(self, nonce: int, time: int) -> None:
        """Answer a Ping.

        Args:
            nonce: the Ping's.
            time: our Unix time in milliseconds.
        """
        self._send(Pong(nonce, time))

    def goodbye(self, code: str, reason: str, retry_after_ms: int | None = None) -> None:
        """Say why this side closes; nothing is sent after it. Without effect when closed."""
        if self._state is not State.CLOSED:
            reason = reason[: TEXT_LENGTH_MAX // 16]
            self._queue.append(encode_frame(Goodbye(code, reason, retry_after_ms)))
            self._state = State.CLOSED

    def _accept(self, frame: Frame) -> list[Frame]:
        """Deal with a frame from the peer by the rules of one side."""
        raise NotImplementedError

    def _read(self, payload: bytes) -> Frame | None:
        if len(payload) > self.limits.frame_bytes_max:
            raise RemoteProtocolError(
                f"a frame of {len(payload):,} bytes; accepted are {self.limits.frame_bytes_max:,}"
            )
        frame = decode_frame(payload)
        if isinstance(frame, Chunk):
            # Before the Welcome nobody has shown who they are: they get no memory from us.
            self._require_open(frame)
            whole = self._assembler.add(frame)
            if whole is None:
                return None
            frame = decode_frame(whole)
            if isinstance(frame, Chunk):
                raise RemoteProtocolError("a chunked frame that is itself a chunk")
        if isinstance(frame, Entries | SnapshotPart | Push):
            self._require_open(frame)
            self._spend(frame)
        elif isinstance(frame, Credit):
            self._require_open(frame)
            if frame.bytes > NUMBER_MAX - self._credit:
                raise RemoteProtocolError("credit beyond all bounds")
            self._credit += frame.bytes
            return None
        return frame

    def _spend(self, frame: Entries | SnapshotPart | Push) -> None:
        if self._allowed <= 0:
            raise RemoteProtocolError(f"{type(frame).__name__} without credit")
        self._allowed -= frame.size
        self._unreturned += frame.size

    def _require_open(self, frame: Frame) -> None:
        if self._state is not State.OPEN:
            raise RemoteProtocolError(f"{type(frame).__name__} before Welcome")

    def _next_nonce(self) -> int:
        self._nonces += 1
        return self._nonces

    def _send(self, frame: Frame) -> None:
        if self._state is not State.OPEN:
            raise LocalProtocolError(
                f"{type(frame).__name__} cannot be sent: the connection is {self._state.value}"
            )
        self._enqueue(encode_frame(frame))

    def _send_data(self, encoded: bytes) -> None:
        if self._state is not State.OPEN:
            raise LocalProtocolError(f"no data can be sent: the connection is {self._state.value}")
        if self._credit <= 0:
            raise LocalProtocolError("no data can be sent without credit")
        self._enqueue(encoded)
        self._credit -= len(encoded)

    def _enqueue(self, encoded: bytes) -> None:
        if len(encoded) <= self._frame_bytes_max:
            self._queue.append(encoded)
            return
        if len(encoded) > self._message_bytes_max:
            raise LocalProtocolError(
                f"a frame of {len(encoded):,} bytes; the peer takes {self._message_bytes_max:,}"
            )
        self._chunks_sent += 1
        self._queue.extend(split(encoded, self._chunks_sent, self._frame_bytes_max))
