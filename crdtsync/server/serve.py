"""A server: listen on addresses, and serve whoever connects until cancelled."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Collection, Coroutine, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import anyio
from anyio.abc import TaskStatus

from crdtsync.errors import TransportError
from crdtsync.server.access import AccessPolicy
from crdtsync.server.authentication import Authenticator, DevelopmentAuthenticator
from crdtsync.server.backend import Backend
from crdtsync.server.limits import ServerLimits
from crdtsync.server.policy import ConnectionPolicy
from crdtsync.server.tags import Tags, no_tags
from crdtsync.server.web import web_app
from crdtsync.server.yjs import YjsLimits
from crdtsync.transport.address import Address, parse_url
from crdtsync.transport.listener import listen

if TYPE_CHECKING:
    from crdtsync.server.web.runner import WebListener

__all__ = ["serve"]


async def serve(
    backend: Backend,
    urls: Sequence[str],
    *,
    limits: ServerLimits | None = None,
    authenticator: Authenticator | None = None,
    names: Collection[str] | None = None,
    policy: AccessPolicy | None = None,
    connection_policy: ConnectionPolicy | None = None,
    history: Literal["keep", "trim"] = "keep",
    tags: Tags = no_tags,
    origins: Collection[str] | None = None,
    yjs_limits: YjsLimits | None = None,
    ssl_context: ssl.SSLContext | None = None,
    task_status: TaskStatus[list[str]] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Serve a backend's documents until cancelled.

    When cancelled it listens no more, says goodbye to its clients, and returns; whatever a client
    has a receipt for is stored. The backend is left open: it is the caller's.

    Args:
        backend: where the logs are kept.
        urls: where to listen: `ws://host:port` and `wss://host:port`, `tcp://host:port` and
            `tls://host:port` (port 0: any that is free), `unix:///path`, `ws+unix:///path`.
        limits: what clients may cost.
        authenticator: tells who clients are. By default the server is in development mode: it
            believes what they say, and listens where no other machine can connect.
        names: names by which clients may know this server, such as its DNS names; None: any.
        policy: tells what users may do; everything by default.
        connection_policy: tells who is downgraded where there are too many connections.
        history: what becomes of entries that are in a snapshot and below every cursor that is
            honoured: they are kept, to be read some day, or let go.
        tags: tells which tags a document bears, for queries: see `crdtsync.server.tags`.
        origins: the web sites whose pages may connect; see `crdtsync.server.web_app`.
        yjs_limits: what Yjs clients may cost.
        ssl_context: the server's certificate, for `wss` and `tls`.
        task_status: started with the URLs that clients connect to.

    Raises:
        TransportError: an address cannot be listened on, or in development mode must not be.

    Example::

        async with SqliteBackend("server.db") as backend:
            await serve(backend, ["ws://localhost:8765"])
    """
    limits = limits or ServerLimits()
    authenticator = authenticator or DevelopmentAuthenticator()
    addresses = [parse_url(url) for url in urls]
    for address in addresses:
        if authenticator.requires_loopback and not address.is_local:
            raise TransportError(
                f"{address}: other machines can reach this address, and a server in development "
                "mode believes whoever connects; listen on localhost or a unix socket, or give it "
                "an authenticator (crdtsync serve --jwt-keys)"
            )
    app = web_app(
        backend,
        limits=limits,
        authenticator=authenticator,
        names=names,
        policy=policy,
        connection_policy=connection_policy,
        history=history,
        tags=tags,
        origins=origins,
        yjs_limits=yjs_limits,
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
                listener = await listen(str(address), limits.wire, ssl_context)
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
