"""The entrance: who a Yjs client is, and whether it may open a document."""

from __future__ import annotations

import time

from crdtsync.errors import AuthenticationError, StorageError
from crdtsync.limits import Limits
from crdtsync.server.access import decide
from crdtsync.server.authentication import Identity
from crdtsync.server.door import Door
from crdtsync.server.yjs.connection import AGAIN, FORBIDDEN, UNKNOWN_USER, Connection
from crdtsync.server.yjs.limits import YjsLimits
from crdtsync.server.yjs.member import Member, Says
from crdtsync.server.yjs.rooms import Full, Rooms

__all__ = ["Entrance", "NoEntry"]


class NoEntry(Exception):  # noqa: N818 - it is no error, but an answer
    """Raised when a client cannot open a document.

    Attributes:
        code: a close code that says what the client should do.
        reason: a sentence for its user.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Entrance:
    """Lets clients into rooms.

    Args:
        door: tells who they are, and what they may do.
        rooms: the rooms.
        limits: what they may cost.
    """

    def __init__(self, door: Door, rooms: Rooms, limits: YjsLimits) -> None:
        self.limits = limits
        self._door = door
        self._rooms = rooms

    async def identify(self, token: str | None, user: str | None) -> Identity:
        """Tell who a client is.

        Raises:
            NoEntry: it has not shown that.
        """
        try:
            identity = await self._door.identify(token, user)
        except AuthenticationError as error:
            raise NoEntry(UNKNOWN_USER, error.reason) from error
        if has_expired(identity):
            raise NoEntry(UNKNOWN_USER, "the token has expired")
        return identity

    async def join(
        self, connection: Connection, document: str, token: str | None, user: str | None, says: Says
    ) -> Member:
        """Let a client into a document's room, and return its part there.

        Raises:
            NoEntry: it cannot open the document.
        """
        identity = await self.identify(token, user)
        if not 0 < len(document) <= Limits().name_length_max:
            raise NoEntry(FORBIDDEN, "a document has no such name")
        decision = decide(lambda: self._door.policy.may_read(identity, document))
        if not decision:
            raise NoEntry(FORBIDDEN, decision.reason or "you may not read this document")
        try:
            room = await self._rooms.join(document)
        except Full:
            raise NoEntry(AGAIN, "as many documents are open as may be") from None
        except StorageError as error:
            raise NoEntry(AGAIN, "the document cannot be read at the moment") from error
        return Member(connection, self._rooms, room, self._door.policy, identity, self.limits, says)


def has_expired(identity: Identity) -> bool:
    """Tell whether a client has to show a fresh token."""
    return identity.expires is not None and time.time() >= identity.expires
