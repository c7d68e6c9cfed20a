"""One connection, from its first byte to its last.

Two tasks. The *reader* takes what has arrived in one go, works on its documents side by side and
on the frames of each in their order, so that an answer speaks for all that came before it. The
*sender* sends whatever answers there are, and entries as far as the client's credit goes; then it
sleeps until the reader, or a document that has grown, wakes it. It alone ends the session, once
everything is said.

A client that does not take its answers is not read from; one that does not take its entries costs
a cursor. The hub looks at the clock for all sessions: see `check`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from itertools import groupby
from typing import Protocol

import anyio
from anyio.lowlevel import checkpoint

from crdtsync import events
from crdtsync.errors import (
    AuthenticationError,
    RemoteProtocolError,
    StorageError,
    TransportError,
)
from crdtsync.server.authentication import Identity
from crdtsync.server.bench import Bench
from crdtsync.server.catalog import Catalog
from crdtsync.server.channel import Channels
from crdtsync.server.connections import Connections, unix_ms
from crdtsync.server.documents import DocumentFrame, Documents
from crdtsync.server.door import Door
from crdtsync.server.glance import Glance
from crdtsync.server.lifecycle import State as Life
from crdtsync.server.limits import ServerLimits
from crdtsync.server.memory import Memory
from crdtsync.server.queries import Queries
from crdtsync.server.records import ConnectionRecord
from crdtsync.server.showing import Showing
from crdtsync.server.subscription import Subscription
from crdtsync.server.tags import Tags
from crdtsync.sync import (
    Advance,
    Check,
    Frame,
    Goodbye,
    Hello,
    Ping,
    Proof,
    Push,
    Select,
    ServerProtocol,
    Show,
    Standing,
    State,
    Subscribe,
    Token,
    Unknown,
    Unsubscribe,
)
from crdtsync.telemetry import SERVER_REFUSALS
from crdtsync.transport.stream import FrameStream

__all__ = ["Host", "Session"]


class Host(Protocol):
    """What a session needs of the hub.

    Attributes:
        door: tells who is let in.
        channels: the server's documents.
        catalog: the names of all of them.
        connections: the records of connections.
        limits: what a connection may cost.
        memory: what waits to be sent to all connections.
        tags: tells which tags a document bears.
    """

    door: Door
    channels: Channels
    catalog: Catalog
    connections: Connections
    limits: ServerLimits
    memory: Memory
    tags: Tags

    async def greet(self, session: Session, hello: Hello, user: str | None) -> ConnectionRecord:
        """Let a client in, which has shown who it is; return what its connection is."""
        ...

    async def activate(self, session: Session) -> None:
        """See whether an inactive connection, which holds all that it follows, can be active."""
        ...


class Session:
    """Serves one connection.

    Args:
        stream: the connection.
        host: the hub.

    Attributes:
        record: what the server knows of the connection, once its client was let in.
    """

    def __init__(self, stream: FrameStream, host: Host) -> None:
        self.record: ConnectionRecord | None = None
        self._stream = stream
        self._host = host
        self._door = host.door
        self._identity: Identity | None = None
        self._nonce: bytes | None = None
        self._channels = host.channels
        self._limits = limits = host.limits
        self._protocol = ServerProtocol(limits.wire)
        bench = Bench(
            host.door.policy,
            host.channels.backend,
            self._known_identity,
            lambda: self.replica,
            lambda: None if self._protocol.hello is None else self._protocol.hello.key,
            believes=host.door.believes,
        )
        self._showing = Showing(self._protocol, limits.presence, self._who, self._wake)
        self._documents = Documents(
            self._protocol,
            host.channels,
            limits,
            bench,
            self._showing,
            self._wake,
            self._room,
            self._moved,
        )
        self._queries = Queries(self._protocol, host.catalog, limits, bench, host.tags, self._wake)
        self._sending = anyio.CancelScope()
        self._reading = anyio.CancelScope(shield=True)
        self._outbox: list[bytes] = []
        self._outbox_bytes = 0
        self._bell: anyio.Event | None = None  # there while the sender sleeps
        self._drained: anyio.Event | None = None  # there while someone waits for room
        self._began_at = anyio.current_time()
        self._receiving_since = math.inf  # while the reader waits for the client
        self._sending_since = math.inf  # while the sender does
        self._close_by: float | None = None

    @property
    def client(self) -> bytes | None:
        """The id of the client installation, as soon as it has said so."""
        hello = self._protocol.hello
        return None if hello is None else hello.client

    @property
    def connection(self) -> str | None:
        """The same in hexadecimal, as it is logged."""
        return None if self.client is None else self.client.hex()

    @property
    def lag(self) -> int:
        """How many entries it follows and was not sent yet."""
        return self._documents.lag

    @property
    def replica(self) -> int | None:
        """The id of the replica that connects, as soon as it has said so."""
        hello = self._protocol.hello
        return None if hello is None else hello.replica

    def glance(self, now: float) -> Glance:
        """Return what an operator sees of it."""
        identity, record, state = self._identity, self.record, self._protocol.state
        return Glance(
            "replica",
            None if identity is None else identity.user,
            self.replica,
            record.state.value if record and state is State.OPEN else state.value,
            now - self._began_at,
            self._documents.behind(),
        )

    async def run(self) -> None:
        """Serve the connection until it ends, and close it.

        If cancelled, say that the server stops.
        """
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._read)
                try:
                    with self._sending:
                        await self._send()
                except anyio.get_cancelled_exc_class():
                    await self._say_stopping()
                    raise
                finally:
                    # Closing ends a reader that waits for the client; only another is cancelled.
                    # On asyncio, anyio 4.16 stumbles over a Unix socket whose reader is ended in
                    # the very turn in which it turned readable: let it see that first.
                    with anyio.CancelScope(shield=True):
                        await checkpoint()
                        await self._stream.aclose()
                    self._reading.cancel()
        finally:
            self._documents.close()
            self._queries.close()
            self._host.memory.used -= self._outbox_bytes
            if self.client is not None:
                self._host.connections.seen(self.client)
            if self.record is not None:
                seconds = anyio.current_time() - self._began_at
                events.CLIENT_WENT.log(connection=self.connection, seconds=seconds)

    def stands(self, record: ConnectionRecord) -> None:
        """Take note of what the connection has become, and tell the client."""
        self.record = record
        if self._protocol.state is not State.OPEN:
            return
        self._protocol.standing(_standing(record))
        if record.state is Life.RETIRED:
            self.stop("retired", record.reason, retry=False)
        self._documents.honour(honoured=record.state is Life.ACTIVE)
        self._wake()

    def retagged(self, document: str) -> None:
        """Take note that a document bears other tags."""
        self._queries.retagged(document)

    def _moved(self, document: str, subscription: Subscription | None) -> None:
        assert self.client is not None
        connections = self._host.connections
        if subscription is None:
            connections.left(self.client, document)
        else:
            held = subscription.held if subscription.honoured else None
            connections.moved(self.client, document, subscription.priority, held)

    def stop(self, code: str, reason: str, *, retry: bool) -> None:
        """End the session with a Goodbye.

        Args:
            code: a word for programs.
            reason: a sentence for people.
            retry: whether the client is told when to come back.
        """
        self._protocol.goodbye(code, reason, self._limits.retry_after_ms if retry else None)
        self._wake()

    def check(self, now: float) -> None:
        """End the session if the client has let it wait for too long."""
        wire = self._limits.wire
        if self._protocol.closed:
            if self._close_by is None:
                self._close_by = now + self._limits.close_timeout_s
            elif now >= self._close_by:
                self._sending.cancel()
        elif self._protocol.state is not State.OPEN:
            if now - self._began_at >= wire.handshake_timeout_s:
                self.stop("timeout", "no Hello in time", retry=True)
        elif self._has_expired():
            self.stop("expired", "the token has expired: connect with a fresh one", retry=True)
        elif now - self._sending_since >= wire.silence_timeout_s:
            self._sending.cancel()
        elif now - self._receiving_since >= wire.silence_timeout_s:
            self.stop("timeout", f"silent for {wire.silence_timeout_s:g} s", retry=True)
        else:
            self._documents.release(now)
            self._showing.release(now)
            if self._documents.ready:
                self._wake()  # it may have waited for memory that others used

    def _has_expired(self) -> bool:
        expires = None if self._identity is None else self._identity.expires
        return expires is not None and time.time() >= expires

    async def _read(self) -> None:
        try:
            with self._reading:
                while not self._protocol.closed:
                    self._receiving_since = anyio.current_time()
                    payloads = await self._stream.receive()
                    self._receiving_since = math.inf
                    frames: list[Frame] = []
                    for payload in payloads:
                        frames += self._protocol.receive(payload)
                    await self._handle(frames)
                    self._wake()
                    await self._room()
        except RemoteProtocolError as error:
            events.CLIENT_BROKE_PROTOCOL.log(connection=self.connection, error=error)
            self._protocol.goodbye("protocol", str(error))
        except AuthenticationError as error:
            SERVER_REFUSALS.add(kind="connection")
            events.CLIENT_TURNED_AWAY.log(connection=self.connection, error=error)
            self._protocol.goodbye("authentication", error.reason)
        except TransportError as error:
            events.CLIENT_GONE.log(connection=self.connection, error=error)
            self._sending.cancel()
        except Exception:
            self._protocol.goodbye("internal", "a fault of the server", self._limits.retry_after_ms)
            raise
        self._wake()

    async def _handle(self, frames: Sequence[Frame]) -> None:
        documents: dict[str, list[DocumentFrame]] = {}
        advances: list[Advance] = []
        for frame in frames:
            if isinstance(frame, Subscribe | Push | Check | Show | Unsubscribe):
                documents.setdefault(frame.document, []).append(frame)
            elif isinstance(frame, Advance):
                advances.append(frame)  # they speak of what was subscribed before
            elif self._protocol.closed:
                return
            else:
                await self._hear(frame)
        if len(documents) == 1:
            await self._documents.handle(*documents.popitem())
        # What is asked for most urgently is to stand in the queue before anything else does.
        for _, group in groupby(sorted(documents.items(), key=_urgency), key=_urgency):
            urgent = list(group)
            while urgent:
                at_once = urgent[: self._limits.documents_at_once_max]
                del urgent[: len(at_once)]
                async with anyio.create_task_group() as tasks:
                    for document, theirs in at_once:
                        tasks.start_soon(self._documents.handle, document, theirs)
        for advance in advances:
            await self._hear_advance(advance)

    def _known_identity(self) -> Identity:
        assert self._identity is not None, "nothing is judged before somebody is let in"
        return self._identity

    def _who(self) -> tuple[int, str | None]:
        assert self.replica is not None, "nothing is shown before somebody is let in"
        return self.replica, self._known_identity().user

    async def _hear(self, frame: Frame) -> None:
        """Deal with a frame that concerns no document."""
        match frame:
            case Ping():
                self._protocol.pong(frame.nonce, unix_ms())
            case Hello():
                await self._hear_hello(frame)
            case Proof():
                await self._hear_proof(frame)
            case Select():
                await self._hear_select(frame)
            case Token():
                await self._hear_token(frame)
            case Goodbye():
                events.CLIENT_SAID_GOODBYE.log(
                    connection=self.connection, code=frame.code, reason=frame.reason
                )
            case Unknown():
                events.FRAME_UNKNOWN.log(connection=self.connection, type=frame.type)

    async def _hear_hello(self, hello: Hello) -> None:
        self._identity = await self._door.identify(hello.token, hello.user)
        self._nonce = self._door.draw_nonce(hello)
        if self._protocol.closed:
            return
        if self._nonce is None:
            await self._let_in(hello)
        else:
            self._protocol.challenge(self._nonce, self._channels.backend.epoch)
            self._wake()

    async def _hear_proof(self, proof: Proof) -> None:
        hello, nonce, self._nonce = self._protocol.hello, self._nonce, None
        assert hello is not None
        assert self._identity is not None
        assert nonce is not None
        await self._door.admit(hello, self._identity, nonce, proof)
        if not self._protocol.closed:
            await self._let_in(hello)

    async def _let_in(self, hello: Hello) -> None:
        assert self._identity is not None
        try:
            self.record = record = await self._host.greet(self, hello, self._identity.user)
        except StorageError as error:
            problem = "a client cannot be let in because of the storage"
            events.STORAGE_FAILED.log(problem=problem, error=error)
            reason = "the server cannot store or read at the moment"
            self._protocol.goodbye("unavailable", reason, self._limits.retry_after_ms)
            return
        if self._protocol.closed:
            return
        events.CLIENT_CAME.log(
            connection=self.connection,
            replica=f"{hello.replica:x}",
            user=self._identity.user,
            state=record.state.value,
        )
        self._documents.honour(honoured=record.state is Life.ACTIVE)
        self._protocol.welcome(
            epoch=self._channels.backend.epoch,
            time=unix_ms(),
            standing=_standing(record),
            expires=_expires_ms(self._identity),
        )
        self._wake()
        if record.state is Life.INACTIVE:
            inherited = await self._host.connections.inherited(record)
            if not self._protocol.closed:
                self._protocol.tell_subscriptions(inherited)

    async def _hear_advance(self, advance: Advance) -> None:
        if self._protocol.closed:
            return
        self._documents.advance(advance.offsets)
        record = self.record
        if record is not None and record.state is Life.INACTIVE and self._documents.holds_all:
            await self._host.activate(self)

    async def _hear_select(self, select: Select) -> None:
        await self._room()
        try:
            await self._queries.ask(select)
        except StorageError as error:
            problem = "a query cannot be answered because of the storage"
            events.STORAGE_FAILED.log(problem=problem, error=error)
            reason = "the server cannot read at the moment; nothing was changed"
            self._protocol.goodbye("unavailable", reason, self._limits.retry_after_ms)

    async def _hear_token(self, shown: Token) -> None:
        assert self._identity is not None
        identity = await self._door.identify(shown.token, self._identity.user)
        if self._protocol.closed:
            return
        if identity.user != self._identity.user:
            raise AuthenticationError("the fresh token is another user's")
        self._identity = identity
        self._protocol.renewed(_expires_ms(identity))
        self._documents.review()

    async def _send(self) -> None:
        while True:
            more_news = self._queries.tell_news()
            self._collect()
            ready = self._documents.ready and not self._host.memory.full
            if ready:
                await self._documents.fill(may_read=not self._outbox)
                self._collect()
            if not self._outbox:
                self._showing.tell()
                self._collect()
            if self._outbox:
                payloads, self._outbox = self._outbox, []
                size, self._outbox_bytes = self._outbox_bytes, 0
                self._sending_since = anyio.current_time()
                try:
                    await self._stream.send(payloads)
                except TransportError as error:
                    events.CLIENT_GONE.log(connection=self.connection, error=error)
                    return
                finally:
                    self._host.memory.used -= size
                self._sending_since = math.inf
                if self._drained is not None:
                    self._drained.set()
                    self._drained = None
            elif self._protocol.closed:
                return
            elif more_news:
                await checkpoint()
            elif not ready:
                self._bell = anyio.Event()
                await self._bell.wait()
                self._bell = None

    async def _say_stopping(self) -> None:
        """Send what is queued and a Goodbye, unless the session has said one already."""
        if self._sending_since != math.inf:
            return  # in the middle of a frame: nothing that follows could be read
        self._protocol.goodbye("stopping", "the server stops", self._limits.retry_after_ms)
        self._collect()
        with anyio.move_on_after(self._limits.close_timeout_s, shield=True):
            try:
                await self._stream.send(self._outbox)
            except TransportError:
                return

    async def _room(self) -> None:
        """Wait until the client has taken its answers, unless there are only few."""
        self._collect()
        while self._outbox_bytes > self._limits.unsent_bytes_max:
            if self._drained is None:
                self._drained = anyio.Event()
            self._wake()
            await self._drained.wait()
            self._collect()

    def _collect(self) -> None:
        for payload in self._protocol.data_to_send():
            self._outbox.append(payload)
            self._outbox_bytes += len(payload)
            self._host.memory.used += len(payload)

    def _wake(self) -> None:
        if self._bell is not None:
            self._bell.set()


def _urgency(frames: tuple[str, list[DocumentFrame]]) -> int:
    """Return the priority with which frames of a document are to be dealt with."""
    return min((one.priority for one in frames[1] if isinstance(one, Subscribe)), default=0)


def _expires_ms(identity: Identity) -> int | None:
    return None if identity.expires is None else int(identity.expires * 1000)


def _standing(record: ConnectionRecord) -> Standing:
    return Standing(record.state.value, record.reason, record.since)
