"""The default backend: one SQLite file, written by one thread that commits in groups.

Every transaction is FULL: it is on the disk before anyone is told. Entries are kept as the bytes
that were pushed; the heads of the documents in use are remembered, so that an append costs one
look-up per entry only where it must be compared with an older one. Entries are not checked again
when they are read to be forwarded: whoever receives them checks their chain.

The order of a document's rows is the order of `EntryTable`'s places. Offsets happen to be dense
here; nobody may rely on it.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, TypeVar

import apsw

from crdtsync.document.erasure import erase
from crdtsync.errors import CorruptLogError, EntryError
from crdtsync.log import Entry, Head, decode_entry, hash_of
from crdtsync.replica.audit import STORED
from crdtsync.server.admission import Admission, admit
from crdtsync.server.backend import (
    EPOCH_BYTES,
    Added,
    Appended,
    Row,
    SnapshotInfo,
    State,
    Stored,
    Watcher,
)
from crdtsync.server.backends.committer import Committer
from crdtsync.server.backends.erasure_table import SCHEMA as ERASURE_SCHEMA
from crdtsync.server.backends.erasure_table import ErasureTable
from crdtsync.server.backends.records_table import SCHEMA as CONNECTION_SCHEMA
from crdtsync.server.backends.records_table import ConnectionTable
from crdtsync.server.backends.snapshot_table import SCHEMA as SNAPSHOT_SCHEMA
from crdtsync.server.backends.snapshot_table import SnapshotTable, is_dropped
from crdtsync.server.backends.table import SCHEMA as ENTRY_SCHEMA
from crdtsync.server.backends.table import DeviceTable, EntryTable
from crdtsync.server.devices import Device
from crdtsync.server.erasures import Erasure
from crdtsync.server.records import ConnectionRecord, Crowd, Followed, Lag, Move
from crdtsync.storage import open_file

__all__ = ["SqliteBackend"]

T = TypeVar("T")

SCHEMA = ENTRY_SCHEMA + ERASURE_SCHEMA + SNAPSHOT_SCHEMA + CONNECTION_SCHEMA


def _tell_nobody(_: object) -> None:
    """What was stored is nobody's business but the caller's."""


@dataclass(slots=True)
class _Document:
    """What is remembered of a document in use. `id` is None as long as it has no entries."""

    id: int | None
    position: int = 0
    heads: dict[int, Head] = field(default_factory=dict)


class SqliteBackend:
    """Keeps the logs in one file; see `crdtsync.server.backend.Backend`.

    Args:
        path: the file, made where there is none; `:memory:` for one that is nowhere.
        documents_remembered_max: of how many documents the heads are kept in memory.

    Raises:
        StoreLockedError: another server has the file open.
        StorageError: it cannot be opened.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, documents_remembered_max: int = 4096
    ) -> None:
        self._file = open_file(path, "server", SCHEMA, durability="power")
        self._connection = self._file.connection
        self._table = EntryTable(self._connection)
        self._devices = DeviceTable(self._connection)
        self._snapshots = SnapshotTable(self._connection)
        self._connections = ConnectionTable(self._connection)
        self._erasures = ErasureTable(self._connection)
        self._erased: dict[str, dict[tuple[int, int], Erasure]] | None = None
        self._documents: dict[str, _Document] = {}
        self._documents_max = documents_remembered_max
        self._watchers: list[Watcher] = []
        self._epoch = self._read_epoch()
        self._committer = Committer(
            self._file.path, self._file.transaction, self._forget, self._file.close
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    @property
    def epoch(self) -> bytes:
        return self._epoch

    async def append(self, document: str, entries: Sequence[Entry]) -> Appended:
        def work() -> tuple[Appended, Added | None]:
            return self._append(document, entries)

        appended, _ = await self._committer.write(work, self._tell)
        return appended

    async def read(
        self, document: str, after: int, bytes_max: int, upto: int | None = None
    ) -> list[Row]:
        return await self._read(lambda: self._rows(document, after, bytes_max, upto))

    async def state(self, document: str) -> State:
        return await self._read(lambda: self._state(document))

    async def entry(self, document: str, replica: int, seq: int) -> bytes | None:
        return await self._read(lambda: self._entry(document, replica, seq))

    async def covered(self, document: str, vector: Mapping[int, int]) -> int:
        return await self._read(lambda: self._covered(document, vector))

    async def keep_snapshot(self, document: str, offset: int, data: bytes) -> SnapshotInfo:
        def work() -> SnapshotInfo:
            number = self._document(document).id
            assert number is not None, f"{document!r} holds nothing"
            return self._snapshots.put(number, offset, data)

        return await self._committer.write(work, _tell_nobody)

    async def read_snapshot(
        self, document: str, id_: bytes, position: int, bytes_max: int
    ) -> bytes | None:
        def work() -> bytes | None:
            number = self._document(document).id
            if number is None:
                return None
            return self._snapshots.read(number, id_, position, bytes_max)

        return await self._read(work)

    async def trim(self, document: str, upto: int, *, drop: bool) -> int:
        def work() -> int:
            number = self._document(document).id
            return 0 if number is None else self._snapshots.trim(number, upto, drop=drop)

        return await self._committer.write(work, _tell_nobody)

    async def connection(self, client: bytes) -> ConnectionRecord | None:
        return await self._read(lambda: self._connections.get(client))

    async def connections(self, user: str | None = None) -> list[ConnectionRecord]:
        return await self._read(lambda: self._connections.of(user))

    async def put_connection(self, record: ConnectionRecord) -> bool:
        return await self._committer.write(lambda: self._connections.put(record), _tell_nobody)

    async def followed(self, client: bytes) -> dict[str, Followed]:
        return await self._read(lambda: self._connections.followed(client))

    async def note(self, moves: Sequence[Move], seen: Mapping[bytes, int]) -> None:
        await self._committer.write(lambda: self._connections.note(moves, seen), _tell_nobody)

    async def floor(self, document: str) -> int | None:
        return await self._read(lambda: self._connections.floor(document))

    async def crowds(self) -> list[Crowd]:
        return await self._read(self._connections.crowds)

    async def lags(self, document: str) -> dict[bytes, Lag]:
        def work() -> dict[bytes, Lag]:
            return self._connections.lags(self._document(document).id or 0, document)

        return await self._read(work)

    async def retired(self) -> frozenset[bytes]:
        return await self._read(self._connections.retired)

    async def erase(self, erasure: Erasure) -> bool:
        def work() -> tuple[bool, Added | None]:
            return self._erase(erasure)

        held, added = await self._committer.write(work, self._tell)
        if added is not None:
            await self._committer.read(self._file.scrub)
        return held

    async def erasures_due(self) -> list[Erasure]:
        return await self._read(lambda: self._erasures.all(due=True))

    async def documents(self) -> list[str]:
        return await self._read(self._table.names)

    async def bind(self, device: Device) -> Device:
        return await self._committer.write(lambda: self._devices.bind(device), _tell_nobody)

    async def device(self, replica: int) -> Device | None:
        return await self._read(lambda: self._devices.get(replica))

    async def devices(self) -> list[Device]:
        return await self._read(self._devices.all)

    async def revoked(self) -> frozenset[int]:
        return await self._read(self._devices.revoked)

    async def revoke(self, replica: int) -> bool:
        return await self._committer.write(lambda: self._devices.revoke(replica), _tell_nobody)

    async def keep(self, name: str, value: bytes) -> bytes:
        return await self._committer.write(lambda: self._keep(name, value), _tell_nobody)

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    async def aclose(self) -> None:
        await self._committer.aclose()

    def _tell(self, result: tuple[object, Added | None]) -> None:
        _, added = result
        if added is not None:
            for watcher in list(self._watchers):
                watcher(added)

    async def _read(self, work: Callable[[], T]) -> T:
        def mapped() -> T:
            try:
                return work()
            except apsw.Error as error:
                raise self._file.error(error) from error

        return await self._committer.read(mapped)

    # From here on: in the committer's thread, or before it was started.

    def _read_epoch(self) -> bytes:
        with self._file.transaction():
            return self._keep("epoch", secrets.token_bytes(EPOCH_BYTES))

    def _keep(self, name: str, value: bytes) -> bytes:
        self._connection.execute("INSERT OR IGNORE INTO meta VALUES(?, ?)", (name, value))
        kept: bytes = self._connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).get
        return kept

    def _forget(self) -> None:
        self._documents.clear()
        self._erased = None

    def _append(self, document: str, entries: Sequence[Entry]) -> tuple[Appended, Added | None]:
        held = self._document(document)
        admission = admit(
            entries, held.heads, lambda replica, seq: self._hash_at(held, replica, seq)
        )
        added = self._store(document, held, admission) if admission.new else None
        offsets = {row.replica: row.offset for row in added.rows} if added else {}
        stored = {
            replica: Stored(seq, offsets.get(replica) or self._offset_of(held, replica, seq))
            for replica, seq in admission.held.items()
        }
        return Appended(stored, admission.gap), added

    def _store(self, document: str, held: _Document, admission: Admission) -> Added:
        if held.id is None:
            held.id = self._table.add_document(document)
        held.heads |= admission.heads
        new = self._without_erased(document, admission.new, held.heads)
        rows = self._table.insert(held.id, held.position + 1, new)
        held.position += len(rows)
        return Added(document, rows, admission.heads)

    def _without_erased(
        self, document: str, entries: Sequence[Entry], heads: Mapping[int, Head]
    ) -> Sequence[Entry]:
        if self._erased is None:
            self._erased = {}
            for erasure in self._erasures.all():
                self._erased.setdefault(erasure.document, {})[erasure[1:3]] = erasure
        erased = self._erased.get(document)
        if not erased:
            return entries
        found = ((entry, erased.get((entry.replica, entry.seq))) for entry in entries)
        return [e if order is None else erase(e, order.reason, heads) for e, order in found]

    def _erase(self, erasure: Erasure) -> tuple[bool, Added | None]:
        document, replica, seq, reason = erasure
        self._erasures.put(erasure, due=False)
        self._erased = None
        held = self._document(document)
        head = held.heads.get(replica)
        if held.id is None or head is None or not 0 < seq <= head.seq:
            return False, None
        before = self._table.at(held.id, replica, seq)
        if is_dropped(before.data):
            return False, None
        entry = decode_entry(before.data, STORED)
        erased = erase(entry, reason, held.heads)
        if erased is entry:
            return True, None
        held.position += 1
        row = self._table.rewrite(held.id, erased, held.position)
        forgotten = self._snapshots.forget(held.id, before.offset)
        return True, Added(document, [row], {}, rewritten=True, unsnapshotted=forgotten)

    def _rows(self, document: str, after: int, bytes_max: int, upto: int | None) -> list[Row]:
        held = self._document(document)
        if held.id is None:
            return []
        last = held.position if upto is None else min(upto, held.position)
        return self._table.read(held.id, after, last, bytes_max)

    def _state(self, document: str) -> State:
        held = self._document(document)
        if held.id is None:
            return State(0, {})
        base, snapshot = self._snapshots.base(held.id), self._snapshots.info(held.id)
        return State(held.position, dict(held.heads), base, snapshot)

    def _entry(self, document: str, replica: int, seq: int) -> bytes | None:
        held = self._document(document)
        head = held.heads.get(replica)
        if held.id is None or head is None or not 0 < seq <= head.seq:
            return None
        data = self._table.at(held.id, replica, seq).data
        return None if is_dropped(data) else data

    def _covered(self, document: str, vector: Mapping[int, int]) -> int:
        held = self._document(document)
        covered = min(
            (
                self._offset_of(held, replica, vector.get(replica, 0) + 1) - 1
                for replica, head in held.heads.items()
                if vector.get(replica, 0) < head.seq
            ),
            default=held.position,
        )
        marked = None if held.id is None else self._table.first_marked(held.id)
        return covered if marked is None else min(covered, marked - 1)

    def _offset_of(self, held: _Document, replica: int, seq: int) -> int:
        assert held.id is not None
        return self._table.at(held.id, replica, seq).offset

    def _hash_at(self, held: _Document, replica: int, seq: int) -> bytes:
        assert held.id is not None
        data = self._table.at(held.id, replica, seq).data
        return data if is_dropped(data) else hash_of(data)

    def _document(self, name: str) -> _Document:
        # Taken out and put back, so that the first one is always the one unused for longest.
        held = self._documents.pop(name, None) or self._load(name)
        self._documents[name] = held
        if len(self._documents) > self._documents_max:
            del self._documents[next(iter(self._documents))]
        return held

    def _load(self, name: str) -> _Document:
        document = self._table.document(name)
        if document is None:
            return _Document(None)
        heads = {
            replica: self._head(name, document, replica)
            for replica in self._table.replicas(document)
        }
        return _Document(document, self._table.last_offset(document), heads)

    def _head(self, name: str, document: int, replica: int) -> Head:
        row = self._table.newest(document, replica)
        if is_dropped(row.data):
            return Head(row.seq, row.data)
        try:
            entry = decode_entry(row.data)
        except EntryError as error:
            problem = str(error)
        else:
            if (entry.document, entry.replica, entry.seq) == (name, replica, row.seq):
                return Head(row.seq, entry.hash)
            problem = "it is another entry than its place says"
        raise CorruptLogError(
            problem,
            path=self._file.path,
            document=name,
            replica=replica,
            seq=row.seq,
            position=row.offset,
        )
