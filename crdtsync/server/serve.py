"""A server: listen on addresses, and serve whoever connects until cancelled."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack

import anyio
from anyio.abc import TaskStatus

from crdtsync.errors import TransportError
from crdtsync.server.backend import Backend
from crdtsync.server.options import WebOptions
from crdtsync.server.web import web_app
from crdtsync.transport.address import Address, parse_url
from crdtsync.transport.listener import listen

if TYPE_CHECKING:
    from crdtsync.server.web.runner import WebListener

__all__ = ["serve"]


async def serve(
    backend: Backend,
    urls: Sequence[str],
    *,
    ssl_context: ssl.SSLContext | None = None,
    task_status: TaskStatus[list[str]] = anyio.TASK_STATUS_IGNORED,
    **options: Unpack[WebOptions],
) -> None:
    """Serve a backend's documents until cancelled.

    When cancelled it listens no more, says goodbye to its clients, and returns; whatever a client
    has a receipt for is stored. The backend is left open: it is the caller's.

    Args:
        backend: where the logs are kept.
        urls: where to listen: `ws://host:port` and `wss://host:port`, `tcp://host:port` and
            `tls://host:port` (port 0: any that is free), `unix:///path`, `ws+unix:///path`.
        ssl_context: the server's certificate, for `wss` and `tls`.
        task_status: started with the URLs that clients connect to.
        options: as in `WebOptions`: `limits`, `authenticator`, `names`, `policy`,
            `connection_policy`, `history`, `tags`, `origins`, `yjs_limits`. Without an
            authenticator it listens where no other machine can connect, and nowhere else.

    Raises:
        TransportError: an address cannot be listened on, or in development mode must not be.

    Example::

        async with SqliteBackend("server.db") as backend:
            await serve(backend, ["ws://localhost:8765"])
    """
    addresses = [parse_url(url) for url in urls]
    app = web_app(backend, **options)
    for address in addresses:
        if app.hub.believes and not address.is_local:
            raise TransportError(
                f"{address}: other machines can reach this address, and a server in development "
                "mode believes whoever connects; listen on localhost or a unix socket, or give it "
                "an authenticator (crdtsync serve --jwt-keys)"
            )
    async with AsyncExitStack() as stack:
        listened: list[str] = []
        serving: list[Callable[[], Coroutine[Any, Any, None]]] = []
        for address in addresses:
            if address.is_web:
                web = await _listen_web(address, ssl_context)
                stack.push_async_callback(web.aclose)
                listened.append(web.url)
                serving.append(partial(web.serve, app))
            else:
                listener = await listen(str(address), app.hub.limits.wire, ssl_context)
                stack.push_async_callback(listener.aclose)
                listened.append(listener.url)
                serving.append(partial(listener.serve, app.hub.serve))
        await stack.enter_async_context(app)
        tasks = await stack.enter_async_context(anyio.create_task_group())
        for serve_one in serving:
            tasks.start_soon(serve_one)
        task_status.started(listened)


async def _listen_web(address: Address, ssl_context: ssl.SSLContext | None) -> WebListener:
    try:
        from crdtsync.server.web.runner import listen_web  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise TransportError(
            f"{address}: listening there needs an extra: pip install 'crdtsync[server]'"
        ) from error
    return await listen_web(address, ssl_context)
