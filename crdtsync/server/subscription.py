"""One document as one connection follows it: a cursor, and what need not be sent.

A subscription goes on from the client's cursor if that is of this incarnation of the log, and the
log still reaches down to it: for an active connection that is promised. Else it begins where the
client's heads first lack something, and leaves out what they cover until it has reached the point
at which it was made; from there on it takes the same batches as all others. Where that is below the
log's base, or the client holds nothing, it is a *clone*: the document's snapshot is sent first, in
parts, and then what stands above it.

What a connection has pushed itself is not sent back: a batch that holds nothing else is replaced
by a frame that only moves the cursor. A batch in which there is something else is sent whole, as
to everyone: repeats are harmless, and a frame made for one connection is not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from crdtsync.log import Entry
from crdtsync.server.backend import Backend, SnapshotInfo
from crdtsync.server.batch import Batch, encode_entries, fitting
from crdtsync.server.channel import Channel
from crdtsync.sync import SnapshotPart, Subscribe, encode_frame
from crdtsync.vector import StateVector, covers

__all__ = ["Outgoing", "Subscription", "subscribe"]

_PART_OVERHEAD_BYTES = 128  # what a SnapshotPart holds besides its name and data
_LOGS_PUSHED_MAX = 64
"""Of how many logs it is remembered what this connection pushed; of more, it gets some back."""


class Outgoing(NamedTuple):
    """A frame to be sent.

    Attributes:
        upto: the offset it leads to.
        payload: the frame, encoded.
        entries: how many there are in it.
    """

    upto: int
    payload: bytes
    entries: int


class Subscription:
    """A connection's place in one document. Made by `subscribe`.

    Attributes:
        channel: the document.
        priority: lower numbers are sent first.
        cursor: what was sent reaches up to here.
        mode: `cursor`, `vector` or `clone`, as the client is told.
        honoured: the log is kept for it from its cursor on.
        held: everything up to here is durable at the client, as it says.
        goal: the client holds all that there was when it came, once it holds everything up to here.
        live: it was not replaced or ended.
        queued: it waits for its turn to send.
        completed: the client was told that it has everything.
    """

    __slots__ = (
        "_clone",
        "_covered_upto",
        "_position",
        "_pushed",
        "_vector",
        "_wake",
        "channel",
        "completed",
        "cursor",
        "goal",
        "held",
        "honoured",
        "live",
        "mode",
        "priority",
        "queued",
    )

    def __init__(
        self,
        channel: Channel,
        wake: Callable[[Subscription], None],
        priority: int,
        cursor: int,
        vector: StateVector | None,
        clone: SnapshotInfo | None = None,
        position: int = 0,
    ) -> None:
        self.channel = channel
        self.priority = priority
        self.cursor = cursor
        self.mode = "clone" if clone else "cursor" if vector is None else "vector"
        self.honoured = False
        self.held = 0 if clone else cursor
        self.goal = channel.offset
        self.live = True
        self.queued = False
        self.completed = False
        self._wake = wake
        self._vector = vector or {}  # emptied at `_covered_upto`
        self._covered_upto = channel.offset
        self._pushed: StateVector = {}
        self._clone = clone
        self._position = position

    @property
    def is_behind(self) -> bool:
        """Whether there is something to be sent."""
        return self._clone is not None or self.cursor < self.channel.offset

    def clone_anew(self) -> bool:
        """Begin again with the document's snapshot, if the log is not kept from here on any more.

        Returns:
            Whether that is so. Then the client must be told.
        """
        snapshot, channel = self.channel.snapshot, self.channel
        if snapshot is None and self._clone is not None:
            # It was dropped: something in it was erased. The log is there from its first entry.
            self.mode, self._clone, self._covered_upto = "vector", None, channel.offset
            self.cursor = self.held = 0
            self.goal, self.completed = channel.offset, False
            return True
        replaced = self._clone is not None and self._clone != snapshot
        if snapshot is None or not (replaced or self.cursor < channel.base):
            return False
        self.mode = "clone"
        self._clone, self._position, self._vector = snapshot, 0, {}
        self.cursor, self.held = snapshot.offset, 0
        self.goal = channel.offset
        self.completed = False
        return True

    def behind(self) -> None:
        """Take note that the log has grown."""
        self._wake(self)

    def end(self) -> None:
        """Take no more from the channel."""
        self.live = False
        self.channel.unfollow(self)

    def offered(self, entries: Sequence[Entry]) -> None:
        """Remember that the client holds these entries, because it has sent them."""
        pushed = self._pushed
        for entry in entries:
            if entry.replica in pushed or len(pushed) < _LOGS_PUSHED_MAX:
                pushed[entry.replica] = max(entry.seq, pushed.get(entry.replica, 0))

    def cached(self) -> Outgoing | None:
        """Return the next frame, if it takes no reading."""
        if self._clone is not None:
            return None
        if self._vector:
            if self.cursor < self._covered_upto:
                return None
            self._vector = {}
        batch = self.channel.cached(self.cursor)
        return None if batch is None else self._frame(batch)

    async def read(self, backend: Backend, frame_bytes_max: int) -> Outgoing | None:
        """Return the next frame. There must be one, not cached.

        None if what was to be read has been replaced: see `clone_anew`.

        Raises:
            StorageError: it could not be read.
        """
        if self._clone is not None:
            return await self._read_part(self._clone, backend, frame_bytes_max)
        if not self._vector:
            return self._frame(await self.channel.batch(self.cursor))
        document, cursor = self.channel.document, self.cursor
        rows = await backend.read(document, cursor, frame_bytes_max, upto=self._covered_upto)
        rows = rows[: fitting(rows, document, frame_bytes_max)]
        upto = rows[-1].offset
        lacked = [
            row.data for row in rows if row.seq > self._vector.get(row.replica, 0) or row.is_marked
        ]
        return Outgoing(upto, encode_entries(document, cursor, upto, lacked), len(lacked))

    async def _read_part(
        self, clone: SnapshotInfo, backend: Backend, frame_bytes_max: int
    ) -> Outgoing | None:
        document, position = self.channel.document, self._position
        room = max(1, frame_bytes_max - _PART_OVERHEAD_BYTES - len(document.encode()))
        data = await backend.read_snapshot(document, clone.id, position, room)
        if data is None:
            return None
        frame = SnapshotPart(document, clone.id, clone.offset, position, clone.size, data)
        self._position = position + len(data)
        if self._position >= clone.size:
            self._clone = None
        return Outgoing(clone.offset, encode_frame(frame), 0)

    def _frame(self, batch: Batch) -> Outgoing:
        if self._pushed and not batch.marked and covers(self._pushed, batch.tops):
            return Outgoing(batch.upto, batch.advance, 0)
        return Outgoing(batch.upto, batch.payload, batch.count)


async def subscribe(
    asked: Subscribe,
    channel: Channel,
    backend: Backend,
    wake: Callable[[Subscription], None],
) -> Subscription:
    """Find out where a subscription goes on from.

    Raises:
        StorageError: the log could not be read.
    """
    cursor = asked.cursor
    if (
        cursor is not None
        and cursor.epoch == backend.epoch
        and channel.base <= cursor.offset <= channel.offset
    ):
        return Subscription(channel, wake, asked.priority, cursor.offset, None)
    vector = {replica: head.seq for replica, head in asked.heads.items()}
    covered = await backend.covered(asked.document, vector) if vector else 0
    snapshot = channel.snapshot
    if snapshot is not None and (covered < channel.base or not vector):
        resume = asked.resume
        position = 0
        if resume is not None and resume.id == snapshot.id and resume.held < snapshot.size:
            position = resume.held
        return Subscription(
            channel, wake, asked.priority, snapshot.offset, None, snapshot, position
        )
    # The log may have grown since: what is new is above `channel.offset` or will be sent anyway.
    return Subscription(channel, wake, asked.priority, min(covered, channel.offset), vector)
