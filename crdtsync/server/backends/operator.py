"""What an operator does to the connections in a server's file, also while a server has it open."""

from __future__ import annotations

import dataclasses
import os

import apsw

from crdtsync.errors import StorageError
from crdtsync.server.backends.records_table import ConnectionTable
from crdtsync.server.backends.sqlite import SCHEMA
from crdtsync.server.connections import unix_ms
from crdtsync.server.lifecycle import TRANSITIONS, Event
from crdtsync.server.records import KnownConnection, lag_of
from crdtsync.storage import open_file

__all__ = ["list_connections", "retire_connection"]

_BUSY_TIMEOUT_MS = 5000


def list_connections(
    path: str | os.PathLike[str], user: str | None = None
) -> list[KnownConnection]:
    """Return the connections that a server's file knows, of one user or of all.

    Raises:
        StorageError: it cannot be read, or is no server's file.
    """
    file = open_file(path, "server", SCHEMA, durability="power", read_only=True)
    try:
        with file.errors():
            table = ConnectionTable(file.connection)
            crowds = {crowd.document: crowd for crowd in table.crowds()}
            known = []
            for record in table.of(user):
                followed = table.followed(record.client)
                known.append(KnownConnection(record, followed, lag_of(followed, crowds), None))
            return known
    finally:
        file.close()


def retire_connection(path: str | os.PathLike[str], client: bytes, reason: str) -> bool:
    """Retire a connection in a server's file; False if there is none that could be.

    Raises:
        StorageError: it cannot be written, or is no server's file.
    """
    open_file(path, "server", SCHEMA, durability="power", read_only=True).close()  # is it one?
    connection = apsw.Connection(os.fspath(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.set_busy_timeout(_BUSY_TIMEOUT_MS)
        connection.pragma("synchronous", "FULL")
        with connection:
            retired = _retire(ConnectionTable(connection), client, reason)
    except apsw.Error as error:
        raise StorageError(
            f"the connection cannot be retired: {error}", path=os.fspath(path)
        ) from error
    finally:
        connection.close()
    return retired


def _retire(table: ConnectionTable, client: bytes, reason: str) -> bool:
    held = table.get(client)
    if held is None or (held.state, Event.RETIRE) not in TRANSITIONS:
        return False
    to = TRANSITIONS[held.state, Event.RETIRE].to
    return table.put(dataclasses.replace(held, state=to, reason=reason, since=unix_ms()))
