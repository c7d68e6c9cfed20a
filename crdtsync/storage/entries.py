"""The table of entries: every log of every document, each in the order of arrival.

A row's place is `document << 40 | position`: the rows of one document stand together, in order of
arrival, without a second index. That order is causal, because an entry is only ever admitted after
its past. Entries are stored as the bytes they came in; every reader checks what it reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import apsw

from crdtsync.log import Entry

__all__ = ["SCHEMA", "EntryTable"]

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
"""

_POSITION_BITS = 40
_INSERT = "INSERT INTO entries(place, document, replica, seq, data) VALUES(?, ?, ?, ?, ?)"


class EntryTable:
    """Reads and writes the table through one connection. Does no error mapping of its own."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._inserting = connection.cursor()

    def document_id(self, name: str) -> int | None:
        """Return a document's number, or None where it has none."""
        found: int | None = self._connection.execute(
            "SELECT id FROM documents WHERE name = ?", (name,)
        ).get
        return found

    def add_document(self, name: str) -> int:
        """Return a document's number, giving it one."""
        self._connection.execute("INSERT OR IGNORE INTO documents(name) VALUES(?)", (name,))
        found = self.document_id(name)
        assert found is not None
        return found

    def names(self) -> list[str]:
        """Return the names of all documents, sorted."""
        return [
            name for (name,) in self._connection.execute("SELECT name FROM documents ORDER BY name")
        ]

    def last_position(self, document: int) -> int:
        """Return the position of the newest entry; 0 where there is none."""
        first = document << _POSITION_BITS
        last: int | None = self._connection.execute(
            "SELECT max(place) FROM entries WHERE place > ? AND place < ?",
            (first, first + (1 << _POSITION_BITS)),
        ).get
        return 0 if last is None else last - first

    def insert(self, document: int, position: int, entry: Entry) -> None:
        """Store one entry at a position above all others of its document."""
        self._inserting.execute(
            _INSERT,
            (
                (document << _POSITION_BITS) | position,
                document,
                entry.replica,
                entry.seq,
                entry.data,
            ),
        )

    def insert_many(self, document: int, position: int, entries: Iterable[Entry]) -> None:
        """Store entries from a position upwards."""
        place = (document << _POSITION_BITS) | position
        self._connection.executemany(
            _INSERT,
            [
                (place + index, document, entry.replica, entry.seq, entry.data)
                for index, entry in enumerate(entries)
            ],
        )

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

    def last(self, document: int, replica: int) -> tuple[int, bytes]:
        """Return the position and the bytes of a log's newest entry."""
        place, data = next(
            self._connection.execute(
                "SELECT place, data FROM entries WHERE document = ? AND replica = ? "
                "ORDER BY seq DESC LIMIT 1",
                (document, replica),
            )
        )
        return place - (document << _POSITION_BITS), data

    def read(
        self, document: int, after: int = 0, upto: int | None = None
    ) -> Iterator[tuple[int, bytes]]:
        """Yield (position, entry) of a document in the order of arrival.

        Args:
            document: its number.
            after: the position below the first one wanted.
            upto: the last position wanted.
        """
        first = document << _POSITION_BITS
        last = first + (upto if upto is not None else (1 << _POSITION_BITS) - 1)
        rows = self._connection.execute(
            "SELECT place, data FROM entries WHERE place > ? AND place <= ? ORDER BY place",
            (first + after, last),
        )
        for place, data in rows:
            yield place - first, data

    def read_log(self, document: int, replica: int, first: int, last: int) -> Iterator[bytes]:
        """Yield the entries of one log with numbers from `first` to `last`, in order."""
        return (row[3] for row in self.read_log_places(document, replica, first, last))

    def read_log_places(
        self, document: int, replica: int, first: int, last: int
    ) -> Iterator[tuple[int, int, int, bytes]]:
        """Yield (place, replica, seq, entry) of one log; places tell the order of arrival."""
        return self._connection.execute(
            "SELECT place, replica, seq, data FROM entries "
            "WHERE document = ? AND replica = ? AND seq BETWEEN ? AND ? ORDER BY seq",
            (document, replica, first, last),
        )

    def rows(self, document: int) -> Iterator[tuple[int, int, int, bytes]]:
        """Yield (position, replica, seq, entry) of a document, as the columns have it."""
        first = document << _POSITION_BITS
        for place, replica, seq, data in self._connection.execute(
            "SELECT place, replica, seq, data FROM entries WHERE place > ? AND place < ? "
            "ORDER BY place",
            (first, first + (1 << _POSITION_BITS)),
        ):
            yield place - first, replica, seq, data

    def move(self, document: int, position: int, table: str, reason: str) -> None:
        """Move a row into another table of the same columns, with the reason behind them."""
        place = (document << _POSITION_BITS) | position
        self._connection.execute(
            f"INSERT INTO {table} SELECT place, document, replica, seq, data, ? "  # noqa: S608 - ours
            "FROM entries WHERE place = ?",
            (reason, place),
        )
        self._connection.execute("DELETE FROM entries WHERE place = ?", (place,))
