"""Presence: who is in a document now, and what they show of themselves to the others.

Nothing of it is stored. Each state belongs to the connection that announced it, and no other one
can change or remove it; when the connection ends, it is removed after a moment, in which the same
client may come back without having been away in anybody's eyes. There is one presence for each
document, alike for replicas and for Yjs clients.

Whoever tells others remembers one number: the version up to which they have been told. `since`
returns what they lack, once for all who lack the same. So a slow reader costs nothing but being
told later, and of many states of one client it gets the last.

Read next: `crdtsync.sync.awareness` (states, and their bytes),
`crdtsync.server.showing` (replicas).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from functools import cached_property

from crdtsync.server.limits import PresenceLimits
from crdtsync.sync.awareness import (
    CLOCK_MAX,
    SEEN_LENGTH_MAX,
    Awareness,
    Sighting,
    encode_awareness,
)

__all__ = ["News", "Presence"]

_NEWS_LENGTH = 64 * 1024  # characters after which news are told in parts
_COUNTED_MAX = CLOCK_MAX // 2  # what Yjs clients may count up to; replicas go on from there
_STATE_OVERHEAD = 32  # what else stands in a message for each state


@dataclass(slots=True)
class _Held:
    clock: int
    state: str | None
    owner: Hashable | None  # the connection; None for one that is gone
    user: str | None
    version: int


class News:
    """What has changed between two versions.

    Args:
        states: of the clients that have changed, with their users.
        upto: the later version.

    Attributes:
        upto: the later version.
    """

    def __init__(self, states: list[tuple[Awareness, str | None]], upto: int) -> None:
        self.upto = upto
        self._states = states

    @cached_property
    def update(self) -> bytes:
        """What Yjs clients are told: an awareness update."""
        return encode_awareness(state for state, _ in self._states)

    @cached_property
    def sightings(self) -> tuple[Sighting, ...]:
        """What replicas are told. States that are too large for them are left out."""
        return tuple(
            Sighting(client, state, user)
            for (client, _, state), user in self._states
            if len(state or "") <= SEEN_LENGTH_MAX
        )


class Presence:
    """The states of one document.

    Args:
        limits: how many, and for how long.

    Attributes:
        version: rises with every change.
        watchers: called after every change; must return at once.

    >>> presence = Presence()
    >>> presence.apply([Awareness(7, 1, '{"name":"ann"}')], owner="connection 1", user="ann")
    True
    >>> presence.apply([Awareness(7, 2, None)], owner="connection 2", user="bob")
    False
    >>> presence.states()
    [Awareness(client=7, clock=1, state='{"name":"ann"}')]
    """

    def __init__(self, limits: PresenceLimits | None = None) -> None:
        self.limits = limits or PresenceLimits()
        self.version = 0
        self.watchers: set[Callable[[], None]] = set()
        self._held: dict[int, _Held] = {}  # in the order of their versions
        self._owned: dict[Hashable, set[int]] = {}
        self._leaving: dict[int, float] = {}  # when they are removed: their connection has ended
        self._news: dict[int, News] = {}

    def states(self) -> list[Awareness]:
        """Return the states of those who are there."""
        return [
            Awareness(client, held.clock, held.state)
            for client, held in self._held.items()
            if held.state is not None
        ]

    def since(self, version: int) -> News:
        """Return what has changed after a version; if that is much, the first part of it."""
        found = self._news.get(version)
        if found is None:
            found = self._news[version] = self._since(version)
        return found

    def _since(self, version: int) -> News:
        changed: list[tuple[int, _Held]] = []
        for client, held in reversed(self._held.items()):
            if held.version <= version:
                break
            changed.append((client, held))
        states: list[tuple[Awareness, str | None]] = []
        length = 0
        for client, held in reversed(changed):
            if version or held.state is not None:
                length += len(held.state or "") + len(held.user or "") + _STATE_OVERHEAD
                states.append((Awareness(client, held.clock, held.state), held.user))
                if length >= _NEWS_LENGTH:
                    return News(states, held.version)
        return News(states, self.version)

    def apply(
        self,
        states: Iterable[Awareness],
        owner: Hashable,
        user: str | None,
        *,
        first: bool = False,
    ) -> bool:
        """Take in what a connection of Yjs clients says; tell whether anything has changed.

        What it says of others is passed over: clients repeat what they have heard. So is a count so
        high that a replica could not be shown as newer.

        Args:
            states: what it says.
            owner: the connection.
            user: whose it is.
            first: the connection has not said anything before. Only then what is its user's may
                become its own: the same client has come back.
        """
        version = self.version
        for said in states:
            client, clock, state = said
            if self.is_news(said, owner, user, first=first):
                self._put(client, clock, state, owner, user)
                continue
            held = self._held.get(client)
            if held is None or state is None or held.state is None or clock != held.clock:
                continue
            if self._may_take(held, owner, user, first=first):
                self._own(client, held, owner)
        return self._tell(version)

    def is_news(
        self, said: Awareness, owner: Hashable, user: str | None, *, first: bool = False
    ) -> bool:
        """Tell whether others have to be told what a connection of Yjs clients says.

        Args:
            said: one of its states.
            owner: as for `apply`, like the others.
            user: whose it is.
            first: whether the connection had not said anything before.
        """
        if said.clock > _COUNTED_MAX:
            return False
        held = self._held.get(said.client)
        if held is None:
            return said.state is not None
        if not self._may_take(held, owner, user, first=first):
            return False
        again = said.clock == held.clock and (said.state is None) != (held.state is None)
        return said.clock > held.clock or (again and (said.state is None or first))

    def _may_take(self, held: _Held, owner: Hashable, user: str | None, *, first: bool) -> bool:
        """Tell whether a state that is held is the connection's, or may become so."""
        return held.owner in {None, owner} or (first and held.user == user)

    def show(
        self, client: int, state: str | None, owner: Hashable, user: str | None, now_ms: int
    ) -> bool:
        """Take in what a replica shows of itself, which has proved that it is that replica.

        Tell whether anything has changed.

        Two connections may be the same replica: the one that showed something last is seen, and
        only that one hides it.

        States are counted here, so that a Yjs client takes the next one for newer in any case: also
        if the replica, or the server, was started again. So they count milliseconds, of which there
        are always more than states.

        Args:
            client: the replica.
            state: a JSON text; None: nothing any more.
            owner: the connection.
            user: whose it is.
            now_ms: Unix time in milliseconds.
        """
        version = self.version
        held = self._held.get(client)
        if state is not None or (held is not None and held.owner == owner):
            clock = now_ms if held is None else max(now_ms, held.clock + 1)
            self._put(client, clock, state, owner, user)
        return self._tell(version)

    def release(self, owner: Hashable, now: float) -> None:
        """Take note that a connection has ended: its states are removed after a moment."""
        for client in self._owned.get(owner, ()):
            self._leaving[client] = now + self.limits.grace_s

    def expire(self, now: float) -> bool:
        """Remove the states whose time has come; tell whether there were any."""
        version = self.version
        for client in [client for client, until in self._leaving.items() if until <= now]:
            held = self._held[client]
            # With the same clock: the client, if it comes back, has not counted on.
            self._put(client, held.clock, None, held.owner, held.user)
        return self._tell(version)

    def _tell(self, version: int) -> bool:
        if self.version == version:
            return False
        for watcher in list(self.watchers):
            watcher()
        return True

    def _put(
        self, client: int, clock: int, state: str | None, owner: Hashable, user: str | None
    ) -> None:
        owned = self._owned.get(owner, set())
        full = len(owned) >= self.limits.per_connection_max
        if state is not None and client not in owned and full:
            return
        held = self._held.pop(client, None)
        if held is not None:
            self._disown(client, held)
        if state is not None:
            self._owned.setdefault(owner, set()).add(client)
        self.version += 1
        self._news.clear()
        # Put behind the others, so that those who are gone longest stand first.
        kept = None if state is None else owner
        self._held[client] = _Held(clock, state, kept, user, self.version)
        if len(self._held) > self.limits.states_max:
            gone = (each for each, held in self._held.items() if held.state is None)
            self._drop(next(gone, next(iter(self._held))))

    def _drop(self, client: int) -> None:
        self._disown(client, self._held.pop(client))

    def _own(self, client: int, held: _Held, owner: Hashable) -> None:
        self._disown(client, held)
        self._owned.setdefault(owner, set()).add(client)
        held.owner = owner

    def _disown(self, client: int, held: _Held) -> None:
        self._leaving.pop(client, None)
        owned = self._owned.get(held.owner)
        if owned is not None:
            owned.discard(client)
            if not owned:
                del self._owned[held.owner]
