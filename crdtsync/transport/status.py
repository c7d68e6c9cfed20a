"""What an application is told of its connection: its state, its counts, and what happens to it."""

from __future__ import annotations

import datetime
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import anyio

__all__ = [
    "ConnectionEvent",
    "ConnectionStanding",
    "ConnectionState",
    "EventFeed",
    "Status",
]

ConnectionState: TypeAlias = Literal["connecting", "online", "waiting", "refused", "closed"]
"""`connecting`: on the way to the server. `online`: in exchange with it. `waiting`: for the next
try. `refused`: the server said no, for good. `closed`: the context was left."""

ConnectionStanding: TypeAlias = Literal["active", "inactive", "retired"]
"""`active`: the server keeps for us what we have not seen yet. `inactive`: it does not, so that
next time we may be given documents as they are, without how they came to be so. `retired`: it has
let us go; whoever connects again begins anew."""

_EVENTS_KEPT = 1000


@dataclass(frozen=True, slots=True)
class Status:
    """A connection at one moment.

    Attributes:
        state: what it is doing.
        standing: what it is to the server, as it last said; None: not known yet.
        standing_reason: why it is that.
        standing_since: since when.
        unsent: own entries that were not sent to the server yet.
        unacknowledged: own entries that are not known to be durable at the server.
        behind: entries that the server is known to hold and we do not; None: not known.
        last_proof: when it was last proved, of the document for which that is longest ago, that
            the server and this replica held the same, but for what was being done at that moment;
            None: not of all documents.
        error: why it is not on line.
    """

    state: ConnectionState
    unsent: int
    unacknowledged: int
    behind: int | None
    last_proof: datetime.datetime | None
    error: str | None
    standing: ConnectionStanding | None = None
    standing_reason: str = ""
    standing_since: datetime.datetime | None = None


@dataclass(frozen=True, slots=True)
class ConnectionEvent:
    """Something that happened to a connection.

    Attributes:
        kind: the new state, or `failed`: a document does not go on; `rejected`: the server keeps
            an entry of ours without effect; `mended`: a copy of this store had gone on with a log
            of ours, and what both did counts now; `rotated`: we go on under another id, because of
            a copy; `gap`: a document is asked for again, because what came of it has a hole;
            `stuck`: the server has lost what our entries build on, and this device holds that as a
            state only: they wait until somebody brings it back;
            `cloned`: a document was begun anew from its state at the server, with ours on top;
            `activated`, `downgraded`, `retired`: what the connection has become to the server;
            `clock`: this device's clock is far from the server's.
        detail: a sentence for people.
        document: its name, where it is about one.
    """

    kind: str
    detail: str = ""
    document: str | None = None


class EventFeed:
    """Hands events to any number of listeners, each at its own pace.

    A listener that falls far behind loses the oldest; nobody waits for it.

    Args:
        told: is told first.
    """

    def __init__(self, told: Callable[[ConnectionEvent], object] = lambda _: None) -> None:
        self._told = told
        self._listeners: weakref.WeakSet[_Listener] = weakref.WeakSet()
        self._news = anyio.Event()
        self.closed = False

    def publish(self, event: ConnectionEvent) -> None:
        """Hand an event to all who listen now."""
        self._told(event)
        for listener in self._listeners:
            listener.queue.append(event)
        self.notify()

    def notify(self) -> None:
        """Wake whoever waits for news."""
        self._news.set()
        self._news = anyio.Event()

    async def news(self) -> None:
        """Return at the next event or notification."""
        await self._news.wait()

    def close(self) -> None:
        """End the listeners' iterations, once they have read what is there."""
        self.closed = True
        self.notify()

    def listen(self) -> AsyncIterator[ConnectionEvent]:
        """Return an iterator over the events from now on."""
        listener = _Listener(self)
        self._listeners.add(listener)
        return listener


class _Listener(AsyncIterator[ConnectionEvent]):
    def __init__(self, feed: EventFeed) -> None:
        self.queue: deque[ConnectionEvent] = deque(maxlen=_EVENTS_KEPT)
        self._feed = feed

    async def __anext__(self) -> ConnectionEvent:
        while not self.queue:
            if self._feed.closed:
                raise StopAsyncIteration
            await self._feed.news()
        return self.queue.popleft()
