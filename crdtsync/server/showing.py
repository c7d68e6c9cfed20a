"""What one replica shows of itself in its documents, and what it is told of the others there.

A replica speaks of itself only: its id, as it has proved it, is the client's, and its user is the
one that it was let in as. Who shows more than it may is shown later, and then as it is last.

Read next: `crdtsync.server.presence`.
"""

from __future__ import annotations

from collections.abc import Callable

import anyio

from crdtsync import events
from crdtsync.server.connections import unix_ms
from crdtsync.server.limits import PresenceLimits
from crdtsync.server.presence import Presence
from crdtsync.server.throttle import Throttle
from crdtsync.sync import ServerProtocol, Show, State

__all__ = ["Showing"]


class _Sight:
    """One document: how far the replica was told, and what it shows there."""

    def __init__(self, presence: Presence, news: Callable[[], None]) -> None:
        self.presence = presence
        self.news = news
        self.told = 0
        self.shown: str | None = None
        presence.watchers.add(news)

    def end(self) -> None:
        self.presence.watchers.discard(self.news)


class Showing:
    """One connection's part in the presence of its documents.

    Args:
        protocol: the connection.
        limits: what it may cost.
        who: returns its replica and its user.
        wake: called when there is something to send.
    """

    def __init__(
        self,
        protocol: ServerProtocol,
        limits: PresenceLimits,
        who: Callable[[], tuple[int, str | None]],
        wake: Callable[[], None],
    ) -> None:
        self._protocol = protocol
        self._limits = limits
        self._who = who
        self._wake = wake
        self._sights: dict[str, _Sight] = {}
        self._fresh: dict[str, None] = {}  # documents with news, in turn
        self._late: dict[str, None] = {}  # documents in which it is to be shown
        self._throttle = Throttle(limits.bytes_per_s, limits.states_per_s)

    def hear(self, asked: Show, presence: Presence) -> None:
        """Show what the replica asks for, and tell it of the others from now on."""
        document = asked.document
        if not asked.watching:
            self._leave(document)
            return
        sight = self._sights.get(document)
        if sight is None:
            if len(self._sights) >= self._limits.documents_max:
                events.PRESENCE_CROWDED.log(document=document)
                return
            sight = self._sights[document] = _Sight(presence, lambda: self._news(document))
            self._news(document)
        sight.shown = asked.state
        self._late[document] = None
        self.release(anyio.current_time())

    def release(self, now: float) -> None:
        """Show what is to be shown, as far as it is time."""
        while self._late and not self._throttle.waits(now):
            document = next(iter(self._late))
            del self._late[document]
            sight = self._sights[document]
            self._throttle.spend(len(sight.shown or ""), 1, now)
            replica, user = self._who()
            sight.presence.show(replica, sight.shown, self, user, unix_ms())

    def tell(self) -> None:
        """Hand news to the protocol: of one document that has some."""
        if self._fresh and self._protocol.state is State.OPEN:
            document = next(iter(self._fresh))
            del self._fresh[document]
            sight = self._sights[document]
            news = sight.presence.since(sight.told)
            sight.told = news.upto
            if sight.told < sight.presence.version:
                self._fresh[document] = None  # at the end: first the others' turn
            self._protocol.shown(document, news.sightings)

    def end(self, document: str) -> None:
        """Take note that the replica follows a document no more, or asks for it anew."""
        sight = self._take(document)
        if sight is not None:
            sight.presence.release(self, anyio.current_time())

    def _leave(self, document: str) -> None:
        sight = self._take(document)
        if sight is not None:
            replica, user = self._who()
            sight.presence.show(replica, None, self, user, unix_ms())

    def _take(self, document: str) -> _Sight | None:
        self._fresh.pop(document, None)
        self._late.pop(document, None)
        sight = self._sights.pop(document, None)
        if sight is not None:
            sight.end()
        return sight

    def _news(self, document: str) -> None:
        self._fresh[document] = None
        self._wake()
