"""Where a document's logs begin in the file, if not at their first entries; and clones on the way.

A *base* is a state in place of all entries below it. It comes from a clone, or is made of a
snapshot when the log below is let go. Parts of a clone are kept as they come, so that a cut costs
no more than the last one.

Read next: `crdtsync.clone` (what a clone is), `crdtsync.replica.stored` (who reads above a base).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

import apsw

from crdtsync.clone import LogBase, Resume, id_of
from crdtsync.codec import decode, encode
from crdtsync.document import Snapshot
from crdtsync.errors import CloneError, CodecError, StorageError
from crdtsync.storage import StoreFile
from crdtsync.vector import from_pairs, to_pairs

__all__ = ["SCHEMA", "Base", "BaseTable", "CloneTable"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS bases(
    document INTEGER PRIMARY KEY,
    position INTEGER NOT NULL,
    logs BLOB NOT NULL,
    state BLOB NOT NULL,
    clocks BLOB NOT NULL,
    slots BLOB NOT NULL,
    digest BLOB NOT NULL,
    stale INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS clones(
    document INTEGER PRIMARY KEY,
    id BLOB NOT NULL,
    total INTEGER NOT NULL,
    held INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS clone_parts(
    document INTEGER NOT NULL,
    position INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY(document, position)
);
"""


class Base(NamedTuple):
    """Where a document's logs begin.

    Attributes:
        position: it stands there among the entries, in the order of arrival.
        logs: where each log ended below.
    """

    position: int
    logs: Mapping[int, LogBase]

    @property
    def vector(self) -> dict[int, int]:
        """The entries that are below."""
        return {replica: base.seq for replica, base in self.logs.items()}


NO_BASE = Base(0, {})


class BaseTable:
    """Reads and writes bases."""

    def __init__(self, file: StoreFile) -> None:
        self._file = file
        self._connection = file.connection

    def read(self, document: int) -> Base:
        """Return where a document's logs begin.

        Raises:
            StorageError: that is damaged. Only the server has what was below it.
        """
        row: tuple[int, bytes] | None = self._connection.execute(
            "SELECT position, logs FROM bases WHERE document = ?", (document,)
        ).fetchone()
        if row is None:
            return NO_BASE
        try:
            logs = {item[0]: LogBase(*item) for item in decode(row[1])}
        except (CodecError, TypeError) as error:
            raise self._damaged(error) from error
        return Base(row[0], logs)

    def state(self, document: int) -> Snapshot | None:
        """Return the state that a document's logs begin above; None if they begin at the first.

        Raises:
            StorageError: it is damaged. Only the server has what was below it.
        """
        row: tuple[bytes, bytes, bytes, bytes, bytes] | None = self._connection.execute(
            "SELECT logs, state, clocks, slots, digest FROM bases WHERE document = ?", (document,)
        ).fetchone()
        if row is None:
            return None
        *parts, digest = row
        logs, state, clocks, slots = parts
        try:
            if hashlib.sha256(b"".join(parts)).digest() != digest:
                raise ValueError("its digest does not hold")
            vector = {item[0]: item[1] for item in decode(logs)}
            return Snapshot(vector, state, from_pairs(decode(clocks)), dict(decode(slots)))
        except (CodecError, TypeError, ValueError) as error:
            raise self._damaged(error) from error

    def write(self, document: int, base: Base, state: Snapshot) -> None:
        """Let a document's logs begin above a state. Call it inside a transaction."""
        parts = (
            encode([tuple(log) for _, log in sorted(base.logs.items())]),
            state.state,
            encode(to_pairs(state.clocks)),
            encode(state.slots, flat=True),
        )
        digest = hashlib.sha256(b"".join(parts)).digest()
        self._connection.execute(
            "INSERT OR REPLACE INTO bases(document, position, logs, state, clocks, slots, digest) "
            "VALUES(?, ?, ?, ?, ?, ?, ?)",
            (document, base.position, *parts, digest),
        )

    def is_stale(self, document: int) -> bool:
        """Tell whether something in the state was erased since, so that it must be replaced."""
        rows = self._connection.execute(
            "SELECT 1 FROM bases WHERE document = ? AND stale = 1", (document,)
        )
        return any(True for _ in rows)

    def make_stale(self, document: int) -> None:
        """Note that something in the state was erased since. Call it inside a transaction."""
        self._connection.execute("UPDATE bases SET stale = 1 WHERE document = ?", (document,))

    def _damaged(self, error: Exception) -> StorageError:
        return StorageError(
            f"the state that a document's log begins above is damaged ({error}): restore the file "
            "from a backup, or begin a new one and synchronize it",
            path=self._file.path,
        )


class CloneTable:
    """Gathers the parts of one document's clone.

    Args:
        file: where they are kept.
        document: its number.
        bytes_max: how large a clone may be.
    """

    def __init__(self, file: StoreFile, document: int, bytes_max: int) -> None:
        self._file = file
        self._connection: apsw.Connection = file.connection
        self._document = document
        self._bytes_max = bytes_max

    def resume(self) -> Resume | None:
        """Return how much of a clone is here."""
        with self._file.errors():
            row: tuple[bytes, int] | None = self._connection.execute(
                "SELECT id, held FROM clones WHERE document = ?", (self._document,)
            ).fetchone()
        return None if row is None else Resume(*row)

    def take(self, id_: bytes, position: int, total: int, data: bytes) -> bytes | None:
        """Keep a part; return the clone once it is whole, and keep no more of it.

        Parts of another clone than the one before take its place. Repeats are ignored.

        Raises:
            CloneError: it does not go on from what is here, or is not what it was to be.
            StorageError: the part could not be kept.
        """
        held = self.resume()
        have = held.held if held is not None and held.id == id_ else 0
        end = position + len(data)
        if position > have:
            raise CloneError(f"bytes {have} to {position} of it are missing")
        if total > self._bytes_max:
            raise CloneError(f"{total:,} bytes, more than clone_bytes_max={self._bytes_max:,}")
        if end > have or held is None:
            with self._file.transaction():
                if have == 0:
                    self.forget()
                self._connection.execute(
                    "INSERT INTO clone_parts VALUES(?, ?, ?)",
                    (self._document, have, data[have - position :]),
                )
                self._connection.execute(
                    "INSERT OR REPLACE INTO clones VALUES(?, ?, ?, ?)",
                    (self._document, id_, total, end),
                )
        return self._whole(id_) if end >= total else None

    def _whole(self, id_: bytes) -> bytes:
        with self._file.errors():
            parts = self._connection.execute(
                "SELECT data FROM clone_parts WHERE document = ? ORDER BY position",
                (self._document,),
            )
            whole = b"".join(data for (data,) in parts)
        if id_of(whole) != id_:
            with self._file.transaction():
                self.forget()
            raise CloneError("what came of it is not what was announced")
        return whole

    def forget(self) -> None:
        """Keep nothing of a clone any more. Call it inside a transaction."""
        self._connection.execute("DELETE FROM clone_parts WHERE document = ?", (self._document,))
        self._connection.execute("DELETE FROM clones WHERE document = ?", (self._document,))
