"""What is erased on the server is to be found nowhere any more: real files, a real process."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import anyio
import pytest

from crdtsync import Document, List, Record, Replica, Table, Text, action
from crdtsync.cli.server_process import ServerProcess, local_url
from crdtsync.log import Entry
from crdtsync.server import SqliteBackend, serve
from crdtsync.server.access import ALLOWED, Decision, JudgedAction, View, refused
from crdtsync.server.backends.outside import list_erasures
from crdtsync.server.erasures import Erasure
from tests.end_to_end.test_access import Policy

SECRET = "what-nobody-may-keep"


class Task(Record):
    title: str = ""
    notes: Text


class Board(Document):
    name: str = ""
    body: Text
    items: List[str]
    tasks: Table[Task]

    @action
    def write(self, secret: str) -> None:
        self.name = secret
        self.body.append(secret)
        self.items.append(secret)
        self.tasks.add(key="t", title=secret, notes=secret)


def erase(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    data = folder / "server.db"
    command = [sys.executable, "-m", "crdtsync.cli", "erase", "--data", str(data), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def named(entry: Entry) -> str:
    return f"{entry.replica:x}:{entry.seq}"


def files_with_the_secret(folder: Path) -> list[str]:
    return sorted(
        path.name
        for path in folder.rglob("*")
        if path.is_file() and SECRET.encode() in path.read_bytes()
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def server(folder: Path) -> Iterator[ServerProcess]:
    with ServerProcess(folder / "server.db", local_url(folder)) as server:
        yield server


async def sync(url: str, *replicas: Replica) -> None:
    for replica in (*replicas, *replicas):
        async with replica.connect(url) as connection:
            with anyio.fail_after(60):
                await connection.synced()


async def test_nothing_of_it_is_left_in_any_file(folder: Path, server: ServerProcess) -> None:
    with ExitStack() as stack:
        ann = stack.enter_context(Replica(folder / "ann.db", user="ann"))
        bob = stack.enter_context(Replica(folder / "bob.db", user="bob"))
        hers, his = ann.document(Board, "b"), bob.document(Board, "b")
        for number in range(30):
            hers.body.append(f"{number} ")
        hers.write(SECRET)
        for number in range(30):
            hers.body.append(f" {number}")
        await sync(server.url, ann, bob)
        his.tasks["t"].notes.append(" his own")
        for board in hers, his:
            board._live.take_snapshot()
        await sync(server.url, bob, ann)
        (entry,) = [entry for entry in his.log if entry.name == "write"]
        assert {"ann.db", "bob.db", "server.db"} <= {
            name.removesuffix("-wal") for name in files_with_the_secret(folder)
        }
        async with bob.connect(server.url) as connection:
            await connection.synced()
            said = await anyio.to_thread.run_sync(
                lambda: erase(folder, "b", named(entry), "--reason", "by order of a court")
            )
            assert said.returncode == 0, said.stderr
            assert "erased" in said.stdout
            await connection.synced()  # he hears of it while he is on line
        await sync(server.url, ann)
        for replica, board in (ann, hers), (bob, his):
            assert SECRET not in str(board.to_dict())
            (found,) = [entry for entry in board.log if entry.name == "write"]
            assert (found.erasure, found.arguments) == ("by order of a court", {})
            assert str(board.body).startswith("0 1 2")
            assert str(board.tasks["t"].notes) == " his own"
            assert replica.verify() == []
        assert hers.to_dict() == his.to_dict()
        assert files_with_the_secret(folder) == []
        with Replica(user="new") as new:
            seen = new.document(Board, "b")
            await sync(server.url, new)
            assert seen.to_dict() == his.to_dict()
            assert new.verify() == []


async def test_a_device_that_was_restored_does_not_bring_it_back(
    folder: Path, server: ServerProcess
) -> None:
    with Replica(folder / "ann.db") as ann:
        ann.document(Board, "b").write(SECRET)
        await sync(server.url, ann)
        (entry,) = ann.document(Board, "b").log
    shutil.copyfile(folder / "ann.db", folder / "backup.db")
    assert erase(folder, "b", named(entry), "--reason", "by order").returncode == 0
    with Replica(folder / "ann.db") as ann, Replica(folder / "other.db") as other:
        other.document(Board, "b")
        await sync(server.url, ann, other)
        board = ann.document(Board, "b")
        board.body.append("after it")
        await sync(server.url, ann, other)
    shutil.copyfile(folder / "backup.db", folder / "ann.db")
    with (
        Replica(folder / "ann.db") as ann,
        Replica(folder / "other.db") as other,
        Replica() as third,
    ):
        other.merge(ann)
        ann.merge(third)  # a peer gets it as the backup holds it
        assert SECRET not in str(other.document(Board, "b").to_dict())
        await sync(server.url, ann, third, other)
        for replica in ann, other, third:
            assert SECRET not in str(replica.document(Board, "b").to_dict())
            assert str(replica.document(Board, "b").body) == "after it"
    (folder / "backup.db").unlink()
    assert files_with_the_secret(folder) == []


async def test_a_restored_server_erases_again_from_the_list(folder: Path) -> None:
    data = folder / "server.db"
    with ServerProcess(data, local_url(folder)) as server, Replica(folder / "ann.db") as ann:
        ann.document(Board, "b").write(SECRET)
        await sync(server.url, ann)
        (entry,) = ann.document(Board, "b").log
    shutil.copyfile(data, folder / "old.db")
    assert erase(folder, "b", named(entry), "--reason", "by order").returncode == 0
    listed = erase(folder, "--json").stdout
    (folder / "list.json").write_text(listed)
    assert [one["seq"] for one in json.loads(listed)] == [1]
    for name in ("server.db", "server.db-wal", "server.db-shm"):
        (folder / name).unlink(missing_ok=True)
    shutil.move(folder / "old.db", data)
    assert SECRET.encode() in data.read_bytes()
    said = erase(folder, "--from", str(folder / "list.json"))
    assert (said.returncode, said.stderr) == (0, "")
    assert SECRET.encode() not in data.read_bytes()
    with ServerProcess(data, local_url(folder)) as server, Replica() as new:
        board = new.document(Board, "b")
        await sync(server.url, new)
        assert [entry.erasure for entry in board.log] == ["by order"]


async def test_what_the_server_has_lost_is_erased_when_it_comes_again(folder: Path) -> None:
    with Replica(folder / "ann.db") as ann:
        ann.document(Board, "b").write(SECRET)
        (entry,) = ann.document(Board, "b").log
        with ServerProcess(folder / "server.db", local_url(folder)) as server:
            said = await anyio.to_thread.run_sync(
                lambda: erase(folder, "b", named(entry), "--reason", "by order")
            )
            assert (said.returncode, "as soon as it comes" in said.stdout) == (1, True)
            await sync(server.url, ann)
        assert [found.erasure for found in ann.document(Board, "b").log] == ["by order"]
        assert ann.document(Board, "b").refusals() == []
    assert files_with_the_secret(folder) == []


@asynccontextmanager
async def strict(folder: Path) -> AsyncIterator[tuple[str, SqliteBackend]]:
    """Serve with a policy that refuses to have secrets written."""

    def judge(action: JudgedAction, view: View) -> Decision:
        return refused("no secrets") if action.arguments.get("secret") else ALLOWED

    async with SqliteBackend(folder / "server.db") as backend, anyio.create_task_group() as tasks:

        async def run(*, task_status: anyio.abc.TaskStatus[list[str]]) -> None:
            url = f"unix://{folder}/s"
            await serve(backend, [url], policy=Policy(judge), task_status=task_status)

        (url,) = await tasks.start(run)
        yield url, backend
        tasks.cancel_scope.cancel()


async def test_what_was_refused_is_not_kept_for_its_author_either(folder: Path) -> None:
    async with strict(folder) as (url, backend):
        with Replica(folder / "ann.db") as ann:
            board = ann.document(Board, "b")
            board.write(SECRET)
            await sync(url, ann)
            assert [refusal.arguments for refusal in board.refusals()] == [{"secret": SECRET}]
            assert await backend.erase(Erasure("b", ann.id, 1, "by order"))
            await sync(url, ann)
            assert board.refusals() == []
            assert [entry.erasure for entry in board.log] == ["by order"]
            assert ann.verify() == []
    assert files_with_the_secret(folder) == []


def test_called_wrongly(folder: Path) -> None:
    async def make() -> None:
        async with SqliteBackend(folder / "server.db"):
            pass

    anyio.run(make)
    whole = 2**52 + 1  # of a replica that may come some day
    for arguments, code in (
        (["b", "1:2"], 2),
        (["b", "x", "--reason", "r"], 2),
        (["b", "--reason", "r"], 2),
        (["--from", __file__], 2),
        (["b", "1:2", "--reason", "r"], 2),  # the end of nobody's id
        (["b", f"{whole:x}:2", "--reason", "r"], 1),
        ([], 0),
    ):
        assert erase(folder, *arguments).returncode == code, arguments
    assert list_erasures(folder / "server.db") == [Erasure("b", whole, 2, "r")]
    assert erase(folder / "nowhere", "b", f"{whole:x}:2", "--reason", "r").returncode == 3
    assert not (folder / "nowhere").exists()
