"""What is below `/inspect`.

| path | what is there |
|---|---|
| `session` | `POST` a token to sign in, `DELETE` to sign out |
| `api/me` | who looks |
| `api/documents?like=` | the documents |
| `api/document?name=` | what one holds |
| `api/log?name=&before=` | its entries, newest first |
| `api/away` | the connections whose clients are not here now |
| `api/live` | server-sent events: see `live` |
| others | the page and its files |

All data is JSON.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from crdtsync.server.access import decide
from crdtsync.server.authentication import Identity
from crdtsync.server.hub import Hub
from crdtsync.server.web.exchange import Exchange, Refused
from crdtsync.server.web.files import Files
from crdtsync.server.web.inspect.connections import glances, tell_away, tell_connections
from crdtsync.server.web.inspect.documents import Shelf
from crdtsync.server.web.inspect.feed import Feed
from crdtsync.server.web.inspect.live import Live
from crdtsync.server.web.inspect.sessions import Sessions, cookie
from crdtsync.server.web.inspect.told import Users
from crdtsync.server.yjs import Doors

__all__ = ["InspectPage"]

_READERS_MAX = 16


class InspectPage:
    """Answers what is asked below `/inspect`, while its context is open.

    Args:
        hub: the server.
        doors: its doors for Yjs clients.
    """

    def __init__(self, hub: Hub, doors: Doors) -> None:
        self._hub = hub
        self._doors = doors
        self._sessions = Sessions(hub.door)
        self._files = Files("inspect.html", ["style.css", "icon.svg", "inspect.css", "inspect.js"])
        backend = hub.channels.backend
        users = Users(backend)
        self._shelf = Shelf(backend, users)
        self._feed = Feed()
        self._live = Live(self._feed, users)
        self._readers = 0
        self._unwatch: Callable[[], None] | None = None

    def __enter__(self) -> Self:
        self._unwatch = self._hub.channels.backend.watch(self._feed.add)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._unwatch is not None
        self._unwatch()

    async def answer(self, exchange: Exchange) -> None:
        """Answer a request.

        Raises:
            Refused: it is not answered as it wished.
            StorageError: the storage could not be read.
        """
        folder, _, name = (exchange.path or "").partition("/")
        if exchange.path == "session":
            await self._sign(exchange)
        elif folder == "api":
            await self._tell(exchange, name)
        else:
            await self._files.answer(exchange)

    async def _sign(self, exchange: Exchange) -> None:
        exchange.only("POST", "DELETE")
        exchange.from_here()
        if exchange.method == "POST":
            token = (await exchange.body()).decode(errors="replace").strip()
            kept = cookie(*await self._sessions.begin(token), secure=exchange.is_secure)
        else:
            self._sessions.end(exchange)
            kept = cookie("", 0, secure=exchange.is_secure)
        await exchange.answer(204, headers=[kept, ("cache-control", "no-store")])

    async def _tell(self, exchange: Exchange, name: str) -> None:
        exchange.only("GET")
        exchange.from_here()
        identity = await self._sessions.identify(exchange)
        query = exchange.query

        def may_read(document: str) -> bool:
            return bool(decide(lambda: self._hub.door.policy.may_read(identity, document)))

        match name:
            case "me":
                told: Any = {"user": identity.user, "signed_in": not self._hub.believes}
            case "documents":
                found = glances(self._hub, self._doors)
                told = await self._shelf.list(query.get("like", ""), may_read, found)
            case "document":
                told = await self._shelf.show(_named(exchange, may_read))
            case "log":
                told = await self._shelf.log(_named(exchange, may_read), _offset(exchange))
            case "away":
                known = await self._hub.known_connections()
                told = tell_away(known, identity.user, may_read)
            case "live":
                await self._follow(exchange, identity, may_read)
                return
            case _:
                raise Refused(404, "there is nothing of this path")
        await exchange.answer_json(told)

    async def _follow(
        self, exchange: Exchange, identity: Identity, may_read: Callable[[str], bool]
    ) -> None:
        if exchange.method != "GET":
            raise Refused(405, "GET only")
        if self._readers >= _READERS_MAX:
            raise Refused(503, f"{_READERS_MAX} look already")
        self._readers += 1
        try:
            await self._live.stream(
                exchange,
                identity,
                may_read,
                lambda: tell_connections(glances(self._hub, self._doors), identity.user, may_read),
            )
        finally:
            self._readers -= 1


def _named(exchange: Exchange, may_read: Callable[[str], bool]) -> str:
    name: str = exchange.query.get("name", "")
    if not may_read(name):
        raise Refused(403, "you may not read this document")
    return name


def _offset(exchange: Exchange) -> int | None:
    before = exchange.query.get("before", "")
    if not before:
        return None
    if not (before.isascii() and before.isdigit()):
        raise Refused(400, "`before` is to be an offset")
    return int(before[:19])
