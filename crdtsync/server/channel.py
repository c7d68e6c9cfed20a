"""Channels: for each document that someone follows, where its log ends and who is to be told.

The log is the only queue. A follower has a cursor, and asks its channel for the batch that goes on
from there; it does not matter how far behind it is. Additions that come in while nobody has asked
for them gather into one batch, and all followers at one cursor get that same batch: encoded once,
or, where it is no longer cached, read once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import anyio

from crdtsync.errors import SealError
from crdtsync.log import Entry, Head, decode_entry
from crdtsync.proof import Prover
from crdtsync.server.backend import Added, Backend, Row, SnapshotInfo, State
from crdtsync.server.batch import Batch, BatchCache, fitting
from crdtsync.server.limits import ServerLimits
from crdtsync.server.presence import Presence
from crdtsync.server.timekeeper import Timekeeper
from crdtsync.server.views import DocumentView
from crdtsync.telemetry import SERVER_ENTRIES

__all__ = ["Channel", "Channels", "Follower"]


class Follower(Protocol):
    """Someone who wants to know that a document has grown.

    Attributes:
        cursor: it has got there.
        honoured: the log is kept for it from there on.
    """

    cursor: int
    honoured: bool

    def behind(self) -> None:
        """Take note that there is more than was there; must return at once."""


class Channel:
    """One document, as all its followers see it. Made by `Channels.join`.

    Attributes:
        document: its name.
        offset: of its newest entry.
        heads: the ends of its logs, at `offset`. Not to be changed by others.
        base: the log below it is not kept for anybody.
        snapshot: what is given to those who are below, if there is one.
        hot_entries: entries above the snapshot, as far as known.
        hot_bytes: bytes of these.
        view: what it holds, for policies that ask.
        presence: who is in it.
        firsts: the first entries of logs that were pushed to, for their keys.
        prover: tells whether what is pushed is proved to be its authors'.
    """

    def __init__(
        self, document: str, backend: Backend, cache: BatchCache, limits: ServerLimits
    ) -> None:
        self.document = document
        self.offset = 0
        self.heads: dict[int, Head] = {}
        self.base = 0
        self.snapshot: SnapshotInfo | None = None
        self.hot_entries = 0
        self.hot_bytes = 0
        self.users = 0
        self.view = DocumentView(document)
        self.presence = Presence(limits.presence)
        self.firsts: dict[int, Entry] = {}
        self.prover = Prover(self.firsts.get)
        self._backend = backend
        self._cache = cache
        self._frame_bytes_max = limits.wire.frame_bytes_max
        self._followers: set[Follower] = set()
        self._resting: set[Follower] = set()
        self._gathered: list[Row] = []  # additions after `_sealed` that are in no batch yet
        self._gathered_bytes = 0
        self._sealed = 0
        self._early: list[Added] | None = []  # what was added while the state was being read
        self._lock = anyio.Lock()
        self._rewritings = 0

    async def check_seals(self, entries: Sequence[Entry]) -> None:
        """Check that entries are proved to be their authors'.

        Raises:
            SealError: they are not.
            StorageError: it could not be read whose key is whose.
        """
        for replica in {entry.replica for entry in entries}.intersection(self.heads):
            if replica not in self.firsts:
                data = await self._backend.entry(self.document, replica, 1)
                if data is not None:
                    self.firsts[replica] = decode_entry(data)
        count = self.prover.proved(entries, self.heads)
        if count < len(entries):
            raise SealError(
                "it is not sealed",
                document=self.document,
                replica=entries[count].replica,
                seq=entries[count].seq,
            )

    async def load(self) -> None:
        """Learn where the log ends; does nothing where that is known.

        Raises:
            StorageError: it could not be read. The next caller tries again.
        """
        async with self._lock:
            if self._early is None:
                return
            self._begin(await self._backend.state(self.document))

    def _begin(self, state: State) -> None:
        early, self._early = self._early or [], None
        self.offset = self._sealed = state.offset
        self.heads = state.heads
        self.base, self.snapshot = state.base, state.snapshot
        self.hot_entries = state.offset - (0 if state.snapshot is None else state.snapshot.offset)
        for added in early:
            if added.rows[-1].offset > self.offset:
                self.extend(added)

    def extend(self, added: Added) -> None:
        """Take in an addition to the log. Called in the order of offsets."""
        if self._early is not None:
            self._early.append(added)
            return
        assert added.rows[0].offset > self.offset, "additions come in the order of offsets"
        self.offset = added.rows[-1].offset
        self.heads |= added.heads
        self.hot_entries += len(added.rows)
        self.hot_bytes += sum(len(row.data) for row in added.rows)
        if added.rewritten:
            self._rewritings += 1
        if added.unsnapshotted:
            self.base, self.snapshot, self.hot_entries = 0, None, self.offset
        if not self._followers or added.rewritten:
            self._forget()
        else:
            self._gather(added)
        resting, self._resting = self._resting, set()
        for follower in resting:
            follower.behind()

    def _gather(self, added: Added) -> None:
        self._gathered += added.rows
        self._gathered_bytes += sum(len(row.data) for row in added.rows)
        if self._gathered_bytes >= self._frame_bytes_max:
            # Where nobody asks, the cache's bound is the bound.
            self._seal()

    def follow(self, follower: Follower) -> None:
        """Add a follower; it counts as behind until it rests."""
        self._followers.add(follower)

    def rest(self, follower: Follower) -> None:
        """Have a follower told of the next addition. It must hold all that there is."""
        self._resting.add(follower)

    def unfollow(self, follower: Follower) -> None:
        """Remove a follower."""
        self._followers.discard(follower)
        self._resting.discard(follower)
        if not self._followers:
            self._forget()

    def lowest(self) -> int:
        """Return the lowest offset at which somebody reads for whom the log is kept."""
        honoured = (follower.cursor for follower in self._followers if follower.honoured)
        return min(honoured, default=self.offset)

    def snapshotted(self, snapshot: SnapshotInfo) -> None:
        """Take note of a new snapshot."""
        self.snapshot = snapshot
        self.hot_entries = self.offset - snapshot.offset
        self.hot_bytes = 0

    def cached(self, after: int) -> Batch | None:
        """Return the batch that goes on from an offset, if it takes no reading."""
        if self._gathered:
            self._seal()
        return self._cache.get(self.document, after)

    async def batch(self, after: int) -> Batch:
        """Return the batch that goes on from an offset below the newest.

        Raises:
            StorageError: it could not be read.
        """
        async with self._lock:
            # All who miss the same batch wait here for the first of them to read it.
            batch = self.cached(after)
            while batch is None:
                rewritings = self._rewritings
                rows = await self._backend.read(
                    self.document, after, self._frame_bytes_max, upto=self.offset
                )
                assert rows, f"{self.document!r} holds nothing between {after} and {self.offset}"
                rows = rows[: fitting(rows, self.document, self._frame_bytes_max)]
                if rewritings == self._rewritings:  # else they may be as they were before
                    batch = Batch(self.document, after, rows)
                    self._cache.put(batch)
            return batch

    def _seal(self) -> None:
        rows = self._gathered
        while rows:
            count = fitting(rows, self.document, self._frame_bytes_max)
            batch = Batch(self.document, self._sealed, rows[:count])
            self._cache.put(batch)
            self._sealed = batch.upto
            rows = rows[count:]
        self._forget()

    def _forget(self) -> None:
        self._sealed = self.offset
        self._gathered = []
        self._gathered_bytes = 0


class Channels:
    """The channels in use.

    Args:
        backend: where the logs are.
        limits: how large frames and their cache may be.

    Attributes:
        timekeeper: says as of when entries count that come in.
    """

    def __init__(self, backend: Backend, limits: ServerLimits) -> None:
        self.backend = backend
        self.timekeeper = Timekeeper(limits.ahead_max_s)
        self._limits = limits
        self._cache = BatchCache(limits.cache_bytes_max)
        self._channels: dict[str, Channel] = {}
        self._left: set[str] = set()  # documents that are in use no more

    def __len__(self) -> int:
        return len(self._channels)

    def take_used(self) -> set[str]:
        """Return the documents that were in use since the last call."""
        used, self._left = self._left.union(self._channels), set()
        return used

    def watch(self) -> Callable[[], None]:
        """Begin to take in what is added to the backend; returns the cancel function."""
        return self.backend.watch(self._extend)

    async def join(self, document: str) -> Channel:
        """Return a document's channel; each join is followed by one `leave`.

        Raises:
            StorageError: the document cannot be read. It was not joined.
        """
        channel = self._channels.get(document)
        if channel is None:
            channel = Channel(document, self.backend, self._cache, self._limits)
            self._channels[document] = channel
        channel.users += 1
        try:
            await channel.load()
        except BaseException:
            self.leave(channel)
            raise
        return channel

    def check(self, now: float) -> None:
        """Look at the clock."""
        for channel in list(self._channels.values()):
            channel.presence.expire(now)

    def leave(self, channel: Channel, *, unused: bool = False) -> None:
        """Give a channel back; the last one to do so closes it.

        Args:
            channel: the one that was joined.
            unused: nothing can have come of it.
        """
        channel.users -= 1
        if channel.users == 0:
            del self._channels[channel.document]
            if not unused:
                self._left.add(channel.document)

    @property
    def cached_bytes(self) -> int:
        """How much memory the encoded entries take that are kept for whoever is next."""
        return self._cache.bytes

    def _extend(self, added: Added) -> None:
        if added.rewritten:
            self._cache.forget(added.document)
        else:
            SERVER_ENTRIES.add(len(added.rows), "in")
        channel = self._channels.get(added.document)
        if channel is not None:
            channel.extend(added)
