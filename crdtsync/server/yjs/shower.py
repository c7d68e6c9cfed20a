"""What one member's clients show of themselves, no faster than the connection may show.

Who shows more than it may is shown later, and each client then as it is last. What a client repeats
of others, and of itself, costs nothing: it is no news.

Read next: `crdtsync.server.presence`; `crdtsync.server.showing` does the same for replicas.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from crdtsync.server.presence import Presence
from crdtsync.server.throttle import Throttle
from crdtsync.sync.awareness import Awareness

__all__ = ["Shower"]


class Shower:
    """Shows states in the presence of one document.

    Args:
        presence: where.
        throttle: what the connection may show, in all its documents.
        owner: whose the states are.

    >>> presence = Presence()
    >>> shower = Shower(presence, Throttle(1000, 0.5), "a connection")
    >>> for clock in range(1, 10):
    ...     shower.hear([Awareness(7, clock, f"{clock}")], "ann", now=0)
    >>> presence.states()
    [Awareness(client=7, clock=1, state='1')]
    >>> shower.release(now=1)
    >>> presence.states()
    [Awareness(client=7, clock=9, state='9')]
    """

    def __init__(self, presence: Presence, throttle: Throttle, owner: Hashable) -> None:
        self._presence = presence
        self._throttle = throttle
        self._owner = owner
        self._user: str | None = None
        self._has_shown = False
        # The last state of each client that is to be shown; whether it came with the first ones.
        self._late: dict[int, tuple[Awareness, bool]] = {}

    def hear(self, states: Iterable[Awareness], user: str | None, now: float) -> None:
        """Show what the connection says, now or later.

        Args:
            states: what it says.
            user: whose connection it is.
            now: the time.
        """
        self._user = user
        first, self._has_shown = not self._has_shown, True
        for state in states:
            waiting = self._late.get(state.client)
            if waiting is not None:
                if state.clock >= waiting[0].clock:
                    self._late[state.client] = state, waiting[1]
            elif not self._presence.is_news(state, self._owner, user, first=first):
                self._presence.apply([state], self._owner, user, first=first)
            elif len(self._late) < self._presence.limits.per_connection_max:
                self._late[state.client] = state, first
        self.release(now)

    def release(self, now: float) -> None:
        """Show what is to be shown, if it is time."""
        if self._late and not self._throttle.waits(now):
            late, self._late = self._late, {}
            size = sum(len(state.state or "") for state, _ in late.values())
            self._throttle.spend(size, len(late), now)
            for state, first in late.values():
                self._presence.apply([state], self._owner, self._user, first=first)
