"""The ASGI application: what path leads where.

| path | what is there |
|---|---|
| `/` | WebSocket: the native protocol |
| `/yjs/` and a document's name | WebSocket: Yjs clients, as y-websocket speaks |
| `/hocuspocus` | WebSocket: Yjs clients, as Hocuspocus speaks |
| `/health` | HTTP: `200 ok` while it serves |
| `/inspect` | HTTP: a page to look at documents and connections |
| `/demo` | HTTP: a board that browsers and replicas edit together |
| others | doors and pages that were added |
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self, Unpack

import anyio

from crdtsync import events
from crdtsync.errors import StorageError
from crdtsync.server.backend import Backend
from crdtsync.server.hub import Hub
from crdtsync.server.options import HubOptions
from crdtsync.server.web.asgi import AsgiWebSocket, Receive, Scope, Send, headers_of, respond
from crdtsync.server.web.demo import DemoPage
from crdtsync.server.web.exchange import Exchange, Refused
from crdtsync.server.web.guard import Guard
from crdtsync.server.web.inspect import InspectPage
from crdtsync.server.yjs import Doors, HocuspocusPath, YjsLimits, YWebsocketPath
from crdtsync.transport.messages import MESSAGE_BYTES_MAX, MessageFrameStream, MessageStream

__all__ = ["WebApp", "WebDoor", "WebPage", "WebRequest", "web_app"]


@dataclass(frozen=True, slots=True)
class WebRequest:
    """What a client asked for when it opened a WebSocket.

    Attributes:
        path: what follows the door's own path, unescaped.
        query: what follows the question mark, as it came.
        headers: by their names in lower case.
        client: the address that it comes from, where that is known.
    """

    path: str
    query: str
    headers: Mapping[str, str]
    client: str | None


class WebDoor(Protocol):
    """What serves the WebSockets of a path.

    Attributes:
        message_bytes_max: the largest message that it takes.
    """

    @property
    def message_bytes_max(self) -> int: ...

    async def serve(self, stream: MessageStream, request: WebRequest) -> None:
        """Serve a connection until it ends, and close it. If cancelled, say that we stop."""
        ...


class WebPage(Protocol):
    """What answers HTTP requests of a path of one segment, and of all below it."""

    async def answer(self, exchange: Exchange) -> None:
        """Answer a request.

        Raises:
            Refused: it is not answered as it wished.
            StorageError: the storage could not be read.
        """
        ...


class WebApp:
    """An ASGI application that serves a hub. Made by `web_app`.

    It serves while its context is open. Where it is mounted, the application that it is mounted in
    opens that in its own lifespan; where it stands alone, ASGI's lifespan events do.

    Attributes:
        hub: serves the native protocol.
        doors: by path, what else is served. A path that ends with a slash stands for all below it.
        pages: by path, what people look at. Take one out, and it is not there.
    """

    def __init__(self, hub: Hub, *, guard: Guard, yjs_limits: YjsLimits | None = None) -> None:
        self.hub = hub
        self._yjs = Doors(hub, yjs_limits)
        self.doors: dict[str, WebDoor] = {
            "/": _NativeDoor(hub),
            "/yjs/": YWebsocketPath(self._yjs),
            "/hocuspocus": HocuspocusPath(self._yjs),
        }
        self._inspect = InspectPage(hub, self._yjs)
        self.pages: dict[str, WebPage] = {"/inspect": self._inspect, "/demo": DemoPage(hub)}
        self._guard = guard
        self._connections: set[anyio.CancelScope] = set()
        self._stack: AsyncExitStack | None = None  # while it serves
        self._quiet = anyio.Event()

    @property
    def message_bytes_max(self) -> int:
        """The largest message that a door takes."""
        return max(door.message_bytes_max for door in self.doors.values())

    async def __aenter__(self) -> Self:
        if self._stack is not None:
            raise RuntimeError("this application serves already: enter its context only once")
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.hub)
            await stack.enter_async_context(self._yjs)
            stack.enter_context(self._inspect)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._stack is not None
        stack, self._stack = self._stack, None
        with anyio.CancelScope(shield=True):
            await self.hang_up()
        await stack.__aexit__(kind, error, traceback)

    async def hang_up(self) -> None:
        """End all connections, each as its door says goodbye. It waits for them."""
        for scope in self._connections:
            scope.cancel()
        while self._connections:  # several listeners may wait here, all for the same
            await self._quiet.wait()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, as ASGI 3 defines it."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if scope["type"] == "websocket":
            await receive()  # websocket.connect
        objection = self._guard.objection(scope)
        if objection is not None:
            await respond(scope, send, 403, objection)
        elif self._stack is None:
            await respond(scope, send, 503, "not serving: nobody has opened the app's context")
        elif scope["type"] == "websocket":
            await self._open_door(scope, receive, send)
        else:
            await self._answer(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()  # lifespan.startup
        async with AsyncExitStack() as stack:
            if self._stack is None:
                await stack.enter_async_context(self)
            await send({"type": "lifespan.startup.complete"})
            await receive()  # lifespan.shutdown
        await send({"type": "lifespan.shutdown.complete"})

    async def _open_door(self, scope: Scope, receive: Receive, send: Send) -> None:
        door, rest = _find_door(self.doors, _path(scope))
        if door is None:
            await respond(scope, send, 404, "there is no WebSocket of this path")
            return
        accept: dict[str, object] = {"type": "websocket.accept"}
        if scope.get("subprotocols"):
            accept["subprotocol"] = scope["subprotocols"][0]
        await send(accept)
        client = scope.get("client")
        request = WebRequest(
            rest,
            scope.get("query_string", b"").decode("latin-1"),
            headers_of(scope),
            client[0] if client else None,
        )
        stream = AsgiWebSocket(receive, send, door.message_bytes_max)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stream.take_in)
            with self._connection():
                await door.serve(stream, request)
            tasks.cancel_scope.cancel()

    @contextmanager
    def _connection(self) -> Iterator[None]:
        """What is done in it ends when the application hangs up."""
        with anyio.CancelScope() as connection:
            self._connections.add(connection)
            try:
                yield
            finally:
                self._connections.discard(connection)
                if not self._connections:
                    self._quiet.set()
                    self._quiet = anyio.Event()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = _path(scope)
        base, rest = _page_path(path)
        if base in self.pages:
            await self._show(self.pages[base], Exchange(scope, receive, send, rest))
        elif path in self.doors:
            await respond(scope, send, 426, "a WebSocket is here: connect with crdtsync")
        elif path != "/health":
            await respond(scope, send, 404, "there is nothing of this path")
        elif scope["method"] not in {"GET", "HEAD"}:
            await respond(scope, send, 405, "GET only")
        else:
            await respond(scope, send, 200, "ok")

    async def _show(self, page: WebPage, exchange: Exchange) -> None:
        status, reason = 503, "the server stops"
        with self._connection():
            try:
                await page.answer(exchange)
            except Refused as answer:
                status, reason = answer.status, answer.reason
            except StorageError as error:
                events.PAGE_UNREADABLE.log(error=error)
                reason = "the server cannot read at the moment"
            except Exception:
                events.PAGE_BROKEN.log()
                status, reason = 500, "a fault of the server"
            finally:
                await exchange.finish(status, reason)


class _NativeDoor:
    """Where the native protocol is spoken."""

    message_bytes_max = MESSAGE_BYTES_MAX

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def serve(self, stream: MessageStream, request: WebRequest) -> None:
        frame_bytes_max = self._hub.limits.wire.frame_bytes_max
        await self._hub.serve(
            MessageFrameStream(stream, frame_bytes_max, request.client or "client")
        )


def _page_path(path: str) -> tuple[str, str | None]:
    """Split a path into that of a page and what follows it, if anything does."""
    name, slash, rest = path.removeprefix("/").partition("/")
    return f"/{name}", rest if slash else None


def _find_door(doors: Mapping[str, WebDoor], path: str) -> tuple[WebDoor | None, str]:
    """Return the door of a path, and the rest of the path."""
    if path in doors:
        return doors[path], ""
    inner = [one for one in doors if one != "/" and one.endswith("/")]
    for prefix in sorted(inner, key=len, reverse=True):
        if path.startswith(prefix):
            return doors[prefix], path[len(prefix) :]
    return None, ""


def _path(scope: Scope) -> str:
    """Return the path within the application: without what it is mounted at."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    if root and (path == root or path.startswith(f"{root}/")):
        path = path[len(root) :]
    return path or "/"


def web_app(
    backend: Backend,
    *,
    origins: Collection[str] | None = None,
    yjs_limits: YjsLimits | None = None,
    **options: Unpack[HubOptions],
) -> WebApp:
    """Return an ASGI application that serves a backend's documents.

    Args:
        backend: where the logs are kept. It stays the caller's, who closes it after the app.
        origins: as in `WebOptions`.
        yjs_limits: as in `WebOptions`.
        options: as in `HubOptions`: `limits`, `authenticator`, `names`, `policy`,
            `connection_policy`, `history`, `tags`.

    Example::

        backend = SqliteBackend("server.db")
        sync = web_app(backend, authenticator=authenticator)

        @asynccontextmanager
        async def lifespan(app):
            async with backend, sync:
                yield

        app = FastAPI(lifespan=lifespan)
        app.mount("/sync", sync)
    """
    hub = Hub(backend, **options)
    guard = Guard(is_local=hub.believes, origins=origins)
    return WebApp(hub, guard=guard, yjs_limits=yjs_limits)
