"""The replica's file: entries, snapshots, and how far each document has been synchronized.

It also holds the device's private key, and those of the ids that it had before: whoever can read
the file can write in the device's name.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any, NamedTuple

from crdtsync.codec import decode, encode
from crdtsync.document import Snapshot
from crdtsync.errors import CodecError, EntryError, StorageError
from crdtsync.identity import is_replica_id, new_replica_id, next_replica_id
from crdtsync.keys import DeviceKey
from crdtsync.log import Cursor, decode_entry
from crdtsync.replica.audit import STORED
from crdtsync.replica.bases import SCHEMA as BASES_SCHEMA
from crdtsync.replica.bases import BaseTable
from crdtsync.replica.checkpoints import SCHEMA as CHECKPOINTS_SCHEMA
from crdtsync.replica.checkpoints import Checkpoints, Packed, pack, unpack
from crdtsync.replica.logs import SCHEMA as LOGS_SCHEMA
from crdtsync.replica.logs import LogTable
from crdtsync.seal import binding
from crdtsync.storage import Durability, open_file

__all__ = ["Carried", "Progress", "Store"]

SCHEMA = (
    LOGS_SCHEMA
    + BASES_SCHEMA
    + CHECKPOINTS_SCHEMA
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
CREATE TABLE IF NOT EXISTS sql_views(
    name TEXT PRIMARY KEY,
    tables BLOB NOT NULL,
    signature BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sql_documents(
    view TEXT NOT NULL,
    document INTEGER NOT NULL,
    position INTEGER,
    PRIMARY KEY(view, document)
) WITHOUT ROWID;
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
    """A log of a former id of ours.

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
        self.checkpoints = Checkpoints(self.file.connection)
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
            replica: None if key is None else self._to_key(key) for replica, key in formers
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
        with self.file.errors():
            found: int | None = self.file.connection.execute(
                "SELECT value FROM meta WHERE name = 'replica'"
            ).get
        if found is not None and not is_replica_id(found):
            raise StorageError("the replica's id in it is damaged", path=self.path)
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
            return self._to_key(found)
        if self.read_only:
            return None
        key = new_device_key()
        with self.file.transaction() as connection:
            connection.execute("INSERT INTO meta VALUES('key', ?)", (key.private_bytes,))
        return key

    def _to_key(self, stored: bytes) -> DeviceKey:
        try:
            return DeviceKey.from_bytes(stored)
        except (TypeError, ValueError) as error:
            raise StorageError("the device's key in it is damaged", path=self.path) from error

    def key_of(self, replica: int) -> bytes | None:
        """Return the key of a device: our own, or what its log in any document begins with."""
        if replica in self.keys:
            key = self.keys[replica]
            return None if key is None else key.public
        with self.file.errors():
            firsts = self.logs.firsts(replica)
        for data in firsts:
            with contextlib.suppress(EntryError):  # damaged: the audit says so
                bound = binding(decode_entry(data, STORED))
                if bound is not None:
                    return bound.public
        return None

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
        """Return the logs of former ids of ours, as far as we wrote them."""
        rows = self.file.connection.execute(
            "SELECT replica, upto, acknowledged FROM carried WHERE document = ?", (document,)
        )
        return {replica: Carried(upto, acknowledged) for replica, upto, acknowledged in rows}

    def write_carried(self, document: int, replica: int, carried: Carried) -> None:
        """Keep how much of a former log the server has. Call it inside a transaction."""
        self.file.connection.execute(
            "INSERT OR REPLACE INTO carried VALUES(?, ?, ?, ?)", (document, replica, *carried)
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
        row: Packed | None = self.file.connection.execute(
            "SELECT vector, state, clocks, slots, digest FROM snapshots WHERE document = ?",
            (document,),
        ).fetchone()
        return None if row is None else unpack(row)

    def write_snapshot(self, document: int, snapshot: Snapshot) -> None:
        """Keep a snapshot in place of the one before."""
        with self.file.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO snapshots VALUES(?, ?, ?, ?, ?, ?)",
                (document, *pack(snapshot)),
            )

    def drop_snapshot(self, document: int) -> None:
        """Forget what was made of entries that are others now. Call it inside a transaction."""
        self.checkpoints.drop(document)
        execute = self.file.connection.execute
        execute("DELETE FROM snapshots WHERE document = ?", (document,))
        execute("UPDATE sql_documents SET position = NULL WHERE document = ?", (document,))

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

    def damage(self) -> list[str]:
        """Return what is wrong with the file as such, in sentences."""
        found = [f"the file is damaged: {text}" for text in self.file.damage()]
        with self.file.errors():
            strays = self.logs.strays()
        if strays:
            found.append(f"{strays} of its entries are in no log of any document, or no bytes")
        return found

    def close(self) -> None:
        """Close the file."""
        self.file.close()
