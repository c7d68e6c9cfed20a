"""One document's logs as they stand in the file: read, checked, and kept clear of damage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from crdtsync.errors import CorruptLogError, StorageError
from crdtsync.log import EMPTY_HEAD, Entry, Head, decode_entry, hash_of
from crdtsync.replica.audit import STORED, Auditor
from crdtsync.replica.bases import Base
from crdtsync.replica.logs import SEQ_MAX
from crdtsync.vector import join

if TYPE_CHECKING:
    from crdtsync.replica.store import Store

__all__ = ["Missing", "StoredLogs"]


class Missing(NamedTuple):
    """A stored entry that somebody else lacks."""

    replica: int
    seq: int
    data: bytes


class StoredLogs:
    """Reads the logs of one document.

    Args:
        store: the file.
        name: the document's.

    Attributes:
        number: of the document in the file.
        logs: number of each replica's log in the file.
        base: where the logs begin. What stands below it in the file is not read any more.

    Raises:
        StorageError: the store is only looked at, and has no such document.
    """

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._auditor = Auditor(name, store.path)
        self.number = self._find(name)
        self.refresh()

    def _find(self, name: str) -> int:
        table, file = self._store.logs, self._store.file
        with file.errors():
            number = table.document(name)
        if number is None:
            if self._store.read_only:
                raise StorageError(f"there is no document {name!r}", path=self._store.path)
            with file.transaction():
                number = table.add_document(name)
        return number

    def refresh(self) -> None:
        """Learn which logs there are, and where they begin."""
        with self._store.file.errors():
            self.logs = self._store.logs.logs(self.number)
            self.base: Base = self._store.bases.read(self.number)

    def is_below(self, replica: int, seq: int) -> bool:
        """Tell whether an entry is below the base, so that nothing can be said of it here."""
        log = self.base.logs.get(replica)
        return log is not None and seq < log.seq

    def last(self, replica: int) -> tuple[int, Entry] | None:
        """Return the position and the newest entry of a log.

        Raises:
            CorruptLogError: it is damaged.
        """
        log = self.logs.get(replica)
        with self._store.file.errors():
            row = None if log is None else self._store.logs.last(log, replica)
        return None if row is None else (row.position, self._auditor.read(row))

    def top(self) -> int:
        """Return the position of the entry that came last; 0 if there is none."""
        with self._store.file.errors():
            rows = [self._store.logs.last(log, replica) for replica, log in self.logs.items()]
        return max((row.position for row in rows if row is not None), default=0)

    def log(self, replica: int, upto: int) -> Iterator[Entry]:
        """Yield the entries of one log up to a number.

        Raises:
            CorruptLogError: one of them is damaged.
        """
        if replica in self.logs:
            with self._store.file.errors():
                for row in self._store.logs.read(self.logs[replica], replica, 0, upto):
                    yield self._auditor.read(row)

    def arrived(self, replica: int, seq: int) -> Iterator[Entry]:
        """Yield an entry and all that came after it, in the order of arrival.

        Raises:
            CorruptLogError: one of them is damaged.
        """
        found = False
        with self._store.file.errors():
            for row in self._store.logs.read_all(
                self.logs, self.base.vector, dict.fromkeys(self.logs, SEQ_MAX)
            ):
                found = found or (row.replica, row.seq) == (replica, seq)
                if found:
                    yield self._auditor.read(row)

    def hash_of(self, replica: int, seq: int) -> bytes | None:
        """Return the hash of an entry by its number; None if it is not here."""
        base = self.base.logs.get(replica)
        if base is not None and seq <= base.seq:
            return base.hash if seq == base.seq else None
        log = self.logs.get(replica)
        with self._store.file.errors():
            data = None if log is None else self._store.logs.at(log, seq)
        return None if data is None else hash_of(data)

    def at(self, replica: int, seq: int) -> Entry | None:
        """Return an entry by its number; None if it is not stored."""
        log = self.logs.get(replica)
        with self._store.file.errors():
            data = None if log is None else self._store.logs.at(log, seq)
        return None if data is None else decode_entry(data, STORED)

    def entries(self, after: Mapping[int, int], upto: Mapping[int, int]) -> Iterator[Entry]:
        """Yield the entries between two state vectors in the order of arrival.

        Each is checked against its chain. None is from below the base.

        Raises:
            CorruptLogError: an entry does not fit. Those yielded before it are sound.
        """
        heads = {replica: None if after.get(replica) else EMPTY_HEAD for replica in upto}
        after = join(after, self.base.vector)
        for replica, base in self.base.logs.items():
            if after[replica] == base.seq:
                heads[replica] = base.head
        with self._store.file.errors():
            for row in self._store.logs.read_all(self.logs, after, upto):
                entry = self._auditor.follow(row, heads[row.replica])
                heads[row.replica] = Head(entry.seq, entry.hash)
                yield entry

    def held_before(self, replica: int, seq: int) -> dict[int, int]:
        """Return the state vector of what had arrived before an entry."""
        log = self.logs.get(replica)
        with self._store.file.errors():
            position = None if log is None else self._store.logs.position(log, seq)
            if position is None:
                return {}
            found = {r: self._store.logs.seq_before(n, position) for r, n in self.logs.items()}
        before = {held: last for held, last in found.items() if last}
        return join(before, self.base.vector) if position > self.base.position else before

    def missing(
        self, theirs: Mapping[int, int], ours: Mapping[int, int], bytes_max: int
    ) -> list[Missing]:
        """Return entries that one state vector lacks and the other has, at least one if any.

        Of a log of which the one lacks what is below the base here, none: they would not fit.

        Raises:
            CorruptLogError: one of them is damaged.
        """
        found: list[Missing] = []
        size = 0
        beyond = {r for r, base in self.base.logs.items() if theirs.get(r, 0) < base.seq}
        if beyond:
            ours = {replica: seq for replica, seq in ours.items() if replica not in beyond}
        with self._store.file.errors():
            for row in self._store.logs.read_all(self.logs, theirs, ours):
                self._auditor.check(row)
                size += len(row.data)
                if found and size > bytes_max:
                    break
                found.append(Missing(row.replica, row.seq, row.data))
        return found

    def audit(self) -> Iterator[Entry | CorruptLogError]:
        """Read every row in the order of arrival and say whether it fits where it stands."""
        everything = dict.fromkeys(self.logs, SEQ_MAX)
        with self._store.file.errors():
            rows = self._store.logs.read_all(self.logs, self.base.vector, everything)
            heads = {replica: base.head for replica, base in self.base.logs.items()}
            yield from self._auditor.audit(rows, heads, self.hash_of, self.is_below)

    def set_aside(self, damage: Iterable[CorruptLogError]) -> None:
        """Move damaged entries out of the way, and drop the snapshot that may hold them."""
        with self._store.file.transaction():
            for error in damage:
                self._store.logs.set_aside(self.logs[error.replica], error.seq, error.reason)
            self._store.drop_snapshot(self.number)

    def aside(self) -> Iterator[tuple[int, int, str]]:
        """Yield (replica, seq, reason) of what was set aside, ever."""
        with self._store.file.errors():
            for replica, log in self.logs.items():
                for seq, reason in self._store.logs.aside(log):
                    yield replica, seq, reason
