"""A replica's connection to a server: made, and made again, for as long as the context lasts.

Nothing here ever fails because no server can be reached: the application works on, and what it
did is sent when one can. Only a server that says no for good ends the trying (`refused`).
"""

from __future__ import annotations

import contextlib
import datetime
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Protocol, TypeAlias, cast
from weakref import WeakSet

import anyio

from crdtsync import events
from crdtsync.errors import (
    ActionError,
    LocalProtocolError,
    RefusedError,
    RemoteProtocolError,
    StorageError,
    TransportError,
)
from crdtsync.selection import PRIORITY, Documents, Selection
from crdtsync.sync import WireLimits
from crdtsync.sync.frames import FATAL_CODES, Goodbye, Standing
from crdtsync.telemetry import CONNECTION_EVENTS, span
from crdtsync.transport.address import parse_url
from crdtsync.transport.backoff import Backoff
from crdtsync.transport.follower import Follower
from crdtsync.transport.ports import ReplicaPort
from crdtsync.transport.presence import Presence, Presences
from crdtsync.transport.queries import Queries, Query
from crdtsync.transport.session import Session
from crdtsync.transport.status import (
    ConnectionEvent,
    ConnectionStanding,
    ConnectionState,
    EventFeed,
    Status,
)
from crdtsync.transport.stream import FrameStream
from crdtsync.transport.token import Token
from crdtsync.transport.url import connect_stream
from crdtsync.vector import covers

__all__ = ["Connection", "Connector", "connect"]

Connector: TypeAlias = Callable[[], Awaitable[FrameStream]]
"""Makes a new stream to the server, or raises TransportError."""

_open_connections: WeakSet[Connection] = WeakSet()
_RETRY_AFTER_MAX_S = 600.0  # a server may ask for patience, not for ever


class Named(Protocol):
    """A document."""

    @property
    def document_name(self) -> str:
        """Its name."""
        ...


class Connection:
    """What `async with replica.connect(url)` gives.

    It looks for the server whenever it is not in exchange with it, and never raises for that: what
    it is doing is its `state`, how far it has got its `status`.

    Example::

        async with replica.connect("ws://localhost:8765") as connection:
            async for event in connection.events():
                print(event, connection.status.unacknowledged)
    """

    def __init__(
        self,
        replica: ReplicaPort,
        connector: Connector,
        *,
        server: str,
        token: Token,
        documents: Documents | None,
        limits: WireLimits,
        backoff: Backoff,
    ) -> None:
        self._replica = replica
        self._connector = connector
        self._server = server
        self._token = token
        self._queries = Queries(documents, replica.user)
        self._limits = limits
        self._backoff = backoff
        self._feed = EventFeed(self._note)
        self._state: ConnectionState = "connecting"
        self._session: Session | None = None  # while on line
        self._error: str | None = None
        self._refused: RefusedError | None = None
        self._last_proof: datetime.datetime | None = None
        self._standing: Standing | None = None
        self._presences = Presences(replica.owns)

    @property
    def state(self) -> ConnectionState:
        """What the connection is doing."""
        return self._state

    @property
    def standing(self) -> ConnectionStanding | None:
        """What the connection is to the server, as it last said; None: not known yet."""
        standing = self._last_standing()
        return None if standing is None else cast("ConnectionStanding", standing.state)

    @property
    def status(self) -> Status:
        """The connection's counts at this moment."""
        unsent = unacknowledged = behind = 0
        all_live = self._session is not None
        for name in self._names():
            follower = self._follower(name)
            ledger = self._replica.ledger(name) if follower is None else follower.ledger
            unacknowledged += ledger.unacknowledged
            if follower is None or not follower.live:
                all_live = False
                unsent += ledger.unacknowledged
            else:
                unsent += follower.unsent
                behind += follower.behind
        standing = self._last_standing()
        return Status(
            self._state,
            unsent,
            unacknowledged,
            behind if all_live else None,
            self._proved_at() or self._last_proof,
            self._error,
            self.standing,
            "" if standing is None else standing.reason,
            None if standing is None else _time(standing.since),
        )

    async def synced(self) -> None:
        """Return once all that was done here is safe at the server, and all it held is here.

        On a new device that is all that another one of its user follows. Both as of the call: what
        is done or comes meanwhile is not waited for. Goes on over any number of lost connections.

        Raises:
            RefusedError: the server refuses us, or one of the documents, for good; of one that a
                query alone has brought, it is the query that tells.
            LocalProtocolError: the connection's context was left.
        """
        wanted = {name: self._replica.ledger(name).ours for name in self._names()}
        with span("synced", documents=len(wanted)):
            await self._prove(wanted)

    async def _prove(self, wanted: dict[str, Mapping[int, int]]) -> None:
        while True:
            if self._refused is not None:
                raise RefusedError(self._refused.code, self._refused.reason)
            if self._state == "closed":
                raise LocalProtocolError("the connection was closed by leaving its context")
            session = self._session
            if session is not None:
                if await session.prove(wanted):
                    return
                self._find_again(wanted)
                if self._session is not session:
                    continue
            await self._feed.news()  # of the next session, or of the end

    def _find_again(self, wanted: dict[str, Mapping[int, int]]) -> None:
        """Look for what is to be durable under our new id, where logs of ours were mended."""
        for name, before in wanted.items():
            ours = self._replica.ledger(name).ours
            if not covers(ours, before):
                wanted[name] = ours

    def refresh(self, token: str) -> None:
        """Show a fresh token from now on: to this connection, while it lives, and to later ones."""
        self._token = token
        if self._session is not None:
            self._session.renew(token)

    def query(self, documents: Documents, *, priority: int = PRIORITY) -> Query:
        """Ask for documents, and hear of each: what is held here at once, the rest as it arrives.

        What is selected is brought here and kept in synchronization for as long as the connection
        lasts. Off line the answer waits for the server; it goes on over lost connections.

        Args:
            documents: names, patterns and tags, or these with a priority each: see
                `crdtsync.selection`.
            priority: of those of which none is given; what has a lower one comes first.

        Returns:
            An iterator over `QueryItem`, in the order that `crdtsync.transport.answer` promises.

        Raises:
            ConfigurationError: a pattern or a priority cannot be understood.
        """
        names = self._replica.names()
        answer = self._queries.open(Selection(documents, priority), names)
        found = [name for name in names if name in answer.documents]
        answer.hold(name for name in found if self._replica.ledger(name).vector)
        if self._session is not None:
            self._session.wake()
        return Query(answer, self._feed, lambda: self._refused)

    def presence(self, document: str | Named) -> Presence:
        """Return who is in a document, and show there what we want to show.

        It is the same object each time, until it is closed, and lives as long as the connection.
        From the first time on the server tells us who is there.

        Args:
            document: it, or its name.

        Raises:
            LocalProtocolError: the connection does not synchronize this document, or was left.
        """
        name = document if isinstance(document, str) else document.document_name
        if self._state == "closed":
            raise LocalProtocolError("the connection was closed by leaving its context")
        if not self._queries.is_wanted(name):
            raise LocalProtocolError(f"this connection does not synchronize document {name!r}")
        presence = self._presences.of(name)
        if self._session is not None:
            self._session.touch(name)
        return presence

    def events(self) -> AsyncIterator[ConnectionEvent]:
        """Return an iterator over what happens from now on. It ends with the connection."""
        return self._feed.listen()

    def __repr__(self) -> str:
        return f"<Connection {self._state}>"

    async def _run(self) -> None:
        """Connect again and again, until refused or cancelled."""
        while True:
            delay_s = await self._run_session()
            if self._refused is not None:
                self._enter("refused", str(self._refused))
                self._feed.close()
                return
            self._enter("waiting", self._error)
            await anyio.sleep(delay_s)
            self._enter("connecting", self._error)

    async def _run_session(self) -> float:
        """Run one session; return how long to wait before the next."""
        try:
            with span("connect", server=self._server):
                stream = await self._connector()
        except TransportError as error:
            self._error = str(error)
            return self._backoff.delay_s()
        session = Session(
            self._replica,
            stream,
            self._limits,
            server=self._server,
            token=self._token,
            queries=self._queries,
            feed=self._feed,
            presences=self._presences,
        )

        def welcomed() -> None:
            self._session = session
            self._enter("online", None)

        goodbye: Goodbye | None = None
        try:
            goodbye = await session.run(welcomed)
        except TransportError as error:
            self._error = str(error)
            if session.greeting.welcomed:
                self._backoff.reset()
        except (RemoteProtocolError, StorageError) as error:
            # Both will most likely happen again: the waits grow.
            self._error = str(error)
        finally:
            self._last_proof = self._proved_at() or self._last_proof
            self._standing = session.greeting.standing or self._standing
            self._session = None
        delay_s = self._backoff.delay_s() if goodbye is None else self._after(goodbye, session)
        if not session.greeting.outdated:
            return delay_s
        detail = f"a copy of this store is in use: this one goes on as replica {self._replica.id:x}"
        self._feed.publish(ConnectionEvent("rotated", detail))
        return delay_s if self._error is not None else 0.0

    def _after(self, goodbye: Goodbye, session: Session) -> float:
        self._error = f"the server closed ({goodbye.code}): {goodbye.reason}"
        if goodbye.code in FATAL_CODES and not (
            goodbye.code == "expired" and callable(self._token)
        ):
            self._refused = RefusedError(goodbye.code, goodbye.reason)
        if goodbye.code == "fenced" and session.greeting.welcomed and not self._is_doubled():
            # No other program can have this store open: it has a copy.
            with contextlib.suppress(ActionError):  # then it is for the copy to rotate
                self._replica.rotate()
        if session.greeting.welcomed and goodbye.code != "fenced":
            # Who was fenced shares its store's identity with another: two must not spin.
            self._backoff.reset()
        delay_s = self._backoff.delay_s()
        if goodbye.retry_after_ms is not None:
            delay_s += min(goodbye.retry_after_ms / 1000, _RETRY_AFTER_MAX_S)
        return delay_s

    def _is_doubled(self) -> bool:
        """Tell whether this very replica has another connection to the server."""
        return any(
            other is not self and other._replica is self._replica and other._server == self._server
            for other in _open_connections
        )

    def _enter(self, state: ConnectionState, detail: str | None) -> None:
        self._state = state
        self._error = detail
        self._feed.publish(ConnectionEvent(state, detail or ""))

    def _note(self, event: ConnectionEvent) -> None:
        CONNECTION_EVENTS.add(kind=event.kind)
        events.CONNECTION[event.kind].log(
            replica=f"{self._replica.id:x}", document=event.document, detail=event.detail
        )

    def _leave(self) -> None:
        self._enter("closed", self._error)
        self._presences.close()
        self._feed.close()

    def _names(self) -> Iterable[str]:
        names = self._replica.names()
        return names if self._queries.standing is None else self._queries.names(names)

    def _follower(self, name: str) -> Follower | None:
        return None if self._session is None else self._session.exchange.followers.get(name)

    def _last_standing(self) -> Standing | None:
        session = self._session
        return self._standing if session is None else session.greeting.standing

    def _proved_at(self) -> datetime.datetime | None:
        """Return since when all documents are proved; None where one is not."""
        if self._session is None:
            return None
        times = [one.proved_at for one in self._session.exchange.followers.values()]
        known = [time for time in times if time is not None]
        return min(known) if known and len(known) == len(times) else None


def _time(unix_ms: int) -> datetime.datetime:
    """Return a time that a server has told, as far as there can be such a time."""
    epoch = datetime.datetime.fromtimestamp(0, datetime.UTC)
    try:
        return epoch + datetime.timedelta(milliseconds=unix_ms)
    except OverflowError:
        return datetime.datetime.max.replace(tzinfo=datetime.UTC)


@asynccontextmanager
async def connect(
    replica: ReplicaPort,
    url: str | Connector,
    *,
    token: Token = None,
    documents: Documents | None = None,
    limits: WireLimits | None = None,
    backoff: Backoff | None = None,
    ssl_context: ssl.SSLContext | None = None,
    proxy: str | None = None,
) -> AsyncIterator[Connection]:
    """Synchronize a replica with a server for as long as the context lasts.

    The context is entered at once, whether or not a server can be reached.

    Args:
        replica: whose documents.
        url: where the server is; or a function that makes a stream to it.
        token: what proves the user: a string, or a function, asynchronous or not, that gets a fresh
            one. It is asked at each try, and before a token expires while the connection lives.
        documents: those to synchronize: names, patterns and tags, or these with a priority each,
            see `crdtsync.selection`; None: all that the replica has or gets.
        limits: of the wire.
        backoff: how long to wait between tries.
        ssl_context: whom to trust on an encrypted way; by default, whom the system trusts.
        proxy: the URL of an HTTP proxy; empty for none, None for the environment's.

    Raises:
        TransportError: the URL cannot be understood.
        ConfigurationError: a pattern cannot be understood.
    """
    wire = limits or WireLimits()
    connector: Connector
    server = ""
    if isinstance(url, str):
        address = parse_url(url)  # a mistake in it is told at once, not tried again and again
        server = address.server
        if address.is_secure and ssl_context is None:
            ssl_context = ssl.create_default_context()  # reads many files: not at each try
        connector = partial(connect_stream, url, wire, ssl_context=ssl_context, proxy=proxy)
    else:
        connector = url
    connection = Connection(
        replica,
        connector,
        server=server,
        token=token,
        documents=documents,
        limits=wire,
        backoff=backoff or Backoff(),
    )
    _open_connections.add(connection)
    failure: Exception | None = None
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(connection._run)
            try:
                yield connection
            except Exception as error:
                failure = error
            finally:
                tasks.cancel_scope.cancel()
    finally:
        _open_connections.discard(connection)
        connection._leave()
    if failure is not None:
        raise failure
