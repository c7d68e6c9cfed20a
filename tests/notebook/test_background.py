"""Contexts that stay open from one cell to the next."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import anyio
import pytest

from crdtsync.notebook import Background

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]


T = TypeVar("T")


class Room:
    """Notes who enters and leaves."""

    def __init__(self) -> None:
        self.noted: list[str] = []

    @asynccontextmanager
    async def enter(self, name: str) -> AsyncIterator[str]:
        async with anyio.create_task_group():  # what must be left in the task that entered it
            self.noted.append(f"+{name}")
            yield name
            self.noted.append(f"-{name}")


async def in_a_cell(awaitable: Coroutine[Any, Any, T]) -> T:
    """Do something in a task of its own, as kernels run cells."""
    return await asyncio.create_task(awaitable)


async def test_contexts_are_left_when_it_is_closed_the_last_one_first(anyio_backend):
    background, room = Background(), Room()
    assert await in_a_cell(background.enter(room.enter("a"))) == "a"
    assert await in_a_cell(background.enter(room.enter("b"))) == "b"
    assert room.noted == ["+a", "+b"]
    await in_a_cell(background.aclose())
    assert room.noted == ["+a", "+b", "-b", "-a"]


async def test_it_can_be_used_again_and_closed_twice(anyio_backend):
    background, room = Background(), Room()
    await background.aclose()
    for name in "ab":
        await background.enter(room.enter(name))
        await background.aclose()
        await background.aclose()
    assert room.noted == ["+a", "-a", "+b", "-b"]


async def test_what_cannot_be_entered_is_told_and_the_others_stay(anyio_backend):
    @asynccontextmanager
    async def broken() -> AsyncIterator[None]:
        raise OSError("no such place")
        yield

    background, room = Background(), Room()
    await background.enter(room.enter("a"))
    with pytest.raises(OSError, match="no such place"):
        await background.enter(broken())
    assert await background.enter(room.enter("b")) == "b"
    await background.aclose()
    assert room.noted == ["+a", "+b", "-b", "-a"]


async def test_what_fails_meanwhile_is_told_by_the_next_call(anyio_backend):
    @asynccontextmanager
    async def failing(fail: anyio.Event) -> AsyncIterator[None]:
        async def wait() -> None:
            await fail.wait()
            raise OSError("cut off")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            yield

    background, room, fail = Background(), Room(), anyio.Event()
    await background.enter(failing(fail))
    fail.set()
    with anyio.fail_after(10), pytest.raises(ExceptionGroup) as raised:
        while True:
            await background.enter(room.enter("x"))
    assert raised.group_contains(OSError, match="cut off")
    assert await background.enter(room.enter("y")) == "y"
    await background.aclose()
