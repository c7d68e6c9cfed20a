"""Who is in a document now: what an application shows of its user, and sees of the others.

Nothing of it is logged or stored, here or at the server. What is shown is sent when there is a
connection, and again with each new one; who is there is known while there is one, and not else.

Like Yjs clients, a replica says again every 15 s that it is there, and forgets whoever has not
said so for 30 s.

Source: y-protocols' `awareness`.
"""

from __future__ import annotations

import json
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import anyio

from crdtsync.codec import check_value
from crdtsync.errors import LimitError, LocalProtocolError
from crdtsync.position import Position
from crdtsync.sync import Shown
from crdtsync.sync.awareness import STATE_LENGTH_MAX, Sighting

__all__ = ["Peer", "Presence", "PresenceChange", "Presences"]

RENEWED_AFTER_S = 15.0
GONE_AFTER_S = 30.0
CHECK_INTERVAL_S = 3.0
PEERS_MAX = 10_000
"""So many others are seen in one document; a server that tells of more is not believed."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Another client that is there.

    Attributes:
        user: whose it is, as the server knows; None where it does not.
        state: what it shows of itself, as it says. Only `user` is certain.
    """

    user: str | None
    state: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PresenceChange:
    """News of one other client.

    Attributes:
        client: its id: of its replica, or of its Yjs document.
        peer: as it is now; None if it is there no more.
    """

    client: int
    peer: Peer | None


class Presence:
    """Who is in one document; made by `connection.presence(document)`.

    Whoever has one watches. It is seen by the others as soon as it shows something.

    Attributes:
        document: the document's name.
    """

    def __init__(
        self,
        document: str,
        changed: Callable[[Presence], None],
        clock: Callable[[], float],
    ) -> None:
        self.document = document
        self._changed = changed
        self._clock = clock
        self._text: str | None = None
        self._renewed_at = clock()
        self._closed = False
        self._others: dict[int, Peer] = {}
        self._seen_at: dict[int, float] = {}
        self._listeners: weakref.WeakSet[_Changes] = weakref.WeakSet()

    @property
    def state(self) -> dict[str, Any] | None:
        """What is shown to the others; None: nothing, so that we are not there."""
        return None if self._text is None else dict(json.loads(self._text))

    @property
    def others(self) -> Mapping[int, Peer]:
        """Who else is there now, by their clients' ids. Empty while there is no connection."""
        return MappingProxyType(self._others)

    def update(self, **state: Any) -> None:
        """Show something to the others, next to what is shown already.

        Args:
            state: what JSON can hold, by names. Positions in texts are shown as Yjs clients show
                theirs. Conventional are `user`, with `name` and `color`, and `cursor`, with the
                positions `anchor` and `head`.

        Raises:
            TypeError, ValueError: it is nothing that JSON can hold; nothing was changed.
            LimitError: it is too large, all together; nothing was changed.
        """
        self._check_open()
        text = json.dumps(
            (self.state or {}) | state,
            default=_plain,
            ensure_ascii=False,
            allow_nan=False,
            separators=(",", ":"),
        )
        if len(text) > STATE_LENGTH_MAX:
            what = f"what is shown in document {self.document!r}, in characters,"
            raise LimitError("STATE_LENGTH_MAX", STATE_LENGTH_MAX, len(text), what)
        check_value(json.loads(text), where="a presence")
        self._text = text
        self._touch()

    def clear(self) -> None:
        """Show nothing any more, so that we are not there. The others are still seen."""
        self._check_open()
        self._text = None
        self._touch()

    def close(self) -> None:
        """Show nothing, and watch no more."""
        if not self._closed:
            self._text = None
            self._closed = True
            self._lost()
            self._touch()
            self._wake()

    def changes(self) -> AsyncIterator[PresenceChange]:
        """Return an iterator over what changes from now on. It ends with `close`.

        Who reads slowly hears of each client once, as it is last.
        """
        changes = _Changes(self)
        self._listeners.add(changes)
        return changes

    def __repr__(self) -> str:
        shown = "hidden" if self._text is None else "shown"
        return f"<Presence in {self.document!r}: {shown}, {len(self._others)} others>"

    def _check_open(self) -> None:
        if self._closed:
            raise LocalProtocolError(f"the presence in document {self.document!r} is closed")

    def _touch(self) -> None:
        self._renewed_at = self._clock()
        self._changed(self)

    def _hear(self, sightings: list[Sighting]) -> None:
        now = self._clock()
        for client, state, user in sightings:
            peer = None
            if state is not None:
                if client not in self._others and len(self._others) >= PEERS_MAX:
                    continue
                peer = Peer(user, _object(state))
                self._seen_at[client] = now
            if peer != self._others.get(client):
                self._set(client, peer)

    def _lost(self) -> None:
        """Take note that it is not known any more who is there."""
        for client in list(self._others):
            self._set(client, None)

    def _check(self) -> None:
        """Look at the clock."""
        now = self._clock()
        if self._text is not None and now - self._renewed_at >= RENEWED_AFTER_S:
            self._touch()
        for client, seen_at in list(self._seen_at.items()):
            if now - seen_at >= GONE_AFTER_S:
                self._set(client, None)

    def _set(self, client: int, peer: Peer | None) -> None:
        if peer is None:
            del self._others[client], self._seen_at[client]
        else:
            self._others[client] = peer
        for listener in self._listeners:
            listener.put(client)

    def _wake(self) -> None:
        for listener in self._listeners:
            listener.bell.set()


class _Changes(AsyncIterator[PresenceChange]):
    def __init__(self, presence: Presence) -> None:
        self.bell = anyio.Event()
        self._presence = presence
        self._clients: dict[int, None] = {}

    def put(self, client: int) -> None:
        self._clients.pop(client, None)
        self._clients[client] = None
        if len(self._clients) > 2 * PEERS_MAX:  # most of them have gone again, unseen
            del self._clients[next(iter(self._clients))]
        self.bell.set()

    async def __anext__(self) -> PresenceChange:
        while not self._clients:
            if self._presence._closed:
                raise StopAsyncIteration
            await self.bell.wait()
            self.bell = anyio.Event()
        client = next(iter(self._clients))
        del self._clients[client]
        return PresenceChange(client, self._presence.others.get(client))


class Presences:
    """The presences of one connection, over all of its sessions.

    Args:
        owns: tells whether a client is this replica.
        clock: tells the time in seconds, from wherever.

    Attributes:
        wake: called when there is something to send.
    """

    def __init__(
        self, owns: Callable[[int], bool], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.wake: Callable[[], None] = _nothing
        self._owns = owns
        self._clock = clock
        self._open: dict[str, Presence] = {}
        self._due: dict[Presence, None] = {}

    def of(self, document: str) -> Presence:
        """Return the presence in a document; the same one until it is closed."""
        presence = self._open.get(document)
        if presence is None:
            presence = self._open[document] = Presence(document, self._changed, self._clock)
            self._changed(presence)
        return presence

    def begin(self, document: str) -> None:
        """Take note that a document has become live, so that the server has to be told."""
        presence = self._open.get(document)
        if presence is not None:
            self._changed(presence)

    def hear(self, shown: Shown) -> None:
        """Take in what the server tells."""
        presence = self._open.get(shown.document)
        if presence is not None:
            presence._hear([each for each in shown.states if not self._owns(each.client)])

    def take(self) -> Iterator[tuple[str, str | None, bool]]:
        """Yield what is to be said: of which document, what is shown, whether we still watch."""
        due, self._due = self._due, {}
        for presence in due:
            yield presence.document, presence._text, not presence._closed

    def named(self) -> list[str]:
        """Return the documents in which there is a presence."""
        return list(self._open)

    def lose(self, document: str) -> None:
        """Take note that a document does not go on, or not in this session."""
        presence = self._open.get(document)
        if presence is not None:
            presence._lost()

    def lose_all(self) -> None:
        """Take note that the session has ended."""
        for presence in self._open.values():
            presence._lost()

    def check(self) -> None:
        """Look at the clock; due every `CHECK_INTERVAL_S`."""
        for presence in self._open.values():
            presence._check()

    def close(self) -> None:
        """Close all, as their connection has ended."""
        for presence in list(self._open.values()):
            presence.close()

    def _changed(self, presence: Presence) -> None:
        if presence._closed and self._open.get(presence.document) is presence:
            del self._open[presence.document]
        self._due[presence] = None
        self.wake()


def _plain(value: object) -> Any:
    if isinstance(value, Position):
        return value.to_json()
    raise TypeError(f"{type(value).__name__} objects cannot be shown: JSON has none")


def _object(text: str) -> Mapping[str, Any]:
    state = json.loads(text)
    return state if isinstance(state, dict) else {}  # Yjs does not stop anybody


def _nothing() -> None:
    return
