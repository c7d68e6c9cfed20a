"""The server's table of entries: every document in the order in which it came.

A row's place is `document << 40 | offset`, so the rows of one document stand together in the order
of arrival, which is what followers read. A second index finds an entry by its log and number.
Entries are stored as the bytes they came in. Those that are marked are noted by their places.

An entry that was rewritten must be told to those who are past it. So it gets one more place, a
*notice*, at which the same bytes are read; they stay where they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import apsw

from crdtsync.log import HASH_BYTES, Entry
from crdtsync.server.backend import Row
from crdtsync.server.devices import Device

__all__ = ["SCHEMA", "DeviceTable", "EntryTable", "digest_of"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS documents(
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);
CREATE TABLE IF NOT EXISTS entries(
    place INTEGER PRIMARY KEY,
    document INTEGER NOT NULL,
    replica INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    data BLOB NOT NULL,
    UNIQUE(document, replica, seq)
);
CREATE TABLE IF NOT EXISTS marked(
    place INTEGER PRIMARY KEY,
    digest BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS notices(
    place INTEGER PRIMARY KEY,
    document INTEGER NOT NULL,
    replica INTEGER NOT NULL,
    seq INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS devices(
    replica INTEGER PRIMARY KEY,
    key BLOB NOT NULL,
    user TEXT,
    revoked INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS revoked_devices ON devices(replica) WHERE revoked = 1;
"""

_OFFSET_BITS = 40
_DIGEST_BYTES = 8


class EntryTable:
    """Reads and writes the table through one connection. Does no error mapping of its own."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def document(self, name: str) -> int | None:
        """Return a document's number, or None where it has none."""
        found: int | None = self._connection.execute(
            "SELECT id FROM documents WHERE name = ?", (name,)
        ).get
        return found

    def add_document(self, name: str) -> int:
        """Give a document a number."""
        self._connection.execute("INSERT INTO documents(name) VALUES(?)", (name,))
        return self._connection.last_insert_rowid()

    def names(self) -> list[str]:
        """Return the names of all documents, sorted."""
        rows = self._connection.execute("SELECT name FROM documents ORDER BY name")
        return [name for (name,) in rows]

    def insert(self, document: int, offset: int, entries: Sequence[Entry]) -> list[Row]:
        """Store entries from an offset upwards, and return them as rows."""
        rows = [
            Row(place, entry.replica, entry.seq, entry.data)
            for place, entry in enumerate(entries, offset)
        ]
        base = document << _OFFSET_BITS
        self._connection.executemany(
            "INSERT INTO entries(place, document, replica, seq, data) VALUES(?, ?, ?, ?, ?)",
            [(base | row.offset, document, row.replica, row.seq, row.data) for row in rows],
        )
        marked = [(base | row.offset, digest_of(row.data)) for row in rows if row.is_marked]
        if marked:
            self._connection.executemany("INSERT INTO marked(place, digest) VALUES(?, ?)", marked)
        return rows

    def rewrite(self, document: int, entry: Entry, offset: int) -> Row:
        """Store the marked form of an entry in its place; return it as it stands at an offset too.

        Args:
            document: its number.
            entry: the form.
            offset: behind all others.
        """
        base = document << _OFFSET_BITS
        self._connection.execute(
            "UPDATE entries SET data = ? WHERE document = ? AND replica = ? AND seq = ?",
            (entry.data, document, entry.replica, entry.seq),
        )
        place = base | self.at(document, entry.replica, entry.seq).offset
        self._connection.execute(
            "INSERT OR REPLACE INTO marked VALUES(?, ?)", (place, digest_of(entry.data))
        )
        self._connection.execute(
            "INSERT INTO notices VALUES(?, ?, ?, ?)",
            (base | offset, document, entry.replica, entry.seq),
        )
        return Row(offset, entry.replica, entry.seq, entry.data)

    def first_marked(self, document: int) -> int | None:
        """Return the offset of a document's first marked entry."""
        base = document << _OFFSET_BITS
        first: int | None = self._connection.execute(
            "SELECT min(place) FROM marked WHERE place > ? AND place < ?",
            (base, base + (1 << _OFFSET_BITS)),
        ).get
        return None if first is None else first - base

    def marked(self, document: int) -> dict[int, bytes]:
        """Return the offsets of a document's marked entries, and what tells their bytes."""
        base = document << _OFFSET_BITS
        rows = self._connection.execute(
            "SELECT place, digest FROM marked WHERE place > ? AND place < ?",
            (base, base + (1 << _OFFSET_BITS)),
        )
        return {place - base: digest for place, digest in rows}

    def notices(self, document: int) -> set[int]:
        """Return the offsets at which entries of a document stand once more."""
        base = document << _OFFSET_BITS
        rows = self._connection.execute(
            "SELECT place FROM notices WHERE place > ? AND place < ?",
            (base, base + (1 << _OFFSET_BITS)),
        )
        return {place - base for (place,) in rows}

    def count(self) -> int:
        """Return how many entries there are."""
        found: int = self._connection.execute("SELECT count(*) FROM entries").get
        return found

    def strays(self) -> int:
        """Return how many entries are in no document, at another's place, or not even bytes."""
        found: int = self._connection.execute(
            f"SELECT count(*) FROM entries WHERE place >> {_OFFSET_BITS} IS NOT document "  # noqa: S608 - ours
            "OR document NOT IN (SELECT id FROM documents) OR typeof(data) <> 'blob'"
        ).get
        return found

    def last_offset(self, document: int) -> int:
        """Return the offset of the newest entry, or notice; 0 where there is none."""
        base = document << _OFFSET_BITS
        last = [
            self._connection.execute(
                f"SELECT max(place) FROM {table} WHERE place > ? AND place < ?",  # noqa: S608 - ours
                (base, base + (1 << _OFFSET_BITS)),
            ).get
            for table in ("entries", "notices")
        ]
        return max((place - base for place in last if place is not None), default=0)

    def replicas(self, document: int) -> list[int]:
        """Return the replicas that have a log in a document, without reading the logs."""
        found: list[int] = []
        replica: int | None = -1
        while True:
            replica = self._connection.execute(
                "SELECT min(replica) FROM entries WHERE document = ? AND replica > ?",
                (document, replica),
            ).get
            if replica is None:
                return found
            found.append(replica)

    def newest(self, document: int, replica: int) -> Row:
        """Return the newest entry of a log that there is."""
        ((place, seq, data),) = self._connection.execute(
            "SELECT place, seq, data FROM entries WHERE document = ? AND replica = ? "
            "ORDER BY seq DESC LIMIT 1",
            (document, replica),
        )
        return Row(place - (document << _OFFSET_BITS), replica, seq, data)

    def at(self, document: int, replica: int, seq: int) -> Row:
        """Return an entry that there is, by its number."""
        ((place, data),) = self._connection.execute(
            "SELECT place, data FROM entries WHERE document = ? AND replica = ? AND seq = ?",
            (document, replica, seq),
        )
        return Row(place - (document << _OFFSET_BITS), replica, seq, data)

    def holds(self, document: int, replica: int, seq: int) -> bool:
        """Tell whether there is an entry of that number."""
        rows = self._connection.execute(
            "SELECT 1 FROM entries WHERE document = ? AND replica = ? AND seq = ?",
            (document, replica, seq),
        )
        return any(True for _ in rows)

    def read(
        self, document: int, after: int, upto: int, bytes_max: int, *, dropped: bool = False
    ) -> list[Row]:
        """Return entries above an offset in their order, at least one if there is any.

        Args:
            document: its number.
            after: the offset below the first one wanted.
            upto: the last offset wanted.
            bytes_max: about how many bytes to return.
            dropped: those too of which only the hash is left, in place of the entry.
        """
        base = document << _OFFSET_BITS
        rows: list[Row] = []
        size = 0
        for place, replica, seq, data in self._connection.execute(
            "SELECT place, replica, seq, ifnull(cast(data AS BLOB), x'') FROM entries "
            "WHERE place > ?1 AND place <= ?2 AND ifnull(length(data), 0) != ?3 "
            "UNION ALL SELECT notices.place, replica, seq, ifnull(cast(data AS BLOB), x'') "
            "FROM notices JOIN entries USING(document, replica, seq) "
            "WHERE notices.place > ?1 AND notices.place <= ?2 AND ifnull(length(data), 0) != ?3 "
            "ORDER BY 1",
            (base + after, base + upto, 0 if dropped else HASH_BYTES),
        ):
            size += len(data)
            if rows and size > bytes_max:
                break
            rows.append(Row(place - base, replica, seq, data))
        return rows


def digest_of(data: bytes) -> bytes:
    """Return what tells whether a marked entry is as it was written: its hash cannot."""
    return hashlib.sha256(data).digest()[:_DIGEST_BYTES]


class DeviceTable:
    """Reads and writes the devices. Does no error mapping of its own."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def bind(self, device: Device) -> Device:
        """Bind a replica id unless it is bound already; return what it is bound to."""
        self._connection.execute(
            "INSERT OR IGNORE INTO devices(replica, key, user, revoked) VALUES(?, ?, ?, ?)",
            (device.replica, device.key, device.user, device.revoked),
        )
        self._connection.execute(
            "UPDATE devices SET user = ? WHERE replica = ? AND key = ? AND user IS NULL",
            (device.user, device.replica, device.key),
        )
        held = self.get(device.replica)
        assert held is not None
        return held

    def get(self, replica: int) -> Device | None:
        """Return what a replica id is bound to; None if it is not bound."""
        return next(iter(self._read("WHERE replica = ?", (replica,))), None)

    def revoke(self, replica: int) -> bool:
        """Let nobody in under a replica id any more; False if there is none."""
        self._connection.execute("UPDATE devices SET revoked = 1 WHERE replica = ?", (replica,))
        return self._connection.changes() > 0

    def revoked(self) -> frozenset[int]:
        """Return the replica ids under which nobody is let in any more."""
        rows = self._connection.execute("SELECT replica FROM devices WHERE revoked = 1")
        return frozenset(replica for (replica,) in rows)

    def all(self) -> list[Device]:
        """Return all of them."""
        return self._read("ORDER BY replica", ())

    def _read(self, which: str, bindings: tuple[int, ...]) -> list[Device]:
        rows = self._connection.execute(
            f"SELECT replica, key, user, revoked FROM devices {which}",  # noqa: S608 - ours
            bindings,
        )
        return [Device(replica, key, user, bool(revoked)) for replica, key, user, revoked in rows]
