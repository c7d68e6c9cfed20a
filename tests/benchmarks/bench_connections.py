"""What connections cost: on line and idle, coming back, and merely registered."""

from __future__ import annotations

import secrets
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from crdtsync import Counter, Document, Replica
from crdtsync.server import Hub, ServerLimits, SqliteBackend
from crdtsync.server.lifecycle import State
from crdtsync.server.records import ConnectionRecord, Followed, Move
from crdtsync.sync import Welcome
from crdtsync.transport import FrameStream, connect, memory_pair
from crdtsync.transport.url import connect_stream
from tests.benchmarks.ratio import TABLES
from tests.server.client import Client

IDLE = 1000
ROOT = Path(__file__).parents[2]
MEMORY = TABLES.setdefault("server memory for each idle connection", [])
RESUME = TABLES.setdefault("coming back, until synced", [])
REGISTERED = TABLES.setdefault("10,000 registered connections, 100 on line", [])


class Bench(Document):
    line: str = ""
    total: Counter


def memory(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no such line")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory from /proc")
@pytest.mark.parametrize("state", ["active", "inactive"])
def test_idle(benchmark: Any, tmp_path: Path, state: str) -> None:
    command = [sys.executable, "-m", "crdtsync.cli", "serve", "--listen", f"unix://{tmp_path}/s"]
    command += ["--data", str(tmp_path / "server.db")]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert server.stdout is not None
    url = server.stdout.readline().strip()

    async def come(number: int) -> Client:
        client = Client(await connect_stream(url))
        # One new client of a user who has an active one stays inactive until it holds everything.
        user = f"user {number}" if state == "active" or not number else "user 0"
        client.protocol.hello(client=secrets.token_bytes(16), replica=1, software="b", user=user)
        await client.flush()
        assert (await client.until(Welcome)).state == (state if number else "active")
        await client.subscribe()
        return client

    async def main() -> float:
        clients = [await come(number) for number in range(100)]  # what there is once
        before = memory(server.pid)
        clients += [await come(number) for number in range(100, 100 + IDLE)]
        each = (memory(server.pid) - before) / IDLE
        for client in clients:
            await client.stream.aclose()
        return each

    each = benchmark.pedantic(lambda: anyio.run(main), rounds=1)
    server.terminate()
    assert server.wait(60) == 0
    server.stdout.close()
    MEMORY.append(f"{state:10} {each / 1024:8.1f} KiB")


@asynccontextmanager
async def serving(path: Path, limits: ServerLimits) -> AsyncIterator[tuple[Hub, Any]]:
    async with (
        SqliteBackend(path) as backend,
        Hub(backend, limits) as hub,
        anyio.create_task_group() as tasks,
    ):

        async def connector() -> FrameStream:
            ours, theirs = memory_pair()
            tasks.start_soon(hub.serve, theirs)
            return ours

        yield hub, connector
        tasks.cancel_scope.cancel()


async def sync(replica: Replica, connector: Any) -> float:
    """Return the seconds from connecting to having everything."""
    begun = time.perf_counter()
    async with connect(replica, connector) as connection:
        await connection.synced()
        return time.perf_counter() - begun


@pytest.mark.parametrize("entries", [1_000, 100_000])
def test_coming_back(benchmark: Any, tmp_path: Path, entries: int) -> None:
    limits = ServerLimits(hot_entries_max=100, keep_interval_s=10**6)
    found: dict[str, float] = {}

    async def main() -> None:
        async with serving(tmp_path / "server.db", limits) as (hub, connector):
            with (
                Replica(tmp_path / "ann.db", user="ann") as ann,
                Replica(tmp_path / "bob.db", user="bob") as bob,
                Replica(user="eve") as replayed,
                Replica(user="eve") as cloned,
            ):
                board = ann.document(Bench, "bench")
                for number in range(entries):
                    board.line = f"line {number} of a text that somebody writes"
                await sync(ann, connector)
                bob.document(Bench, "bench")
                await sync(bob, connector)
                found["0 missed"] = await sync(bob, connector)
                for _ in range(100):
                    board.total.increment()
                await sync(ann, connector)
                found["100 missed"] = await sync(bob, connector)
                replayed.document(Bench, "bench")
                found["the whole log"] = await sync(replayed, connector)
                await hub.keep()
                cloned.document(Bench, "bench")
                found["a clone"] = await sync(cloned, connector)
                assert cloned.ledger("bench").count == 0
                assert cloned.document(Bench, "bench").to_dict() == board.to_dict()

    benchmark.pedantic(lambda: anyio.run(main), rounds=1)
    for what, seconds in found.items():
        ratio = seconds / found["a clone"]
        RESUME.append(
            f"{entries:7,} entries  {what:14} {seconds * 1e3:9.1f} ms {ratio:8.2f} x a clone"
        )


def test_registered(benchmark: Any, tmp_path: Path) -> None:
    found: dict[int, tuple[float, float]] = {}

    async def look(registered: int) -> None:
        async with serving(tmp_path / f"{registered}.db", ServerLimits()) as (hub, connector):
            backend = hub._backend
            record = ConnectionRecord(b"", None, 1, State.ACTIVE, "", 0, 0)
            clients = [number.to_bytes(16, "big") for number in range(1, registered + 1)]
            for client in clients:
                await backend.put_connection(replace(record, client=client, user=client.hex()))
            moves = [Move(one, f"board/{one[-1]}", Followed(0, 0)) for one in clients]
            await backend.note(moves, {})
            online = []
            begun = time.perf_counter()
            for client in clients[:100]:
                one = Client(await connector())
                await one.hello(client)
                await one.subscribe(f"board/{client[-1]}")
                online.append(one)
            came_s = (time.perf_counter() - begun) / 100
            begun = time.perf_counter()
            await hub.keep()
            found[registered] = came_s, time.perf_counter() - begun
            for one in online:
                await one.stream.aclose()

    def run() -> None:
        for registered in (100, 10_000):
            anyio.run(look, registered)

    benchmark.pedantic(run, rounds=1)
    for registered, (came_s, kept_s) in found.items():
        REGISTERED.append(
            f"{registered:7,} registered: {came_s * 1e3:6.2f} ms to come, "
            f"{kept_s * 1e3:7.1f} ms for the keeper to look at all"
        )
