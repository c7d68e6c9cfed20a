"""A real server process is killed while it stores: what it gave a receipt for is there afterwards.

A kill loses nothing that was written, synced or not; that commits are synced as well is checked in
`backends/test_sqlite.py`.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process

from crdtsync.errors import TransportError
from crdtsync.server import SqliteBackend
from crdtsync.sync import Receipt
from crdtsync.transport.url import connect_stream
from tests.server.authors import Author
from tests.server.client import Client

SERVER = """
import sys, anyio
from crdtsync.server import SqliteBackend, serve

async def main(path, url):
    async with SqliteBackend(path) as backend, anyio.create_task_group() as tasks:
        await tasks.start(lambda *, task_status: serve(backend, [url], task_status=task_status))
        print("ready", flush=True)

anyio.run(main, *sys.argv[1:])
"""


@asynccontextmanager
async def server(folder: Path) -> AsyncIterator[tuple[Process, str]]:
    """Run a server process, and kill it in the end."""
    url = f"unix://{folder}/server.sock"
    arguments = [sys.executable, "-c", SERVER, str(folder / "server.db"), url]
    async with await anyio.open_process(arguments, stderr=None) as process:
        try:
            assert process.stdout is not None
            assert (await process.stdout.receive()).strip() == b"ready"
            yield process, url
        finally:
            with suppress(ProcessLookupError):
                process.kill()


class Pusher:
    """Writes and pushes without pause, and notes how far it has receipts."""

    def __init__(self, replica: int) -> None:
        self.author = Author(replica)
        self.acknowledged = 0
        self.epochs: set[bytes] = set()

    async def run(self, url: str, noted: Callable[[], None]) -> None:
        """Push until the connection is cut; begin with what there is no receipt for."""
        client = Client(await connect_stream(url))
        try:
            self.epochs.add((await client.hello()).epoch)
            await client.subscribe("board")
            sent = self.acknowledged
            while True:
                if client.protocol.can_push and sent - self.acknowledged < 50:
                    if sent == len(self.author.entries):
                        self.author.write_many(3, size=200)
                    await client.push(self.author.entries[sent : sent + 3])
                    sent = min(sent + 3, len(self.author.entries))
                    await client.flush()
                else:
                    await client.receive()
                self._note(client)
                noted()
        except TransportError:
            self._note(client)
        finally:
            await client.stream.aclose()

    def _note(self, client: Client) -> None:
        for event in client.events:
            if isinstance(event, Receipt) and event.replica == self.author.replica:
                self.acknowledged = max(self.acknowledged, event.seq)
        client.events.clear()


@pytest.mark.parametrize("kills", [3])
async def test_every_receipt_outlives_the_server(kills, tmp_path):
    pushers = [Pusher(replica) for replica in range(1, 7)]
    with anyio.fail_after(120):
        for _ in range(kills):
            goal = 500 + sum(pusher.acknowledged for pusher in pushers)
            async with server(tmp_path) as (process, url), anyio.create_task_group() as tasks:
                # In the middle of it; the pushers end when they are cut off.
                def noted(process: Process = process, goal: int = goal) -> None:
                    if sum(pusher.acknowledged for pusher in pushers) >= goal:
                        with suppress(ProcessLookupError):  # a second one has noted the same
                            process.kill()

                for pusher in pushers:
                    tasks.start_soon(pusher.run, url, noted)

    acknowledged = {pusher.author.replica: pusher.acknowledged for pusher in pushers}
    (epoch,) = set.union(*(pusher.epochs for pusher in pushers))
    async with SqliteBackend(tmp_path / "server.db") as backend:
        assert backend.epoch == epoch
        rows = await backend.read("board", 0, 2**40)
        state = await backend.state("board")
    for pusher in pushers:
        replica = pusher.author.replica
        stored = [row.data for row in rows if row.replica == replica]
        written = [entry.data for entry in pusher.author.entries]
        assert len(stored) >= acknowledged[replica] >= 1
        assert stored == written[: len(stored)]
        assert state.heads[replica].seq == len(stored)
