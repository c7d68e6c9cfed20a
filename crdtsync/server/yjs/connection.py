"""One WebSocket: what is sent over it, and when it ends. Alike for both dialects.

Two tasks. The *reader* is the dialect's; the *sender* sends the answers that wait, and then what
each open document has to tell, for as long as there is anything, and sleeps until it is woken.
A client that does not take its answers is not read from. One that takes nothing at all is closed.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

import anyio

from crdtsync import events
from crdtsync.errors import RemoteProtocolError, TransportError
from crdtsync.server.limits import PresenceLimits
from crdtsync.server.throttle import Throttle
from crdtsync.server.yjs.limits import YjsLimits
from crdtsync.transport.messages import MessageStream

__all__ = [
    "AGAIN",
    "BROKEN",
    "EXPIRED",
    "FORBIDDEN",
    "MALFORMED",
    "STOPPING",
    "UNKNOWN_USER",
    "Connection",
    "Teller",
]

# What Yjs clients do when a connection is closed: from 4400 to 4499 they stop for good, else they
# come again.
MALFORMED, UNKNOWN_USER, FORBIDDEN = 4400, 4401, 4403
EXPIRED = 4501
STOPPING, BROKEN, AGAIN = 1012, 1011, 1013

_REASON_BYTES_MAX = 123  # RFC 6455, section 5.5


class Teller(Protocol):
    """Has things to tell over a connection."""

    def take(self) -> Iterable[bytes]:
        """Return the messages to be sent now."""


class Connection:
    """Sends over one WebSocket, and ends it.

    Args:
        stream: the WebSocket.
        limits: what it may cost.
        presence: what it may cost that its clients show themselves.

    Attributes:
        presence_throttle: meters what its clients show, in all their documents.
        tellers: those who have something to tell, in their order.
        began_at: since when there is the connection.
    """

    def __init__(self, stream: MessageStream, limits: YjsLimits, presence: PresenceLimits) -> None:
        self._stream = stream
        self._limits = limits
        self.presence_throttle = Throttle(presence.bytes_per_s, presence.states_per_s)
        self.tellers: dict[Teller, None] = {}
        self._answers: list[bytes] = []
        self._answers_bytes = 0
        self._unstored_bytes = 0
        self._bell: anyio.Event | None = None
        self._room: anyio.Event | None = None
        self._ending: tuple[int, str] | None = None
        self._scope = anyio.CancelScope()
        self.began_at = self._sent_at = anyio.current_time()
        self._sending_since = math.inf

    @property
    def closing(self) -> bool:
        """Whether it is to be closed."""
        return self._ending is not None

    def tell(self, teller: Teller) -> None:
        """Have somebody asked what they have to tell."""
        self.tellers[teller] = None
        self._wake()

    def put(self, message: bytes) -> None:
        """Send an answer."""
        self._answers.append(message)
        self._answers_bytes += len(message)
        self._wake()

    def close(self, code: int, reason: str) -> None:
        """Send what waits, then close."""
        if self._ending is None:
            self._ending = code, reason
            self._wake()

    def storing(self, size: int) -> None:
        """Take note that changes of so many bytes wait to be stored; minus: do so no more."""
        self._unstored_bytes += size
        if size < 0:
            self._drained()

    def check(self, now: float, keep_alive: Callable[[], None]) -> None:
        """Look at the clock.

        Args:
            now: the time.
            keep_alive: sends something that means nothing.
        """
        if now - self._sending_since >= self._limits.silence_timeout_s:
            self._scope.cancel()
        elif now - self._sent_at >= self._limits.keep_alive_s and self._sending_since == math.inf:
            keep_alive()

    async def run(self, handle: Callable[[bytes], Awaitable[None]]) -> None:
        """Serve the connection until it ends, and close it.

        Args:
            handle: deals with a message; raises RemoteProtocolError if it is none.
        """
        code, reason = STOPPING, "the server stops"
        try:
            with self._scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._read, handle)
                    await self._send()
                    tasks.cancel_scope.cancel()
            code, reason = self._ending or (AGAIN, "too slow")
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(2, shield=True):
                await self._stream.close(code, _shortened(reason))

    async def _read(self, handle: Callable[[bytes], Awaitable[None]]) -> None:
        try:
            while self._ending is None and (data := await self._stream.receive()) is not None:
                if len(data) > self._limits.message_bytes_max:
                    raise RemoteProtocolError(f"a message of {len(data):,} bytes is too large")
                await handle(data)
                while self.is_full and self._ending is None:
                    self._room = anyio.Event()
                    await self._room.wait()
        except RemoteProtocolError as error:
            events.YJS_CLIENT_BROKE_PROTOCOL.log(error=error)
            self.close(MALFORMED, str(error))
            return
        except TransportError as error:
            events.YJS_CLIENT_GONE.log(error=error)
        except Exception:
            events.YJS_CLIENT_BROKEN.log()
            self.close(BROKEN, "a fault of the server")
            return
        self.close(1000, "")

    @property
    def is_full(self) -> bool:
        """Whether so much is under way that nothing more should come."""
        return (
            self._answers_bytes > self._limits.unsent_bytes_max
            or self._unstored_bytes > self._limits.unstored_bytes_max
        )

    async def _send(self) -> None:
        try:
            while True:
                messages, self._answers, self._answers_bytes = self._answers, [], 0
                while not messages and self.tellers:
                    teller = next(iter(self.tellers))
                    del self.tellers[teller]
                    messages = list(teller.take())
                if messages:
                    self._drained()
                    await self._send_all(messages)
                elif self._ending is not None:
                    return
                else:
                    self._bell = anyio.Event()
                    await self._bell.wait()
                    self._bell = None
        except TransportError as error:
            events.YJS_CLIENT_GONE.log(error=error)
            self.close(1006, "")

    async def _send_all(self, messages: Iterable[bytes]) -> None:
        self._sending_since = anyio.current_time()
        for message in messages:
            await self._stream.send(message)
        self._sent_at = anyio.current_time()
        self._sending_since = math.inf

    def _drained(self) -> None:
        if self._room is not None:
            self._room.set()

    def _wake(self) -> None:
        if self._bell is not None:
            self._bell.set()


def _shortened(reason: str) -> str:
    """Return a reason that fits into a close frame."""
    return reason.encode()[:_REASON_BYTES_MAX].decode(errors="ignore")
