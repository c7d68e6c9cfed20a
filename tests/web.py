"""Serving on web addresses whatever the event loop is: asyncio by ourselves, trio by hypercorn."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import anyio
import sniffio
from anyio.abc import TaskStatus
from hypercorn.config import Config

from crdtsync.server import Backend, MemoryBackend, WebApp, serve, web_app
from crdtsync.transport import Address, parse_url
from tests.certificates import authority

__all__ = ["is_trio", "serve_anywhere", "serving_app"]


def is_trio() -> bool:
    """Tell which event loop runs."""
    return sniffio.current_async_library() == "trio"


async def serve_anywhere(
    backend: Backend,
    url: str,
    *,
    task_status: TaskStatus[str] = anyio.TASK_STATUS_IGNORED,
    **options: Any,
) -> None:
    """Serve a backend on an address until cancelled; started with the real address."""
    if parse_url(url).is_web and is_trio():
        async with serving_app(web_app(backend, **options), url) as found:
            task_status.started(found)
            await anyio.sleep_forever()
    async with anyio.create_task_group() as tasks:
        run = partial(serve, backend, [url], ssl_context=authority().server, **options)
        [found] = await tasks.start(run)
        task_status.started(found)


@asynccontextmanager
async def serving_app(
    app: WebApp | None = None, url: str = "ws://127.0.0.1:0"
) -> AsyncIterator[str]:
    """Serve an application while the context is open; gives its real address."""
    app = app or web_app(MemoryBackend())
    address = parse_url(url)
    run = _hypercorn if is_trio() else _uvicorn
    async with app, anyio.create_task_group() as tasks, run(app, address, tasks) as found:
        yield found


@asynccontextmanager
async def _uvicorn(app: WebApp, address: Address, tasks: anyio.abc.TaskGroup) -> AsyncIterator[str]:
    from crdtsync.server.web.runner import listen_web

    listener = await listen_web(address, authority().server)
    tasks.start_soon(listener.serve, app)
    try:
        yield listener.url
    finally:
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def _hypercorn(
    app: WebApp, address: Address, tasks: anyio.abc.TaskGroup
) -> AsyncIterator[str]:
    import hypercorn.trio

    asgi: Any = app
    stop = anyio.Event()
    config = Config()
    config.errorlog = None
    config.graceful_timeout = 1
    config.bind = [f"unix:{address.path}" if address.is_unix else f"127.0.0.1:{address.port}"]
    if address.is_secure:
        config.certfile = str(authority().certificate)
        config.keyfile = str(authority().key)
        config.alpn_protocols = ["http/1.1"]
    serve_it: Any = partial(hypercorn.trio.serve, asgi, config, shutdown_trigger=stop.wait)

    async def run(*, task_status: TaskStatus[list[str]]) -> None:
        with anyio.CancelScope(shield=True):
            await serve_it(task_status=task_status)

    [bound] = await tasks.start(run)
    port = "" if address.is_unix else f"127.0.0.1:{urlsplit(bound).port}"
    try:
        yield f"{address.scheme}://{port}{address.path}"
    finally:
        with anyio.CancelScope(shield=True):
            await app.hang_up()
            stop.set()
