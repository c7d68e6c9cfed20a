"""Group commit: one thread owns the storage, and commits together whatever waits together.

An fsync costs the same for one entry as for a thousand. While the thread is in one, requests
gather; it then takes all of them, runs them in one transaction, and answers all at once. The more
work there is, the larger the groups, so that the cost of being durable falls as load rises.

Where a group cannot be committed, each of its writes is tried by itself, so that one that is too
large, or otherwise at fault, does not take the others with it. What a failed write raises goes to
whoever asked for it; the thread goes on. A caller that is cancelled leaves its request behind:
that is still done, and its answer dropped.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import anyio
from anyio import from_thread
from anyio.lowlevel import EventLoopToken, current_token

from crdtsync import events
from crdtsync.errors import EntryError, StorageError
from crdtsync.telemetry import SERVER_COMMITS, SERVER_WRITES, now, span

__all__ = ["Committer"]

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Request:
    work: Callable[[], Any]
    writes: bool
    answered: Callable[[Any], None] | None
    done: anyio.Event = field(default_factory=anyio.Event)
    result: Any = None
    error: Exception | None = None

    def answer(self) -> None:
        try:
            if self.error is None and self.answered is not None:
                self.answered(self.result)
        except Exception:
            # It is stored all the same, and nobody else's answer may be lost for it.
            events.REPORT_FAILED.log()
        finally:
            self.done.set()


class Committer:
    """Runs work on one storage connection, in one thread, for the tasks of one event loop.

    Args:
        name: what to call the storage in errors and in the thread's name.
        transaction: makes the context in which writes are kept together or not at all.
        rolled_back: called in the thread when a transaction was not kept, to drop whatever the
            works have remembered of it.
        close: called in the thread as the last thing.
    """

    def __init__(
        self,
        name: str,
        transaction: Callable[[], AbstractContextManager[Any]],
        rolled_back: Callable[[], None],
        close: Callable[[], None],
    ) -> None:
        self._name = name
        self._transaction = transaction
        self._rolled_back = rolled_back
        self._close = close
        self._requests: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._token: EventLoopToken | None = None
        self._closed = False

    async def read(self, work: Callable[[], T]) -> T:
        """Run work that only reads, after the writes that wait."""
        request = _Request(work, False, None)
        await self._ask(request)
        return cast("T", request.result)

    async def write(self, work: Callable[[], T], answered: Callable[[T], None]) -> T:
        """Run work in a transaction; its result is durable when this returns.

        Args:
            work: raises an `EntryError` only while it has not written anything.
            answered: called in the event loop's thread with the result, in the order in which
                the works were run, whether or not this caller still waits.
        """
        request = _Request(work, True, answered)
        await self._ask(request)
        return cast("T", request.result)

    async def _ask(self, request: _Request) -> None:
        if self._closed:
            raise StorageError("is closed", path=self._name)
        if self._thread is None:
            self._start()
        self._requests.put(request)
        await request.done.wait()
        if request.error is not None:
            raise request.error

    def _start(self) -> None:
        self._token = current_token()
        self._thread = threading.Thread(
            target=self._run, name=f"crdtsync committer of {self._name}", daemon=True
        )
        self._thread.start()

    async def aclose(self) -> None:
        """Do what was asked for before, then close the storage; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        if self._thread is None:
            self._close()
            return
        self._requests.put(None)
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._thread.join)

    def _run(self) -> None:
        stopping = False
        try:
            while not stopping:
                waiting = [self._requests.get()]
                while not self._requests.empty():
                    waiting.append(self._requests.get_nowait())
                requests = [request for request in waiting if request is not None]
                stopping = len(requests) < len(waiting)
                self._answer(self._write_all([each for each in requests if each.writes]))
                self._answer(self._read_all([each for each in requests if not each.writes]))
        except anyio.RunFinishedError:
            events.LOOP_ENDED.log(path=self._name)
        finally:
            self._close()

    def _write_all(self, requests: list[_Request]) -> list[_Request]:
        if not self._try_write(requests) and len(requests) > 1:
            for request in requests:
                self._try_write([request])
        return requests

    def _try_write(self, requests: list[_Request]) -> bool:
        if not requests:
            return True
        began = now()
        try:
            with span("commit", writes=len(requests)), self._transaction():
                for request in requests:
                    request.error = None
                    try:
                        request.result = request.work()
                    except EntryError as error:
                        request.error = error
        except Exception as error:
            # It goes to those who asked, whatever it is; the thread must live on.
            self._rolled_back()
            for request in requests:
                request.error = error
            return False
        SERVER_COMMITS.since(began)
        SERVER_WRITES.record(len(requests))
        return True

    def _read_all(self, requests: list[_Request]) -> list[_Request]:
        for request in requests:
            try:
                request.result = request.work()
            except Exception as error:
                request.error = error
        return requests

    def _answer(self, requests: list[_Request]) -> None:
        if requests:
            assert self._token is not None
            from_thread.run_sync(_answer_all, requests, token=self._token)


def _answer_all(requests: list[_Request]) -> None:
    for request in requests:
        request.answer()
