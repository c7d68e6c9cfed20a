"""The hub: all connections of one server process, whatever transport they came by.

It lets them in and turns them away, has a newer socket of a client fence the older, keeps time for
all of them with one timer, and sees to it that what goes wrong in one ends that one only. What a
client's connection is to the server outlives its sockets: see `crdtsync.server.connections`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from types import TracebackType
from typing import Literal, Self

import anyio
from anyio.abc import TaskGroup

from crdtsync import events, telemetry
from crdtsync.errors import StorageError, TransportError
from crdtsync.server.access import AccessPolicy
from crdtsync.server.authentication import Authenticator
from crdtsync.server.backend import Backend
from crdtsync.server.catalog import Catalog
from crdtsync.server.channel import Channels
from crdtsync.server.connections import Connections
from crdtsync.server.door import Door
from crdtsync.server.glance import Glance
from crdtsync.server.keeper import Keeper
from crdtsync.server.lifecycle import Event, State
from crdtsync.server.limits import ServerLimits
from crdtsync.server.memory import Memory
from crdtsync.server.policy import ConnectionPolicy, LeastValuable
from crdtsync.server.records import ConnectionRecord, KnownConnection, lag_of
from crdtsync.server.session import Session
from crdtsync.server.tags import Tags, no_tags
from crdtsync.sync import Hello, ServerProtocol
from crdtsync.telemetry import (
    SERVER_CACHED,
    SERVER_CONNECTIONS,
    SERVER_DOWNGRADES,
    SERVER_LAG,
    SERVER_QUEUED,
    SERVER_REFUSALS,
)
from crdtsync.transport.stream import FrameStream

__all__ = ["Hub"]

_CHECK_INTERVAL_MAX_S = 1.0


class Hub:
    """Serves connections while its context is open.

    The backend stays the caller's: it is not closed with the hub. What else a hub may be told is in
    `HubOptions`.

    Args:
        backend: where the logs are kept.

    Attributes:
        channels: the documents.
        catalog: the names of all of them.
        door: tells who is let in, for whatever else serves the same documents.
        limits: what clients may cost.
        connections: the records of connections.
        memory: what waits to be sent to all of them.
        tags: tells which tags a document bears.
    """

    def __init__(
        self,
        backend: Backend,
        limits: ServerLimits | None = None,
        *,
        authenticator: Authenticator | None = None,
        names: Collection[str] | None = None,
        policy: AccessPolicy | None = None,
        connection_policy: ConnectionPolicy | None = None,
        history: Literal["keep", "trim"] = "keep",
        tags: Tags = no_tags,
    ) -> None:
        self._backend = backend
        self.door = Door(backend, authenticator, names, policy)
        self.limits = limits or ServerLimits()
        self.channels = Channels(backend, self.limits)
        self.catalog = Catalog(backend)
        self.tags = tags
        self.connections = Connections(backend)
        self.memory = Memory(self.limits.memory_bytes_max)
        self._making_room = anyio.Lock()
        self._sessions: set[Session] = set()
        self._clients: dict[bytes, Session] = {}
        self._keeper = Keeper(
            backend,
            self.channels,
            self.connections,
            self.limits,
            connection_policy or LeastValuable(),
            self._clients,
            self._downgrade,
            drop=history == "trim",
        )
        self._unwatch: list[Callable[[], None]] = []
        self._tasks: TaskGroup | None = None

    @property
    def believes(self) -> bool:
        """Whether clients are believed who they say they are: development mode."""
        return self.door.believes

    async def __aenter__(self) -> Self:
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        self._tasks.start_soon(self._keep_time)
        self._tasks.start_soon(self._keep)
        self._unwatch = [self.channels.watch(), self.catalog.watch()]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._tasks is not None
        for unwatch in self._unwatch:
            unwatch()
        self._tasks.cancel_scope.cancel()
        # What the context's body raised is not told to the group, which would wrap it in one.
        await self._tasks.__aexit__(None, None, None)
        with anyio.CancelScope(shield=True):
            await _guarded(self.connections.flush, "cursors cannot be written down")
        for gauge in (SERVER_LAG, SERVER_QUEUED, SERVER_CACHED):
            gauge.forget(self)

    def glances(self) -> list[Glance]:
        """Return what an operator sees of the connections."""
        now = anyio.current_time()
        return [session.glance(now) for session in self._sessions]

    def retagged(self, document: str) -> None:
        """Say that a document bears other tags: queries that select it by them bring it now."""
        for session in self._sessions:
            session.retagged(document)

    async def serve(self, stream: FrameStream) -> None:
        """Serve one connection until it ends, and close it. Raises nothing.

        If cancelled, it tells the client that the server stops. What the client has a receipt for
        is stored; what it has none for, it sends again to whoever answers next.
        """
        if len(self._sessions) >= self.limits.connections_max:
            most = self.limits.connections_max
            await self._turn_away(stream, f"the server has {most:,} connections already")
            return
        if self.memory.full:
            await self._turn_away(stream, "too much waits to be sent to others")
            return
        session = Session(stream, self)
        self._sessions.add(session)
        SERVER_CONNECTIONS.set(self, len(self._sessions), "replica")
        try:
            await session.run()
        except Exception:
            events.CLIENT_BROKEN.log(connection=session.connection)
        finally:
            self._sessions.discard(session)
            SERVER_CONNECTIONS.set(self, len(self._sessions), "replica")
            client = session.client
            if client is not None and self._clients.get(client) is session:
                del self._clients[client]

    async def greet(self, session: Session, hello: Hello, user: str | None) -> ConnectionRecord:
        """Let a client in, which has shown who it is; return what its connection is.

        Raises:
            StorageError: that could not be read or stored.
        """
        older = self._clients.get(hello.client)
        if older is not None:
            older.stop("fenced", "this client has a newer connection", retry=False)
        self._clients[hello.client] = session
        return await self.connections.come(
            hello.client, user, hello.replica, room=self._keeper.has_room
        )

    async def activate(self, session: Session) -> None:
        """Make an inactive connection, which holds all that it follows, active if there is room."""
        record = session.record
        assert record is not None
        try:
            async with self._making_room:  # two that come at once must not both take the last place
                if await self._keeper.make_room(record) is not None:
                    return
                changed = await self.connections.change(record.client, Event.HOLD_ALL, "")
            if changed is not None:
                self._tell(changed)
        except StorageError as error:
            events.STORAGE_FAILED.log(problem="a connection stays inactive", error=error)

    async def known_connections(self, user: str | None = None) -> list[KnownConnection]:
        """Return the connections of a user, or all, with what each follows.

        Raises:
            StorageError: they could not be read.
        """
        await self.connections.flush()
        crowds = {crowd.document: crowd for crowd in await self._backend.crowds()}
        known = []
        for record in await self._backend.connections(user):
            followed = await self._backend.followed(record.client)
            online = record.client in self._clients
            known.append(KnownConnection(record, followed, lag_of(followed, crowds), online))
        return known

    async def retire(self, client: bytes, reason: str = "retired by the operator") -> bool:
        """Let a connection go: nothing is kept for it, and it begins anew if it comes again.

        Returns:
            False if there is none, or it is retired already.

        Raises:
            StorageError: it could not be stored.
        """
        changed = await self.connections.change(client, Event.RETIRE, reason)
        if changed is not None:
            self._tell(changed)
        return changed is not None

    async def _downgrade(self, client: bytes, reason: str) -> None:
        changed = await self.connections.change(client, Event.DOWNGRADE, reason)
        if changed is not None:
            SERVER_DOWNGRADES.add()
            events.CLIENT_DOWNGRADED.log(connection=client.hex(), reason=reason)
            self._tell(changed)

    def _tell(self, record: ConnectionRecord) -> None:
        session = self._clients.get(record.client)
        if session is not None:
            session.stands(record)

    async def _turn_away(self, stream: FrameStream, reason: str) -> None:
        SERVER_REFUSALS.add(kind="connection")
        protocol = ServerProtocol(self.limits.wire)
        protocol.goodbye("busy", reason, self.limits.retry_after_ms)
        try:
            with anyio.move_on_after(self.limits.close_timeout_s):
                await stream.send(protocol.data_to_send())
        except TransportError:
            pass
        finally:
            await stream.aclose()

    async def _keep_time(self) -> None:
        wire = self.limits.wire
        shortest = min(
            wire.handshake_timeout_s,
            wire.silence_timeout_s,
            self.limits.close_timeout_s,
            self.limits.presence.grace_s,
        )
        interval = min(shortest / 4, _CHECK_INTERVAL_MAX_S)
        while True:
            await anyio.sleep(interval)
            now = anyio.current_time()
            for session in self._sessions:
                session.check(now)
            self.channels.check(now)
            if telemetry.is_on:
                self._measure()
            await _guarded(self.connections.flush, "cursors cannot be written down")
            await _guarded(self._end_unwanted, "it cannot be seen who is to be let go")
            await _guarded(self._erase_due, "something is to be erased, and cannot be")

    def _measure(self) -> None:
        """Say how much there is of what comes and goes."""
        SERVER_LAG.set(self, sum(session.lag for session in self._sessions))
        SERVER_QUEUED.set(self, self.memory.used)
        SERVER_CACHED.set(self, self.channels.cached_bytes)

    async def _erase_due(self) -> None:
        """Erase what another process has asked to be erased."""
        for erasure in await self._backend.erasures_due():
            await self._backend.erase(erasure)

    async def _keep(self) -> None:
        """See to what is kept for connections."""
        while True:
            await anyio.sleep(self.limits.keep_interval_s)
            await self.keep()

    async def keep(self) -> None:
        """See to what is kept for connections now; it is done now and then in any case."""
        await _guarded(self._keeper.look_after_connections, "it cannot be seen who is far behind")
        await self._keeper.look_after_history()

    async def _end_unwanted(self) -> None:
        """End the connections that were revoked or retired meanwhile, by whatever process."""
        if not self._sessions:
            return
        revoked, retired = await self._backend.revoked(), await self._backend.retired()
        for session in list(self._sessions):
            if session.replica in revoked:
                session.stop("authentication", "this device was revoked", retry=False)
            known = session.record
            if known is not None and known.client in retired and known.state is not State.RETIRED:
                record = await self._backend.connection(known.client)
                if record is not None and record.state is State.RETIRED:
                    session.stands(record)


async def _guarded(act: Callable[[], Awaitable[None]], problem: str) -> None:
    """Do what can be done again later if the storage fails."""
    try:
        await act()
    except StorageError as error:
        events.STORAGE_FAILED.log(problem=problem, error=error)
