"""The keeper: sees to it that what is kept for connections stays within its limits.

- **Room.** One more active connection, where there are too many, costs another its cursors; whose,
  the policy says.
- **Lag.** Who is too far behind, or away for too long, is downgraded.
- **History.** When much stands above a document's snapshot another is taken. What is below the
  lowest cursor that is honoured, and in a snapshot, is not kept for anybody: the log begins there.

Nothing here is urgent, and nothing is lost if it fails: it is tried again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Container, Iterable, Sequence

from crdtsync import events
from crdtsync.errors import StorageError
from crdtsync.server.backend import Backend
from crdtsync.server.channel import Channel, Channels
from crdtsync.server.connections import Connections, unix_ms
from crdtsync.server.lifecycle import State
from crdtsync.server.limits import ServerLimits
from crdtsync.server.policy import Candidate, ConnectionPolicy, overdue
from crdtsync.server.records import ConnectionRecord, Lag
from crdtsync.server.snapshots import take_snapshot

__all__ = ["Keeper"]


class Keeper:
    """Keeps a server within its limits.

    Args:
        backend: where everything is.
        channels: the documents in use.
        connections: the records of connections.
        limits: see `ConnectionLimits`, and those on what is hot.
        policy: says who is downgraded.
        online: the clients that are connected.
        downgrade: downgrades a client's connection, with a reason.
        drop: forget entries that are not kept for anybody; else they can still be read.
    """

    def __init__(
        self,
        backend: Backend,
        channels: Channels,
        connections: Connections,
        limits: ServerLimits,
        policy: ConnectionPolicy,
        online: Container[bytes],
        downgrade: Callable[[bytes, str], Awaitable[None]],
        *,
        drop: bool,
    ) -> None:
        self._backend = backend
        self._channels = channels
        self._connections = connections
        self._limits = limits
        self._policy = policy
        self._online = online
        self._downgrade = downgrade
        self._drop = drop
        self._active = 0  # as of the last look, and what has come since

    # --- room ----------------------------------------------------------------------------------

    @property
    def has_room(self) -> bool:
        """Whether one more connection may be active, as far as their number in all goes."""
        return self._active < self._limits.connection.active_max

    async def make_room(self, record: ConnectionRecord) -> str | None:
        """Make room for one more active connection; say what it lacks, if there is none to be made.

        Who is on line does not have to go for it: else two that are would take turns.

        Raises:
            StorageError: it could not be seen who there is.
        """
        limits = self._limits.connection
        if record.user is not None:
            others = [one for one in await self._backend.connections(record.user) if _is_on(one)]
            excess = len(others) + 1 - limits.per_user_max
            reason = f"per_user_max={limits.per_user_max:,}: another of its user came"
            if not await self._downgrade_some(self._away(others), excess, reason):
                return f"its user has {len(others):,} active connections"
        if not self.has_room:
            everybody = [one for one in await self._backend.connections() if _is_on(one)]
            self._active = len(everybody)
            excess = len(everybody) + 1 - limits.active_max
            reason = f"active_max={limits.active_max:,}: another came"
            if not await self._downgrade_some(self._away(everybody), excess, reason):
                return f"the server has {len(everybody):,} active connections"
        self._active += 1
        return None

    async def _downgrade_some(
        self, candidates: Sequence[Candidate], excess: int, reason: str
    ) -> bool:
        """Downgrade whom the policy chooses; tell whether these are enough."""
        if excess <= 0:
            return True
        offered = {one.record.client for one in candidates}
        chosen = {one.record.client for one in self._policy.choose(candidates, excess)} & offered
        for client in sorted(chosen):
            await self._downgrade(client, reason)
        self._active -= len(chosen)
        return len(chosen) >= excess

    def _away(self, records: Iterable[ConnectionRecord]) -> list[Candidate]:
        return [one for one in self._candidates(records) if not one.online]

    def _candidates(
        self, records: Iterable[ConnectionRecord], lags: dict[bytes, Lag] | None = None
    ) -> list[Candidate]:
        now = unix_ms()
        found = []
        for record in records:
            lag = (lags or {}).get(record.client, Lag(0, 0))
            online = record.client in self._online
            idle_s = 0 if online else max(0, now - record.last_seen) / 1000
            found.append(Candidate(record, online, *lag, idle_s))
        return found

    # --- lag -----------------------------------------------------------------------------------

    async def look_after_connections(self) -> None:
        """Downgrade those that are too far behind, and the least valuable of those too many.

        Raises:
            StorageError: it could not be seen, or not be done.
        """
        await self._connections.flush()
        limits = self._limits.connection
        records = {
            client: r for client, r in (await self._connections.listed()).items() if _is_on(r)
        }
        self._active = len(records)
        lags: defaultdict[bytes, Lag] = defaultdict(lambda: Lag(0, 0))
        crowded: list[tuple[str, set[bytes]]] = []
        for crowd in await self._backend.crowds():
            if crowd.cursors <= limits.per_document_max and crowd.floor >= crowd.offset:
                continue
            found = await self._backend.lags(crowd.document)
            for client, lag in found.items():
                before = lags[client]
                lags[client] = Lag(before.entries + lag.entries, before.size + lag.size)
            if crowd.cursors > limits.per_document_max:
                crowded.append((crowd.document, set(found)))
        left: dict[bytes, Candidate] = {}
        for one in self._candidates(records.values(), lags):
            reason = overdue(one, limits)
            if reason is None:
                left[one.record.client] = one
            else:
                await self._downgrade(one.record.client, reason)
        for document, clients in crowded:
            there = [left[client] for client in sorted(clients & left.keys())]
            excess = len(there) - limits.per_document_max
            reason = f"per_document_max={limits.per_document_max:,}: too many follow {document!r}"
            await self._downgrade_some(there, excess, reason)
        self._active = len(left)

    # --- history -------------------------------------------------------------------------------

    async def look_after_history(self) -> None:
        """Take snapshots, and let logs begin where they are kept for somebody.

        A document for which that fails is left as it is, and does not keep the others waiting.
        """
        for document in sorted(self._channels.take_used()):
            try:
                channel = await self._channels.join(document)
                try:
                    await self._look_after(channel)
                finally:
                    self._channels.leave(channel, unused=True)
            except StorageError as error:
                problem = f"the history of {document!r} is left as it is"
                events.STORAGE_FAILED.log(problem=problem, error=error)

    async def _look_after(self, channel: Channel) -> None:
        limits = self._limits
        size = 0 if channel.snapshot is None else channel.snapshot.size
        if channel.hot_entries > limits.hot_entries_max or channel.hot_bytes > max(
            limits.hot_bytes_max, size
        ):
            taken = await take_snapshot(self._backend, channel.document)
            if taken is not None:
                channel.snapshotted(taken)
            else:  # it is not tried again before there is as much to gain again
                channel.hot_entries = channel.hot_bytes = 0
        snapshot = channel.snapshot
        if snapshot is None or snapshot.offset <= channel.base:
            return
        await self._connections.flush()
        floor = await self._backend.floor(channel.document)
        # From here on a subscription begins above the base, or counts among those that are there.
        upto = min(snapshot.offset, channel.lowest())
        if floor is not None:
            upto = min(upto, floor)
        if upto <= channel.base:
            return
        channel.base = upto
        while await self._backend.trim(channel.document, upto, drop=self._drop) < upto:
            pass


def _is_on(record: ConnectionRecord) -> bool:
    return record.state is State.ACTIVE
