"""A room: one document while Yjs clients have it open.

It holds the document, materialized from the log. One task does all its work, in turns: it takes in
what the log has got meanwhile, from whomever, and tells it to everybody as one update; then it
takes all that its members have written meanwhile, makes entries of it, and has them stored
together. So the document never holds what is not durable, nothing is told that is not, and the more
there is to do, the more is done at once.

Read next: `replay` (the document), `drafts` (the entries), `recent` (what is told).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import anyio
import pycrdt

from crdtsync import events
from crdtsync.document.crdt import panics_as_errors
from crdtsync.errors import EntryError, StorageError
from crdtsync.log import Entry
from crdtsync.server.backend import Added, Backend, Row
from crdtsync.server.channel import Channel
from crdtsync.server.yjs.drafts import Draft, Verdict, Write, Writer, make_drafts
from crdtsync.server.yjs.limits import YjsLimits
from crdtsync.server.yjs.recent import Recent, united
from crdtsync.server.yjs.replay import Replay
from crdtsync.server.yjs.scribe import PART_BYTES_MAX, Scribe
from crdtsync.telemetry import SERVER_APPENDS, now
from crdtsync.update import divide, nests_too_deeply

__all__ = ["Member", "Room"]


class Member(Writer, Protocol):
    """A connection's part in a room."""

    def news(self) -> None:
        """Take note that there is something to be told; must return at once."""

    def pass_on(self, body: bytes) -> None:
        """Pass a message of another member's app on; must return at once."""

    def fail(self) -> None:
        """Take note that the room is of no use any more; must return at once."""


class _Written(NamedTuple):
    """An entry that is being stored, and whose it is."""

    entry: Entry
    writer: Writer


class Room:
    """One document. Made, and given back, through `Rooms`.

    Args:
        channel: the document's.
        backend: where its log is.
        scribe: writes it.
        limits: what it may cost.

    Attributes:
        members: who is to be told what happens.
        presence: who is there.
        recent: what has changed lately.
    """

    def __init__(
        self,
        channel: Channel,
        backend: Backend,
        scribe: Scribe,
        limits: YjsLimits,
    ) -> None:
        self.channel = channel
        self.scribe = scribe
        self.presence = channel.presence
        self.recent = Recent(limits.recent_bytes_max)
        self.members: set[Member] = set()
        self._backend = backend
        self._replay = Replay(channel.document)
        self._arrived: list[Row] = []
        self._inbox: list[Write] = []
        self._underway: dict[tuple[int, int], _Written] = {}  # by replica and number
        self._bell = anyio.Event()
        self._closed = False
        self._spoiled = False
        self.presence.watchers.add(self.tell)

    @property
    def document(self) -> str:
        """The document's name."""
        return self.channel.document

    @property
    def doc(self) -> pycrdt.Doc[Any]:
        """The document. To be read only."""
        return self._replay.doc

    async def load(self) -> None:
        """Materialize the document. Called once, before anything else.

        Raises:
            StorageError: it could not be read.
        """
        await self._replay.read(self._backend)

    def extend(self, added: Added) -> None:
        """Take note that the log has grown, or that something in it is not what it was."""
        self._arrived += added.rows
        self._spoiled |= added.rewritten
        self._bell.set()

    def submit(self, write: Write) -> None:
        """Have changes stored."""
        self._inbox.append(write)
        self._bell.set()

    def difference(self, state: bytes) -> bytes:
        """Return what somebody lacks who has this state."""
        with panics_as_errors():
            return self._replay.doc.get_update(state)

    def has(self, update: bytes) -> bool:
        """Tell whether an update would change nothing. It may be anything."""
        if nests_too_deeply(update):
            return False
        try:
            division = divide(update, self._replay.clocks, PART_BYTES_MAX)
        except ValueError:
            return False
        new = division.parts or self._replay.deleted.lacking(division.deletions)
        return division.complete and not new

    def tell(self) -> None:
        """Have all members look for news."""
        for member in self.members:
            member.news()

    def close(self) -> None:
        """Let the room's task end."""
        self._closed = True
        self._bell.set()

    def dispose(self) -> None:
        """Let the document go."""
        self.presence.watchers.discard(self.tell)
        self._replay.close()

    async def run(self) -> None:
        """Do the room's work until it is closed."""
        while not self._closed:
            await self._bell.wait()
            self._bell = anyio.Event()
            await self._turn()

    async def _turn(self) -> None:
        if self._arrived and not self._spoiled:
            rows, self._arrived = self._arrived, []
            self._take(rows)
        writes, self._inbox = self._inbox, []
        try:
            if self._spoiled:
                await self._read_anew()
            if writes:
                await self._write(writes)
        except StorageError as error:
            events.ROOM_UNSTORED.log(document=self.document, error=error)
            for write in writes:
                write.told(Verdict(unavailable=True))

    def _take(self, rows: Sequence[Row]) -> None:
        """Apply what the log has got, and tell it."""
        before = self.doc.get_state()
        known = {name: written.entry for name, written in self._underway.items()}
        entries = self._replay.take(rows, known)
        if entries is None:
            self._spoiled = True
            return
        if not entries:
            return
        writers = {self._writer_of(entry) for entry in entries}
        update = united([entry.update for entry in entries], self.doc, before)
        self.recent.put(update, before, writers.pop() if len(writers) == 1 else None)
        self.tell()

    def _writer_of(self, entry: Entry) -> Writer | None:
        written = self._underway.pop((entry.replica, entry.seq), None)
        return None if written is None else written.writer

    async def _read_anew(self) -> None:
        await self._replay.read_anew(self._backend)
        self._spoiled = False
        self._underway.clear()
        self.recent.restart()
        self.tell()

    async def _write(self, writes: Sequence[Write]) -> None:
        """Make entries of changes, store them, and tell their writers."""
        replay = self._replay
        self.scribe.see(replay.latest)
        try:
            drafts = await make_drafts(
                writes,
                replay.clocks,
                replay.deleted,
                self.scribe,
                self.channel,
                has_fields=replay.has_fields,
            )
            entries = [entry for draft in drafts for entry in draft.entries]
            if entries:
                self._underway |= {
                    (entry.replica, entry.seq): _Written(entry, draft.writes[0].member)
                    for draft in drafts
                    for entry in draft.entries
                }
                began = now()
                await self._backend.append(self.document, entries)
                SERVER_APPENDS.since(began)
            self.scribe.stored()
        except EntryError as error:
            # Somebody else has written one of the logs: it is not ours, as a new look will show.
            events.ROOM_OVERTAKEN.log(document=self.document, error=error)
            self._abandon()
            drafts = [Draft(list(writes), [], Verdict(unavailable=True))]
        except BaseException:
            self._abandon()
            raise
        for draft in drafts:
            draft.tell()

    def _abandon(self) -> None:
        self.scribe.abandoned()
        self._underway.clear()
