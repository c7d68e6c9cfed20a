"""The life of a connection: what it can be, and what makes it something else.

A *connection* is the server's record of one client installation, on line or not. `TRANSITIONS` is
all there is to its life; the picture in `docs/connections.md` is drawn from it. Read next:
`crdtsync.server.connections`, which keeps the records and acts by this table.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

__all__ = ["TRANSITIONS", "Event", "State", "Transition", "draw"]


class State(Enum):
    """What a connection is."""

    UNKNOWN = "unknown"
    """Nobody has come under this client id yet."""
    ACTIVE = "active"
    """Its cursors are honoured: the log is kept for it from there on."""
    INACTIVE = "inactive"
    """Nothing is kept for it. Next time it hands in what it has, and is given a clone."""
    RETIRED = "retired"
    """Its user, or the operator, has let it go. If it comes again it begins as a new one."""


class Event(Enum):
    """What happens to a connection."""

    COME_ALONE = "comes, its user has none that is active"
    COME = "comes"
    HOLD_ALL = "holds all that it follows"
    DOWNGRADE = "is the least valuable, or too far behind"
    RETIRE = "is retired"


class Transition(NamedTuple):
    """What an event makes of a connection, and what the server does about it."""

    to: State
    action: str


TRANSITIONS: dict[tuple[State, Event], Transition] = {
    (State.UNKNOWN, Event.COME_ALONE): Transition(State.ACTIVE, "nothing to clone"),
    (State.UNKNOWN, Event.COME): Transition(State.INACTIVE, "name its user's documents, clone"),
    (State.ACTIVE, Event.COME): Transition(State.ACTIVE, "go on from its cursors"),
    (State.ACTIVE, Event.DOWNGRADE): Transition(State.INACTIVE, "let its cursors go"),
    (State.ACTIVE, Event.RETIRE): Transition(State.RETIRED, "forget what it follows"),
    (State.INACTIVE, Event.COME): Transition(State.INACTIVE, "take its log, clone"),
    (State.INACTIVE, Event.HOLD_ALL): Transition(State.ACTIVE, "honour its cursors"),
    (State.INACTIVE, Event.RETIRE): Transition(State.RETIRED, "forget what it follows"),
    (State.RETIRED, Event.COME_ALONE): Transition(State.ACTIVE, "nothing to clone"),
    (State.RETIRED, Event.COME): Transition(State.INACTIVE, "name its user's documents, clone"),
}
"""State and event to what becomes of the connection. Any other event changes nothing."""


def draw() -> str:
    """Draw the table as a Mermaid state diagram.

    >>> print(draw().splitlines()[0])
    stateDiagram-v2
    """
    arrows = [
        f"    {state.value} --> {to.value}: {event.value} / {action}"
        for (state, event), (to, action) in TRANSITIONS.items()
    ]
    return "\n".join(["stateDiagram-v2", f"    [*] --> {State.UNKNOWN.value}", *arrows])
