"""The server's table of erasures: those carried out, and those another process has asked for."""

from __future__ import annotations

import apsw

from crdtsync.server.erasures import Erasure

__all__ = ["SCHEMA", "ErasureTable"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS erasures(
    document TEXT NOT NULL,
    replica INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    reason TEXT NOT NULL,
    due INTEGER NOT NULL,
    PRIMARY KEY(document, replica, seq)
);
CREATE INDEX IF NOT EXISTS due_erasures ON erasures(document) WHERE due = 1;
"""


class ErasureTable:
    """Reads and writes the erasures. Does no error mapping of its own."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def put(self, erasure: Erasure, *, due: bool) -> None:
        """Keep an erasure, which somebody has yet to carry out if it is due."""
        self._connection.execute(
            "INSERT INTO erasures VALUES(?, ?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET reason = excluded.reason, due = excluded.due",
            (*erasure, due),
        )

    def all(self, *, due: bool = False) -> list[Erasure]:
        """Return all of them, or those that are due."""
        rows = self._connection.execute(
            "SELECT document, replica, seq, reason FROM erasures WHERE due = 1 OR NOT ? "
            "ORDER BY document, replica, seq",
            (due,),
        )
        return [Erasure(*row) for row in rows]
