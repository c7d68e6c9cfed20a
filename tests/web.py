"""Serving on web addresses whatever the event loop is: asyncio by ourselves, trio by hypercorn."""

from __future__ import annotations

from functools import partial
from typing import Any
from urllib.parse import urlsplit

import anyio
import sniffio
from anyio.abc import TaskStatus
from hypercorn.config import Config

from crdtsync.server import Backend, serve, web_app
from crdtsync.transport import parse_url
from tests.certificates import authority

__all__ = ["is_trio", "serve_anywhere", "serve_with_hypercorn"]


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
        await _serve_on_trio(backend, url, task_status, options)
        return
    async with anyio.create_task_group() as tasks:
        run = partial(serve, backend, [url], ssl_context=authority().server, **options)
        [found] = await tasks.start(run)
        task_status.started(found)


async def _serve_on_trio(
    backend: Backend, url: str, task_status: TaskStatus[str], options: dict[str, Any]
) -> None:
    address = parse_url(url)
    async with web_app(backend, **options) as app, anyio.create_task_group() as tasks:
        stop = anyio.Event()
        config = _config(address.is_secure)
        config.bind = [f"unix:{address.path}" if address.is_unix else f"127.0.0.1:{address.port}"]
        run = partial(serve_with_hypercorn, app, config, stop.wait)
        [bound] = await tasks.start(run)
        host = urlsplit(bound).netloc
        task_status.started(url if address.is_unix else f"{address.scheme}://{host}{address.path}")
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await app.hang_up()
                stop.set()


async def serve_with_hypercorn(
    app: Any,
    config: Config,
    stop: Any,
    *,
    task_status: TaskStatus[list[str]] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Run hypercorn on trio until it is told to stop."""
    import hypercorn.trio

    with anyio.CancelScope(shield=True):
        await hypercorn.trio.serve(app, config, shutdown_trigger=stop, task_status=task_status)


def _config(secure: bool) -> Config:
    config = Config()
    config.errorlog = None
    config.graceful_timeout = 1
    if secure:
        config.certfile = str(authority().certificate)
        config.keyfile = str(authority().key)
        config.alpn_protocols = ["http/1.1"]
    return config
