"""A backend that lives as long as its process: for tests, demonstrations and simulations.

It runs in the event loop, without a thread or a clock, so a seeded run is the same every time. It
is also the contract in its simplest form: read it before you write a backend of your own. Only
"durable" is not kept, there being nothing that would outlast a loss of power.
"""

from __future__ import annotations

import secrets
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter

from anyio.lowlevel import checkpoint

from crdtsync.clone import id_of
from crdtsync.document.erasure import erase
from crdtsync.log import HASH_BYTES, Entry, Head, decode_entry
from crdtsync.server.admission import admit
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
from crdtsync.server.devices import Device
from crdtsync.server.erasures import Erasure
from crdtsync.server.lifecycle import State as Standing
from crdtsync.server.records import ConnectionRecord, Crowd, Followed, Lag, Move

__all__ = ["MemoryBackend"]

_offset_of = attrgetter("offset")


@dataclass(slots=True)
class _Held:
    """One document: its sequence, and where to find an entry in it."""

    rows: list[Row] = field(default_factory=list)
    heads: dict[int, Head] = field(default_factory=dict)
    places: dict[tuple[int, int], tuple[int, bytes]] = field(default_factory=dict)
    base: int = 0
    snapshot: tuple[SnapshotInfo, bytes] | None = None

    def hash_at(self, replica: int, seq: int) -> bytes:
        return self.places[replica, seq][1]


class MemoryBackend:
    """Keeps the logs in memory; see `crdtsync.server.backend.Backend`.

    Args:
        epoch: the name of this incarnation; drawn at random by default.
    """

    def __init__(self, epoch: bytes | None = None) -> None:
        self._epoch = epoch if epoch is not None else secrets.token_bytes(EPOCH_BYTES)
        self._documents: dict[str, _Held] = {}
        self._devices: dict[int, Device] = {}
        self._connections: dict[bytes, ConnectionRecord] = {}
        self._followed: dict[bytes, dict[str, Followed]] = {}
        self._kept: dict[str, bytes] = {}
        self._erasures: dict[tuple[str, int, int], Erasure] = {}
        self._watchers: list[Watcher] = []

    @property
    def epoch(self) -> bytes:
        return self._epoch

    async def append(self, document: str, entries: Sequence[Entry]) -> Appended:
        await checkpoint()
        held = self._documents.get(document) or _Held()
        admission = admit(entries, held.heads, held.hash_at)
        rows = []
        heads = held.heads | admission.heads
        for offset, new in enumerate(admission.new, len(held.rows) + 1):
            erasure = self._erasures.get((document, new.replica, new.seq))
            entry = new if erasure is None else erase(new, erasure.reason, heads)
            rows.append(Row(offset, entry.replica, entry.seq, entry.data))
            held.places[entry.replica, entry.seq] = offset, entry.hash
        if rows:
            self._documents[document] = held
            held.rows += rows
            held.heads = heads
            for watcher in list(self._watchers):
                watcher(Added(document, rows, admission.heads))
        stored = {
            replica: Stored(seq, held.places[replica, seq][0])
            for replica, seq in admission.held.items()
        }
        return Appended(stored, admission.gap)

    async def read(
        self, document: str, after: int, bytes_max: int, upto: int | None = None
    ) -> list[Row]:
        await checkpoint()
        rows = self._documents[document].rows if document in self._documents else []
        found: list[Row] = []
        size = 0
        for index in range(bisect_right(rows, after, key=_offset_of), len(rows)):
            row = rows[index]
            if len(row.data) == HASH_BYTES:  # it was dropped
                continue
            size += len(row.data)
            if (upto is not None and row.offset > upto) or (found and size > bytes_max):
                break
            found.append(row)
        return found

    async def state(self, document: str) -> State:
        await checkpoint()
        held = self._documents.get(document)
        if held is None:
            return State(0, {})
        snapshot = None if held.snapshot is None else held.snapshot[0]
        return State(len(held.rows), dict(held.heads), held.base, snapshot)

    async def entry(self, document: str, replica: int, seq: int) -> bytes | None:
        await checkpoint()
        held = self._documents.get(document)
        place = None if held is None else held.places.get((replica, seq))
        if held is None or place is None:
            return None
        data = held.rows[place[0] - 1].data
        return None if len(data) == HASH_BYTES else data

    async def covered(self, document: str, vector: Mapping[int, int]) -> int:
        await checkpoint()
        held = self._documents.get(document)
        if held is None:
            return 0
        marked = next((row.offset - 1 for row in held.rows if row.is_marked), len(held.rows))
        lacking = [
            held.places[replica, vector.get(replica, 0) + 1][0] - 1
            for replica, head in held.heads.items()
            if vector.get(replica, 0) < head.seq
        ]
        return min(marked, *lacking) if lacking else marked

    async def erase(self, erasure: Erasure) -> bool:
        await checkpoint()
        document, replica, seq, reason = erasure
        self._erasures[document, replica, seq] = erasure
        held = self._documents.get(document)
        if held is None or (replica, seq) not in held.places:
            return False
        place = held.places[replica, seq][0] - 1
        if len(held.rows[place].data) == HASH_BYTES:
            return False
        entry = decode_entry(held.rows[place].data)
        erased = erase(entry, reason, held.heads)
        if erased is not entry:
            held.rows[place] = held.rows[place]._replace(data=erased.data)
            row = Row(len(held.rows) + 1, replica, seq, erased.data)
            held.rows.append(row)
            forgotten = (
                held.snapshot is not None
                and held.snapshot[0].offset > place
                and not any(len(row.data) == HASH_BYTES for row in held.rows)
            )
            if forgotten:
                held.base, held.snapshot = 0, None
            for watcher in list(self._watchers):
                watcher(Added(document, [row], {}, rewritten=True, unsnapshotted=forgotten))
        return True

    async def erasures_due(self) -> list[Erasure]:
        await checkpoint()
        return []

    async def keep_snapshot(self, document: str, offset: int, data: bytes) -> SnapshotInfo:
        await checkpoint()
        info = SnapshotInfo(id_of(data), offset, len(data))
        self._documents[document].snapshot = info, data
        return info

    async def read_snapshot(
        self, document: str, id_: bytes, position: int, bytes_max: int
    ) -> bytes | None:
        await checkpoint()
        held = self._documents.get(document)
        if held is None or held.snapshot is None or held.snapshot[0].id != id_:
            return None
        return held.snapshot[1][position : position + bytes_max]

    async def trim(self, document: str, upto: int, *, drop: bool) -> int:
        await checkpoint()
        held = self._documents.get(document)
        if held is None or held.snapshot is None:
            return 0
        upto = min(upto, held.snapshot[0].offset)
        if drop:
            for index in range(held.base, upto):
                row = held.rows[index]
                if row.seq > 1:  # a log's first entry says whose it is
                    held.rows[index] = row._replace(data=held.hash_at(row.replica, row.seq))
        held.base = max(held.base, upto)
        return held.base

    async def connection(self, client: bytes) -> ConnectionRecord | None:
        await checkpoint()
        return self._connections.get(client)

    async def connections(self, user: str | None = None) -> list[ConnectionRecord]:
        await checkpoint()
        found = [self._connections[client] for client in sorted(self._connections)]
        return found if user is None else [record for record in found if record.user == user]

    async def put_connection(self, record: ConnectionRecord) -> bool:
        await checkpoint()
        held = self._connections.get(record.client)
        if (0 if held is None else held.version) != record.version:
            return False
        self._connections[record.client] = replace(record, version=record.version + 1)
        followed = self._followed.setdefault(record.client, {})
        if record.state is Standing.RETIRED:
            followed.clear()
        elif record.state is not Standing.ACTIVE:
            followed.update({name: one._replace(offset=None) for name, one in followed.items()})
        return True

    async def followed(self, client: bytes) -> dict[str, Followed]:
        await checkpoint()
        return dict(sorted(self._followed.get(client, {}).items()))

    async def note(self, moves: Sequence[Move], seen: Mapping[bytes, int]) -> None:
        await checkpoint()
        for client, when in seen.items():
            if client in self._connections:
                self._connections[client] = replace(self._connections[client], last_seen=when)
        for client, document, one in moves:
            record = self._connections.get(client)
            if record is None or record.state is Standing.RETIRED:
                continue
            if one is None:
                self._followed[client].pop(document, None)
            elif record.state is Standing.ACTIVE:
                self._followed[client][document] = one
            else:
                self._followed[client][document] = one._replace(offset=None)

    def _cursors(self, document: str) -> dict[bytes, int]:
        return {
            client: followed[document].offset or 0
            for client, followed in self._followed.items()
            if document in followed and followed[document].offset is not None
        }

    async def floor(self, document: str) -> int | None:
        await checkpoint()
        return min(self._cursors(document).values(), default=None)

    async def crowds(self) -> list[Crowd]:
        await checkpoint()
        crowds = []
        for document in sorted({name for followed in self._followed.values() for name in followed}):
            held, cursors = self._documents.get(document), self._cursors(document).values()
            if cursors:
                end = 0 if held is None else len(held.rows)
                crowds.append(Crowd(document, len(cursors), min(cursors), end))
        return crowds

    async def lags(self, document: str) -> dict[bytes, Lag]:
        await checkpoint()
        rows = self._documents.get(document, _Held()).rows
        lags = {}
        for client, offset in self._cursors(document).items():
            behind = rows[offset:]
            lags[client] = Lag(len(behind), sum(len(row.data) for row in behind))
        return lags

    async def retired(self) -> frozenset[bytes]:
        await checkpoint()
        return frozenset(
            client
            for client, record in self._connections.items()
            if record.state is Standing.RETIRED
        )

    async def documents(self) -> list[str]:
        await checkpoint()
        return sorted(self._documents)

    async def bind(self, device: Device) -> Device:
        await checkpoint()
        held = self._devices.setdefault(device.replica, device)
        if held.user is None and held.key == device.key:
            held = self._devices[device.replica] = held._replace(user=device.user)
        return held

    async def device(self, replica: int) -> Device | None:
        await checkpoint()
        return self._devices.get(replica)

    async def devices(self) -> list[Device]:
        await checkpoint()
        return sorted(self._devices.values())

    async def revoked(self) -> frozenset[int]:
        await checkpoint()
        return frozenset(device.replica for device in self._devices.values() if device.revoked)

    async def revoke(self, replica: int) -> bool:
        await checkpoint()
        device = self._devices.get(replica)
        if device is not None:
            self._devices[replica] = device._replace(revoked=True)
        return device is not None

    async def keep(self, name: str, value: bytes) -> bytes:
        await checkpoint()
        return self._kept.setdefault(name, value)

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    async def aclose(self) -> None:
        """Do nothing: there is nothing to release."""
