"""One session: a stream, an `Exchange`, and the three tasks that keep it going.

One task receives, one sends, one keeps time. None holds anything that matters: when a session
ends, in whatever way and in the middle of whatever, the logs have all of it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress

import anyio
from anyio.lowlevel import checkpoint

from crdtsync.errors import RemoteProtocolError, StorageError, SyncError, TransportError
from crdtsync.sync import ClientProtocol, WireLimits
from crdtsync.sync.frames import Goodbye
from crdtsync.transport.exchange import Exchange
from crdtsync.transport.ports import ReplicaPort
from crdtsync.transport.presence import CHECK_INTERVAL_S, Presences
from crdtsync.transport.queries import Queries
from crdtsync.transport.status import EventFeed
from crdtsync.transport.stream import FrameStream
from crdtsync.transport.token import Token, current

__all__ = ["Session"]

BLOCK_BYTES = 256 * 1024
"""So much is received before others in the event loop have their turn."""
_PROOFS_PER_BLOCK = 50
_FAREWELL_S = 1.0
_RENEW_BEFORE_S = 30.0
_RENEW_CHECK_S = 1.0


class Session:
    """Synchronizes a replica over one stream.

    Args:
        replica: whose documents.
        stream: a new connection to a server. It is closed in the end.
        limits: what the server may ask of us.
        server: the name by which we know the server.
        token: what proves the user: a string, or a function that gets a fresh one.
        queries: which documents to synchronize, and what is asked about them.
        feed: is told of events, and of progress.
        presences: what is shown of us, and seen of others.

    Attributes:
        exchange: what passes between replica and server.
        greeting: who we are to the server, and it to us.
    """

    def __init__(
        self,
        replica: ReplicaPort,
        stream: FrameStream,
        limits: WireLimits,
        *,
        server: str,
        token: Token,
        queries: Queries,
        feed: EventFeed,
        presences: Presences,
    ) -> None:
        self._replica = replica
        self._stream = stream
        self._limits = limits
        self._token = token
        self._feed = feed
        self._presences = presences
        self._protocol = ClientProtocol(limits)
        self.exchange = Exchange(replica, self._protocol, server, queries, feed.publish, presences)
        self.greeting = self.exchange.greeting
        self._bell = anyio.Event()  # wakes the sender
        self._sending = anyio.CancelScope()
        self._receiving = anyio.CancelScope(shield=True)
        self._amid_send = False
        self._over = anyio.Event()
        self._ended = False
        self._error: SyncError | StorageError | None = None

    async def run(self, welcomed: Callable[[], None]) -> Goodbye | None:
        """Synchronize until the session ends; return the server's Goodbye.

        Args:
            welcomed: called when the server has let us in.

        Raises:
            TransportError: the connection is gone, or nothing came for too long.
            RemoteProtocolError: the server broke the protocol.
            StorageError: the replica's store failed.
        """
        cancel = self._replica.subscribe(self.touch)
        self._presences.wake = self._ring
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._until_end, lambda: self._receive(welcomed))
                tasks.start_soon(self._until_end, self._keep_time)
                tasks.start_soon(self._until_end, self._keep_presences)
                if callable(self._token):
                    tasks.start_soon(self._until_end, self._keep_token_fresh)
                try:
                    with self._sending:
                        await self._until_end(self._send)
                    await self._say_farewell()
                except anyio.get_cancelled_exc_class():
                    with suppress(StorageError):  # then the server believes us to have less
                        self.exchange.part()
                    with anyio.CancelScope(shield=True):
                        await self._say_farewell()
                    raise
                finally:
                    await self._close()
                    tasks.cancel_scope.cancel()
        finally:
            cancel()
            self._presences.lose_all()
            await self._stream.aclose()  # if it came to nothing above
            self._ended = True
            self._feed.notify()
        if self.exchange.goodbye is None and self._error is not None:
            raise self._error
        return self.exchange.goodbye

    async def prove(self, wanted: Mapping[str, Mapping[int, int]]) -> bool:
        """Return True once both sides hold the same.

        False if the session ended before, or what is wanted may stand under another id by now.

        Args:
            wanted: for each document, the numbers of our entries that are to be durable, by the
                ids of ours under which they stand. What our user follows elsewhere, and we are to,
                is proved as well.

        Raises:
            RefusedError: one of the documents does not go on.
        """
        while (named := self.exchange.named) is None:
            if self._ended:
                return False
            await self._feed.news()
        mended = self.exchange.mended
        waiting = await self._ask({**{name: {} for name in named}, **wanted})
        while not self._ended and self.exchange.mended == mended:
            while waiting and self.exchange.is_proved(*waiting[-1]):
                waiting.pop()
            if waiting is not None and not waiting:
                return True
            await self._feed.news()
        return False

    async def _ask(
        self, wanted: Mapping[str, Mapping[int, int]]
    ) -> list[tuple[str, int, Mapping[int, int]]] | None:
        """Have every document checked; None if the session comes to its end meanwhile."""
        asked: list[tuple[str, int, Mapping[int, int]]] = []
        for name, ours in wanted.items():
            if self._protocol.closed:
                return None
            asked.append((name, self.exchange.ask(name), ours))
            if len(asked) % _PROOFS_PER_BLOCK == 0:
                self._bell.set()
                await checkpoint()
        self._bell.set()
        return asked

    async def _until_end(self, loop: Callable[[], Awaitable[None]]) -> None:
        try:
            await loop()
        except (SyncError, StorageError) as error:
            self._error = self._error or error
            if isinstance(error, RemoteProtocolError):
                # Said already, unless it was the stream that could make no frames of the bytes.
                self._protocol.goodbye("protocol", str(error))
        # The sender ends by itself, so that no frame is cut short, unless the server keeps it.
        self._over.set()
        self._bell.set()
        self._sending.deadline = anyio.current_time() + _FAREWELL_S

    async def _close(self) -> None:
        # Closing ends a reader that waits for the server; only another is cancelled. On asyncio,
        # anyio 4.16 stumbles over a Unix socket whose reader is ended in the very turn in which it
        # turned readable: let it see that first.
        with anyio.CancelScope(shield=True):
            await checkpoint()
            await self._stream.aclose()
        self._receiving.cancel()

    def _ring(self) -> None:
        self._bell.set()

    def touch(self, name: str) -> None:
        """Note that a document has a new entry of ours, or is new. In whatever thread."""
        self.exchange.touch(name)
        self._bell.set()

    async def _receive(self, welcomed: Callable[[], None]) -> None:
        welcome_by = anyio.current_time() + self._limits.handshake_timeout_s
        exchange = self.exchange
        with self._receiving:
            while not self.greeting.welcomed and exchange.goodbye is None:
                await self._take_in(await self._next(welcome_by - anyio.current_time()))
                if self.greeting.welcomed:
                    welcomed()
            while exchange.goodbye is None:
                await self._take_in(await self._next(self._limits.silence_timeout_s))

    async def _take_in(self, payloads: Sequence[bytes]) -> None:
        block = 0
        for payload in payloads:
            self.exchange.receive(payload)
            block += len(payload)
            if block >= BLOCK_BYTES:
                block = 0
                await checkpoint()
        self.exchange.settle()
        self._bell.set()
        self._feed.notify()

    async def _next(self, timeout_s: float) -> list[bytes]:
        with anyio.move_on_after(max(0, timeout_s)):
            return await self._stream.receive()
        if self.greeting.welcomed:
            raise TransportError(f"nothing came from the server for {timeout_s:g} s")
        raise TransportError(
            f"the server did not let us in within {self._limits.handshake_timeout_s:g} s"
        )

    async def _send(self) -> None:
        self.greeting.hello(await current(self._token))
        while not self._over.is_set() and not self._protocol.closed:
            more = self.exchange.work()
            payloads = self._protocol.data_to_send()
            if payloads:
                self._amid_send = True
                try:
                    await self._stream.send(payloads)
                except TransportError:
                    # What was received before may hold a Goodbye that says why.
                    with anyio.move_on_after(_FAREWELL_S):
                        await self._over.wait()
                    raise
                self._amid_send = False
            if more:
                await checkpoint()
            else:
                await self._bell.wait()
                self._bell = anyio.Event()

    async def _keep_time(self) -> None:
        while True:
            await anyio.sleep(self._limits.ping_interval_s)
            self.exchange.tick()
            self._bell.set()

    async def _keep_presences(self) -> None:
        while True:
            await anyio.sleep(CHECK_INTERVAL_S)
            self._presences.check()

    async def _keep_token_fresh(self) -> None:
        """Show a fresh token in good time before the one shown expires."""
        while True:
            expires = self.greeting.expires
            left_s = math.inf if expires is None else expires - time.time()
            if left_s < _RENEW_BEFORE_S and self.greeting.welcomed:
                token = await current(self._token)
                if token is not None and not self._protocol.closed:
                    self.renew(token)
                left_s = math.inf
            await anyio.sleep(min(_RENEW_CHECK_S, max(left_s - _RENEW_BEFORE_S, 0.1)))

    def wake(self) -> None:
        """See to what there is to send."""
        self._bell.set()

    def renew(self, token: str) -> None:
        """Show the server a fresh token, if it has let us in."""
        if self.greeting.welcomed and not self._protocol.closed:
            self.greeting.renew(token)
            self._bell.set()

    async def _say_farewell(self) -> None:
        """Send what is queued, mostly a Goodbye that says what the server did wrong."""
        payloads = self._protocol.data_to_send()
        # In the middle of a frame, they would be taken for the rest of it.
        if payloads and not self._amid_send:
            with anyio.move_on_after(_FAREWELL_S):
                try:
                    await self._stream.send(payloads)
                except TransportError:
                    return
