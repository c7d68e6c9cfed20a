"""The doors through which Yjs clients join documents: y-websocket's, and Hocuspocus's.

Whoever has accepted a WebSocket hands it over as a `MessageStream`, with what its URL said. The
rest is done here: who the client is, what it may do, and the rooms of the documents that it opens.

Read next: `crdtsync.server.yjs.room`.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

import anyio
from anyio.abc import TaskGroup

from crdtsync import events
from crdtsync.server.glance import Glance
from crdtsync.server.hub import Hub
from crdtsync.server.yjs.connection import AGAIN, BROKEN, Connection
from crdtsync.server.yjs.entrance import Entrance
from crdtsync.server.yjs.hocuspocus import HocuspocusDoor
from crdtsync.server.yjs.limits import YjsLimits
from crdtsync.server.yjs.rooms import Rooms
from crdtsync.server.yjs.scribe import door_key
from crdtsync.server.yjs.y_websocket import YWebsocketDoor
from crdtsync.telemetry import SERVER_CONNECTIONS
from crdtsync.transport.messages import MessageStream

__all__ = ["Doors"]

_CHECK_INTERVAL_MAX_S = 1.0


class _Door(Protocol):
    """One connection, in either dialect."""

    async def run(self) -> None:
        """Serve it until it ends, and close it."""

    def check(self, now: float) -> None:
        """Look at the clock."""

    def glance(self, now: float) -> Glance:
        """Return what an operator sees of it."""


class Doors:
    """Serves Yjs clients while its context is open.

    Args:
        hub: the server; its context is open as long as this one.
        limits: what Yjs clients may cost.

    Raises:
        StorageError: when it is entered: the key of the doors could not be read or kept.

    Example::

        async with Hub(backend) as hub, Doors(hub) as doors:
            await doors.serve_y_websocket(stream, "board/1", token=token)
    """

    def __init__(self, hub: Hub, limits: YjsLimits | None = None) -> None:
        self.limits = limits or YjsLimits()
        self._hub = hub
        self._served: set[_Door] = set()
        self._rooms: Rooms | None = None
        self._tasks: TaskGroup | None = None
        self._unwatch: Callable[[], None] | None = None

    async def __aenter__(self) -> Self:
        hub = self._hub
        key = await door_key(hub.channels.backend)
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        self._rooms = Rooms(hub.channels, key, self.limits, hub.limits, self._tasks)
        self._unwatch = hub.channels.backend.watch(self.rooms.extend)
        self._tasks.start_soon(self._keep_time)
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

    async def serve_y_websocket(
        self, stream: MessageStream, room: str, *, token: str | None = None, user: str | None = None
    ) -> None:
        """Serve a client of y-websocket until it ends, and close it. Raises nothing.

        Args:
            stream: the WebSocket.
            room: name of the document: the rest of the path, as the client sent it.
            token: what the client showed, as the parameter `token` of the URL.
            user: who it says it is, as the parameter `user`; believed in development mode only.
        """
        await self._serve(
            stream,
            lambda connection: YWebsocketDoor(connection, self._entrance(), room, token, user),
        )

    async def serve_hocuspocus(self, stream: MessageStream, *, user: str | None = None) -> None:
        """Serve a client of Hocuspocus until it ends, and close it. Raises nothing.

        Args:
            stream: the WebSocket.
            user: who it says it is, as the parameter `user`; believed in development mode only.
        """
        await self._serve(
            stream, lambda connection: HocuspocusDoor(connection, self._entrance(), user)
        )

    @property
    def rooms(self) -> Rooms:
        """The documents that are open."""
        assert self._rooms is not None, "the context is not open"
        return self._rooms

    def glances(self) -> list[Glance]:
        """Return what an operator sees of the connections."""
        now = anyio.current_time()
        return [door.glance(now) for door in self._served]

    def _entrance(self) -> Entrance:
        return Entrance(self._hub.door, self.rooms, self.limits)

    async def _serve(self, stream: MessageStream, make: Callable[[Connection], _Door]) -> None:
        connection = Connection(stream, self.limits, self._hub.limits.presence)
        if len(self._served) >= self.limits.connections_max:
            await stream.close(AGAIN, "the server has as many connections as it may have")
            return
        door = make(connection)
        self._served.add(door)
        SERVER_CONNECTIONS.set(self, len(self._served), "yjs")
        try:
            await door.run()
        except Exception:
            events.YJS_CLIENT_BROKEN.log()
            await stream.close(BROKEN, "a fault of the server")
        finally:
            self._served.discard(door)
            SERVER_CONNECTIONS.set(self, len(self._served), "yjs")

    async def _keep_time(self) -> None:
        limits = self.limits
        shortest = min(limits.keep_alive_s, limits.silence_timeout_s)
        while True:
            await anyio.sleep(min(shortest / 4, _CHECK_INTERVAL_MAX_S))
            now = anyio.current_time()
            for door in list(self._served):
                door.check(now)
