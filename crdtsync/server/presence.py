"""Presence: who is in a document now, and what they show of themselves to the others.

Nothing of it is stored. Each state belongs to the connection that announced it, and no other one
can change or remove it; when the connection ends, it is removed after a moment, in which the same
client may come back without having been away in anybody's eyes.

Whoever tells others remembers one number: the version up to which they have been told. `since`
encodes what they lack, once for all who lack the same. So a slow reader costs nothing but being
told later, and of many states of one client it gets the last.

Read next: `crdtsync.sync.awareness` (states, and their bytes).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

from crdtsync.sync.awareness import Awareness, encode_awareness

__all__ = ["Presence"]


@dataclass(slots=True)
class _Held:
    clock: int
    state: str | None
    owner: Hashable | None  # the connection; None for one that is gone
    user: str | None
    version: int
    until: float | None = None  # when it is removed, if its connection has ended


class Presence:
    """The states of one document.

    Args:
        states_max: how many are kept; of those who are gone, the last ones.
        per_owner_max: how many one connection may announce.

    Attributes:
        version: rises with every change.

    >>> presence = Presence()
    >>> presence.apply([Awareness(7, 1, '{"name":"ann"}')], owner="connection 1", user="ann")
    True
    >>> presence.apply([Awareness(7, 2, None)], owner="connection 2", user="bob")
    False
    >>> presence.states()
    [Awareness(client=7, clock=1, state='{"name":"ann"}')]
    """

    def __init__(self, *, states_max: int = 10_000, per_owner_max: int = 64) -> None:
        self.version = 0
        self._states_max = states_max
        self._per_owner_max = per_owner_max
        self._held: dict[int, _Held] = {}
        self._owned: dict[Hashable, set[int]] = {}
        self._encoded: dict[int, bytes] = {}

    def states(self) -> list[Awareness]:
        """Return the states of those who are there."""
        return [
            Awareness(client, held.clock, held.state)
            for client, held in self._held.items()
            if held.state is not None
        ]

    def since(self, version: int) -> bytes:
        """Return what has changed after a version, as an awareness update."""
        found = self._encoded.get(version)
        if found is None:
            found = self._encoded[version] = encode_awareness(
                Awareness(client, held.clock, held.state)
                for client, held in self._held.items()
                if held.version > version and (version or held.state is not None)
            )
        return found

    def apply(
        self,
        states: Iterable[Awareness],
        owner: Hashable,
        user: str | None,
        *,
        first: bool = False,
    ) -> bool:
        """Take in what a connection says; tell whether anything has changed.

        What it says of others is passed over: clients repeat what they have heard.

        Args:
            states: what it says.
            owner: the connection.
            user: whose it is.
            first: the connection has not said anything before. Only then what is its user's may
                become its own: the same client has come back.
        """
        version = self.version
        for client, clock, state in states:
            held = self._held.get(client)
            if held is None:
                if state is not None:
                    self._put(client, clock, state, owner, user)
            elif held.owner in {None, owner} or (first and held.user == user):
                news = clock > held.clock
                again = clock == held.clock and (state is None) != (held.state is None)
                if news or (again and (state is None or first)):
                    self._put(client, clock, state, owner, user)
                elif clock == held.clock and state is not None and held.state is not None:
                    self._own(client, held, owner)
        return self.version != version

    def release(self, owner: Hashable, until: float) -> None:
        """Take note that a connection has ended: its states are removed at a time."""
        for client in self._owned.get(owner, ()):
            self._held[client].until = until

    def expire(self, now: float) -> bool:
        """Remove the states whose time has come; tell whether there were any."""
        late = [
            (client, held)
            for owned in self._owned.values()
            for client in owned
            if (held := self._held[client]).until is not None and held.until <= now
        ]
        for client, held in late:
            # With the same clock: the client, if it comes back, has not counted on.
            self._put(client, held.clock, None, held.owner, held.user)
        return bool(late)

    def _put(
        self, client: int, clock: int, state: str | None, owner: Hashable, user: str | None
    ) -> None:
        owned = self._owned.get(owner, set())
        if state is not None and client not in owned and len(owned) >= self._per_owner_max:
            return
        held = self._held.pop(client, None)
        if held is not None:
            self._disown(client, held)
        if state is not None:
            self._owned.setdefault(owner, set()).add(client)
        self.version += 1
        self._encoded.clear()
        # Put behind the others, so that those who are gone longest stand first.
        kept = None if state is None else owner
        self._held[client] = _Held(clock, state, kept, user, self.version)
        if len(self._held) > self._states_max:
            gone = (each for each, held in self._held.items() if held.state is None)
            self._drop(next(gone, next(iter(self._held))))

    def _drop(self, client: int) -> None:
        self._disown(client, self._held.pop(client))

    def _own(self, client: int, held: _Held, owner: Hashable) -> None:
        self._disown(client, held)
        self._owned.setdefault(owner, set()).add(client)
        held.owner, held.until = owner, None

    def _disown(self, client: int, held: _Held) -> None:
        owned = self._owned.get(held.owner)
        if owned is not None:
            owned.discard(client)
            if not owned:
                del self._owned[held.owner]
