"""The end of a web application that several listeners serve."""

from __future__ import annotations

import anyio

from crdtsync.server import MemoryBackend, web_app


async def test_several_listeners_hang_up_at_once() -> None:
    app = web_app(MemoryBackend())
    begun = anyio.Event()

    async def linger() -> None:
        with app._connection():
            begun.set()
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):  # all of them wait while it says goodbye
                    await anyio.wait_all_tasks_blocked()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(linger)
            await begun.wait()
            for _ in range(3):
                tasks.start_soon(app.hang_up)
