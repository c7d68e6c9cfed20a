"""A ledger: one document's logs as they are stored, ours and those received.

It knows entries, chains and causal order, and nothing of CRDTs. What it admits it stores; what is
stored is told to the live document, if one is open. An entry is admitted when the entry before it
and everything its author had seen are here; until then it is held back, in bounds.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import apsw

from crdtsync.document import Snapshot
from crdtsync.errors import (
    BrokenChainError,
    CorruptLogError,
    EntryError,
    ForkError,
    MalformedEntryError,
    SequenceGapError,
    StorageError,
)
from crdtsync.log import (
    EMPTY_HEAD,
    Cursor,
    Dependency,
    Entry,
    Head,
    check_follows,
    check_structs,
    decode_entry,
    make_entry,
)
from crdtsync.replica.store import Progress
from crdtsync.vector import difference

if TYPE_CHECKING:
    from crdtsync.clock import HybridLogicalClock
    from crdtsync.limits import Limits
    from crdtsync.replica.store import Store

__all__ = ["Ledger", "Missing", "Received"]

_log = logging.getLogger("crdtsync.replica")


class Missing(NamedTuple):
    """A stored entry that somebody else lacks."""

    replica: int
    seq: int
    data: bytes


class Received(NamedTuple):
    """What became of entries that came in.

    Attributes:
        new: how many were stored.
        held: how many wait for entries before them.
    """

    new: int
    held: int


class Ledger:
    """One document's logs.

    Args:
        store: the file.
        name: the document's.
        clock: the replica's.
        user: who acts here.
        limits: what an entry may be.
        appended: called with the document's name after each entry of ours.

    Attributes:
        heads: the end of every log held.
        users: who uses each replica, as its log says.
        cursor: how far we have got in the server's log.
        sent: number up to which our entries may have been seen by others.
        acknowledged: number up to which they are durable at the server.
        apply: is told of entries stored from elsewhere.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        *,
        clock: HybridLogicalClock,
        user: str | None,
        limits: Limits,
        appended: Callable[[str], None],
    ) -> None:
        self.name = name
        self.replica = store.replica
        self.apply: Callable[[Sequence[Entry]], None] | None = None
        self._store = store
        self._clock = clock
        self._user = user
        self._limits = limits
        self._appended = appended
        self._held: dict[tuple[int, int], Entry] = {}
        self._held_bytes = 0
        self.damage: list[CorruptLogError] = []
        self._document = self.number = self._number()
        try:
            self._read()
        except CorruptLogError:
            self.set_damage_aside()

    # --- what is stored ------------------------------------------------------------------------

    def _number(self) -> int:
        entries = self._store.entries
        try:
            number = entries.document_id(self.name)
            if number is None:
                if self._store.read_only:
                    raise StorageError(f"there is no document {self.name!r}", path=self._store.path)
                with self._store.file.transaction():
                    number = entries.add_document(self.name)
        except apsw.Error as error:
            raise self._store.file.error(error) from error
        return number

    def _read(self) -> None:
        """Read how far every log goes."""
        entries, number = self._store.entries, self._document
        self.heads: dict[int, Head] = {}
        own_place = 0
        places: dict[int, int] = {}
        try:
            for replica in entries.replicas(number):
                place, data = entries.last(number, replica)
                entry = self._check(data, replica, place)
                self.heads[replica] = Head(entry.seq, entry.hash)
                places[replica] = place
                if replica == self.replica:
                    own_place = place
                    self._clock.resume(entry.time)
                else:
                    self._clock.see(entry.time)
            self._position = entries.last_position(number)
            self._count = sum(head.seq for head in self.heads.values())
            self.users: dict[int, str] = self._store.users(number)
            self.sent, self.acknowledged, self.cursor = self._store.progress(number)
        except apsw.Error as error:
            raise self._store.file.error(error) from error
        # Heads that became known since our last entry: the next one depends on them.
        self._fresh = {replica for replica, place in places.items() if place > own_place}

    def _check(self, data: bytes, replica: int, position: int) -> Entry:
        try:
            entry = decode_entry(data, self._limits)
        except MalformedEntryError as error:
            raise self._corrupt(error.reason, replica, 0, position) from error
        if entry.document != self.name or entry.replica != replica:
            raise self._corrupt("it belongs elsewhere", replica, entry.seq, position)
        return entry

    def _corrupt(self, reason: str, replica: int, seq: int, position: int) -> CorruptLogError:
        return CorruptLogError(
            reason,
            path=self._store.path,
            document=self.name,
            replica=replica,
            seq=seq,
            position=position,
        )

    def _read_sound(self) -> None:
        """Read how far every log goes, where what is stored is damaged."""
        if not self._store.read_only:
            self._read()
            return
        self._position = self._store.entries.last_position(self._document)
        self.users = self._store.users(self._document)
        self.sent, self.acknowledged, self.cursor = self._store.progress(self._document)
        self._fresh = set()
        self.heads = {}
        for found in self.audit():
            if isinstance(found, Entry):
                self.heads[found.replica] = Head(found.seq, found.hash)
        self._count = sum(head.seq for head in self.heads.values())

    def audit(self) -> Iterator[Entry | CorruptLogError]:
        """Read every stored row in order and say of each whether it fits where it stands.

        What follows a damaged entry in its log, or depends on one, does not fit either.
        """
        heads: dict[int, Head] = {}
        for position, replica, seq, data in self._store.entries.rows(self._document):
            try:
                entry = self._check(data, replica, position)
                head = heads.get(replica, EMPTY_HEAD)
                if entry.seq != seq:
                    raise self._corrupt(
                        f"it says that it is entry {entry.seq}", replica, seq, position
                    )
                check_follows(entry, head)
                check_structs(entry)
                if not _ready(entry, head, heads):
                    raise self._corrupt("an entry it depends on is missing", replica, seq, position)
            except CorruptLogError as error:
                yield self._corrupt(error.reason, replica, seq, position)
            except EntryError as error:
                yield self._corrupt(error.reason, replica, seq, position)
            else:
                heads[replica] = Head(entry.seq, entry.hash)
                yield entry

    def set_damage_aside(self) -> None:
        """Keep what does not fit any more out of the way, so that the rest can be read.

        The rows are moved to a table of their own, none is deleted. What the server still has of
        them is received again.
        """
        self.damage = [found for found in self.audit() if isinstance(found, CorruptLogError)]
        for error in self.damage:
            _log.error("%s", error)
        if not self._store.read_only:
            with self._store.file.transaction():
                for error in self.damage:
                    self._store.entries.move(
                        self._document, error.position, "damaged", error.reason
                    )
        self._read_sound()

    def _learn_user(self, entry: Entry) -> None:
        user = entry.user
        if user is not None:
            self._store.write_user(self._document, entry.replica, user)
            self.users[entry.replica] = user

    @property
    def vector(self) -> dict[int, int]:
        """The state vector of all that is stored."""
        return {replica: head.seq for replica, head in self.heads.items()}

    @property
    def next_seq(self) -> int:
        """The number our next entry will have."""
        return self.heads.get(self.replica, EMPTY_HEAD).seq + 1

    @property
    def count(self) -> int:
        """How many entries are stored."""
        return self._count

    def entries(self, after: int = 0) -> Iterator[tuple[int, Entry]]:
        """Yield (position, entry) in the order of arrival, each checked against its chain.

        Raises:
            CorruptLogError: an entry does not fit. Those yielded before it are sound.
        """
        heads: dict[int, Head] = {}
        skipped = {error.position for error in self.damage}
        try:
            for position, data in self._store.entries.read(self._document, after, self._position):
                if position in skipped:
                    continue
                try:
                    entry = decode_entry(data, self._limits)
                    head = heads.get(entry.replica)
                    if head is None:
                        head = Head(entry.seq - 1, entry.previous_hash) if after else EMPTY_HEAD
                    check_follows(entry, head)
                except EntryError as error:
                    raise self._corrupt(
                        error.reason, error.replica or 0, error.seq or 0, position
                    ) from error
                if entry.document != self.name:
                    raise self._corrupt("it belongs elsewhere", entry.replica, entry.seq, position)
                heads[entry.replica] = Head(entry.seq, entry.hash)
                yield position, entry
        except apsw.Error as error:
            raise self._store.file.error(error) from error

    # --- what we do ----------------------------------------------------------------------------

    def tick(self) -> int:
        """Return the time of a new action."""
        return self._clock.tick()

    def record(
        self, time: int, name: str, arguments: dict[str, Any], update: bytes, schema_version: int
    ) -> Entry:
        """Make our next entry and store it. When this returns, the action has happened.

        Raises:
            StorageError, LimitError: nothing was stored.
        """
        heads, replica = self.heads, self.replica
        if self.sent >= self.next_seq:
            raise StorageError(
                f"entries up to {self.sent} of ours in document {self.name!r} were sent, but those "
                f"from {self.next_seq} on are damaged here: connect to the server to get them back",
                path=self._store.path,
            )
        dependencies: tuple[Dependency, ...] = ()
        if self._fresh:
            dependencies = tuple(Dependency(r, *heads[r]) for r in sorted(self._fresh))
        extra = None
        if self._user is not None and self.users.get(replica) != self._user:
            extra = {"user": self._user}
        entry = make_entry(
            self.name,
            replica,
            heads.get(replica, EMPTY_HEAD),
            time,
            name,
            update,
            dependencies=dependencies,
            schema_version=schema_version,
            arguments=arguments,
            extra=extra,
            limits=self._limits,
        )
        try:
            if extra is None:
                self._store.entries.insert(self._document, self._position + 1, entry)
            else:
                with self._store.file.transaction():
                    self._store.entries.insert(self._document, self._position + 1, entry)
                    self._learn_user(entry)
        except apsw.Error as error:
            raise self._store.file.error(error) from error
        except BaseException:
            self._read()  # interrupted: only the file knows whether it has happened
            raise
        self._position += 1
        self._count += 1
        heads[replica] = Head(entry.seq, entry.hash)
        if dependencies:
            self._fresh.clear()
        self._appended(self.name)
        return entry

    # --- what others do ------------------------------------------------------------------------

    def receive(self, datas: Sequence[bytes], cursor: Cursor | None = None) -> Received:
        """Check entries from elsewhere, store those whose past is here, and materialize them.

        Args:
            datas: entries as bytes. Repeats are ignored.
            cursor: how far in the server's log they bring us. It is kept with them.

        Raises:
            EntryError: an entry cannot stand in its log. Those before it are kept.
            StorageError: nothing was stored.
        """
        admitted: list[Entry] = []
        heads = dict(self.heads) if len(self.heads) < len(datas) else _Overlay(self.heads)
        failure: EntryError | None = None
        try:
            for data in datas:
                self._admit(decode_entry(data, self._limits), heads, admitted)
        except EntryError as error:
            failure = error
            cursor = None
        if self._held:
            cursor = None  # what is held is only in memory: it must be sent again if we stop here
        if admitted or (cursor is not None and cursor != self.cursor):
            self._keep(admitted, cursor)
        if failure is not None:
            raise failure
        return Received(len(admitted), len(self._held))

    def _admit(self, entry: Entry, heads: dict[int, Head], admitted: list[Entry]) -> None:
        if entry.document != self.name:
            raise MalformedEntryError(
                f"it belongs to document {entry.document!r}", document=self.name
            )
        head = heads.get(entry.replica, EMPTY_HEAD)
        if entry.seq <= head.seq:
            self._check_repeat(entry, head)
            return
        check_structs(entry)
        if not _ready(entry, head, heads):
            self._hold(entry)
            return
        check_follows(entry, head)
        heads[entry.replica] = Head(entry.seq, entry.hash)
        admitted.append(entry)
        if self._held:
            self._release(heads, admitted)

    def _release(self, heads: dict[int, Head], admitted: list[Entry]) -> None:
        progress = True
        while progress and self._held:
            progress = False
            for name, entry in list(self._held.items()):
                head = heads.get(entry.replica, EMPTY_HEAD)
                if entry.seq <= head.seq or _ready(entry, head, heads):
                    del self._held[name]
                    self._held_bytes -= len(entry.data)
                    if entry.seq > head.seq:
                        check_follows(entry, head)
                        heads[entry.replica] = Head(entry.seq, entry.hash)
                        admitted.append(entry)
                        progress = True

    def _hold(self, entry: Entry) -> None:
        name = (entry.replica, entry.seq)
        if name in self._held:
            return
        self._held[name] = entry
        self._held_bytes += len(entry.data)
        limits = self._limits
        if len(self._held) > limits.held_entries_max or self._held_bytes > limits.held_bytes_max:
            self._held.clear()
            self._held_bytes = 0
            raise SequenceGapError(
                "too many entries wait for entries before them; ask for all that is missing",
                document=self.name,
                replica=entry.replica,
                seq=entry.seq,
            )

    def _check_repeat(self, entry: Entry, head: Head) -> None:
        if entry.seq == head.seq:
            same = entry.hash == head.hash
        else:
            log = self._store.entries.read_log(self._document, entry.replica, entry.seq, entry.seq)
            stored = next(log, None)
            same = stored is None or stored == entry.data  # None: admitted just now, not yet stored
        if not same:
            raise ForkError(
                "another entry of this number is held here: the log was continued in two places",
                document=self.name,
                replica=entry.replica,
                seq=entry.seq,
            )

    def _keep(self, admitted: list[Entry], cursor: Cursor | None) -> None:
        with self._store.file.transaction():
            if admitted:
                self._store.entries.insert_many(self._document, self._position + 1, admitted)
                for entry in admitted:
                    if entry.extra:
                        self._learn_user(entry)
            if cursor is not None:
                progress = Progress(self.sent, self.acknowledged, cursor)
                self._store.write_progress(self._document, progress)
        if cursor is not None:
            self.cursor = cursor
        if not admitted:
            return
        self._position += len(admitted)
        self._count += len(admitted)
        latest = 0
        for entry in admitted:
            replica = entry.replica
            self.heads[replica] = Head(entry.seq, entry.hash)
            latest = max(latest, entry.time)
            if replica != self.replica:
                self._fresh.add(replica)
        self._clock.see(latest)
        if self.apply is not None:
            self.apply(admitted)

    # --- what others lack ----------------------------------------------------------------------

    def missing(self, theirs: Mapping[int, int], bytes_max: int) -> list[Missing]:
        """Return entries that a state vector lacks, in causal order, at least one if there is any.

        Args:
            theirs: what the other side has.
            bytes_max: about how many bytes of entries to return.
        """
        logs = difference(self.vector, theirs)
        found: list[Missing] = []
        size = 0
        entries = self._store.entries
        try:
            rows = heapq.merge(
                *(
                    entries.read_log_places(self._document, replica, first, last)
                    for replica, (first, last) in logs.items()
                )
            )
            for _, replica, seq, data in rows:
                size += len(data)
                if found and size > bytes_max:
                    break
                found.append(Missing(replica, seq, data))
        except apsw.Error as error:
            raise self._store.file.error(error) from error
        return found

    def flush(self) -> None:
        """Make everything so far survive the loss of power. Call it before entries are sent."""
        own = self.next_seq - 1
        if self.sent < own:
            with self._store.file.transaction(durable=True):
                self._store.write_progress(
                    self._document, Progress(own, self.acknowledged, self.cursor)
                )
            self.sent = own

    def acknowledge(self, seq: int) -> None:
        """Note that our entries up to `seq` are durable at the server."""
        seq = min(seq, self.next_seq - 1)
        if seq > self.acknowledged:
            with self._store.file.transaction():
                self._store.write_progress(self._document, Progress(self.sent, seq, self.cursor))
            self.acknowledged = seq

    # --- snapshots -----------------------------------------------------------------------------

    def snapshot(self) -> Snapshot | None:
        """Return the newest snapshot that the stored entries reach up to."""
        snapshot = self._store.snapshot(self._document)
        return snapshot if snapshot is None or snapshot.position <= self._position else None

    def save_snapshot(self, snapshot: Snapshot) -> None:
        """Keep a snapshot in place of the one before."""
        if not self._store.read_only:
            self._store.write_snapshot(self._document, snapshot)


def _ready(entry: Entry, head: Head, heads: dict[int, Head]) -> bool:
    """Tell whether all that an entry follows is here."""
    if entry.seq != head.seq + 1:
        return False
    for replica, seq, hash_ in entry.dependencies:
        known = heads.get(replica, EMPTY_HEAD)
        if known.seq < seq:
            return False
        if known.seq == seq and known.hash != hash_:
            raise ForkError(
                f"its author saw another entry {seq} of replica {replica:x} than the one held here",
                document=entry.document,
                replica=entry.replica,
                seq=entry.seq,
            )
    return True


class _Overlay(dict[int, Head]):
    """Heads that change while entries are checked, over those that are stored."""

    def __init__(self, stored: dict[int, Head]) -> None:
        super().__init__()
        self._stored = stored

    def get(self, replica: int, default: Any = None) -> Any:
        found = super().get(replica)
        return self._stored.get(replica, default) if found is None else found
