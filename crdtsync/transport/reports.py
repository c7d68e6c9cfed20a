"""How far we hold documents for good: what the server is told, so that it can go on from there."""

from __future__ import annotations

from collections.abc import Mapping

from crdtsync.sync import ClientProtocol
from crdtsync.transport.follower import Follower
from crdtsync.transport.greeting import Greeting

__all__ = ["Reports"]


class Reports:
    """Tells the server our cursors.

    Args:
        protocol: of the session.
        greeting: tells which cursors are of this server's log.
        followers: what is known of each document.
    """

    def __init__(
        self, protocol: ClientProtocol, greeting: Greeting, followers: Mapping[str, Follower]
    ) -> None:
        self._protocol = protocol
        self._greeting = greeting
        self._followers = followers
        self._sent = False  # the server was told how far we hold all that we follow

    def send(self) -> None:
        """Tell the server how far we hold documents for good, where that is news.

        Raises:
            StorageError: a cursor could not be stored.
        """
        if self._greeting.outdated:
            return
        for follower in self._followers.values():
            if follower.advance is not None:
                follower.ledger.receive((), follower.advance)
                follower.advance = None
        offsets: dict[str, int] = {}
        for name, follower in self._followers.items():
            cursor = follower.ledger.cursor
            if (
                follower.live
                and cursor is not None
                and cursor.epoch == self._greeting.epoch
                and cursor.offset > follower.reported
            ):
                offsets[name] = follower.reported = cursor.offset
        if offsets or not self._sent:
            self._sent = True
            self._protocol.advance(offsets)
