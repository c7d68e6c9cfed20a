"""A member: one connection's part in one room, alike for both dialects.

It reads what the client says of the document, and has the room do it; and it tells the client what
happens there: see `take`. How that is said is the dialect's (`Says`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import anyio

from crdtsync.log import Entry
from crdtsync.server.access import AccessPolicy, Decision
from crdtsync.server.authentication import Identity
from crdtsync.server.bench import Bench
from crdtsync.server.channel import Channel
from crdtsync.server.glance import Glance
from crdtsync.server.yjs import messages
from crdtsync.server.yjs.connection import Connection
from crdtsync.server.yjs.drafts import Verdict, Write
from crdtsync.server.yjs.limits import YjsLimits
from crdtsync.server.yjs.recent import Reader
from crdtsync.server.yjs.room import Room
from crdtsync.server.yjs.rooms import Rooms
from crdtsync.server.yjs.scribe import Author
from crdtsync.server.yjs.shower import Shower
from crdtsync.sync.awareness import decode_awareness
from crdtsync.update.encoding import encoded

__all__ = ["Member", "Says", "glance_at"]

_CHANGES_OVERHEAD_BYTES = 512  # so that many small ones are a lot too


class Says(Protocol):
    """How a dialect says things about one document. All return at once.

    Attributes:
        takes_stateless: whether there are messages of apps in it.
    """

    takes_stateless: bool

    def frame(self, body: bytes) -> bytes:
        """Return a body as it goes over the wire."""

    def stored(self, *, stored: bool) -> None:
        """Say what became of one message with changes."""

    def read_only(self, reason: str) -> None:
        """Say that a change is not taken, because the client may only read."""

    def refuse(self, reason: str) -> None:
        """Say that the document is refused, and end this membership."""

    def come_again(self) -> None:
        """End this membership so that the client tries again."""


class Member:
    """One connection in one room.

    Args:
        connection: the connection.
        rooms: where the room is from.
        room: the room, which was joined.
        policy: tells what the user may do.
        identity: who the user is.
        limits: what it may cost.
        says: the dialect.

    Attributes:
        author: as whom it writes.
        identity: who its user is, as it has shown last.
    """

    def __init__(
        self,
        connection: Connection,
        rooms: Rooms,
        room: Room,
        policy: AccessPolicy,
        identity: Identity,
        limits: YjsLimits,
        says: Says,
    ) -> None:
        self.author = Author(identity.user)
        self.identity = identity
        self.room = room
        self._connection = connection
        self._rooms = rooms
        # It names no author itself, so that there is nothing to be believed.
        self._bench = Bench(
            policy,
            rooms.backend,
            lambda: self.identity,
            lambda: None,
            lambda: None,
            believes=True,
        )
        self._limits = limits
        self._says = says
        self._reader: Reader | None = None  # from when the client has said what it has
        self._told_presence = 0
        self._has_shown = False
        self._shower = Shower(room.presence, connection.presence_throttle, self)
        room.members.add(self)

    def leave(self, now: float) -> None:
        """Leave the room. What was submitted is stored all the same."""
        if self in self.room.members:
            self.room.members.discard(self)
            self._read_no_more()
            self.room.presence.release(self, now)
            self._connection.tellers.pop(self, None)
            self._rooms.leave(self.room)

    def check(self, now: float) -> None:
        """Look at the clock."""
        self._shower.release(now)

    @property
    def behind(self) -> int:
        """How many turns of the room it was not told yet."""
        return 0 if self._reader is None else self.room.recent.end - self._reader.at

    @property
    def may_read(self) -> Decision:
        """Whether it may read the document."""
        return self._bench.may_read(self.room.document)

    @property
    def may_write(self) -> Decision:
        """Whether it may write the document."""
        return self._bench.may_write(self.room.document)

    def greet(self) -> None:
        """Ask the client for what the room lacks, and show who is there."""
        self.ask()
        if self.room.presence.version:
            self.news()

    def ask(self) -> None:
        """Ask the client for what the room lacks."""
        self._put(messages.step_one(self.room.doc.get_state()))

    def news(self) -> None:
        self._connection.tell(self)

    def fail(self) -> None:
        self._says.come_again()

    def take(self) -> Iterable[bytes]:
        """Return what there is to tell."""
        return [self._says.frame(body) for body in self._news()]

    def _news(self) -> Iterator[bytes]:
        if self._reader is not None:
            update = self.room.recent.take(self._reader, self.room.doc)
            if update is not None:
                yield messages.update(update)
        presence = self.room.presence
        if presence.version != self._told_presence:
            yield messages.awareness(self._presence_since(self._told_presence))

    def hear(self, body: messages.Body) -> None:
        """Deal with a message about the document.

        Raises:
            RemoteProtocolError: it holds what cannot be read.
        """
        match body:
            case messages.StepOne():
                self._put(messages.step_two(self.room.difference(_state(body.state))))
                # What comes later builds on what that holds, so it is told from here on.
                self._read_no_more()
                self._reader = self.room.recent.join(self)
            case messages.Changes():
                self._hear_changes(body)
            case messages.Shown():
                self._hear_presence(body.data)
            case messages.Stateless():
                self._pass_on(messages.stateless(body.payload))
            case messages.Query():
                self._put(messages.awareness(self._presence_since(0)))
            case _:
                pass

    def _read_no_more(self) -> None:
        if self._reader is not None:
            self.room.recent.leave(self._reader)

    def _pass_on(self, body: bytes) -> None:
        """Pass an app's message on to the others. Who may only read has nothing to say to them."""
        if self.may_write:
            for member in self.room.members:
                if member is not self:
                    member.pass_on(body)

    def pass_on(self, body: bytes) -> None:
        """Tell the client an app's message, if it takes any and does not lag behind."""
        if self._says.takes_stateless and not self._connection.is_full:
            self._put(body)

    def _presence_since(self, version: int) -> bytes:
        """Return an awareness update of what has changed, and have the rest told later."""
        news = self.room.presence.since(version)
        self._told_presence = news.upto
        if news.upto < self.room.presence.version:
            self.news()
        return news.update

    def _hear_presence(self, data: bytes) -> None:
        states = decode_awareness(
            data,
            states_max=self.room.presence.limits.states_max,
            state_bytes_max=self._limits.presence_state_bytes_max,
        )
        if not self._has_shown and self.author.log is None and len(states) == 1:
            self.author.log = states[0].client  # its own: it knows nobody else yet
        self._has_shown = True
        self._shower.hear(states, self.identity.user, anyio.current_time())

    def _hear_changes(self, changes: messages.Changes) -> None:
        decision = self.may_write
        if not decision:
            if self.room.has(changes.update):
                self._says.stored(stored=True)
            else:
                self._says.stored(stored=False)
                self._says.read_only(decision.reason or "you may not write this document")
            return
        size = len(changes.update) + _CHANGES_OVERHEAD_BYTES

        def told(verdict: Verdict) -> None:
            self._connection.storing(-size)
            self._rooms.leave(self.room)
            if self in self.room.members:
                self._hear_verdict(verdict, changes)

        self._connection.storing(size)
        self._rooms.enter(self.room)
        self.room.submit(Write(self, changes.update, told))

    def _hear_verdict(self, verdict: Verdict, changes: messages.Changes) -> None:
        if verdict.unavailable:
            self._says.come_again()
            return
        self._says.stored(stored=verdict.stored)
        if verdict.undo is not None:
            self._put(messages.update(verdict.undo))
        if verdict.reason is not None:
            self._says.refuse(verdict.reason)
        elif verdict.incomplete and not changes.answer:
            # Something in between was lost, or is somebody else's who will bring it.
            self.ask()

    async def judge(self, entries: Sequence[Entry], channel: Channel) -> list[Entry]:
        users = {entry.replica: self.identity.user for entry in entries}
        return await self._bench.judge(entries, channel, users)

    def _put(self, body: bytes) -> None:
        self._connection.put(self._says.frame(body))


def _state(state: dict[int, int]) -> bytes:
    return encoded(len(state), *(number for pair in state.items() for number in pair))


def glance_at(kind: str, connection: Connection, members: Sequence[Member], now: float) -> Glance:
    """Return what an operator sees of a connection with its members."""
    state = "closed" if connection.closing else "open" if members else "new"
    first = members[0] if members else None
    return Glance(
        kind,
        None if first is None else first.identity.user,
        None if first is None else first.author.log,
        state,
        now - connection.began_at,
        {member.room.document: member.behind for member in members},
    )
