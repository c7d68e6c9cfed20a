"""The server's tables of snapshots, and of where logs begin.

A snapshot stands in rows of 64 KiB, so that reading a part of it costs that part only.
"""

from __future__ import annotations

import apsw

from crdtsync.clone import id_of
from crdtsync.log import HASH_BYTES, hash_of
from crdtsync.server.backend import SnapshotInfo

__all__ = ["SCHEMA", "SnapshotTable", "is_dropped"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS snapshots(
    document INTEGER PRIMARY KEY,
    id BLOB NOT NULL,
    offset INTEGER NOT NULL,
    size INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS snapshot_parts(
    place INTEGER PRIMARY KEY,
    data BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS bases(
    document INTEGER PRIMARY KEY,
    base INTEGER NOT NULL,
    dropped INTEGER NOT NULL
);
"""

_PART_BYTES = 64 * 1024
_BITS = 40
_ROWS_AT_ONCE = 5000
"""So many entries are dropped in one transaction: others wait for it."""


def is_dropped(data: bytes) -> bool:
    """Tell whether only its hash is left of an entry, given what is stored of it."""
    return len(data) == HASH_BYTES  # an entry holds the hash of the one before, and more


class SnapshotTable:
    """Reads and writes snapshots and bases. Does no error mapping of its own."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def info(self, document: int) -> SnapshotInfo | None:
        """Return what is known of a document's snapshot."""
        row: tuple[bytes, int, int] | None = self._connection.execute(
            "SELECT id, offset, size FROM snapshots WHERE document = ?", (document,)
        ).fetchone()
        return None if row is None else SnapshotInfo(*row)

    def put(self, document: int, offset: int, data: bytes) -> SnapshotInfo:
        """Keep a snapshot in place of the one before."""
        info = SnapshotInfo(id_of(data), offset, len(data))
        base = document << _BITS
        self._connection.execute(
            "DELETE FROM snapshot_parts WHERE place >= ? AND place < ?", (base, base + (1 << _BITS))
        )
        self._connection.executemany(
            "INSERT INTO snapshot_parts(place, data) VALUES(?, ?)",
            [
                (base | index, data[at : at + _PART_BYTES])
                for index, at in enumerate(range(0, len(data), _PART_BYTES))
            ],
        )
        self._connection.execute(
            "INSERT OR REPLACE INTO snapshots VALUES(?, ?, ?, ?)", (document, *info)
        )
        return info

    def read(self, document: int, id_: bytes, position: int, bytes_max: int) -> bytes | None:
        """Return a part of a snapshot; None if it is another one by now."""
        info = self.info(document)
        if info is None or info.id != id_:
            return None
        index, skip = divmod(position, _PART_BYTES)
        found: bytes | None = self._connection.execute(
            "SELECT substr(data, ?, ?) FROM snapshot_parts WHERE place = ?",
            (skip + 1, bytes_max, document << _BITS | index),
        ).get
        return found

    def base(self, document: int) -> int:
        """Return the offset at which a document's log begins."""
        base: int | None = self._connection.execute(
            "SELECT base FROM bases WHERE document = ?", (document,)
        ).get
        return base or 0

    def trim(self, document: int, upto: int, *, drop: bool) -> int:
        """Let a log begin at an offset; return where it begins now."""
        info, base = self.info(document), self.base(document)
        upto = base if info is None else min(upto, info.offset)
        if upto <= base:
            return base
        if drop:
            upto = self._drop(document << _BITS, base, upto)
        dropped = drop or self._has_dropped(document)
        self._connection.execute(
            "INSERT OR REPLACE INTO bases VALUES(?, ?, ?)", (document, upto, dropped)
        )
        return upto

    def _has_dropped(self, document: int) -> bool:
        return bool(
            self._connection.execute(
                "SELECT dropped FROM bases WHERE document = ?", (document,)
            ).get
        )

    def forget(self, document: int, offset: int) -> bool:
        """Let a log begin at its first entry again, as its snapshot holds what must not be there.

        Args:
            document: its number.
            offset: of an entry that has changed.

        Returns:
            Whether it was so. Where entries were dropped the snapshot is all there is, and stays.
        """
        info = self.info(document)
        if info is None or info.offset < offset or self._has_dropped(document):
            return False
        places = document << _BITS
        self._connection.execute("DELETE FROM snapshots WHERE document = ?", (document,))
        self._connection.execute("DELETE FROM bases WHERE document = ?", (document,))
        self._connection.execute(
            "DELETE FROM snapshot_parts WHERE place >= ? AND place < ?",
            (places, places + (1 << _BITS)),
        )
        return True

    def _drop(self, places: int, base: int, upto: int) -> int:
        rows = list(
            self._connection.execute(
                "SELECT place, seq, data FROM entries WHERE place > ? AND place <= ? "
                "ORDER BY place LIMIT ?",
                (places + base, places + upto, _ROWS_AT_ONCE),
            )
        )
        self._connection.executemany(
            "UPDATE entries SET data = ? WHERE place = ?",
            # A log's first entry says whose it is.
            [(hash_of(data), place) for place, seq, data in rows if seq > 1],
        )
        return rows[-1][0] - places if len(rows) == _ROWS_AT_ONCE else upto
