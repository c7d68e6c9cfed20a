"""What an operator sees of a connection, whichever way it came in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Glance"]


@dataclass(frozen=True, slots=True)
class Glance:
    """A connection as it is at one moment.

    Attributes:
        kind: what it speaks: `replica`, `y-websocket` or `hocuspocus`.
        user: whose it is; None where nobody said, or not yet.
        replica: the id of the replica, or of the log that it writes; None where that is not known.
        state: how far it has got: `new`, `greeted` or `closed`; once it is let in, what it is to
            the server: `active`, `inactive` or `retired`, and `open` for a Yjs client.
        age_s: for how long there is this connection.
        behind: by document that it follows, how much it was not sent yet: entries, or of a Yjs
            client the turns of a room.
    """

    kind: str
    user: str | None
    replica: int | None
    state: str
    age_s: float
    behind: Mapping[str, int]
