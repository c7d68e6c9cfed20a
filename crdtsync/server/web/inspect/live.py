"""The stream of server-sent events: entries as they arrive, and connections as they change.

| event | data |
|---|---|
| `entries` | `entries`, and `missed`: how many came that are not told |
| `connections` | what `tell_connections` gives, once and whenever it has changed |

Each message of entries bears a number, which a browser that was cut off shows again. Nothing is
queued: a reader that is slow is told less often, and misses what the feed does not keep.

References:
    WHATWG HTML, section 9.2, server-sent events.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from typing import Any

import anyio

from crdtsync.server.authentication import Identity
from crdtsync.server.web.exchange import Exchange
from crdtsync.server.web.inspect.feed import Feed
from crdtsync.server.web.inspect.told import Users, tell_entry

__all__ = ["Live"]

_PAUSE_S = 0.2
_LOOK_S = 1.0
_SILENCE_S = 15.0
_AT_ONCE_MAX = 100


class Live:
    """Tells readers what happens.

    Args:
        feed: the latest entries.
        users: who they are from.
    """

    def __init__(self, feed: Feed, users: Users) -> None:
        self._feed = feed
        self._users = users
        self._name = secrets.token_hex(4)  # numbers of another process mean nothing here

    async def stream(
        self,
        exchange: Exchange,
        identity: Identity,
        may_read: Callable[[str], bool],
        connections: Callable[[], Any],
    ) -> None:
        """Answer with the stream; it ends when the reader goes, or may look no longer.

        Args:
            exchange: the request.
            identity: who reads.
            may_read: tells which documents they may read.
            connections: returns what to tell of the connections.
        """
        headers = [("cache-control", "no-store"), ("x-accel-buffering", "no")]
        await exchange.begin(200, "text/event-stream; charset=utf-8", headers)
        async with anyio.create_task_group() as tasks:

            async def until_gone() -> None:
                await exchange.gone()
                tasks.cancel_scope.cancel()

            tasks.start_soon(until_gone)
            with anyio.move_on_after(_left_s(identity)):
                await self._tell(exchange, may_read, connections)
            tasks.cancel_scope.cancel()

    async def _tell(
        self,
        exchange: Exchange,
        may_read: Callable[[str], bool],
        connections: Callable[[], Any],
    ) -> None:
        at = self._number(exchange.headers.get("last-event-id", ""))
        told: Any = None
        told_at = anyio.current_time()
        await exchange.send(b"retry: 2000\n\n")
        while True:
            message = b""
            items = self._feed.after(at, _AT_ONCE_MAX)
            if items:
                missed = items[0].number - at - 1 if at else 0
                at = items[-1].number
                shown = [item for item in items if may_read(item.document)]
                entries = [await tell_entry(one.row, one.document, self._users) for one in shown]
                if entries or missed:
                    message = _event("entries", {"entries": entries, "missed": missed})
                    message = f"id: {self._name}-{at}\n".encode() + message
            found = connections()
            if found != told:
                told = found
                message += _event("connections", found)
            now = anyio.current_time()
            if not message and now - told_at >= _SILENCE_S:
                message = b":\n\n"  # a comment: only to find out whether there is somebody
            if message:
                told_at = now
                await exchange.send(message)
            await anyio.sleep(_PAUSE_S)
            with anyio.move_on_after(_LOOK_S):
                await self._feed.wait(at)

    def _number(self, shown: str) -> int:
        """Return where a reader has got to; 0 for one that begins."""
        name, _, number = shown.partition("-")
        known = name == self._name and number.isascii() and number.isdigit()
        return min(int(number), self._feed.end) if known else 0


def _event(name: str, data: Any) -> bytes:
    told = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return f"event: {name}\ndata: {told}\n\n".encode()


def _left_s(identity: Identity) -> float:
    """Return for how long somebody may look."""
    return float("inf") if identity.expires is None else max(0, identity.expires - time.time())
