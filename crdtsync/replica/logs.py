"""The table of logs: every entry at a place that its log and number alone decide.

A row's place is `log << 40 | seq`. So one log is one run of rows, an action appends one row to one
b-tree (a second index would cost a third of the whole action), and an entry is found by its number
without a search. `position` is the order of arrival within the document, over all of its logs;
`digest` tells of each row by itself whether its bytes are still those that were written.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import apsw

from crdtsync.envelope import is_bare
from crdtsync.log import Entry

__all__ = ["SCHEMA", "SEQ_MAX", "LogTable", "Row", "digest_of"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS documents(
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);
CREATE TABLE IF NOT EXISTS logs(
    id INTEGER PRIMARY KEY,
    document INTEGER NOT NULL,
    replica INTEGER NOT NULL,
    UNIQUE(document, replica)
);
CREATE INDEX IF NOT EXISTS logs_by_replica ON logs(replica);
CREATE TABLE IF NOT EXISTS entries(
    place INTEGER PRIMARY KEY,
    position INTEGER NOT NULL,
    digest BLOB NOT NULL,
    data BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS refused(
    place INTEGER PRIMARY KEY,
    reason TEXT NOT NULL,
    data BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS clamps(
    place INTEGER PRIMARY KEY,
    clamp INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS damaged(
    place INTEGER NOT NULL,
    position INTEGER NOT NULL,
    data BLOB NOT NULL,
    reason TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS superseded(
    place INTEGER NOT NULL,
    position INTEGER NOT NULL,
    data BLOB NOT NULL,
    anew INTEGER NOT NULL
);
"""

_SEQ_BITS = 40
SEQ_MAX = (1 << _SEQ_BITS) - 1
DIGEST_BYTES = 8
_INSERT = "INSERT INTO entries(place, position, digest, data) VALUES(?, ?, ?, ?)"


class Row(NamedTuple):
    """A stored entry: when it came, whose it is, the beginning of its hash, and its bytes."""

    position: int
    replica: int
    seq: int
    digest: bytes
    data: bytes


def digest_of(entry: Entry) -> bytes:
    """Return what tells whether an entry's bytes are still those that were written."""
    if is_bare(entry.data):
        return entry.hash[:DIGEST_BYTES]
    return hashlib.sha256(entry.data).digest()[:DIGEST_BYTES]


class LogTable:
    """Reads and writes the logs through one connection. Does no error mapping of its own."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._inserting = connection.cursor()

    # --- documents and logs --------------------------------------------------------------------

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

    def logs(self, document: int) -> dict[int, int]:
        """Return the number of each replica's log in a document."""
        rows = self._connection.execute(
            "SELECT replica, id FROM logs WHERE document = ?", (document,)
        )
        return dict(rows)

    def add_log(self, document: int, replica: int) -> int:
        """Begin a replica's log in a document and return its number."""
        self._connection.execute(
            "INSERT INTO logs(document, replica) VALUES(?, ?)", (document, replica)
        )
        return self._connection.last_insert_rowid()

    def of_replica(self, replica: int) -> list[tuple[int, int]]:
        """Return (document, log) of each log that a replica has."""
        return list(
            self._connection.execute("SELECT document, id FROM logs WHERE replica = ?", (replica,))
        )

    def replicas(self) -> set[int]:
        """Return all replicas that have a log in any document."""
        rows = self._connection.execute("SELECT DISTINCT replica FROM logs")
        return {replica for (replica,) in rows}

    # --- entries -------------------------------------------------------------------------------

    def insert(self, log: int, position: int, entry: Entry) -> None:
        """Store one entry."""
        place = (log << _SEQ_BITS) | entry.seq
        self._inserting.execute(_INSERT, (place, position, digest_of(entry), entry.data))

    def insert_many(self, logs: Mapping[int, int], position: int, entries: Sequence[Entry]) -> None:
        """Store entries of several logs, at positions from `position` upwards."""
        self._inserting.executemany(
            _INSERT,
            [
                (
                    (logs[entry.replica] << _SEQ_BITS) | entry.seq,
                    position + index,
                    digest_of(entry),
                    entry.data,
                )
                for index, entry in enumerate(entries)
            ],
        )
        for entry in entries:
            if entry.clamp is not None:
                self.clamp(logs[entry.replica], entry.seq, entry.clamp)

    def replace(self, log: int, entry: Entry) -> None:
        """Store an entry in place of the one of its number."""
        self._connection.execute(
            "UPDATE entries SET digest = ?, data = ? WHERE place = ?",
            (digest_of(entry), entry.data, (log << _SEQ_BITS) | entry.seq),
        )
        if entry.clamp is not None:
            self.clamp(log, entry.seq, entry.clamp)

    def clamp(self, log: int, seq: int, clamp: int) -> None:
        """Note as of when an entry counts."""
        self._connection.execute(
            "INSERT OR REPLACE INTO clamps VALUES(?, ?)", ((log << _SEQ_BITS) | seq, clamp)
        )

    def clamps(self, log: int) -> dict[int, int]:
        """Return the numbers of a log's clamped entries, and the times as of which they count."""
        base = log << _SEQ_BITS
        rows = self._connection.execute(
            "SELECT place, clamp FROM clamps WHERE place > ? AND place <= ?", (base, base | SEQ_MAX)
        )
        return {place - base: clamp for place, clamp in rows}

    def last(self, log: int, replica: int) -> Row | None:
        """Return the newest entry of a replica's log."""
        base = log << _SEQ_BITS
        found: tuple[int, int, bytes, bytes] | None = self._connection.execute(
            "SELECT place, position, digest, data FROM entries WHERE place > ? AND place <= ? "
            "ORDER BY place DESC LIMIT 1",
            (base, base | SEQ_MAX),
        ).fetchone()
        if found is None:
            return None
        place, position, digest, data = found
        return Row(position, replica, place - base, digest, data)

    def at(self, log: int, seq: int) -> bytes | None:
        """Return one entry."""
        found: bytes | None = self._connection.execute(
            "SELECT data FROM entries WHERE place = ?", ((log << _SEQ_BITS) | seq,)
        ).get
        return found

    def position(self, log: int, seq: int) -> int | None:
        """Return when an entry arrived."""
        found: int | None = self._connection.execute(
            "SELECT position FROM entries WHERE place = ?", ((log << _SEQ_BITS) | seq,)
        ).get
        return found

    def seq_before(self, log: int, position: int) -> int:
        """Return the number of a log's last entry that arrived before a position; 0 if none did."""
        base = log << _SEQ_BITS
        place: int | None = self._connection.execute(
            "SELECT place FROM entries WHERE place > ? AND place <= ? AND position < ? "
            "ORDER BY place DESC LIMIT 1",
            (base, base | SEQ_MAX, position),
        ).get
        return 0 if place is None else place - base

    def firsts(self, replica: int) -> list[bytes]:
        """Return the first entry of each log of a replica, in whatever document."""
        rows = self._connection.execute(
            f"SELECT data FROM entries WHERE place IN "  # noqa: S608 - a number of ours
            f"(SELECT (id << {_SEQ_BITS}) | 1 FROM logs WHERE replica = ?) ORDER BY place",
            (replica,),
        )
        return [data for (data,) in rows]

    def read(self, log: int, replica: int, after: int = 0, upto: int = SEQ_MAX) -> Iterator[Row]:
        """Yield the entries of one log above number `after`, up to `upto`."""
        base = log << _SEQ_BITS
        for place, position, digest, data in self._connection.execute(
            "SELECT place, ifnull(cast(position AS INTEGER), 0), digest, cast(data AS BLOB) "
            "FROM entries WHERE place > ? AND place <= ? ORDER BY place",
            (base | after, base | upto),
        ):
            yield Row(position, replica, place - base, digest, data)

    def read_all(
        self, logs: Mapping[int, int], after: Mapping[int, int], upto: Mapping[int, int]
    ) -> Iterator[Row]:
        """Yield the entries of several logs in the order of arrival.

        Args:
            logs: number of each replica's log.
            after: a state vector below which nothing is wanted.
            upto: a state vector above which nothing is wanted.
        """
        runs = [
            self.read(logs[replica], replica, after.get(replica, 0), last)
            for replica, last in upto.items()
            if last > after.get(replica, 0)
        ]
        return runs[0] if len(runs) == 1 else heapq.merge(*runs)

    def keep_refused(self, log: int, seq: int, reason: str) -> None:
        """Keep what an entry of ours was before it was refused."""
        self._connection.execute(
            "INSERT OR IGNORE INTO refused SELECT place, ?, data FROM entries WHERE place = ?",
            (reason, (log << _SEQ_BITS) | seq),
        )

    def refused(self, log: int) -> list[tuple[str, bytes]]:
        """Return (reason, entry) of what was refused in a log of ours."""
        base = log << _SEQ_BITS
        rows = self._connection.execute(
            "SELECT reason, data FROM refused WHERE place > ? AND place <= ? ORDER BY place",
            (base, base | SEQ_MAX),
        )
        return list(rows)

    def forget_refused(self, log: int, seq: int) -> None:
        """Keep no longer what an entry of ours was."""
        self._connection.execute("DELETE FROM refused WHERE place = ?", ((log << _SEQ_BITS) | seq,))

    def drop(self, log: int, upto: int) -> None:
        """Let a log's entries up to a number go."""
        base = log << _SEQ_BITS
        self._connection.execute(
            "DELETE FROM entries WHERE place > ? AND place <= ?", (base, base | upto)
        )

    def forget_erased(self, log: int, seq: int) -> None:
        """Keep nothing of what an erased entry was, under whatever id it was written before."""
        place = (log << _SEQ_BITS) | seq
        self._connection.execute(
            "DELETE FROM refused WHERE place = ?1 "
            "OR place IN (SELECT place FROM superseded WHERE anew = ?1)",
            (place,),
        )
        self._connection.execute("DELETE FROM superseded WHERE anew = ?", (place,))

    def set_aside(self, log: int, seq: int, reason: str) -> None:
        """Move an entry to the table of damaged ones, with the reason."""
        place = (log << _SEQ_BITS) | seq
        self._connection.execute(
            "INSERT INTO damaged SELECT place, position, data, ? FROM entries WHERE place = ?",
            (reason, place),
        )
        self._connection.execute("DELETE FROM entries WHERE place = ?", (place,))

    def supersede(self, log: int, seq: int, anew: tuple[int, int] | None = None) -> None:
        """Move an entry to the table of those that were written anew.

        Args:
            log: where it stands.
            seq: its number.
            anew: log and number under which it was; None: it is another's, to come again.
        """
        place = (log << _SEQ_BITS) | seq
        new = place if anew is None else (anew[0] << _SEQ_BITS) | anew[1]
        self._connection.execute("UPDATE superseded SET anew = ? WHERE anew = ?", (new, place))
        self._connection.execute(
            "INSERT INTO superseded SELECT place, position, data, ? FROM entries WHERE place = ?",
            (new, place),
        )
        self._connection.execute("DELETE FROM entries WHERE place = ?", (place,))
        self._connection.execute("DELETE FROM clamps WHERE place = ?", (place,))

    def superseded(self, log: int) -> list[bytes]:
        """Return what was written anew of a log."""
        base = log << _SEQ_BITS
        rows = self._connection.execute(
            "SELECT data FROM superseded WHERE place > ? AND place <= ? ORDER BY position",
            (base, base | SEQ_MAX),
        )
        return [data for (data,) in rows]

    def strays(self) -> int:
        """Return how many entries are in no log of a document, or are not even bytes."""
        found: int = self._connection.execute(
            f"SELECT count(*) FROM entries WHERE place >> {_SEQ_BITS} NOT IN "  # noqa: S608 - ours
            "(SELECT id FROM logs WHERE document IN (SELECT id FROM documents)) "
            "OR typeof(data) <> 'blob'"
        ).get
        return found

    def aside(self, log: int) -> list[tuple[int, str]]:
        """Return (seq, reason) of a log's entries that were set aside."""
        base = log << _SEQ_BITS
        return [
            (place - base, reason)
            for place, reason in self._connection.execute(
                "SELECT place, reason FROM damaged WHERE place > ? AND place <= ? ORDER BY place",
                (base, base | SEQ_MAX),
            )
        ]
