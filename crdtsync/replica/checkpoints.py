"""States of documents at moments that have passed, so that looking back need not replay it all.

They are a cache: each is checked by its digest when it is read, and all of a document's are dropped
whenever an entry that they may hold has lost its effect or was damaged. There are few of them, far
apart: where there are too many, every second one goes, so what is left is spread over all of the
log, however long it grows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, TypeAlias

import apsw

from crdtsync.codec import decode, encode
from crdtsync.document import Snapshot
from crdtsync.errors import CodecError
from crdtsync.vector import covers, from_pairs, to_pairs

__all__ = [
    "CHECKPOINTS_MAX",
    "CHECKPOINT_BYTES_MAX",
    "SCHEMA",
    "Checkpoints",
    "Packed",
    "kept",
    "pack",
    "unpack",
]

SCHEMA = """
CREATE TABLE IF NOT EXISTS checkpoints(
    document INTEGER NOT NULL,
    entries INTEGER NOT NULL,
    vector BLOB NOT NULL,
    state BLOB NOT NULL,
    clocks BLOB NOT NULL,
    slots BLOB NOT NULL,
    digest BLOB NOT NULL,
    PRIMARY KEY(document, entries)
);
"""
CHECKPOINTS_MAX = 16
"""Checkpoints of one document."""
CHECKPOINT_BYTES_MAX = 64 * 1024 * 1024
"""What all checkpoints of one document may weigh."""

Packed: TypeAlias = tuple[bytes, bytes, bytes, bytes, bytes]
"""A snapshot as it is stored: vector, state, clocks, slots, and the digest of these."""


def pack(snapshot: Snapshot) -> Packed:
    """Return a snapshot as it is stored."""
    parts = (
        encode(to_pairs(snapshot.vector)),
        snapshot.state,
        encode(to_pairs(snapshot.clocks)),
        encode(snapshot.slots, flat=True),
    )
    return (*parts, _digest(*parts))


def unpack(packed: Packed) -> Snapshot | None:
    """Return a snapshot as it was; None if these are not the bytes that were stored."""
    try:
        vector, state, clocks, slots, digest = packed
        if _digest(vector, state, clocks, slots) != digest:
            return None
        return Snapshot(
            from_pairs(decode(vector)), state, from_pairs(decode(clocks)), dict(decode(slots))
        )
    except (CodecError, TypeError, ValueError):
        return None


def _digest(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def kept(
    sizes: Mapping[int, int],
    *,
    most: int = CHECKPOINTS_MAX,
    bytes_max: int = CHECKPOINT_BYTES_MAX,
) -> set[int]:
    """Return which checkpoints to keep: the first one in each stretch of the log.

    The stretches are the shortest that leave no more than is allowed, each of twice the length of
    the one tried before.

    Args:
        sizes: number of entries that a checkpoint holds, to its bytes.
        most: how many may be kept.
        bytes_max: what they may weigh together.

    >>> sorted(kept({100: 1, 200: 1, 300: 1, 400: 1, 500: 1}, most=3))
    [100, 300]
    """
    length = 1
    while True:
        firsts: dict[int, int] = {}
        for entries in sorted(sizes):
            firsts.setdefault(entries // length, entries)
        found = set(firsts.values())
        if len(found) <= most and sum(sizes[entries] for entries in found) <= bytes_max:
            return found
        if len(found) == 1:
            return set()
        length *= 2


class Checkpoints:
    """Reads and writes the table through one connection. Does no error mapping of its own."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def latest(self, document: int, vector: Mapping[int, int]) -> Snapshot | None:
        """Return the latest checkpoint that a state vector covers and that can be read."""
        rows: list[Any] = self._connection.execute(
            "SELECT entries, vector FROM checkpoints WHERE document = ? AND entries <= ? "
            "ORDER BY entries DESC",
            (document, sum(vector.values())),
        ).fetchall()
        usable = (entries for entries, data in rows if _covers(vector, data))
        return next(filter(None, (self._read(document, entries) for entries in usable)), None)

    def _read(self, document: int, entries: int) -> Snapshot | None:
        row: Packed | None = self._connection.execute(
            "SELECT vector, state, clocks, slots, digest FROM checkpoints "
            "WHERE document = ? AND entries = ?",
            (document, entries),
        ).fetchone()
        return None if row is None else unpack(row)

    def add(self, document: int, snapshot: Snapshot) -> None:
        """Keep a state, and thin out what is kept. Call it inside a transaction."""
        entries = sum(snapshot.vector.values())
        self._connection.execute(
            "INSERT OR REPLACE INTO checkpoints VALUES(?, ?, ?, ?, ?, ?, ?)",
            (document, entries, *pack(snapshot)),
        )
        sizes: dict[int, int] = dict(
            self._connection.execute(
                "SELECT entries, length(state) + length(slots) FROM checkpoints WHERE document = ?",
                (document,),
            )
        )
        for gone in sizes.keys() - kept(sizes):
            self._connection.execute(
                "DELETE FROM checkpoints WHERE document = ? AND entries = ?", (document, gone)
            )

    def drop(self, document: int) -> None:
        """Forget all of a document's. Call it inside a transaction."""
        self._connection.execute("DELETE FROM checkpoints WHERE document = ?", (document,))


def _covers(vector: Mapping[int, int], data: bytes) -> bool:
    try:
        return covers(vector, from_pairs(decode(data)))
    except (CodecError, TypeError, ValueError):
        return False
