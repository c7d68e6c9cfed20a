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

from crdtsync.errors import CorruptLogError, EntryError, StorageError
from crdtsync.log import Entry, Head, decode_entry, hash_of
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
from crdtsync.server.backends.records_table import SCHEMA as CONNECTION_SCHEMA
from crdtsync.server.backends.records_table import ConnectionTable
from crdtsync.server.backends.snapshot_table import SCHEMA as SNAPSHOT_SCHEMA
from crdtsync.server.backends.snapshot_table import SnapshotTable, is_dropped
from crdtsync.server.backends.table import SCHEMA as ENTRY_SCHEMA
from crdtsync.server.backends.table import DeviceTable, EntryTable
from crdtsync.server.devices import Device
from crdtsync.server.records import ConnectionRecord, Crowd, Followed, Lag, Move
from crdtsync.storage import open_file

__all__ = ["SqliteBackend", "list_devices", "revoke_device"]

T = TypeVar("T")

SCHEMA = ENTRY_SCHEMA + SNAPSHOT_SCHEMA + CONNECTION_SCHEMA
_BUSY_TIMEOUT_MS = 5000


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
        self._documents: dict[str, _Document] = {}
        self._documents_max = documents_remembered_max
        self._watchers: list[Watcher] = []
        self._epoch = self._read_epoch()
        self._committer = Committer(
            self._file.path, self._file.transaction, self._documents.clear, self._file.close
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

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    async def aclose(self) -> None:
        await self._committer.aclose()

    def _tell(self, result: tuple[Appended, Added | None]) -> None:
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
        with self._file.transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO meta VALUES('epoch', ?)", (secrets.token_bytes(EPOCH_BYTES),)
            )
            epoch: bytes = connection.execute("SELECT value FROM meta WHERE name = 'epoch'").get
        return epoch

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
        rows = self._table.insert(held.id, held.position + 1, admission.new)
        held.position += len(rows)
        held.heads |= admission.heads
        return Added(document, rows, admission.heads)

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
        refused = None if held.id is None else self._table.first_refused(held.id)
        return covered if refused is None else min(covered, refused - 1)

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


def list_devices(path: str | os.PathLike[str]) -> list[Device]:
    """Return the devices that a server's file knows, also while a server has it open.

    Raises:
        StorageError: it cannot be read, or is no server's file.
    """
    file = open_file(path, "server", SCHEMA, durability="power", read_only=True)
    try:
        with file.errors():
            return DeviceTable(file.connection).all()
    finally:
        file.close()


def revoke_device(path: str | os.PathLike[str], replica: int) -> bool:
    """Revoke a device in a server's file, also while a server has it open; False if it is unknown.

    Raises:
        StorageError: it cannot be written, or is no server's file.
    """
    list_devices(path)  # is it a server's file at all?
    connection = apsw.Connection(os.fspath(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.set_busy_timeout(_BUSY_TIMEOUT_MS)
        connection.pragma("synchronous", "FULL")
        return DeviceTable(connection).revoke(replica)
    except apsw.Error as error:
        raise StorageError(
            f"the device cannot be revoked: {error}", path=os.fspath(path)
        ) from error
    finally:
        connection.close()
