"""A server: listen on addresses, and serve whoever connects until cancelled."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AsyncExitStack
from typing import Literal

import anyio
from anyio.abc import TaskStatus

from crdtsync.errors import TransportError
from crdtsync.server.access import AccessPolicy
from crdtsync.server.authentication import Authenticator, DevelopmentAuthenticator
from crdtsync.server.backend import Backend
from crdtsync.server.hub import Hub
from crdtsync.server.limits import ServerLimits
from crdtsync.server.policy import ConnectionPolicy
from crdtsync.transport.url import Listener, listen, parse_url

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
    task_status: TaskStatus[list[str]] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Serve a backend's documents until cancelled.

    When cancelled it listens no more, says goodbye to its clients, and returns; whatever a client
    has a receipt for is stored. The backend is left open: it is the caller's.

    Args:
        backend: where the logs are kept.
        urls: where to listen: `tcp://host:port` (port 0: any that is free), `unix:///path`.
        limits: what clients may cost.
        authenticator: tells who clients are. By default the server is in development mode: it
            believes what they say, and listens where no other machine can connect.
        names: names by which clients may know this server, such as its DNS names; None: any.
        policy: tells what users may do; everything by default.
        connection_policy: tells who is downgraded where there are too many connections.
        history: what becomes of entries that are in a snapshot and below every cursor that is
            honoured: they are kept, to be read some day, or let go.
        task_status: started with the URLs that clients connect to.

    Raises:
        TransportError: an address cannot be listened on, or in development mode must not be.

    Example::

        async with SqliteBackend("server.db") as backend:
            await serve(backend, ["tcp://localhost:8765"])
    """
    limits = limits or ServerLimits()
    authenticator = authenticator or DevelopmentAuthenticator()
    for url in urls:
        if authenticator.requires_loopback and not parse_url(url).is_local:
            raise TransportError(
                f"{url}: other machines can reach this address, and a server in development mode "
                "believes whoever connects; listen on localhost or a unix socket, or give it an "
                "authenticator (crdtsync serve --jwt-keys)"
            )
    async with AsyncExitStack() as stack:
        listeners: list[Listener] = []
        for url in urls:
            listener = await listen(url, limits.wire)
            stack.push_async_callback(listener.aclose)
            listeners.append(listener)
        hub = await stack.enter_async_context(
            Hub(
                backend,
                limits,
                authenticator=authenticator,
                names=names,
                policy=policy,
                connection_policy=connection_policy,
                history=history,
            )
        )
        tasks = await stack.enter_async_context(anyio.create_task_group())
        for listener in listeners:
            tasks.start_soon(listener.serve, hub.serve)
        task_status.started([listener.url for listener in listeners])
