"""Taking snapshots: a document's state up to an offset, so that nobody has to replay the log below.

A snapshot goes on from the one before. It is taken with a fresh CRDT document that is fed in the
order of the log, which is causal. While an entry is without effect, because it waits for others or
nothing will help it, none is taken. Before it may replace anything it is read back, and must give
the clocks that it names.

Read next: `crdtsync.clone` (what it is), `crdtsync.server.keeper` (when it is taken).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NoReturn

from anyio import to_thread

from crdtsync.clone import Clone, LogBase, decode_clone, encode_clone
from crdtsync.document import Snapshot
from crdtsync.document.crdt import clocks
from crdtsync.document.materialize import load_state, materialize
from crdtsync.errors import CloneError, EntryError, StorageError
from crdtsync.identity import new_replica_id
from crdtsync.log import EMPTY_HEAD, Entry, check_follows, decode_entry
from crdtsync.seal import binding
from crdtsync.server.backend import Backend, Row, SnapshotInfo

__all__ = ["extend_clone", "fetch_snapshot", "read_base", "take_snapshot"]

BLOCK_BYTES = 64 * 1024 * 1024
"""Entries that go into one snapshot; a longer log is gone through in several."""
_READ_BYTES = 1024 * 1024


async def take_snapshot(backend: Backend, document: str) -> SnapshotInfo | None:
    """Take a document's snapshot anew, up to the end of the log or as far as goes in one go.

    Returns:
        The new one; None where the log has not grown since the one before, as far as it is
        sealed, or an entry is without effect.

    Raises:
        StorageError: it could not be read or stored, or what is stored is damaged.
    """
    before = (await backend.state(document)).snapshot
    after = 0 if before is None else before.offset
    rows: list[Row] = []
    size = 0
    while size < BLOCK_BYTES and (
        block := await backend.read(document, rows[-1].offset if rows else after, _READ_BYTES)
    ):
        rows += block
        size += sum(len(row.data) for row in block)
    if not rows:
        return None
    data = None if before is None else await fetch_snapshot(backend, document, before)
    count, taken = await to_thread.run_sync(_take, document, data, rows)
    if not count:
        return None
    return await backend.keep_snapshot(document, rows[count - 1].offset, taken)


async def read_base(backend: Backend, document: str) -> tuple[int, Clone] | None:
    """Return the state that a document's log begins above, and its offset.

    None where the log is there from its first entry: then that is what to read.

    Raises:
        StorageError: it could not be read.
    """
    state = await backend.state(document)
    if state.snapshot is None or not state.base:
        return None
    try:
        clone = decode_clone(await fetch_snapshot(backend, document, state.snapshot))
    except CloneError as error:
        raise StorageError(f"its snapshot cannot be read: {error}", path=document) from error
    return state.snapshot.offset, clone


async def fetch_snapshot(backend: Backend, document: str, info: SnapshotInfo) -> bytes:
    """Return a snapshot whole.

    Raises:
        StorageError: it could not be read, or is another one by now.
    """
    parts = bytearray()
    while len(parts) < info.size:
        part = await backend.read_snapshot(document, info.id, len(parts), _READ_BYTES)
        if not part:
            raise StorageError("it was replaced while it was read", path=f"snapshot of {document}")
        parts += part
    return bytes(parts)


def _take(document: str, before: bytes | None, rows: Sequence[Row]) -> tuple[int, bytes]:
    """Return a clone that goes on with some rows, and how many of them are in it."""
    try:
        clone = None if before is None else decode_clone(before)
        entries = [decode_entry(row.data) for row in rows]
        count = _sealed(clone, entries)
        if not count:
            return 0, b""
        entries = entries[:count]
        extended = extend_clone(document, clone, entries)
        if extended is None:
            return 0, b""
        data = encode_clone(extended)
        again = decode_clone(data)
        assert load_state(again.state, again.clocks) is not None, "a snapshot has no gap"
    except (CloneError, EntryError) as error:
        raise StorageError(f"no snapshot can be taken: {error}", path=document) from error
    return count, data


def _sealed(clone: Clone | None, entries: Sequence[Entry]) -> int:
    """Return how many entries there are, from the first, so that all sealed logs end in a seal."""
    keys = {} if clone is None else {r: log.key is not None for r, log in clone.logs.items()}
    ends = {} if clone is None else clone.vector
    count, unsealed = 0, set()
    for index, entry in enumerate(entries, 1):
        if entry.seq <= ends.get(entry.replica, 0):
            pass  # a notice
        elif keys.setdefault(entry.replica, binding(entry) is not None) and entry.seal is None:
            unsealed.add(entry.replica)
        else:
            unsealed.discard(entry.replica)
        ends[entry.replica] = max(entry.seq, ends.get(entry.replica, 0))
        if not unsealed:
            count = index
    return count


def extend_clone(document: str, clone: Clone | None, entries: Sequence[Entry]) -> Clone | None:
    """Return a clone that goes on from another with some entries.

    None where one of them is without effect: it may have one later, which a state would not know.

    Args:
        document: its name.
        clone: the one before; None at the beginning of the log.
        entries: what follows it, in causal order.

    Raises:
        EntryError: an entry does not follow.
        StorageError: the clone cannot be loaded.
    """
    source = _Source(document, clone, entries)
    material = materialize(source)
    if material.waiting:
        return None
    doc = material.doc
    return Clone(document, source.logs, clocks(doc), source.clamps, doc.get_update())


class _Source:
    """What a document is materialized from: a clone, and the entries that follow it."""

    def __init__(self, document: str, clone: Clone | None, entries: Sequence[Entry]) -> None:
        self.name = document
        self.replica = new_replica_id()
        self.logs: dict[int, LogBase] = {}
        self.clamps: dict[tuple[int, int], int] = {}
        self._clone = clone
        self._entries = entries

    def base(self) -> Snapshot | None:
        clone = self._clone
        return (
            None if clone is None else Snapshot(clone.vector, clone.state, dict(clone.clocks), {})
        )

    snapshot = base

    def entries(self, after: Mapping[int, int] | None = None) -> Iterator[Entry]:
        self.logs = {} if self._clone is None else dict(self._clone.logs)
        self.clamps = {} if self._clone is None else dict(self._clone.clamps)
        for entry in self._entries:
            before = self.logs.get(entry.replica)
            if before is not None and entry.seq <= before.seq:
                continue  # a notice: what it says of the entry is in its place already
            check_follows(entry, EMPTY_HEAD if before is None else before.head)
            self._follow(entry, before)
            yield entry

    def _follow(self, entry: Entry, before: LogBase | None) -> None:
        for replica, seq, _ in entry.dependencies:
            log = self.logs[replica]
            if log.seq <= seq:
                self.logs[replica] = log._replace(tip=False)
        if entry.clamp is not None:
            self.clamps[entry.replica, entry.seq] = entry.clamp
        bound = binding(entry)
        user = None if before is None else before.user
        key = (None if bound is None else bound.public) if before is None else before.key
        self.logs[entry.replica] = LogBase(
            entry.replica,
            entry.seq,
            entry.hash,
            entry.when,
            tip=True,
            user=user if entry.user is None else entry.user,
            key=key,
            seal=entry.seal,
        )

    def set_damage_aside(self) -> NoReturn:
        raise StorageError("the snapshot before cannot be loaded", path=self.name)
