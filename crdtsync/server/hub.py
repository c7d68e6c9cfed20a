"""The hub: all connections of one server process, whatever transport they came by.

It lets them in and turns them away, has a newer connection of a client fence the older, keeps time
for all of them with one timer, and sees to it that what goes wrong in one ends that one only.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import TaskGroup

from crdtsync.errors import CrdtSyncError, StorageError, TransportError
from crdtsync.server.access import AccessPolicy
from crdtsync.server.authentication import Authenticator
from crdtsync.server.backend import Backend
from crdtsync.server.channel import Channels
from crdtsync.server.door import Door
from crdtsync.server.limits import ServerLimits
from crdtsync.server.session import Session
from crdtsync.sync import Hello, ServerProtocol
from crdtsync.transport.stream import FrameStream

__all__ = ["Hub"]

_CHECK_INTERVAL_MAX_S = 1.0

_logger = logging.getLogger(__name__)


class Hub:
    """Serves connections while its context is open.

    The backend stays the caller's: it is not closed with the hub.

    Args:
        backend: where the logs are kept.
        limits: what clients may cost.
        authenticator: tells who clients are; believes what they say, by default.
        names: names by which clients may know this server; None: any.
        policy: tells what users may do; everything by default.

    Attributes:
        channels: the documents.
        door: tells who is let in, for whatever else serves the same documents.
    """

    def __init__(
        self,
        backend: Backend,
        limits: ServerLimits | None = None,
        *,
        authenticator: Authenticator | None = None,
        names: Collection[str] | None = None,
        policy: AccessPolicy | None = None,
    ) -> None:
        self._backend = backend
        self.door = Door(backend, authenticator, names, policy)
        self.limits = limits or ServerLimits()
        self.channels = Channels(backend, self.limits)
        self._sessions: set[Session] = set()
        self._clients: dict[bytes, Session] = {}
        self._unwatch: Callable[[], None] | None = None
        self._tasks: TaskGroup | None = None

    @property
    def believes(self) -> bool:
        """Whether clients are believed who they say they are: development mode."""
        return self.door.believes

    async def __aenter__(self) -> Self:
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        self._tasks.start_soon(self._keep_time)
        self._unwatch = self.channels.watch()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._tasks is not None
        assert self._unwatch is not None
        self._unwatch()
        self._tasks.cancel_scope.cancel()
        # What the context's body raised is not told to the group, which would wrap it in one.
        await self._tasks.__aexit__(None, None, None)

    async def serve(self, stream: FrameStream) -> None:
        """Serve one connection until it ends, and close it. Raises nothing.

        If cancelled, it tells the client that the server stops. What the client has a receipt for
        is stored; what it has none for, it sends again to whoever answers next.
        """
        if len(self._sessions) >= self.limits.connections_max:
            await self._turn_away(stream)
            return
        session = Session(stream, self.door, self.channels, self.limits, self._greet)
        self._sessions.add(session)
        try:
            await session.run()
        except Exception:
            _logger.exception("a connection ends because of a bug")
        finally:
            self._sessions.discard(session)
            client = session.client
            if client is not None and self._clients.get(client) is session:
                del self._clients[client]

    def _greet(self, session: Session, hello: Hello) -> None:
        older = self._clients.get(hello.client)
        if older is not None:
            older.stop("fenced", "this client has a newer connection", retry=False)
        self._clients[hello.client] = session

    async def _turn_away(self, stream: FrameStream) -> None:
        protocol = ServerProtocol(self.limits.wire)
        most = self.limits.connections_max
        reason = f"the server has {most:,} connections already"
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
            wire.handshake_timeout_s, wire.silence_timeout_s, self.limits.close_timeout_s
        )
        interval = min(shortest / 4, _CHECK_INTERVAL_MAX_S)
        while True:
            await anyio.sleep(interval)
            now = anyio.current_time()
            for session in self._sessions:
                session.check(now)
            await self._end_revoked()
            await self._erase_due()

    async def _erase_due(self) -> None:
        """Erase what another process has asked to be erased."""
        try:
            for erasure in await self._backend.erasures_due():
                await self._backend.erase(erasure)
        except CrdtSyncError as error:
            _logger.error("something is to be erased, and cannot be: %s", error)

    async def _end_revoked(self) -> None:
        """End the connections of devices that were revoked meanwhile, by whatever process."""
        if not self._sessions:
            return
        try:
            revoked = await self._backend.revoked()
        except StorageError as error:
            _logger.error("it cannot be seen which devices are revoked: %s", error)
            return
        for session in self._sessions:
            if session.replica in revoked:
                session.stop("authentication", "this device was revoked", retry=False)
