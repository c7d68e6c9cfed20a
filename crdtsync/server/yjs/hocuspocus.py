"""The door for clients of Hocuspocus: any number of documents over one WebSocket.

Each is opened with a token of its own, and refused by itself: the client comes again whatever the
close code, so the WebSocket stays open for the others. What is told of a document carries the
address by which the client has opened it: its name, and perhaps a session after a zero byte.

Of each message with changes the client is told whether it is stored, once it is.
"""

from __future__ import annotations

import anyio

from crdtsync.errors import RemoteProtocolError
from crdtsync.server.glance import Glance
from crdtsync.server.yjs import messages
from crdtsync.server.yjs.connection import AGAIN, UNKNOWN_USER, Connection
from crdtsync.server.yjs.entrance import Entrance, NoEntry, has_expired
from crdtsync.server.yjs.member import Member, glance_at
from crdtsync.update.encoding import encoded

__all__ = ["HocuspocusDoor"]

_ADDRESS_LENGTH_MAX = 1024


class HocuspocusDoor:
    """Serves one connection.

    Args:
        connection: the WebSocket.
        entrance: lets it into documents.
        user: who it says it is.
    """

    def __init__(self, connection: Connection, entrance: Entrance, user: str | None) -> None:
        self.connection = connection
        self.entrance = entrance
        self.user = user
        self._opened: dict[str, _Opened] = {}
        self._early: dict[str, list[messages.Body]] = {}
        self._early_count = 0
        self._early_bytes = 0
        self._began_at = anyio.current_time()

    async def run(self) -> None:
        """Serve it until it ends, and close it."""
        try:
            await self.connection.run(self._handle)
        finally:
            for opened in list(self._opened.values()):
                opened.end()

    async def _handle(self, data: bytes) -> None:
        if data == messages.PING:
            self.connection.put(messages.PONG)
            return
        if data == messages.PONG:
            return
        address, body = messages.read_frame(data)
        opened = self._opened.get(address)
        if isinstance(body, messages.Token):
            if opened is None:
                await self._open(address, body.token)
            else:
                await opened.renew(body.token)
        elif opened is None:
            self._keep(address, body, len(data))
        elif isinstance(body, messages.Leave):
            opened.end()
        else:
            opened.member.hear(body)

    def _keep(self, address: str, body: messages.Body, size: int) -> None:
        """Keep a message until its document is open; the client does not wait for that."""
        limits = self.entrance.limits
        self._early_count += 1
        self._early_bytes += size
        if (
            self._early_count > limits.unauthenticated_messages_max
            or self._early_bytes > limits.message_bytes_max
        ):
            raise RemoteProtocolError("too much for documents that are not open")
        self._early.setdefault(address, []).append(body)

    async def _open(self, address: str, token: str) -> None:
        early = self._early.pop(address, [])
        if not self._early:
            self._early_count = self._early_bytes = 0
        prefix = encoded(address)
        limits = self.entrance.limits
        try:
            if len(self._opened) >= limits.documents_max or len(address) > _ADDRESS_LENGTH_MAX:
                raise NoEntry(AGAIN, f"no more than {limits.documents_max} documents at once")
            opened = await _Opened.join(self, address, prefix, token)
        except NoEntry as answer:
            self.connection.put(prefix + messages.refused_document(answer.reason))
            return
        self._opened[address] = opened
        for body in early:
            opened.member.hear(body)

    def forget(self, address: str) -> None:
        """A document is not open any more."""
        self._opened.pop(address, None)

    def check(self, now: float) -> None:
        """Look at the clock."""
        self.connection.check(now, self._keep_alive)
        if not self._opened and now - self._began_at >= self.entrance.limits.silence_timeout_s:
            self.connection.close(UNKNOWN_USER, "no token in time")
        for opened in list(self._opened.values()):
            self._began_at = now
            opened.check(now)

    def glance(self, now: float) -> Glance:
        """Return what an operator sees of it."""
        members = [opened.member for opened in self._opened.values()]
        return glance_at("hocuspocus", self.connection, members, now)

    def _keep_alive(self) -> None:
        for opened in self._opened.values():
            self.connection.put(opened.frame(messages.KEEP_ALIVE))
            return


class _Opened:
    """One document that a connection has open."""

    member: Member
    takes_stateless = True

    def __init__(self, door: HocuspocusDoor, address: str, prefix: bytes) -> None:
        self._door = door
        self._address = address
        self._prefix = prefix
        self._expired_at: float | None = None

    @classmethod
    async def join(cls, door: HocuspocusDoor, address: str, prefix: bytes, token: str) -> _Opened:
        opened = cls(door, address, prefix)
        document = address.partition("\0")[0]
        opened.member = await door.entrance.join(
            door.connection, document, token or None, door.user, opened
        )
        opened._let_in()
        opened.member.greet()
        return opened

    async def renew(self, token: str) -> None:
        """Take a fresh token."""
        try:
            identity = await self._door.entrance.identify(token or None, self._door.user)
        except NoEntry as answer:
            self.refuse(answer.reason)
            return
        if identity.user != self.member.identity.user:
            self.refuse("the fresh token is another user's")
            return
        self.member.identity = identity
        may_read = self.member.may_read
        if not may_read:
            self.refuse(may_read.reason or "you may read this document no more")
            return
        self._expired_at = None
        self._let_in()

    def _let_in(self) -> None:
        self._put(messages.let_in(may_write=bool(self.member.may_write)))

    def check(self, now: float) -> None:
        """Look at the clock."""
        self.member.check(now)
        if has_expired(self.member.identity):
            if self._expired_at is None:
                self._expired_at = now
                self._put(messages.QUERY_TOKEN)
            elif now - self._expired_at >= self._door.entrance.limits.renewal_timeout_s:
                self.refuse("the token has expired")

    def end(self) -> None:
        """Close the document."""
        self._door.forget(self._address)
        self.member.leave(anyio.current_time())

    def _put(self, body: bytes) -> None:
        self._door.connection.put(self.frame(body))

    def frame(self, body: bytes) -> bytes:
        return self._prefix + body

    def stored(self, *, stored: bool) -> None:
        self._put(messages.status(stored=stored))

    def read_only(self, reason: str) -> None:
        """Say nothing more: the client knows, and that it is not stored it was told."""

    def refuse(self, reason: str) -> None:
        self._put(messages.refused_document(reason))
        self.end()

    def come_again(self) -> None:
        self._door.connection.close(AGAIN, "the server cannot store or read at the moment")
