"""Devices with wrong clocks, over real sockets."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import TaskStatus

from crdtsync import Document, Replica
from crdtsync.clock import HybridLogicalClock, to_datetime
from crdtsync.server import MemoryBackend, SqliteBackend, serve
from crdtsync.transport import ConnectionEvent

YEAR_S = 365 * 86_400


class Board(Document):
    name: str = ""
    note: str = ""


def clock_off_by(seconds: float) -> HybridLogicalClock:
    return HybridLogicalClock(lambda: time.time_ns() // 1_000_000 + int(seconds * 1000))


@asynccontextmanager
async def served(folder: Path, kind: str) -> AsyncIterator[str]:
    async with AsyncExitStack() as stack:
        backend: MemoryBackend | SqliteBackend = MemoryBackend()
        if kind == "sqlite":
            backend = await stack.enter_async_context(SqliteBackend(folder / "server.db"))
        tasks = await stack.enter_async_context(anyio.create_task_group())

        async def run(*, task_status: TaskStatus[list[str]]) -> None:
            await serve(backend, [f"unix://{folder}/s"], task_status=task_status)

        (url,) = await tasks.start(run)
        with anyio.fail_after(60):
            yield url
        tasks.cancel_scope.cancel()


async def sync(url: str, *replicas: Replica) -> list[ConnectionEvent]:
    """Let all hold what all have done, and return what they were told."""
    told: list[ConnectionEvent] = []
    for replica in (*replicas, *replicas):
        async with replica.connect(url) as connection:
            events = connection.events()
            await connection.synced()
        told += [event async for event in events]
    return told


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_a_device_years_ahead_wins_nothing_by_it_and_is_told(
    tmp_path: Path, kind: str
) -> None:
    async with served(tmp_path, kind) as url, AsyncExitStack() as stack:
        ahead = stack.enter_context(Replica(tmp_path / "a.db", clock=clock_off_by(20 * YEAR_S)))
        sound = stack.enter_context(Replica(tmp_path / "b.db"))
        other = stack.enter_context(Replica())
        boards = [replica.document(Board, "b") for replica in (ahead, sound, other)]
        boards[0].name = "from the future"
        other.merge(ahead)  # it has it as its author wrote it
        told = await sync(url, ahead)
        assert any(e.kind == "clock" and e.document == "b" for e in told)
        assert boards[0].candidates("name")[0].time < HybridLogicalClock().tick()
        await anyio.sleep(0.01)
        boards[1].name = "written later"
        await sync(url, sound, other, ahead)
        for board in boards:
            assert board.name == "written later"
            assert [to_datetime(entry.when).year < 2040 for entry in board.log] == [True] * 2
        assert boards[0].to_dict() == boards[1].to_dict() == boards[2].to_dict()
        boards[0].name = "again"
        boards[0].note = "x"
        await sync(url, ahead, sound, other)
        assert {board.name for board in boards} == {"again"}
        for replica in ahead, sound, other:
            assert replica.verify() == []
    with Replica(tmp_path / "a.db") as mended:
        mended.document(Board, "b").name = "mended"
        assert to_datetime([*mended.document(Board, "b").log][-1].time).year < 2040


async def test_it_holds_what_all_others_hold_as_soon_as_it_is_synced(tmp_path: Path) -> None:
    """A mark on what is here already is waited for, too."""
    async with served(tmp_path, "memory") as url:
        with Replica(clock=clock_off_by(YEAR_S)) as ahead:
            board = ahead.document(Board, "b")
            async with ahead.connect(url) as connection:
                for number in range(50):
                    board.note = str(number)
                    await connection.synced()
                    assert [entry.clamp is None for entry in board.log] == [False] * (number + 1)


def told_at_welcome(told: list[ConnectionEvent]) -> list[str]:
    return [event.detail for event in told if event.kind == "clock" and event.document is None]


async def test_at_the_beginning_it_is_said_that_a_clock_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(tmp_path, "memory") as url:
        with Replica() as replica:
            replica.document(Board, "b").name = "x"
            assert told_at_welcome(await sync(url, replica)) == []
            now = time.time
            for off, where in (3600, "behind the server's"), (-3600, "ahead of the server's"):
                with monkeypatch.context() as patch:
                    patch.setattr(
                        "crdtsync.server.session.unix_ms", lambda o=off: int((now() + o) * 1000)
                    )
                    told = told_at_welcome(await sync(url, replica))
                assert len(told) == 2
                assert "this device's clock is 3,600 s " + where in told[0]
