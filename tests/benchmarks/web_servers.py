"""The server's application in one of several ASGI servers, as a process of its own.

Prints the URL when it serves. `/flood` sends for as long as the server lets it, to see who holds
what a client does not read.
"""

from __future__ import annotations

import asyncio
import functools
import sys
import tempfile
from pathlib import Path
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from crdtsync.errors import TransportError
from crdtsync.server import SqliteBackend, WebApp, serve, web_app
from crdtsync.server.web import WebRequest
from crdtsync.transport import MessageStream

SERVERS = [
    "tcp, no ASGI",
    "crdtsync serve",
    "uvicorn, websockets",
    "uvicorn, wsproto",
    "hypercorn, asyncio",
    "hypercorn, trio",
    "granian",
]


class Flood:
    message_bytes_max = 1024

    async def serve(self, stream: MessageStream, request: WebRequest) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._send, stream)
            await Watch().serve(stream, request)
            tasks.cancel_scope.cancel()

    async def _send(self, stream: MessageStream) -> None:
        message = bytes(64 * 1024)
        try:
            while True:
                await stream.send(message)
                await checkpoint()  # not every server's `send` has one
        except TransportError:
            return


class Watch:
    """Reads to the end, so that control frames are all that moves."""

    message_bytes_max = 1024

    async def serve(self, stream: MessageStream, request: WebRequest) -> None:
        try:
            while await stream.receive() is not None:
                pass
        except TransportError:
            return


async def run(kind: str, port: int, folder: str) -> None:
    async with SqliteBackend(Path(folder) / "server.db") as backend:
        if kind == "tcp, no ASGI":
            print(f"tcp://127.0.0.1:{port}", flush=True)
            await serve(backend, [f"tcp://127.0.0.1:{port}"])
            return
        app = web_app(backend)
        app.doors |= {"/flood": Flood(), "/watch": Watch()}
        print(f"ws://127.0.0.1:{port}", flush=True)
        if kind == "crdtsync serve":
            from crdtsync.server.web.runner import listen_web
            from crdtsync.transport import parse_url

            async with app:
                await (await listen_web(parse_url(f"ws://127.0.0.1:{port}"))).serve(app)
        elif kind.startswith("uvicorn"):
            await _uvicorn(app, port, kind.partition(", ")[2])
        elif kind.startswith("hypercorn"):
            await _hypercorn(app, port, kind.partition(", ")[2])
        else:
            await _granian(app, port)


async def _uvicorn(app: WebApp, port: int, ws: Any) -> None:
    import uvicorn

    config = uvicorn.Config(app, port=port, ws=ws, access_log=False, log_level="error")
    await uvicorn.Server(config).serve()


async def _hypercorn(app: Any, port: int, loop: str) -> None:
    from hypercorn.config import Config

    config = Config()
    config.bind, config.errorlog = [f"127.0.0.1:{port}"], None
    if loop == "trio":
        import hypercorn.trio

        await hypercorn.trio.serve(app, config)
    else:
        import hypercorn.asyncio

        await hypercorn.asyncio.serve(app, config)


async def _granian(app: WebApp, port: int) -> None:
    from granian.constants import Interfaces
    from granian.server.embed import Server

    server: Any = Server(app, port=port, interface=Interfaces.ASGI, log_enabled=False)
    await server.serve()


if __name__ == "__main__":
    which, number = sys.argv[1], int(sys.argv[2])
    with tempfile.TemporaryDirectory() as where:
        if which.endswith("trio"):
            anyio.run(run, which, number, where, backend="trio")
        else:
            asyncio.run(functools.partial(run, which, number, where)())
