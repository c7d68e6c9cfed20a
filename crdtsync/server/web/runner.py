"""Running the application where it stands alone: uvicorn, embedded.

It was measured against hypercorn and granian; see `tests/benchmarks/bench_asgi_servers.py` and
`docs/deploy.md`. What it leaves to a proxy in front of it, a `_Warden` does here: it puts an end to
connections that never ask for anything, that do not take what they are sent, or that never close.
"""

from __future__ import annotations

import asyncio
import math
import socket
import ssl
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import anyio
import uvicorn
from anyio.abc import SocketAttribute, SocketListener

from crdtsync.errors import TransportError
from crdtsync.server.limits import ServerLimits
from crdtsync.server.web.app import WebApp
from crdtsync.server.web.gathering import GatheringProtocol
from crdtsync.transport.address import Address
from crdtsync.transport.listener import bind, unbind

__all__ = ["WebListener", "listen_web"]

_WARDEN_TICKS = 5  # of uvicorn's, which are of 0.1 s
_BUFFER_BYTES = 256 * 1024


async def listen_web(address: Address, ssl_context: ssl.SSLContext | None = None) -> WebListener:
    """Listen for clients.

    Args:
        address: where.
        ssl_context: the server's certificate, for `wss`.

    Raises:
        TransportError: the address is in use, or not ours to use.
    """
    if anyio.get_cancelled_exc_class() is not asyncio.CancelledError:
        raise TransportError(
            f"{address}: web addresses are listened on with asyncio only; on trio, mount "
            "crdtsync.server.web_app in a server that knows it, such as hypercorn"
        )
    if not address.is_secure:
        ssl_context = None
    elif ssl_context is None:
        raise TransportError(
            f"{address}: to listen with TLS, give the server's certificate (an ssl_context, "
            "crdtsync serve --tls-cert)"
        )
    address, listeners = await bind(address)
    return WebListener(address, listeners, ssl_context)


class WebListener:
    """Takes connections in for an application. Made by `listen_web`."""

    def __init__(
        self,
        address: Address,
        listeners: Sequence[SocketListener],
        ssl_context: ssl.SSLContext | None,
    ) -> None:
        self._address = address
        self._listeners = listeners
        self._ssl_context = ssl_context

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return str(self._address)

    async def serve(self, app: WebApp) -> None:
        """Serve an application, whose context is open, until cancelled; then hang up."""
        server = _Server(app, app.hub.limits, self._ssl_context)
        sockets = [one.extra(SocketAttribute.raw_socket) for one in self._listeners]  # noqa: S610

        async def run() -> None:
            with anyio.CancelScope(shield=True):  # it ends in good order, once it is told to
                await server.serve(sockets)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await app.hang_up()
                server.should_exit = True

    async def aclose(self) -> None:
        """Listen no more."""
        await unbind(self._address, self._listeners)


class _Server(uvicorn.Server):
    """A uvicorn that lives within a program of its own: no signals, no logging set up."""

    def __init__(
        self, app: WebApp, limits: ServerLimits, ssl_context: ssl.SSLContext | None
    ) -> None:
        wire = limits.wire
        super().__init__(
            uvicorn.Config(
                app,
                http="h11",  # bounds a request's headers; httptools does not
                ws=GatheringProtocol,
                ws_max_size=app.message_bytes_max,
                ws_per_message_deflate=False,
                ws_ping_interval=wire.ping_interval_s,
                ws_ping_timeout=wire.silence_timeout_s,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=math.ceil(limits.close_timeout_s),
                ssl_context_factory=(lambda *_: ssl_context) if ssl_context else None,
            )
        )
        self._warden = _Warden(
            asks_within_s=wire.handshake_timeout_s,
            closes_within_s=limits.close_timeout_s,
            unsent_bytes_max=2 * app.message_bytes_max + _BUFFER_BYTES,
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def on_tick(self, counter: int) -> bool:
        if counter % _WARDEN_TICKS == 0:
            self._warden.look(self.server_state.connections, anyio.current_time())
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):
            connection.transport.abort()


class _Warden:
    """Ends connections that cost something and lead to nothing.

    Args:
        asks_within_s: how long a request may take to come, from its first byte to the last of its
            headers.
        closes_within_s: how long a connection may take to close.
        unsent_bytes_max: how much may wait for a client that does not take it.
    """

    def __init__(
        self, *, asks_within_s: float, closes_within_s: float, unsent_bytes_max: int
    ) -> None:
        self._asks_within_s = asks_within_s
        self._closes_within_s = closes_within_s
        self._unsent_bytes_max = unsent_bytes_max
        self._since: dict[object, float] = {}  # when those that lead to nothing were first seen

    def look(self, connections: Collection[Any], now: float) -> None:
        """Look at all connections: uvicorn's, of HTTP and of WebSockets."""
        before, self._since = self._since, {}
        for connection in list(connections):
            transport = connection.transport
            if transport.get_write_buffer_size() > self._unsent_bytes_max:
                transport.abort()
                continue
            is_closing = transport.is_closing() or getattr(connection, "close_sent", False)
            if is_closing:
                within_s = self._closes_within_s
            elif getattr(connection, "cycle", connection) is None:
                within_s = self._asks_within_s
            else:
                continue
            since = self._since[connection, is_closing] = before.get((connection, is_closing), now)
            if now - since >= within_s:
                transport.abort()
