"""A server on the web, in a process of its own, that does not wait long for its clients."""

from __future__ import annotations

import anyio

from crdtsync.server import MemoryBackend, ServerLimits, serve
from crdtsync.sync import WireLimits

LIMITS = ServerLimits(wire=WireLimits(handshake_timeout_s=3), close_timeout_s=1)


async def main() -> None:
    async with anyio.create_task_group() as tasks:

        async def run(*, task_status: anyio.abc.TaskStatus[list[str]]) -> None:
            urls = ["ws://127.0.0.1:0"]
            await serve(MemoryBackend(), urls, limits=LIMITS, task_status=task_status)

        [url] = await tasks.start(run)
        print(url, flush=True)  # noqa: T201 - whoever started it reads this


if __name__ == "__main__":
    anyio.run(main)
