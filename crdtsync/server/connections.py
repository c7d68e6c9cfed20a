"""The connections of a server: who is active, what each follows, and how far each has got.

A record changes only by the table in `crdtsync.server.lifecycle`, and by compare-and-set. Cursors
move all the time: they are gathered here and written in one go, now and then. That may lose the
last ones, which are only older then: the log is kept from further back than it had to be.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from crdtsync.errors import StorageError
from crdtsync.server.lifecycle import TRANSITIONS, Event, State
from crdtsync.server.records import ConnectionRecord, ConnectionStore, Followed, Move

__all__ = ["Connections", "unix_ms"]

_REASONS = {
    Event.COME_ALONE: "the only one of its user that is active",
    Event.COME: "new: it is given what its user follows elsewhere",
    Event.HOLD_ALL: "it holds all that it follows",
}


def unix_ms() -> int:
    """Return Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


class Connections:
    """Keeps the records of connections.

    Args:
        store: where they are kept.
        now: Unix time in milliseconds.
    """

    def __init__(self, store: ConnectionStore, now: Callable[[], int] = unix_ms) -> None:
        self._store = store
        self._now = now
        self._moves: dict[tuple[bytes, str], Followed | None] = {}
        self._seen: dict[bytes, int] = {}

    async def come(
        self, client: bytes, user: str | None, replica: int, *, room: bool = True
    ) -> ConnectionRecord:
        """Take note that a client has come, and return what its connection is.

        Args:
            client: its id.
            user: whose it is.
            replica: the id that it writes under.
            room: whether one more may be active.

        Raises:
            StorageError: it could not be read or stored.
        """
        while True:
            held = await self._store.connection(client)
            if held is None:
                now = self._now()
                held = ConnectionRecord(client, user, replica, State.UNKNOWN, "", now, now)
            event = Event.COME
            if held.state in {State.UNKNOWN, State.RETIRED} and room:
                others = [] if user is None else await self._store.connections(user)
                if not any(other.state is State.ACTIVE for other in others):
                    event = Event.COME_ALONE
            record = replace(held, user=user, replica=replica, last_seen=self._now())
            changed = self._changed(record, event, _REASONS[event])
            if await self._store.put_connection(changed):
                return replace(changed, version=held.version + 1)

    async def change(self, client: bytes, event: Event, reason: str) -> ConnectionRecord | None:
        """Let something happen to a connection; return what it is now, or None if nothing changed.

        Raises:
            StorageError: it could not be read or stored.
        """
        while True:
            held = await self._store.connection(client)
            if held is None or (held.state, event) not in TRANSITIONS:
                return None
            changed = self._changed(held, event, reason or _REASONS.get(event, ""))
            if await self._store.put_connection(changed):
                return replace(changed, version=held.version + 1)

    def _changed(self, record: ConnectionRecord, event: Event, reason: str) -> ConnectionRecord:
        to = TRANSITIONS[record.state, event].to
        if to is record.state:
            return record
        return replace(record, state=to, reason=reason, since=self._now())

    async def inherited(self, record: ConnectionRecord) -> dict[str, int]:
        """Return what the active connections of its user follow, each with its lowest priority.

        Raises:
            StorageError: it could not be read.
        """
        if record.user is None:
            return {}
        await self.flush()
        documents: dict[str, int] = {}
        for other in await self._store.connections(record.user):
            if other.state is State.ACTIVE:
                for document, one in (await self._store.followed(other.client)).items():
                    documents[document] = min(one.priority, documents.get(document, one.priority))
        return documents

    def moved(self, client: bytes, document: str, priority: int, offset: int | None) -> None:
        """Note that a client follows a document, and holds it up to an offset."""
        self._moves[client, document] = Followed(priority, offset)

    def left(self, client: bytes, document: str) -> None:
        """Note that a client follows a document no more."""
        self._moves[client, document] = None

    def seen(self, client: bytes) -> None:
        """Note that a client is on line."""
        self._seen[client] = self._now()

    async def flush(self) -> None:
        """Write down what was noted.

        Raises:
            StorageError: it could not be; it is tried again the next time.
        """
        if not self._moves and not self._seen:
            return
        moves, self._moves = self._moves, {}
        seen, self._seen = self._seen, {}
        try:
            await self._store.note([Move(*key, one) for key, one in moves.items()], seen)
        except StorageError:
            self._moves = {**moves, **self._moves}
            self._seen = {**seen, **self._seen}
            raise

    async def listed(self) -> Mapping[bytes, ConnectionRecord]:
        """Return all records by their clients.

        Raises:
            StorageError: they could not be read.
        """
        return {record.client: record for record in await self._store.connections()}
