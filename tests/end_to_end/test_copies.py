"""Copies of a store, as people make them: files copied, backups restored, copies in use."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, ExitStack
from pathlib import Path

import anyio
import pytest

from crdtsync import Replica
from crdtsync.errors import ActionError, StorageError
from crdtsync.replica.logs import LogTable
from crdtsync.replica.mending import Mending
from crdtsync.replica.store import Store
from crdtsync.transport import Backoff, Connection, connect
from tests.end_to_end.test_kills import Program, wait_until
from tests.end_to_end.worker import Shared

NAME = "shared"


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A server, as a process of its own."""
    url = f"unix://{tmp_path}/s"
    data = str(tmp_path / "server.db")
    server = Program(
        tmp_path / "server.log", "-m", "crdtsync.cli", "serve", "--listen", url, "--data", data
    )
    try:
        wait_until("the server", (tmp_path / "s").exists)
        yield url
    finally:
        server.kill()


def work(replica: Replica, name: str, count: int = 3) -> None:
    shared = replica.document(Shared, NAME)
    begun = sum(1 for mark in shared.marks if mark.startswith(name))
    for number in range(begun, begun + count):
        with shared.action("work", number=number):
            shared.marks.add(f"{name}{number}")
            shared.total.increment()
            shared.text.append(f"{name}{number} ")


def copy(source: Path, target: Path) -> None:
    for file in source.parent.glob(f"{source.name}*"):
        if not file.name.endswith("-lock"):
            shutil.copy(file, target.parent / (target.name + file.name[len(source.name) :]))


def restore(backup: Path, store: Path) -> None:
    for left in store.parent.glob(f"{store.name}*"):
        left.unlink()
    copy(backup, store)


async def sync(url: str, *replicas: Replica) -> None:
    with anyio.fail_after(60):
        for replica in replicas * 2:
            async with replica.connect(url) as connection:
                await connection.synced()
                status = connection.status
                assert (status.unsent, status.unacknowledged, status.behind) == (0, 0, 0)


def check(marks: int, *replicas: Replica) -> None:
    views = []
    for replica in replicas:
        shared = replica.document(Shared, NAME)
        assert replica.verify() == []
        assert len(shared.marks) == int(shared.total) == marks
        assert sorted(str(shared.text).split()) == sorted(shared.marks)
        views.append(shared.to_dict())
    assert all(view == views[0] for view in views)


async def test_a_file_that_was_copied_while_it_was_closed(url: str, tmp_path: Path) -> None:
    first, second = tmp_path / "first.db", tmp_path / "second.db"
    with Replica(first, user="ann") as ann:
        work(ann, "before")
        await sync(url, ann)
        work(ann, "unsent")
    copy(first, second)
    with ExitStack() as stack:
        ann, two, bob = (
            stack.enter_context(Replica(path, user="ann"))
            for path in (first, second, tmp_path / "bob.db")
        )
        bob.document(Shared, NAME)
        work(ann, "first")
        work(two, "second")
        work(bob, "bob")
        await sync(url, ann, two, bob)
        work(ann, "first")
        work(two, "second")
        await sync(url, two, bob, ann, two, bob)
        check(3 * 7, ann, two, bob)
        assert ann.id != two.id


async def test_a_backup_that_was_restored_and_worked_with(url: str, tmp_path: Path) -> None:
    store, backup = tmp_path / "ann.db", tmp_path / "backup.db"
    with Replica(store, user="ann") as ann:
        work(ann, "before")
        await sync(url, ann)
    copy(store, backup)
    with Replica(store, user="ann") as ann:
        work(ann, "after", 5)
        await sync(url, ann)
    restore(backup, store)
    with Replica(store, user="ann") as ann, Replica(user="bob") as bob:
        work(ann, "restored", 2)
        bob.document(Shared, NAME)
        await sync(url, ann, bob)
        check(10, ann, bob)


async def test_a_copy_is_made_and_used_while_the_original_is_on_line(
    url: str, tmp_path: Path
) -> None:
    first, second = tmp_path / "first.db", tmp_path / "second.db"
    with ExitStack() as stack:
        ann = stack.enter_context(Replica(first, user="ann"))
        work(ann, "before")
        with anyio.fail_after(60):
            async with quickly(ann, url) as one:
                await one.synced()
                events = one.events()
                copy(first, second)
                two = stack.enter_context(Replica(second, user="ann"))
                assert two.id == ann.id
                async with quickly(two, url) as other:
                    await other.synced()
                    async for event in events:
                        if event.kind == "rotated":
                            break
                    assert two.id != ann.id
                    for _ in range(3):
                        work(ann, "first")
                        work(two, "second")
                        await one.synced()
                        await other.synced()
                    await one.synced()
                    assert one.state == other.state == "online"
        check(3 + 18, ann, two)


async def test_two_connections_of_one_replica_are_no_copies(url: str, tmp_path: Path) -> None:
    with Replica(user="ann") as ann, anyio.fail_after(60):
        old = ann.id
        work(ann, "before")
        async with quickly(ann, url) as one:
            await one.synced()
            events = one.events()
            async with quickly(ann, url) as other:
                await other.synced()
                async for event in events:
                    if "fenced" in event.detail:
                        break
            await one.synced()
        assert ann.id == old


def quickly(replica: Replica, url: str) -> AbstractAsyncContextManager[Connection]:
    return connect(replica, url, backoff=Backoff(0.02, 0.05))


# --- interrupted ---------------------------------------------------------------------------------

STEPS = [
    (Store, "rotate"),
    (Mending, "carry_out"),
    (LogTable, "insert"),
    (LogTable, "supersede"),
    (Store, "write_progress"),
    (Store, "write_carried"),
    (Store, "drop_snapshot"),
    (Store, "identify"),
]


def forked(tmp_path: Path) -> tuple[Path, Path]:
    """Return two copies of a store that were both worked with."""
    first, second = tmp_path / "first.db", tmp_path / "second.db"
    with Replica(first, user="ann") as ann:
        work(ann, "before")
    copy(first, second)
    for path, name in ((first, "first"), (second, "second")):
        with Replica(path, user="ann") as replica:
            work(replica, name)
    return first, second


@pytest.mark.parametrize("after", [0, 1, 2])
@pytest.mark.parametrize(("owner", "step"), STEPS)
def test_a_store_that_fails_leaves_all_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: type, step: str, after: int
) -> None:
    first, second = forked(tmp_path)
    with Replica(first, user="ann") as ann, Replica(second, user="ann") as two:
        before = two.document(Shared, NAME).to_dict()
        calls, real, failed = 0, getattr(owner, step), False

        def failing(*args: object, **options: object) -> object:
            nonlocal calls
            calls += 1
            if calls > after:
                raise StorageError("the disk is full", path="second.db")
            return real(*args, **options)

        with monkeypatch.context() as patch:
            patch.setattr(owner, step, failing)
            try:
                two.merge(ann)
            except StorageError:
                failed = True
        if failed and step != "identify":  # which only reads what has been kept
            assert two.document(Shared, NAME).to_dict() == before
            work(two, "second")
        elif failed:
            with pytest.raises(ActionError):
                work(two, "second")
    with Replica(first, user="ann") as ann, Replica(second, user="ann") as two:
        two.merge(ann)
        marks = len(two.document(Shared, NAME).marks)
        assert marks in {9, 12}
        check(marks, ann, two)


_DYING = """
import os, signal, sys
from crdtsync import Replica
from crdtsync.replica import logs, mending, store
from tests.end_to_end.test_copies import NAME, Shared

name, after, first, second = sys.argv[1], int(sys.argv[2]), *sys.argv[3:]
owner = {"Store": store.Store, "LogTable": logs.LogTable}[name.split(".")[0]]
step = name.split(".")[1]
calls, real = 0, getattr(owner, step)

def dying(*args, **options):
    global calls
    calls += 1
    if calls > after:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*args, **options)

with Replica(first) as ann, Replica(second) as two:
    two.document(Shared, NAME)
    setattr(owner, step, dying)
    two.merge(ann)
"""


@pytest.mark.parametrize(
    "step",
    [
        "Store.rotate 0",
        "LogTable.insert 0",
        "LogTable.supersede 1",
        "Store.write_progress 1",
        "Store.drop_snapshot 0",
        "Store.identify 0",
        "LogTable.insert_many 0",
    ],
)
def test_a_program_that_is_killed_has_mended_its_log_whole_or_not_at_all(
    tmp_path: Path, step: str
) -> None:
    first, second = forked(tmp_path)
    with Replica(second) as two:
        old = two.id
    killed = subprocess.run(
        [sys.executable, "-c", _DYING, *step.split(), str(first), str(second)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        timeout=100,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with Replica(second, user="ann") as two:
        two.document(Shared, NAME)
        own, seqs = two.id, two.ledger(NAME).vector
        assert seqs == ({old: 6} if own == old else {old: 3, own: 3})
        check(6, two)
        with Replica(first, user="ann") as ann:
            two.merge(ann)
            check(9, ann, two)
