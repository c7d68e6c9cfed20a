"""Group commit: what waits together is committed together, and no request harms another."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import pytest

from crdtsync.errors import ForkError, StorageError
from crdtsync.server.backends.committer import Committer, _Request


class Storage:
    """A list that is written in transactions; refuses to commit what holds a `bad` value."""

    def __init__(self) -> None:
        self.values: list[object] = []
        self.written: list[object] = []
        self.commits: list[list[object]] = []
        self.rolled_back = 0
        self.closed = threading.Event()
        self.committer = Committer("test", self.transaction, self.forget, self.closed.set)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.written = []
        yield
        if "bad" in self.written:
            raise StorageError("does not fit", path="test")
        self.commits.append(self.written)
        self.values += self.written

    def forget(self) -> None:
        self.rolled_back += 1

    async def put(self, value: object, answers: list[object] | None = None) -> None:
        await self.committer.write(
            lambda: self._put(value), answers.append if answers is not None else lambda _: None
        )

    def _put(self, value: object) -> object:
        if value == "fork":
            raise ForkError("refused")
        self.written.append(value)
        return value

    @contextmanager
    def busy(self) -> Iterator[threading.Event]:
        """Keep the thread busy, so that requests gather until the block is left."""
        go = threading.Event()
        self.committer._requests.put(_Request(lambda: go.wait(30), False, None))
        try:
            yield go
        finally:
            go.set()


@pytest.fixture
async def storage():
    storage = Storage()
    yield storage
    await storage.committer.aclose()
    assert storage.closed.is_set()


async def gather(storage: Storage, values: list[object], answers: list[object]) -> list[object]:
    """Put values that all wait together; return those that failed."""
    failed: list[object] = []

    async def put(value: object) -> None:
        try:
            await storage.put(value, answers)
        except (StorageError, ForkError):
            failed.append(value)

    await storage.put("first")
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            with storage.busy():
                for value in values:
                    tasks.start_soon(put, value)
                await anyio.wait_all_tasks_blocked()
    return failed


async def test_what_waits_together_is_committed_together(storage):
    answers: list[object] = []
    assert await gather(storage, list(range(100)), answers) == []
    assert len(storage.commits) == 2
    assert answers == storage.commits[1]
    assert sorted(answers) == list(range(100))  # type: ignore[type-var]  # ints


async def test_a_refused_write_does_not_touch_its_group(storage):
    answers: list[object] = []
    assert await gather(storage, [1, "fork", 2], answers) == ["fork"]
    assert len(storage.commits) == 2
    assert set(answers) == {1, 2}
    assert storage.rolled_back == 0


async def test_a_write_that_cannot_be_committed_fails_alone(storage):
    answers: list[object] = []
    assert await gather(storage, [1, "bad", 2], answers) == ["bad"]
    assert set(storage.values) == {"first", 1, 2}
    assert set(answers) == {1, 2}
    assert storage.rolled_back == 2


async def test_an_unforeseen_error_goes_to_who_asked(storage):
    def bug() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await storage.committer.read(bug)
    with pytest.raises(ZeroDivisionError):
        await storage.committer.write(bug, lambda _: None)
    await storage.put(1)
    assert storage.values == [1]


async def test_a_watcher_that_raises_harms_no_one(storage, caplog):
    def bad(_: object) -> None:
        raise RuntimeError("a bug in a watcher")

    await storage.committer.write(lambda: 1, bad)
    await storage.put(2)
    assert storage.values == [2]
    assert "a bug in a watcher" in caplog.text


async def test_what_was_asked_for_before_closing_is_done(storage):
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            for value in range(10):
                tasks.start_soon(storage.put, value)
            await anyio.wait_all_tasks_blocked()
            await storage.committer.aclose()
    assert sorted(storage.values) == list(range(10))
    with pytest.raises(StorageError, match="closed"):
        await storage.put(1)


async def test_closing_what_was_never_used():
    storage = Storage()
    await storage.committer.aclose()
    assert storage.closed.is_set()


def test_the_storage_is_closed_when_the_loop_is_gone(anyio_backend, caplog):
    storage = Storage()
    anyio.run(storage.put, 1, backend=anyio_backend)
    storage.committer._requests.put(_Request(lambda: None, False, None))
    assert storage.closed.wait(30)
    assert "ended" in caplog.text
