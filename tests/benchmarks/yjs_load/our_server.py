"""Our doors on a SQLite file: python -m tests.benchmarks.yjs_load.our_server PORT FILE."""

from __future__ import annotations

import sys

import anyio

from crdtsync.server import SqliteBackend
from tests.yjs.server import serving


async def main(port: int, file: str) -> None:
    async with SqliteBackend(file) as backend, serving(backend, port=port):
        print("ready", flush=True)
        await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(main, int(sys.argv[1]), sys.argv[2])
