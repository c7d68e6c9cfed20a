"""A server restored from an old backup is a normal case: nothing that a client holds is lost."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import anyio
from anyio.abc import TaskStatus

from crdtsync import Replica
from crdtsync.server import SqliteBackend, serve
from tests.document.boards import Board


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[str]:
    async with SqliteBackend(folder / "server.db") as backend, anyio.create_task_group() as tasks:

        async def run(*, task_status: TaskStatus[list[str]]) -> None:
            await serve(backend, [f"unix://{folder}/s"], task_status=task_status)

        (url,) = await tasks.start(run)
        with anyio.fail_after(60):
            yield url
        tasks.cancel_scope.cancel()


def lose(folder: Path) -> None:
    for left in folder.glob("server.db*"):
        left.unlink()


async def sync(url: str, *replicas: Replica) -> None:
    for replica in replicas:
        async with replica.connect(url) as connection:
            await connection.synced()


async def test_what_a_restored_server_lost_is_pushed_again(tmp_path: Path) -> None:
    with ExitStack() as stack:
        ann, bob, eve = (
            stack.enter_context(Replica(tmp_path / f"{name}.db", user=name))
            for name in ("ann", "bob", "eve")
        )
        hers, his, evas = (replica.document(Board, "b") for replica in (ann, bob, eve))
        async with served(tmp_path) as url:
            hers.name = "first"
            await sync(url, ann, bob, eve)
        shutil.copy(tmp_path / "server.db", tmp_path / "backup.db")
        async with served(tmp_path) as url:
            his.body.append("after the backup")
            key = his.tasks.add(title="lost?").key
            await sync(url, bob, ann)  # eve does not hear of it
            hers.tasks[key].title = "not lost"
            await sync(url, ann)
        lose(tmp_path)
        shutil.copy(tmp_path / "backup.db", tmp_path / "server.db")
        async with served(tmp_path) as url:
            evas.total.increment(3)
            await sync(url, eve)  # the log goes on, at offsets that others believe to know
            await sync(url, ann)  # she has bob's entries too, and bob is away
            await sync(url, eve)
            assert evas.to_dict() == hers.to_dict()
            await sync(url, bob, eve, ann)
            assert hers.to_dict() == his.to_dict() == evas.to_dict()
            assert str(hers.body) == "after the backup"
            assert hers.tasks[key].title == "not lost"
            assert int(hers.total) == 3
            with Replica(user="new") as new:
                seen = new.document(Board, "b")
                await sync(url, new)
                assert seen.to_dict() == hers.to_dict()


async def test_a_server_that_lost_everything_is_filled_again(tmp_path: Path) -> None:
    with Replica(user="ann") as ann, Replica(user="bob") as bob:
        hers, his = ann.document(Board, "b"), bob.document(Board, "b")
        async with served(tmp_path) as url:
            hers.name, his.data = "hers", 1
            await sync(url, ann, bob, ann)
        lose(tmp_path)
        async with served(tmp_path) as url:
            await sync(url, ann)  # bob's entry as well
            with Replica(user="new") as new:
                seen = new.document(Board, "b")
                await sync(url, new)
                assert seen.to_dict() == hers.to_dict() == his.to_dict()
