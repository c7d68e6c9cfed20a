"""The replica's file: entries, snapshots, and how far each document has been synchronized.

It also holds the device's private key, and those of the ids that it had before: whoever can read
the file can write in the device's name.
"""

from __future__ import annotations

import hashlib
import os
from typing import Any, NamedTuple

import apsw

from crdtsync.codec import decode, encode
from crdtsync.document import Snapshot
from crdtsync.errors import CodecError, StorageError
from crdtsync.identity import new_replica_id, next_replica_id
from crdtsync.keys import DeviceKey
from crdtsync.log import Cursor
from crdtsync.replica.bases import SCHEMA as BASES_SCHEMA
from crdtsync.replica.bases import BaseTable
from crdtsync.replica.logs import SCHEMA as LOGS_SCHEMA
from crdtsync.replica.logs import LogTable
from crdtsync.storage import Durability, open_file
from crdtsync.vector import from_pairs, to_pairs

__all__ = ["Carried", "Progress", "Store"]

SCHEMA = (
    LOGS_SCHEMA
    + BASES_SCHEMA
    + """
CREATE TABLE IF NOT EXISTS progress(
    document INTEGER PRIMARY KEY,
    sent INTEGER NOT NULL,
    acknowledged INTEGER NOT NULL,
    epoch BLOB,
    cursor INTEGER,
    known INTEGER
);
CREATE TABLE IF NOT EXISTS formers(
    replica INTEGER PRIMARY KEY,
    key BLOB
);
CREATE TABLE IF NOT EXISTS carried(
    document INTEGER NOT NULL,
    replica INTEGER NOT NULL,
    upto INTEGER NOT NULL,
    acknowledged INTEGER NOT NULL,
    PRIMARY KEY(document, replica)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS snapshots(
    document INTEGER PRIMARY KEY,
    vector BLOB NOT NULL,
    state BLOB NOT NULL,
    clocks BLOB NOT NULL,
    slots BLOB NOT NULL,
    digest BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS users(
    document INTEGER NOT NULL,
    replica INTEGER NOT NULL,
    user TEXT NOT NULL,
    PRIMARY KEY(document, replica)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS schemas(
    document INTEGER PRIMARY KEY,
    description BLOB NOT NULL
);
"""
)


new_device_key = DeviceKey.generate


class Progress(NamedTuple):
    """How far a document has been synchronized.

    Attributes:
        sent: number up to which our entries may have been seen by others.
        acknowledged: number up to which they are durable at the server.
        cursor: how far we have got in the server's log.
        known: the position up to which our newest entry knew what others did, where that is not
            its own position because it was received back; None where it is.
    """

    sent: int = 0
    acknowledged: int = 0
    cursor: Cursor | None = None
    known: int | None = None


class Carried(NamedTuple):
    """A log of a former id of ours that is not known to be whole at the server.

    Attributes:
        upto: number of our last entry in it.
        acknowledged: number up to which they are durable at the server.
    """

    upto: int
    acknowledged: int


class Store:
    """An open replica file.

    Attributes:
        replica: our id.
        key: the device's key; None in a store that has none and cannot be given one.
        keys: the key of every id that is or was ours.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, durability: Durability, read_only: bool = False
    ) -> None:
        self.file = open_file(path, "replica", SCHEMA, durability=durability, read_only=read_only)
        self.path = self.file.path
        self.read_only = read_only
        self.logs = LogTable(self.file.connection)
        self.bases = BaseTable(self.file)
        try:
            self.identify()
        except BaseException:
            self.file.close()
            raise

    def identify(self) -> None:
        """Learn who we are, and who we have been."""
        self.replica = self._read_replica()
        self.key = self._read_key()
        with self.file.errors():
            formers = list(self.file.connection.execute("SELECT replica, key FROM formers"))
        self.keys = {
            replica: None if key is None else DeviceKey.from_bytes(key) for replica, key in formers
        } | {self.replica: self.key}

    def rotate(self) -> tuple[int, DeviceKey]:
        """Draw a new id and a new key, and keep the old ones. Call it inside a durable transaction.

        Until that is kept and `identify` is called, we are who we were.
        """
        connection, key = self.file.connection, new_device_key()
        others = self.logs.replicas() | self.keys.keys()
        replica = next_replica_id(self.replica, others - {self.replica})
        connection.execute(
            "INSERT INTO formers VALUES(?, ?)",
            (self.replica, None if self.key is None else self.key.private_bytes),
        )
        connection.execute("UPDATE meta SET value = ? WHERE name = 'replica'", (replica,))
        connection.execute("INSERT OR REPLACE INTO meta VALUES('key', ?)", (key.private_bytes,))
        for document, log in self.logs.of_replica(self.replica):
            self._carry(document, log)
        return replica, key

    def _carry(self, document: int, log: int) -> None:
        """Let our log in a document be a former one."""
        last, before = self.logs.last(log, self.replica), self.progress(document)
        known = before.known
        if last is not None:
            self.write_carried(document, self.replica, Carried(last.seq, before.acknowledged))
            known = last.position if known is None else known
        self.write_progress(document, Progress(0, 0, before.cursor, known or 0))

    def _read_replica(self) -> int:
        try:
            found: int | None = self.file.connection.execute(
                "SELECT value FROM meta WHERE name = 'replica'"
            ).get
        except apsw.Error as error:
            raise self.file.error(error) from error
        if found is None:
            if self.read_only:
                raise StorageError("the store names no replica", path=self.path)
            found = new_replica_id()
            with self.file.transaction() as connection:
                connection.execute("INSERT INTO meta VALUES('replica', ?)", (found,))
        return found

    def _read_key(self) -> DeviceKey | None:
        """Return the device's key; None in a store that has none and cannot be given one."""
        with self.file.errors():
            found: bytes | None = self.file.connection.execute(
                "SELECT value FROM meta WHERE name = 'key'"
            ).get
        if found is not None:
            return DeviceKey.from_bytes(found)
        if self.read_only:
            return None
        key = new_device_key()
        with self.file.transaction() as connection:
            connection.execute("INSERT INTO meta VALUES('key', ?)", (key.private_bytes,))
        return key

    def progress(self, document: int) -> Progress:
        """Return how far a document has been synchronized."""
        row: tuple[int, int, bytes | None, int, int | None] | None = self.file.connection.execute(
            "SELECT sent, acknowledged, epoch, cursor, known FROM progress WHERE document = ?",
            (document,),
        ).fetchone()
        if row is None:
            return Progress()
        sent, acknowledged, epoch, offset, known = row
        cursor = None if epoch is None else Cursor(epoch, offset)
        return Progress(sent, acknowledged, cursor, known)

    def write_progress(self, document: int, progress: Progress) -> None:
        """Keep how far a document has been synchronized. Call it inside a transaction."""
        epoch, offset = progress.cursor or (None, None)
        self.file.connection.execute(
            "INSERT OR REPLACE INTO progress VALUES(?, ?, ?, ?, ?, ?)",
            (document, progress.sent, progress.acknowledged, epoch, offset, progress.known),
        )

    def carried(self, document: int) -> dict[int, Carried]:
        """Return which logs of former ids of ours are not known to be whole at the server."""
        rows = self.file.connection.execute(
            "SELECT replica, upto, acknowledged FROM carried WHERE document = ?", (document,)
        )
        return {replica: Carried(upto, acknowledged) for replica, upto, acknowledged in rows}

    def write_carried(self, document: int, replica: int, carried: Carried) -> None:
        """Keep how much of a former log the server has. Call it inside a transaction."""
        self.file.connection.execute(
            "DELETE FROM carried WHERE document = ? AND replica = ?", (document, replica)
        )
        if carried.acknowledged < carried.upto:
            self.file.connection.execute(
                "INSERT INTO carried VALUES(?, ?, ?, ?)", (document, replica, *carried)
            )

    def users(self, document: int) -> dict[int, str]:
        """Return who uses each replica, as far as the logs have said."""
        rows = self.file.connection.execute(
            "SELECT replica, user FROM users WHERE document = ?", (document,)
        )
        return dict(rows)

    def write_user(self, document: int, replica: int, user: str) -> None:
        """Keep who uses a replica. Call it inside a transaction."""
        self.file.connection.execute(
            "INSERT OR REPLACE INTO users VALUES(?, ?, ?)", (document, replica, user)
        )

    def snapshot(self, document: int) -> Snapshot | None:
        """Return the newest snapshot; None where there is none that can be read."""
        row: tuple[bytes, bytes, bytes, bytes, bytes] | None = self.file.connection.execute(
            "SELECT vector, state, clocks, slots, digest FROM snapshots WHERE document = ?",
            (document,),
        ).fetchone()
        if row is None:
            return None
        try:
            vector, state, clocks, slots, digest = row
            if _digest(vector, state, clocks, slots) != digest:
                return None
            return Snapshot(
                from_pairs(decode(vector)), state, from_pairs(decode(clocks)), dict(decode(slots))
            )
        except (CodecError, TypeError, ValueError):
            return None

    def write_snapshot(self, document: int, snapshot: Snapshot) -> None:
        """Keep a snapshot in place of the one before."""
        parts = (
            encode(to_pairs(snapshot.vector)),
            snapshot.state,
            encode(to_pairs(snapshot.clocks)),
            encode(snapshot.slots, flat=True),
        )
        with self.file.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO snapshots VALUES(?, ?, ?, ?, ?, ?)",
                (document, *parts, _digest(*parts)),
            )

    def drop_snapshot(self, document: int) -> None:
        """Forget a snapshot. Call it inside a transaction."""
        self.file.connection.execute("DELETE FROM snapshots WHERE document = ?", (document,))

    def schema_description(self, document: int) -> Any:
        """Return what the document's class was when it was opened last; None if it never was."""
        found = self.file.connection.execute(
            "SELECT description FROM schemas WHERE document = ?", (document,)
        ).get
        try:
            return None if found is None else decode(found)
        except CodecError:
            return None

    def write_schema_description(self, document: int, description: Any) -> None:
        """Keep what the document's class is."""
        if description != self.schema_description(document):
            with self.file.transaction() as connection:
                connection.execute(
                    "INSERT OR REPLACE INTO schemas VALUES(?, ?)", (document, encode(description))
                )

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def _digest(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()
