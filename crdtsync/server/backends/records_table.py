"""The server's tables of connections and of what they follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import apsw

from crdtsync.server.lifecycle import State
from crdtsync.server.records import ConnectionRecord, Crowd, Followed, Lag, Move

__all__ = ["SCHEMA", "ConnectionTable"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS connections(
    client BLOB PRIMARY KEY,
    user TEXT,
    replica INTEGER NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    since INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    version INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS connections_of_users ON connections(user);
CREATE INDEX IF NOT EXISTS retired_connections ON connections(client) WHERE state = 'retired';
CREATE TABLE IF NOT EXISTS followed(
    client BLOB NOT NULL,
    document TEXT NOT NULL,
    priority INTEGER NOT NULL,
    offset INTEGER,
    PRIMARY KEY(client, document)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS cursors ON followed(document, offset) WHERE offset IS NOT NULL;
"""

_COLUMNS = "client, user, replica, state, reason, since, last_seen, version"


class ConnectionTable:
    """Reads and writes connections. Does no error mapping of its own."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def get(self, client: bytes) -> ConnectionRecord | None:
        """Return a connection's record."""
        return next(iter(self._read("WHERE client = ?", (client,))), None)

    def of(self, user: str | None) -> list[ConnectionRecord]:
        """Return the records of a user, or of all."""
        if user is None:
            return self._read("ORDER BY client", ())
        return self._read("WHERE user = ? ORDER BY client", (user,))

    def retired(self) -> frozenset[bytes]:
        """Return the clients whose connections are retired."""
        rows = self._connection.execute("SELECT client FROM connections WHERE state = 'retired'")
        return frozenset(client for (client,) in rows)

    def put(self, record: ConnectionRecord) -> bool:
        """Store a record if the one held has its version."""
        held = self.get(record.client)
        if (0 if held is None else held.version) != record.version:
            return False
        self._connection.execute(
            f"INSERT OR REPLACE INTO connections({_COLUMNS}) VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
            (
                record.client,
                record.user,
                record.replica,
                record.state.value,
                record.reason,
                record.since,
                record.last_seen,
                record.version + 1,
            ),
        )
        if record.state is State.RETIRED:
            self._connection.execute("DELETE FROM followed WHERE client = ?", (record.client,))
        elif record.state is not State.ACTIVE:
            self._connection.execute(
                "UPDATE followed SET offset = NULL WHERE client = ? AND offset IS NOT NULL",
                (record.client,),
            )
        return True

    def followed(self, client: bytes) -> dict[str, Followed]:
        """Return what a connection follows."""
        rows = self._connection.execute(
            "SELECT document, priority, offset FROM followed WHERE client = ? ORDER BY document",
            (client,),
        )
        return {document: Followed(priority, offset) for document, priority, offset in rows}

    def note(self, moves: Sequence[Move], seen: Mapping[bytes, int]) -> None:
        """Take note of what connections follow, and when they were last on line."""
        self._connection.executemany(
            "UPDATE connections SET last_seen = ? WHERE client = ?",
            [(when, client) for client, when in seen.items()],
        )
        self._connection.executemany(
            "DELETE FROM followed WHERE client = ? AND document = ?",
            [(move.client, move.document) for move in moves if move.followed is None],
        )
        self._connection.executemany(
            "INSERT OR REPLACE INTO followed(client, document, priority, offset) "
            "SELECT client, ?, ?, CASE state WHEN 'active' THEN ? END FROM connections "
            "WHERE client = ? AND state != 'retired'",
            [
                (move.document, *move.followed, move.client)
                for move in moves
                if move.followed is not None
            ],
        )

    def floor(self, document: str) -> int | None:
        """Return the lowest cursor that is honoured in a document."""
        floor: int | None = self._connection.execute(
            "SELECT min(offset) FROM followed WHERE document = ? AND offset IS NOT NULL",
            (document,),
        ).get
        return floor

    def crowds(self) -> list[Crowd]:
        """Return all documents in which cursors are honoured."""
        rows = self._connection.execute(
            "SELECT followed.document, count(*), min(followed.offset), coalesce(("
            "  SELECT max(place) - (documents.id << 40) FROM entries"
            "  WHERE place BETWEEN documents.id << 40 AND (documents.id + 1 << 40) - 1"
            "), 0) FROM followed LEFT JOIN documents ON documents.name = followed.document "
            "WHERE followed.offset IS NOT NULL GROUP BY followed.document"
        )
        return [Crowd(*row) for row in rows]

    def lags(self, number: int, document: str) -> dict[bytes, Lag]:
        """Return how far the cursors in a document are behind.

        Args:
            number: of the document, among the entries.
            document: its name.
        """
        cursors = list(
            self._connection.execute(
                "SELECT client, offset FROM followed "
                "WHERE document = ? AND offset IS NOT NULL ORDER BY offset DESC",
                (document,),
            )
        )
        rows = self._connection.execute(
            "SELECT place, length(data) FROM entries WHERE place > ? AND place < ? "
            "ORDER BY place DESC",
            ((number << 40) + (cursors[-1][1] if cursors else 0), number + 1 << 40),
        )
        lags: dict[bytes, Lag] = {}
        entries = size = 0
        row = next(rows, None)
        for client, offset in cursors:
            while row is not None and row[0] > (number << 40) + offset:
                entries, size = entries + 1, size + row[1]
                row = next(rows, None)
            lags[client] = Lag(entries, size)
        return lags

    def _read(self, which: str, bindings: tuple[Any, ...]) -> list[ConnectionRecord]:
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM connections {which}",  # noqa: S608 - ours
            bindings,
        )
        return [
            ConnectionRecord(client, user, replica, State(state), *rest)
            for client, user, replica, state, *rest in rows
        ]
