"""pycrdt-websocket as it comes, in memory: python -m tests.benchmarks.yjs_load.pycrdt_server."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import uvicorn
from pycrdt.websocket import ASGIServer, WebsocketServer


async def main(port: int) -> None:
    server = WebsocketServer()
    app: Any = ASGIServer(server)
    config = uvicorn.Config(app, port=port, log_level="error", ws_per_message_deflate=False)
    uvicorn_server = uvicorn.Server(config)
    async with server:
        print("ready", flush=True)
        await uvicorn_server.serve()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
