"""Many bare receivers in one process: each follows one document and counts what arrives.

Says `ready` when all are subscribed, then `frames N` when each of them has everything.
"""

from __future__ import annotations

import os
import sys
from functools import partial

import anyio

from crdtsync.sync import ClientProtocol, Entries, Subscribed, WireLimits
from crdtsync.transport.url import connect_stream


async def follow(url: str, entries: int, ready: anyio.Semaphore) -> int:
    """Return how many frames it took to receive a number of entries."""
    stream = await connect_stream(url, WireLimits())
    protocol = ClientProtocol()
    protocol.hello(client=os.urandom(16), replica=2**52, software="bench")
    await stream.send(protocol.data_to_send())
    frames = received = 0
    subscribed = False
    while received < entries:
        for payload in await stream.receive():
            for event in protocol.receive(payload):
                if isinstance(event, Entries):
                    frames += bool(event.entries)
                    received += len(event.entries)
                    protocol.returned(event.size)
                elif isinstance(event, Subscribed):
                    ready.release()
                elif not subscribed:
                    protocol.subscribe("bench", {})
                    subscribed = True
        await stream.send(protocol.data_to_send())
    await stream.aclose()
    return frames


async def main(url: str, count: int, entries: int) -> None:
    """Follow with `count` receivers."""
    ready = anyio.Semaphore(0)
    frames: list[int] = []

    async def one() -> None:
        frames.append(await follow(url, entries, ready))

    async with anyio.create_task_group() as tasks:
        for _ in range(count):
            tasks.start_soon(one)
        for _ in range(count):
            await ready.acquire()
        print("ready", flush=True)
    print("frames", sum(frames), flush=True)


if __name__ == "__main__":
    where, receivers, expected = sys.argv[1:]
    anyio.run(partial(main, where, int(receivers), int(expected)))
