"""Asynchronous contexts that stay open from one cell to the next."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, TypeVar

__all__ = ["Background"]

T = TypeVar("T")


class Background:
    """Keeps asynchronous contexts open while cells come and go.

    What is opened by `async with` ends with its cell. What is entered here ends when it is closed:
    the contexts are left then, the last one first. They live in a task of their own, which is what
    connections and servers demand.

    Example::

        background = Background()
        connection = await background.enter(replica.connect("ws://localhost:8765"))
        ...
        await background.aclose()
    """

    def __init__(self) -> None:
        self._wanted: asyncio.Queue[Any] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def enter(self, context: AbstractAsyncContextManager[T]) -> T:
        """Enter a context, and return what it gives.

        Raises:
            Exception: whatever the context, or one that was entered before, raises.
        """
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        entered: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._wanted.put_nowait((context, entered))
        either: set[asyncio.Future[Any]] = {entered, self._task}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not entered.done():
            await self.aclose()  # raises what has ended the others
        return await entered

    async def aclose(self) -> None:
        """Leave all contexts, the last one first. What was closed can be used again.

        Raises:
            Exception: whatever they raise.
        """
        if self._task is not None:
            task, self._task = self._task, None
            self._wanted.put_nowait(None)
            self._wanted = asyncio.Queue()
            await task

    async def _run(self) -> None:
        wanted = self._wanted
        async with AsyncExitStack() as stack:
            while (one := await wanted.get()) is not None:
                context, entered = one
                try:
                    value = await stack.enter_async_context(context)
                except Exception as error:
                    entered.set_exception(error)
                else:
                    entered.set_result(value)
