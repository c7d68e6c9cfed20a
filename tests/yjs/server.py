"""A server with all its doors, on real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import anyio
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from crdtsync.errors import TransportError
from crdtsync.server import Backend, Hub
from crdtsync.server.yjs import Doors, HocuspocusPath, YjsLimits, YWebsocketPath
from crdtsync.transport.listener import listen

__all__ = ["Server", "serving"]


class _Request(NamedTuple):
    path: str
    query: str


class _Stream:
    """A WebSocket of the `websockets` library as the doors want it."""

    def __init__(self, socket: ServerConnection) -> None:
        self._socket = socket

    async def receive(self) -> bytes | None:
        try:
            message = await self._socket.recv()
        except ConnectionClosed:
            return None
        if isinstance(message, str):
            await self._socket.close(1003, "binary messages only")
            return None
        return message

    async def send(self, data: bytes, /) -> None:
        try:
            await self._socket.send(data)
        except ConnectionClosed as error:
            raise TransportError(f"the connection is gone: {error}") from error

    async def close(self, code: int = 1000, reason: str = "") -> None:
        await self._socket.close(code, reason)


class Server:
    """Where to find the server.

    Attributes:
        y: URL for clients of y-websocket.
        hocuspocus: URL for clients of Hocuspocus.
        native: URL for replicas.
        port: of the WebSockets.
    """

    def __init__(self, port: int, native: str, doors: Doors, hub: Hub) -> None:
        self.port = port
        self.y = f"ws://localhost:{port}/yjs"
        self.hocuspocus = f"ws://localhost:{port}/hocuspocus"
        self.native = native
        self.doors = doors
        self.hub = hub


@asynccontextmanager
async def serving(
    backend: Backend, *, port: int = 0, limits: YjsLimits | None = None, **options: Any
) -> AsyncIterator[Server]:
    """Serve a backend through all doors."""
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(Hub(backend, **options))
        doors = await stack.enter_async_context(Doors(hub, limits))

        by_y_websocket, by_hocuspocus = YWebsocketPath(doors), HocuspocusPath(doors)

        async def handle(socket: ServerConnection) -> None:
            assert socket.request is not None
            url = urlsplit(socket.request.path)
            if url.path == "/hocuspocus":
                await by_hocuspocus.serve(_Stream(socket), _Request("", url.query))
            else:
                room = unquote(url.path.removeprefix("/yjs/"))
                await by_y_websocket.serve(_Stream(socket), _Request(room, url.query))

        server = await stack.enter_async_context(
            serve(handle, "localhost", port, max_size=64 * 2**20, compression=None)
        )
        listener = await listen("tcp://localhost:0", hub.limits.wire)
        stack.push_async_callback(listener.aclose)
        tasks = await stack.enter_async_context(anyio.create_task_group())
        tasks.start_soon(listener.serve, hub.serve)
        found = next(iter(server.sockets)).getsockname()[1]
        yield Server(found, listener.url, doors, hub)
        tasks.cancel_scope.cancel()
