"""A ledger: one document's logs as they are stored, ours and those received.

It knows entries, chains and causal order, and nothing of CRDTs. What it admits it stores; what is
stored is told to the live document, if one is open. Read `inbox` for what is admitted, `logs` for
how it is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

import apsw

from crdtsync import events
from crdtsync.clone import Resume, decode_clone
from crdtsync.document import Snapshot
from crdtsync.envelope import is_neutral
from crdtsync.errors import (
    CloneError,
    CorruptLogError,
    EntryError,
    ForkError,
    StorageError,
)
from crdtsync.log import (
    EMPTY_HEAD,
    Cursor,
    Dependency,
    Entry,
    Head,
    make_entry,
)
from crdtsync.refusal import refuse
from crdtsync.replica.bases import Base, CloneTable
from crdtsync.replica.beginning import base_logs, check_clone
from crdtsync.replica.delivery import Delivery
from crdtsync.replica.inbox import Inbox
from crdtsync.replica.marked import Marked
from crdtsync.replica.mending import Mending
from crdtsync.replica.seals import Seals
from crdtsync.replica.states import History, States
from crdtsync.replica.stored import Missing, StoredLogs
from crdtsync.seal import KEY
from crdtsync.telemetry import ACTIONS, APPENDS, ENTRIES, now
from crdtsync.vector import covers

if TYPE_CHECKING:
    from crdtsync.clock import HybridLogicalClock
    from crdtsync.document import Schema
    from crdtsync.limits import Limits
    from crdtsync.replica.store import Store

__all__ = ["Ledger", "Received"]

_TIMED_EACH = 8
"""Of so many actions one is timed: OpenTelemetry needs a sixth of an action's time to note it."""


class Received(NamedTuple):
    """What became of entries that came in.

    Attributes:
        new: how many were stored.
        held: how many wait for entries before them.
        clamped: how many of ours, held before, count as of an earlier time now.
    """

    new: int
    held: int
    clamped: int = 0


class Ledger:
    """One document's logs.

    Args:
        store: the file.
        name: the document's.
        clock: the replica's.
        user: who acts here.
        limits: what an entry may be.
        appended: called with the document's name after each entry of ours.
        history: what becomes of what is below the state that the logs begin above.

    Attributes:
        heads: the end of every log held.
        users: who uses each replica, as its log says.
        apply: is told of entries stored from elsewhere.
        rebuild: is told of entries that have another effect now, and of new ones with them.
        reorder: is told of entries that count as of another time now.
        together: makes a block in which entries are stored and what is made of them, at once.
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
        history: History = "keep",
    ) -> None:
        self.name = name
        self.replica = store.replica
        self.apply: Callable[[Sequence[Entry]], None] | None = None
        self.rebuild: Callable[[Sequence[Entry]], None] | None = None
        self.reorder: Callable[[Sequence[Entry]], None] | None = None
        self.together: Callable[[], AbstractContextManager[object]] = nullcontext
        self._store = store
        self._clock = clock
        self._user = user
        self._limits = limits
        self._appended = appended
        self._stored = StoredLogs(store, name)
        self._inbox = Inbox(name, limits, self._stored.hash_of, self._stored.is_below)
        self._seals = Seals(store, self._stored)
        self.users: dict[int, str] = {}
        self.damage: list[CorruptLogError] = []
        self.number = self._stored.number
        self._delivery = Delivery(store, self.number)
        self._marked = Marked(store, self._stored, clock)
        self._states = States(store, self._stored, history)
        self._clones = CloneTable(store.file, self.number, limits.clone_bytes_max)
        try:
            self._read()
        except CorruptLogError:
            self.set_damage_aside()

    # --- what is stored ------------------------------------------------------------------------

    def _read(self) -> None:
        """Read how far every log goes.

        Raises:
            CorruptLogError: the end of a log is damaged.
        """
        self._stored.refresh()
        base = self._stored.base
        positions = self._begin(base)
        self._position = base.position
        for replica in self._stored.logs:
            last = self._stored.last(replica)
            if last is not None:
                self._position = max(self._position, last[0])
                if last[1].seq > self.heads.get(replica, EMPTY_HEAD).seq:
                    positions[replica], entry = last
                    self._take_head(entry)
        self._read_progress()
        # Heads that became known since our last entry: the next one depends on them.
        known = self._delivery.known
        if known is None:
            known = positions.get(self.replica, 0)
        if self.replica in base.logs and base.logs[self.replica].head == self.heads[self.replica]:
            known = base.position - 1  # what our last entry knew, only the ends below tell
        self._fresh = {replica for replica, position in positions.items() if position > known}
        if self.replica not in positions:
            self._fresh.update(self._store.keys.keys() & positions.keys())
        self._fresh.discard(self.replica)
        self._recount()

    def reread(self) -> None:
        """Know again what is in the file, and nothing else."""
        self._read()

    def _read_sound(self) -> None:
        """Read how far every log goes, of a store that may not be changed and is damaged."""
        self._read_progress()
        self._begin(self._stored.base)
        self._position, self._fresh = 0, set()
        for found in self.audit():
            if isinstance(found, Entry):
                self._take_head(found)
        self._recount()

    def _begin(self, base: Base) -> dict[int, int]:
        """Take where the logs begin for where they end; return at which positions that is."""
        self.heads: dict[int, Head] = {}
        positions: dict[int, int] = {}
        for replica, log in base.logs.items():
            self.heads[replica] = log.head
            # An end that another one depends on need not be named again.
            positions[replica] = base.position if log.tip else 0
            self._seals.prover.know(replica, log.key)
            if replica in self._store.keys:
                self._clock.resume(log.time)
                self._seals.begin_above(log)
            else:
                self._clock.see(log.time)
        return positions

    def _recount(self) -> None:
        below = sum(log.seq for log in self._stored.base.logs.values())
        self._count = sum(head.seq for head in self.heads.values()) - below

    def _read_progress(self) -> None:
        with self._store.file.errors():
            self.users.clear()  # views look at it
            self.users.update(self._store.users(self.number))
            self._delivery.read()
            self._marked.read()

    def _take_head(self, entry: Entry) -> None:
        self.heads[entry.replica] = Head(entry.seq, entry.hash)
        if entry.replica in self._store.keys:
            self._clock.resume(entry.when)
            self._seals.begin(entry)
        else:
            self._clock.see(entry.when)

    def audit(self) -> Iterator[Entry | CorruptLogError]:
        """Read every stored row in the order of arrival and say whether it fits where it stands."""
        return self._stored.audit()

    def set_damage_aside(self) -> None:
        """Keep what does not fit any more out of the way, so that the rest can be read.

        The rows are moved to a table of their own, none is deleted. What the server still has of
        them is received again.
        """
        damage = [found for found in self.audit() if isinstance(found, CorruptLogError)]
        self.damage += damage
        for error in damage:
            events.LOG_DAMAGED.log(
                document=self.name,
                replica=f"{error.replica:x}",
                seq=error.seq,
                error=error,
            )
        if self._store.read_only:
            self._read_sound()
        else:
            self._stored.set_aside(damage)
            self._read()

    def begin_anew(self) -> None:
        """Read everything again, after logs were mended or our id has changed."""
        self.replica = self._store.replica
        self._inbox = Inbox(self.name, self._limits, self._stored.hash_of, self._stored.is_below)
        self._seals.forget_keys()
        try:
            self._read()
        except CorruptLogError:
            self.set_damage_aside()

    def mending(self, replica: int, common: int, schema: Schema) -> Mending:
        """Return what mends a log of ours that was continued in two places.

        Args:
            replica: id of ours under which it stands.
            common: number of the last entry that both branches have.
            schema: what the document is declared as.

        Raises:
            ForkError: the fork is below where the logs begin here.
        """
        if common < self.begins(replica):
            raise ForkError(
                "the log was continued in two places, further back than it reaches here",
                document=self.name,
                replica=replica,
                seq=common + 1,
            )
        return Mending(
            self._store,
            self._stored,
            name=self.name,
            schema=schema,
            replica=replica,
            common=common,
        )

    def begins(self, replica: int) -> int:
        """Return the number up to which the entries of a log are below where it begins here."""
        base = self._stored.base.logs.get(replica)
        return 0 if base is None else base.seq

    @property
    def below(self) -> Mapping[int, int]:
        """The state vector of what is below where the logs begin here."""
        return self._stored.base.vector

    @property
    def begun_at(self) -> int:
        """As of when the latest entry there counts; 0 where there is none."""
        return max((log.time for log in self._stored.base.logs.values()), default=0)

    @property
    def keys_below(self) -> dict[int, bytes]:
        """The keys of the sealed logs whose first entries are below where they begin here."""
        logs = self._stored.base.logs.values()
        return {log.replica: log.key for log in logs if log.key is not None}

    def wrote_after(self, replica: int, seq: int) -> bool:
        """Tell whether we wrote what stands in a log behind an entry.

        Under a former id of ours, that is so up to where we were when it was given up; what the
        server has of that is for others to keep.
        """
        return replica == self.replica or self._delivery.carries(replica, seq)

    def superseded(self) -> set[bytes]:
        """Return the hashes of entries of ours that were written anew: what they did is here."""
        return self._marked.superseded()

    def hash_at(self, replica: int, seq: int) -> bytes | None:
        """Return the hash of an entry by its number; None if it is not stored."""
        return self._stored.hash_of(replica, seq)

    def missing_since_damaged(self) -> Iterator[tuple[int, int, str]]:
        """Yield (replica, seq, reason) of what was set aside and has not come back."""
        for replica, seq, reason in self._stored.aside():
            if seq > self.heads.get(replica, EMPTY_HEAD).seq:
                yield replica, seq, reason

    @property
    def vector(self) -> dict[int, int]:
        """The state vector of all that is stored."""
        return {replica: head.seq for replica, head in self.heads.items()}

    @property
    def position(self) -> int:
        """The place of the newest entry in the order of arrival; 0 where there is none."""
        return self._position

    @property
    def next_seq(self) -> int:
        """The number our next entry will have."""
        return self.heads.get(self.replica, EMPTY_HEAD).seq + 1

    @property
    def count(self) -> int:
        """How many entries are stored, from where the logs begin."""
        return self._count

    def entries(
        self, after: Mapping[int, int] | None = None, upto: Mapping[int, int] | None = None
    ) -> Iterator[Entry]:
        """Yield the entries between two state vectors in the order of arrival.

        Each is checked against its chain.

        Raises:
            CorruptLogError: an entry does not fit. Those yielded before it are sound.
        """
        held = self.vector
        if upto is not None:
            held = {replica: min(seq, upto.get(replica, 0)) for replica, seq in held.items()}
        return self._stored.entries(after or {}, held)

    def at(self, replica: int, seq: int) -> Entry | None:
        """Return an entry by its number; None if it is not stored."""
        return self._stored.at(replica, seq)

    def held_before(self, replica: int, seq: int) -> dict[int, int]:
        """Return the state vector of what had arrived before an entry."""
        return self._stored.held_before(replica, seq)

    def own_logs(self) -> dict[int, int]:
        """Return which logs are ours, oldest first: under each id, the number of our last entry."""
        return {**self._delivery.formers(self._stored.at), self.replica: self.next_seq - 1}

    @property
    def cursor(self) -> Cursor | None:
        """How far we have got in the server's log."""
        return self._delivery.cursor

    @property
    def sent(self) -> int:
        """Number up to which our entries may have been seen by others."""
        return self._delivery.sent

    @property
    def acknowledged(self) -> int:
        """Number up to which our entries are durable at the server."""
        return self._delivery.acknowledged

    @property
    def clamps(self) -> Mapping[tuple[int, int], int]:
        """The times as of which clamped entries count, by (replica, seq)."""
        return self._marked.clamps

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
        began = now()
        heads, replica = self.heads, self.replica
        head = heads.get(replica, EMPTY_HEAD)
        sent = self._delivery.sent
        if sent > head.seq:
            raise StorageError(
                f"entries up to {sent} of ours in document {self.name!r} were sent, but those "
                f"from {head.seq + 1} on are damaged here: connect to the server to get them back",
                path=self._store.path,
            )
        dependencies: tuple[Dependency, ...] = ()
        if self._fresh:
            dependencies = tuple(Dependency(r, *heads[r]) for r in sorted(self._fresh))
        extra: dict[str, Any] | None = None
        if self._user is not None and self.users.get(replica) != self._user:
            extra = {"user": self._user}
        if not head.seq and self._store.key is not None:
            extra = {**(extra or {}), KEY: self._store.key.public}
        entry = make_entry(
            self.name,
            replica,
            head,
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
            if extra is None and self._delivery.known is None and replica in self._stored.logs:
                self._store.logs.insert(self._stored.logs[replica], self._position + 1, entry)
            else:
                self._keep([entry], self.cursor, None)
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
        ACTIONS.add()
        if head.seq % _TIMED_EACH == 0:
            APPENDS.since(began)
        self._appended(self.name)
        return entry

    # --- what others do ------------------------------------------------------------------------

    def receive(
        self, datas: Sequence[bytes], cursor: Cursor | None = None, *, prove: bool = False
    ) -> Received:
        """Check entries from elsewhere, store those whose past is here, and materialize them.

        Args:
            datas: entries as bytes. Repeats are ignored.
            cursor: how far in the server's log they bring us. It is kept with them.
            prove: believe only what its author has sealed, whoever hands it on.

        Raises:
            EntryError: an entry cannot stand in its log. Those before it are kept.
            StorageError: nothing was stored.
        """
        prover = self._seals.prover if prove else None
        entries, heads, marked, stale, failure = self._inbox.admit(datas, self.heads, prover)
        neutral, clamped = self._marked.changed(marked, from_server=cursor is not None)
        if failure is not None or self._inbox or cursor is None:
            cursor = self.cursor  # what is held is only in memory: it must be sent again some day
        with self.together():
            if entries or neutral or clamped or cursor != self.cursor:
                known = self._delivery.known
                if known is None and self.replica in heads:
                    last = self._stored.last(self.replica)
                    known = 0 if last is None else last[0]
                self._keep(entries, cursor, known, neutral, clamped)
            if entries:
                ENTRIES.add(len(entries), "in")
                self._follow(entries, heads, tell=not neutral)
            if neutral and self.rebuild is not None:
                self.rebuild([*neutral, *clamped, *entries])
            elif clamped and self.reorder is not None:
                self.reorder(clamped)
            if stale:
                self._states.make_stale()
        if failure is not None:
            raise failure
        ours = [entry for entry in clamped if entry.replica in self._store.keys]
        return Received(len(entries), len(self._inbox), len(ours))

    def forget_unproved(self) -> None:
        """Wait no longer for seals: what waits for one is going to be sent again, by whomever."""
        self._inbox.forget_unproved()

    def refuse(self, replica: int, seq: int, reason: str) -> None:
        """Take the effect of an entry of ours away: the server has refused it.

        What it was is kept, for the user to look at: see `refused`.

        Args:
            replica: the id of ours under which it stands.
            seq: its number.
            reason: what the server says.

        Raises:
            StorageError: nothing was changed.
        """
        entry = self._stored.at(replica, seq)
        if entry is None or is_neutral(entry.data):
            return
        refused = [refuse(entry, reason)]
        with self.together():
            self._keep([], self.cursor, self._delivery.known, refused)
            if self.rebuild is not None:
                self.rebuild(refused)

    def refused(self) -> list[tuple[Entry, str]]:
        """Return our entries that were refused, as they were, and why."""
        return self._marked.refused()

    def forget_refused(self, entry: Entry) -> None:
        """Keep no longer what a refused entry of ours was."""
        self._marked.forget_refused(entry)

    def _keep(
        self,
        entries: Sequence[Entry],
        cursor: Cursor | None,
        known: int | None,
        neutral: Sequence[Entry] = (),
        clamped: Sequence[Entry] = (),
    ) -> None:
        """Store entries, what is new about their logs, and how far they bring us."""
        table, number = self._store.logs, self.number
        logs, users = dict(self._stored.logs), {}
        delivery, marked = self._delivery, self._marked
        with self._store.file.transaction():
            for replica in {entry.replica for entry in entries} - logs.keys():
                logs[replica] = table.add_log(number, replica)
            table.insert_many(logs, self._position + 1, entries)
            erased = marked.write(logs, entries, neutral, clamped, self.wrote_after)
            for entry in entries:
                if entry.extra and entry.user is not None:
                    self._store.write_user(number, entry.replica, entry.user)
                    users[entry.replica] = entry.user
            if cursor != delivery.cursor or known != delivery.known:
                self._store.write_progress(number, delivery.at(cursor, known))
        self._stored.logs = logs
        self.users.update(users)
        delivery.cursor, delivery.known = cursor, known
        if erased:
            self._store.file.scrub()
        marked.note([*entries, *neutral, *clamped])

    def _follow(self, entries: Sequence[Entry], heads: Mapping[int, Head], *, tell: bool) -> None:
        """Take note of entries from elsewhere that are stored now, and materialize them."""
        self._position += len(entries)
        self._count += len(entries)
        self.heads.update(heads)
        fresh = self._fresh
        fresh.update(heads)
        if self.replica in heads:
            fresh.update(self.heads)  # we do not remember what we knew when we made them
        fresh.discard(self.replica)
        for entry in entries:  # what they depend on need not be said again
            for replica, seq, _ in entry.dependencies:
                if replica in fresh and entry.replica in fresh and self.heads[replica].seq <= seq:
                    fresh.remove(replica)
        self._see(entries)
        if tell and self.apply is not None:
            self.apply(entries)

    def _see(self, entries: Sequence[Entry]) -> None:
        if self._clock.see(max(entry.when for entry in entries)):
            return
        for entry in entries:  # one that is far in the future must not hide the others
            if entry.replica == self.replica:
                self._clock.resume(entry.when)
            else:
                self._clock.see(entry.when)

    # --- what others lack ----------------------------------------------------------------------

    def missing(self, theirs: Mapping[int, int], bytes_max: int) -> list[Missing]:
        """Return entries that a state vector lacks, in causal order, at least one if there is any.

        Args:
            theirs: what the other side has.
            bytes_max: about how many bytes of entries to return.
        """
        self._seals.seal_ends(self.heads, theirs)
        while True:
            try:
                return self._stored.missing(theirs, self.vector, bytes_max)
            except CorruptLogError:
                if self._store.read_only:
                    raise
                self.set_damage_aside()

    def parts(self, missing: Sequence[Missing], most: int) -> Iterator[list[Missing]]:
        """Yield what others lack in parts that prove themselves: see `Seals.parts`."""
        return self._seals.parts(missing, most)

    def with_seals(self, part: Sequence[Missing]) -> list[Missing]:
        """Return a part with a seal on the end of each log of ours: see `Seals.with_ends`."""
        return self._seals.with_ends(part)

    def flush(self) -> None:
        """Make everything so far survive the loss of power. Call it before entries are sent."""
        self._delivery.flush(self.next_seq - 1)

    def acknowledge(self, theirs: Mapping[int, int]) -> None:
        """Note which of our entries are durable at the server.

        Args:
            theirs: the server's state vector, which does not contradict ours.
        """
        self._delivery.acknowledge(theirs, self.heads, self.replica)

    @property
    def ours(self) -> dict[int, int]:
        """The number of our last entry, under our id and under those before that still count."""
        return self._delivery.ours(self.replica, self.next_seq - 1)

    @property
    def unacknowledged(self) -> int:
        """How many entries of ours are not known to be durable at the server."""
        return self._delivery.unacknowledged(self.next_seq - 1)

    # --- beginning above a state ---------------------------------------------------------------

    @property
    def resume(self) -> Resume | None:
        """How much of a clone has come."""
        return self._clones.resume()

    def take_part(self, id_: bytes, position: int, total: int, data: bytes, cursor: Cursor) -> bool:
        """Keep a part of a clone; begin above the clone once it is whole, and tell so.

        What we have done and the clone lacks stays in our log, and is applied on top of it.

        Args:
            id_: of the clone.
            position: of the part's first byte.
            total: bytes of the whole clone.
            data: the part.
            cursor: how far in the server's log the whole clone brings us.

        Raises:
            CloneError, ForkError: the clone cannot be gone on from; nothing was changed.
            StorageError: nothing was changed.
        """
        whole = self._clones.take(id_, position, total, data)
        if whole is None:
            return False
        try:
            clone = decode_clone(whole)
            state = check_clone(
                clone,
                document=self.name,
                heads=self.heads,
                base=self._stored.base.vector,
                hash_of=self._stored.hash_of,
                prover=self._seals.prover,
                own=self.replica,
                sent=self._delivery.sent,
                acknowledged=self._delivery.acknowledged,
            )
        except (CloneError, EntryError):
            with self._store.file.transaction():
                self._clones.forget()
            raise
        base = Base(self._position + 1, clone.logs)
        self._begin_above(base, state, cursor, clone.clamps)
        if self.rebuild is not None:
            with self.together():
                self.rebuild(())
        return True

    @property
    def is_stale(self) -> bool:
        """Whether the state that the logs begin above holds what was erased: ask for another."""
        return self._states.is_stale

    def proved(self) -> None:
        """Note that the server holds all that is held here."""
        self._states.proved(self.vector)

    def _begin_above(
        self,
        base: Base,
        state: Snapshot,
        cursor: Cursor | None,
        clamps: Mapping[tuple[int, int], int] | None = None,
    ) -> None:
        own = base.logs.get(self.replica)
        seq = 0 if own is None else own.seq
        progress = self._delivery.above(seq, cursor)
        with self._store.file.transaction(durable=True):
            self._states.begin_above(base, state, progress, clamps or {})
            self._clones.forget()
        self._read()

    # --- snapshots -----------------------------------------------------------------------------

    def base(self) -> Snapshot | None:
        """Return the state that the logs begin above; None where they are here from their first."""
        return self._states.base()

    def snapshot(self) -> Snapshot | None:
        """Return the newest snapshot that the stored entries reach up to."""
        return self._states.snapshot(self.vector)

    def save_snapshot(self, snapshot: Snapshot) -> None:
        """Keep a snapshot in place of the one before.

        If the history is not to be kept, and the server holds what is below, let the logs begin
        above it.
        """
        if self._store.read_only:
            return
        logs = None
        if self._states.may_begin_above(snapshot):
            logs = base_logs(
                snapshot.vector,
                users=self.users,
                tips=self._fresh,
                before=self._stored.base.logs,
                at=self._stored.at,
                prover=self._seals.prover,
            )
        if logs is None:
            self._states.save_snapshot(snapshot)
        else:
            self._begin_above(Base(self._position + 1, logs), snapshot, self.cursor)

    def checkpoint(self, vector: Mapping[int, int]) -> Snapshot | None:
        """Return the latest state kept that a state vector covers."""
        return self._states.checkpoint(vector) if covers(self.vector, vector) else None

    def save_checkpoint(self, state: Snapshot) -> None:
        """Keep a state that lies in the past; the store sees to it that there are not too many."""
        self._states.save_checkpoint(state)
