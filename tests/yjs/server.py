"""The real server, with all its doors on one address: in this process, or in one of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import anyio

from crdtsync.cli.server_process import ServerProcess
from crdtsync.server import Backend, serve

__all__ = ["Server", "running", "serving"]

_ANYWHERE = "ws://localhost:0"


class Server(NamedTuple):
    """Where to find the server.

    Attributes:
        native: URL for replicas; it ends with a slash.
    """

    native: str

    @property
    def y(self) -> str:
        """URL for clients of y-websocket."""
        return f"{self.native}yjs"

    @property
    def hocuspocus(self) -> str:
        """URL for clients of Hocuspocus."""
        return f"{self.native}hocuspocus"


@asynccontextmanager
async def serving(backend: Backend, url: str = _ANYWHERE, **options: Any) -> AsyncIterator[Server]:
    """Serve a backend here, as `crdtsync serve` does, for tests that look inside or set options."""
    async with anyio.create_task_group() as tasks:
        [native] = await tasks.start(partial(serve, backend, [url], **options))
        yield Server(native)
        tasks.cancel_scope.cancel()


@contextmanager
def running(data: Path, url: str = _ANYWHERE) -> Iterator[Server]:
    """Run `crdtsync serve` in a process of its own, and kill it at the end."""
    process = ServerProcess(data, url)
    process.start()
    try:
        yield Server(process.url)
    finally:
        process.kill()
