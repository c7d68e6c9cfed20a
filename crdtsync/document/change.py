"""Changes: what observers are told, and how."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

import anyio

from crdtsync import events
from crdtsync.display import repr_html
from crdtsync.document.conflict import Conflict
from crdtsync.document.path import Path
from crdtsync.log import Entry

__all__ = ["Change", "Observers"]


class Change(NamedTuple):
    """What one step of a document changed.

    Attributes:
        document: its name.
        origin: `local` for an action made here, `remote` for entries from elsewhere.
        entries: the entries that did it, in order.
        paths: the fields and records touched; empty if everything may have changed.
        arisen: the conflicts that arose by it, or that have more candidates now.
        settled: the fields that are no longer in conflict.
    """

    document: str
    origin: Literal["local", "remote"]
    entries: tuple[Entry, ...]
    paths: tuple[Path, ...]
    arisen: tuple[Conflict, ...] = ()
    settled: tuple[Path, ...] = ()

    def _repr_html_(self) -> str:
        return repr_html(self)


class Observers:
    """The callbacks of one document.

    A callback may act on the document: what that changes is told after the present change. One
    that raises is logged and does not disturb the others, because the action has happened.
    """

    def __init__(self) -> None:
        self._callbacks: dict[object, Callable[[Change], object]] = {}
        self._queue: deque[Change] = deque()
        self._telling = False

    def __bool__(self) -> bool:
        return bool(self._callbacks)

    def add(self, callback: Callable[[Change], object]) -> Callable[[], None]:
        """Call `callback` with every change from now on, until what is returned is called."""
        token = object()
        self._callbacks[token] = callback

        def cancel() -> None:
            self._callbacks.pop(token, None)

        return cancel

    def tell(self, change: Change) -> None:
        """Tell all observers of a change."""
        self._queue.append(change)
        if not self._telling:
            self._tell_all()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Tell what changes in a block only when it has ended, and not at all if it fails."""
        outer, self._telling = self._telling, True
        before = len(self._queue)
        try:
            yield
        except BaseException:
            while len(self._queue) > before:
                self._queue.pop()
            raise
        finally:
            self._telling = outer
        if not outer:
            self._tell_all()

    def _tell_all(self) -> None:
        self._telling = True
        try:
            while self._queue:
                change = self._queue.popleft()
                for callback in list(self._callbacks.values()):
                    try:
                        callback(change)
                    except Exception:
                        events.OBSERVER_FAILED.log(document=change.document)
        finally:
            self._telling = False

    def stream(self) -> AsyncIterator[Change]:
        """Return every change from now on."""
        waiting: deque[Change] = deque()
        arrived = anyio.Event()

        def collect(change: Change) -> None:
            waiting.append(change)
            arrived.set()

        cancel = self.add(collect)

        async def drain() -> AsyncIterator[Change]:
            nonlocal arrived
            try:
                while True:
                    while waiting:
                        yield waiting.popleft()
                    arrived = anyio.Event()
                    await arrived.wait()
            finally:
                cancel()

        return drain()
