"""Many at once, on real sockets and with a real server process."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import anyio
import pytest

from crdtsync.log import Cursor
from crdtsync.replica import Replica
from crdtsync.server import ServerLimits, SqliteBackend, serve
from crdtsync.server.limits import ConnectionLimits
from crdtsync.sync import Complete, Credit, Subscribed, Welcome
from crdtsync.transport import connect
from crdtsync.transport.url import connect_stream
from tests.document.boards import Board
from tests.server.authors import Author
from tests.server.client import Client
from tests.server.test_kill import server
from tests.transport.home import all_synced

CROWD = 1000
DOCUMENTS = 50


class Light:
    """A client without a replica: a log of its own, and what it has been sent."""

    def __init__(self, number: int) -> None:
        self.id = secrets.token_bytes(16)
        self.author = Author(number + 1, f"board/{number % DOCUMENTS}")
        self.cursor: Cursor | None = None
        self.held: set[bytes] = set()
        self.states: list[str] = []

    async def visit(self, url: str, done: anyio.Event | None = None) -> None:
        """Connect, push one entry, hold all that there is, and stay until `done`."""
        client = Client(await connect_stream(url))
        try:
            client.protocol.hello(client=self.id, replica=self.author.replica, software="tests")
            await client.flush()
            welcome = await client.until(Welcome)
            self.states.append(welcome.state)
            document = self.author.document
            client.protocol.subscribe(document, {}, self.cursor)
            await client.flush()
            mode = (await client.until(Subscribed)).mode
            assert mode == ("vector" if self.cursor is None else "cursor")
            complete = await client.until(Complete)
            await client.push_durably([self.author.write()], document)
            self.held.update(client.entries.get(document, []))
            self.cursor = Cursor(welcome.epoch, complete.offset)
            client.protocol.advance({document: complete.offset})
            await client.flush()
            if done is not None:
                await done.wait()
        finally:
            await client.stream.aclose()


async def visit_all(crowd: Sequence[Light], url: str) -> None:
    async with anyio.create_task_group() as tasks:
        for light in crowd:
            tasks.start_soon(light.visit, url)


@pytest.mark.slow
async def test_a_thousand_come_again_at_once_after_a_kill(tmp_path: Path) -> None:
    crowd = [Light(number) for number in range(CROWD)]
    with anyio.fail_after(250):
        async with server(tmp_path) as (process, url):
            done = anyio.Event()
            async with anyio.create_task_group() as tasks:
                for light in crowd:
                    tasks.start_soon(light.visit, url, done)
                while not all(light.cursor for light in crowd):  # noqa: ASYNC110 - many events
                    await anyio.sleep(0.1)
                process.kill()
                done.set()
        for _ in range(2):
            async with server(tmp_path) as (_, url):
                await visit_all(crowd, url)
    assert all(light.states == ["active"] * 3 for light in crowd)
    async with SqliteBackend(tmp_path / "server.db") as backend:
        for light in crowd:
            state = await backend.state(light.author.document)
            assert state.heads[light.author.replica] == light.author.head
            record = await backend.connection(light.id)
            assert record is not None
        for light in crowd:  # what the last visit found was what all had done before
            rows = await backend.read(light.author.document, 0, 2**30)
            assert light.held <= {row.data for row in rows}


def memory(pid: int) -> int:
    """Return the resident memory of a process in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no such line")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory from /proc")
async def test_who_stops_reading_costs_a_cursor_and_no_memory(tmp_path: Path) -> None:
    stopped, readers, size = 100, 50, 4 * 1024 * 1024
    with anyio.fail_after(250):
        async with server(tmp_path) as (process, url):
            clients: list[Client] = []

            async def come(document: str) -> Client:
                client = Client(await connect_stream(url))
                clients.append(client)
                await client.hello()
                await client.follow(document)
                return client

            deaf = [await come("large") for _ in range(stopped)]
            hearing = [await come("large") for _ in range(readers)]
            for _ in range(CROWD - stopped - readers):
                await come("small")
            writer = await come("large")
            before = memory(process.pid)
            author = Author(1, "large")
            written = 0
            async with anyio.create_task_group() as tasks:
                for client in hearing:
                    tasks.start_soon(client.until_entries, size // 4096, "large")
                for _ in range(size // 4096):
                    await writer.push_durably([author.write(size=4096)], "large")
                    written += 4096
            after = memory(process.pid)
            # Each that does not read may have a turn of entries under way, and all share these.
            assert after - before < 96 * 1024 * 1024, f"{(after - before) / 2**20:.0f} MiB more"
            assert stopped * written > 3 * 96 * 1024 * 1024  # else this would show nothing
            for client in deaf[:3]:  # whoever reads again gets the rest
                assert len(await client.until_entries(size // 4096, "large")) == size // 4096
            for client in clients:
                await client.stream.aclose()


async def test_a_device_comes_back_from_below_with_a_thousand_actions(tmp_path: Path) -> None:
    limits = ServerLimits(
        hot_entries_max=100,
        connection=ConnectionLimits(lag_entries_max=200),
        keep_interval_s=0.1,
    )
    path = tmp_path / "bob.db"
    with Replica(tmp_path / "ann.db", user="ann") as ann:
        board = ann.document(Board, "board")
        async with (
            SqliteBackend(tmp_path / "server.db") as backend,
            anyio.create_task_group() as tasks,
        ):
            run = partial(serve, backend, ["tcp://127.0.0.1:0"], limits=limits, history="trim")
            [url] = await tasks.start(run)
            with anyio.fail_after(100):
                async with connect(ann, url) as one:
                    board.name = "first"
                    with Replica(path, user="bob") as bob:
                        bob.document(Board, "board")
                        async with connect(bob, url) as other:
                            await all_synced(one, other)
                    with Replica(path, user="bob") as bob:
                        his = bob.document(Board, "board")
                        for number in range(1000):
                            his.total.increment()
                            his.members.add(number)
                    for _ in range(500):
                        board.total.increment()
                    await one.synced()
                    while (await backend.state("board")).base < 400:  # noqa: ASYNC110 - tells nobody
                        await anyio.sleep(0.05)
                    with Replica(path, user="bob") as bob:
                        async with connect(bob, url) as other:
                            events = other.events()
                            await all_synced(one, other)
                            kinds = {(await anext(events)).kind for _ in range(2)}
                            assert kinds == {"online", "cloned"}
                            his = bob.document(Board, "board")
                            assert int(his.total) == int(board.total) == 1500
                            assert set(his.members) == set(board.members) == set(range(1000))
                            assert his.to_dict() == board.to_dict()
                            assert bob.verify() == []
            tasks.cancel_scope.cancel()


async def test_credit_is_given_to_who_reads_again(tmp_path: Path) -> None:
    """What the crowd relies on: who gives no credit is sent no more, and then the rest."""
    async with SqliteBackend(tmp_path / "server.db") as backend:
        author = Author(1)
        await backend.append("board", author.write_many(1000, size=3000))
        async with anyio.create_task_group() as tasks:
            [url] = await tasks.start(partial(serve, backend, [f"unix://{tmp_path}/socket"]))
            client = Client(await connect_stream(url))
            client.generous = False
            await client.hello()
            await client.subscribe()
            with anyio.move_on_after(0.5):
                await client.until_entries(1000)
            came = len(client.entries["board"])
            assert 300 < came < 800
            client.protocol._allowed += 2**22
            client.protocol._send(Credit(2**22))
            await client.flush()
            assert len(await client.until_entries(1000)) == 1000
            await client.stream.aclose()
            tasks.cancel_scope.cancel()
