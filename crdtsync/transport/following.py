"""The documents of one session: how each begins, begins anew, and is given up.

A document is begun where we left off, by its cursor, if the server still honours that; anew, from
the heads of its logs. One that is given up has a `failure` and stays so until the session ends; the
others go on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from crdtsync.errors import LocalProtocolError
from crdtsync.log import Cursor
from crdtsync.sync import ClientProtocol
from crdtsync.sync.frames import Failed, Frame, Subscribed
from crdtsync.transport.follower import Follower
from crdtsync.transport.greeting import Greeting
from crdtsync.transport.ports import ReplicaPort
from crdtsync.transport.presence import Presences
from crdtsync.transport.queries import Queries
from crdtsync.transport.status import ConnectionEvent

__all__ = ["Following"]


class Following:
    """Keeps a `Follower` for each document that was asked for in a session.

    Args:
        replica: whose documents.
        protocol: of the session.
        greeting: tells which cursors are of this server's log.
        queries: tell how urgent a document is, and are told if it does not go on.
        presences: are told the same.
        publish: is told what the application should know.

    Attributes:
        followers: what is known of each document.
    """

    def __init__(
        self,
        replica: ReplicaPort,
        protocol: ClientProtocol,
        greeting: Greeting,
        queries: Queries,
        presences: Presences,
        publish: Callable[[ConnectionEvent], None],
    ) -> None:
        self.followers: dict[str, Follower] = {}
        self._replica = replica
        self._protocol = protocol
        self._greeting = greeting
        self._queries = queries
        self._presences = presences
        self._publish = publish
        self._rotation: deque[str] = deque()  # documents, those taken longest ago first

    def follow(self, name: str) -> Follower:
        """Return what is known of a document, asking the server for it if that was not done."""
        follower = self.followers.get(name)
        if follower is None:
            follower = self.followers[name] = Follower(self._replica.ledger(name))
            self._rotation.append(name)
            self.begin(name)
        return follower

    def begin(self, name: str) -> None:
        """Ask for a document from where we left off."""
        self._subscribe(name, self.followers[name].ledger.cursor)

    def begin_anew(self, name: str) -> None:
        """Ask for a document from the heads that we hold, wherever its cursor stands.

        While it is being found out whether a log of ours forks, no log of ours is among them.
        """
        self._subscribe(name, None)

    def _subscribe(self, name: str, cursor: Cursor | None) -> None:
        follower = self.followers[name]
        if cursor is not None and cursor.epoch != self._greeting.epoch:
            cursor = None
        follower.live = False
        follower.advance = None
        follower.priority = self._queries.priority(name)
        follower.ledger.forget_unproved()
        try:
            heads = follower.ledger.heads
            if follower.ledger.is_stale:  # to claim nothing is to ask for a clone
                heads, cursor = {}, None
            if follower.doubt is not None:
                heads = {r: head for r, head in heads.items() if not self._replica.owns(r)}
            self._protocol.subscribe(
                name,
                heads,
                cursor,
                priority=follower.priority,
                resume=follower.ledger.resume,
            )
        except LocalProtocolError as error:
            self.drop(name, "local", str(error))

    def give_up(self, name: str, code: str, reason: str) -> None:
        """Let the server send no more of a document, which does not go on."""
        if not self._protocol.closed:  # the server's Goodbye may have come with what was bad
            self._protocol.unsubscribe(name)
        self.drop(name, code, reason)

    def drop(self, name: str, code: str, reason: str) -> None:
        """Take note that a document does not go on."""
        follower = self.followers[name]
        follower.failure = (code, reason)
        follower.live = False
        self._queries.settle(name, code, reason)
        self._presences.lose(name)
        self._publish(ConnectionEvent("failed", f"{code}: {reason}", name))

    def is_stale(self, event: Frame) -> bool:
        """Tell whether a document was given up, or asked for anew, after a frame of it had passed.

        Entries are stored later than the protocol lets them through: those gathered before may
        have turned out bad only now.
        """
        name = getattr(event, "document", None)
        follower = None if name is None else self.followers.get(name)
        if follower is None or follower.failure is not None:
            return follower is not None
        return not (follower.live or isinstance(event, Subscribed | Failed))

    def take_turns(self, most: int) -> list[str]:
        """Return the next documents in turn, of those that go on."""
        taken = [self._rotation.popleft() for _ in range(min(most, len(self._rotation)))]
        going_on = [name for name in taken if self.followers[name].failure is None]
        self._rotation.extend(going_on)
        return going_on
