"""The bare work: what a loop without any library around it would have to do as well."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import apsw
import cbor2
import pycrdt

__all__ = ["BareLog", "BareSlots", "bare_database"]


def bare_database(path: Path, *, full: bool = False) -> apsw.Connection:
    """Open a database with one table of blobs."""
    connection = apsw.Connection(str(path))
    connection.pragma("journal_mode", "WAL")
    connection.pragma("synchronous", "FULL" if full else "NORMAL")
    connection.execute("CREATE TABLE entries(id INTEGER PRIMARY KEY, data BLOB)")
    return connection


class BareLog:
    """One canonical CBOR encoding, one SHA-256 and one insert for each entry."""

    def __init__(self, path: Path, *, full: bool = False) -> None:
        self.connection = bare_database(path, full=full)
        self.hash = bytes(32)
        self.seq = 0

    def append(self, update: bytes) -> None:
        """Log an update."""
        self.seq += 1
        fields = [1, "board/1", 2**52, self.seq, self.hash, [], 1 << 60, 1, "set", {"path": "n"}]
        data = cbor2.dumps([*fields, update, {}], canonical=True)
        self.hash = hashlib.sha256(data).digest()
        self.connection.execute("INSERT INTO entries(data) VALUES(?)", (data,))


class BareSlots:
    """One CRDT transaction for each write, whose update an observer takes."""

    def __init__(self) -> None:
        self.doc: pycrdt.Doc[Any] = pycrdt.Doc(client_id=2**52)
        self.map: pycrdt.Map[Any] = self.doc.get("slots", type=pycrdt.Map)
        self.update = b""
        self.doc.observe(self._take)

    def _take(self, event: pycrdt.TransactionEvent) -> None:
        self.update = event.update

    def write(self, number: int) -> bytes:
        """Set a key and return the update."""
        with self.doc.transaction():
            self.map[f"name@10000000000000.{number % 2}"] = b"x" * 30
        return self.update
