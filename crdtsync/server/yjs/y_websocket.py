"""The door for clients of y-websocket: one document for each WebSocket.

A client that is refused is told so in a message and by a close code between 4400 and 4499, on which
it stops; refused before the WebSocket is open, it would try again for ever.
"""

from __future__ import annotations

import anyio

from crdtsync.server.glance import Glance
from crdtsync.server.yjs import messages
from crdtsync.server.yjs.connection import AGAIN, EXPIRED, FORBIDDEN, Connection
from crdtsync.server.yjs.entrance import Entrance, NoEntry, has_expired
from crdtsync.server.yjs.member import Member, glance_at

__all__ = ["YWebsocketDoor"]


class YWebsocketDoor:
    """Serves one connection.

    Args:
        connection: the WebSocket.
        entrance: lets it in.
        document: which document it opens.
        token: what it showed.
        user: who it says it is.
    """

    takes_stateless = False

    def __init__(
        self,
        connection: Connection,
        entrance: Entrance,
        document: str,
        token: str | None,
        user: str | None,
    ) -> None:
        self._connection = connection
        self._entrance = entrance
        self._document = document
        self._token = token
        self._user = user
        self._member: Member | None = None
        self._has_been_told = False

    async def run(self) -> None:
        """Serve it until it ends, and close it."""
        try:
            self._member = await self._entrance.join(
                self._connection, self._document, self._token, self._user, self
            )
        except NoEntry as answer:
            self._refuse(answer.code, answer.reason)
        else:
            self._member.greet()
        try:
            await self._connection.run(self._handle)
        finally:
            if self._member is not None:
                self._member.leave(anyio.current_time())

    async def _handle(self, data: bytes) -> None:
        if self._member is not None:
            self._member.hear(messages.read_body(data))

    def check(self, now: float) -> None:
        """Look at the clock."""
        self._connection.check(now, lambda: self._connection.put(messages.KEEP_ALIVE))
        if self._member is None:
            return
        self._member.check(now)
        if has_expired(self._member.identity):
            self._connection.close(EXPIRED, "the token has expired: connect with a fresh one")

    def glance(self, now: float) -> Glance:
        """Return what an operator sees of it."""
        return glance_at(
            "y-websocket", self._connection, [self._member] if self._member else [], now
        )

    def _refuse(self, code: int, reason: str) -> None:
        if code != AGAIN:
            self._connection.put(messages.refused(reason))
        self._connection.close(code, reason)

    def frame(self, body: bytes) -> bytes:
        return body

    def stored(self, *, stored: bool) -> None:
        """Say nothing: this dialect has no word for it."""

    def read_only(self, reason: str) -> None:
        if not self._has_been_told:
            self._has_been_told = True
            self._connection.put(messages.refused(reason))

    def refuse(self, reason: str) -> None:
        self._refuse(FORBIDDEN, reason)

    def come_again(self) -> None:
        self._connection.close(AGAIN, "the server cannot store or read at the moment")
