"""One document as one connection follows it: a cursor, and what need not be sent.

A subscription goes on from the client's cursor if that is of this incarnation of the log. Else it
begins where the client's heads first lack something, and leaves out what they cover until it has
reached the point at which it was made; from there on it takes the same batches as all others.

What a connection has pushed itself is not sent back: a batch that holds nothing else is replaced
by a frame that only moves the cursor. A batch in which there is something else is sent whole, as
to everyone: repeats are harmless, and a frame made for one connection is not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from crdtsync.log import Entry
from crdtsync.server.backend import Backend
from crdtsync.server.batch import Batch, encode_entries, fitting
from crdtsync.server.channel import Channel
from crdtsync.sync import Subscribe
from crdtsync.vector import StateVector, covers

__all__ = ["Subscription", "subscribe"]

_LOGS_PUSHED_MAX = 64
"""Of how many logs it is remembered what this connection pushed; of more, it gets some back."""


class Subscription:
    """A connection's place in one document. Made by `subscribe`.

    Attributes:
        channel: the document.
        priority: lower numbers are sent first.
        mode: `cursor` or `vector`, as the client is told.
        live: it was not replaced or ended.
        queued: it waits for its turn to send.
        completed: the client was told that it has everything.
    """

    __slots__ = (
        "_covered_upto",
        "_pushed",
        "_vector",
        "_wake",
        "channel",
        "completed",
        "cursor",
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
    ) -> None:
        self.channel = channel
        self.priority = priority
        self.cursor = cursor
        self.mode = "cursor" if vector is None else "vector"
        self.live = True
        self.queued = False
        self.completed = False
        self._wake = wake
        self._vector = vector or {}  # emptied at `_covered_upto`
        self._covered_upto = channel.offset
        self._pushed: StateVector = {}

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

    def cached(self) -> tuple[int, bytes] | None:
        """Return the next frame and the offset it leads to, if it takes no reading."""
        if self._vector:
            if self.cursor < self._covered_upto:
                return None
            self._vector = {}
        batch = self.channel.cached(self.cursor)
        return None if batch is None else self._frame(batch)

    async def read(self, backend: Backend, frame_bytes_max: int) -> tuple[int, bytes]:
        """Return the next frame and the offset it leads to. There must be one, not cached.

        Raises:
            StorageError: it could not be read.
        """
        if not self._vector:
            return self._frame(await self.channel.batch(self.cursor))
        document, cursor = self.channel.document, self.cursor
        rows = await backend.read(document, cursor, frame_bytes_max, upto=self._covered_upto)
        rows = rows[: fitting(rows, document, frame_bytes_max)]
        upto = rows[-1].offset
        lacked = (
            row.data for row in rows if row.seq > self._vector.get(row.replica, 0) or row.is_marked
        )
        return upto, encode_entries(document, cursor, upto, lacked)

    def _frame(self, batch: Batch) -> tuple[int, bytes]:
        if self._pushed and not batch.marked and covers(self._pushed, batch.tops):
            return batch.upto, batch.advance
        return batch.upto, batch.payload


async def subscribe(
    asked: Subscribe, channel: Channel, backend: Backend, wake: Callable[[Subscription], None]
) -> Subscription:
    """Find out where a subscription goes on from.

    Raises:
        StorageError: the log could not be read.
    """
    cursor = asked.cursor
    if cursor is not None and cursor.epoch == backend.epoch and cursor.offset <= channel.offset:
        return Subscription(channel, wake, asked.priority, cursor.offset, None)
    vector = {replica: head.seq for replica, head in asked.heads.items()}
    offset = await backend.covered(asked.document, vector) if vector else 0
    # The log may have grown since: what is new is above `channel.offset` or will be sent anyway.
    return Subscription(channel, wake, asked.priority, min(offset, channel.offset), vector)
