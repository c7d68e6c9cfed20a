"""What other processes may do with a server's file, also while a server has it open.

They look at it, and they write to tables of which the server remembers nothing, so that it learns
of that when it looks again. To the entries only the server itself may write.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import TypeVar

import apsw

from crdtsync.errors import StorageError
from crdtsync.server.backends.erasure_table import ErasureTable
from crdtsync.server.backends.records_table import ConnectionTable
from crdtsync.server.backends.table import DeviceTable, EntryTable
from crdtsync.server.connections import unix_ms
from crdtsync.server.devices import Device
from crdtsync.server.erasures import Erasure
from crdtsync.server.lifecycle import TRANSITIONS, Event
from crdtsync.server.records import KnownConnection, lag_of
from crdtsync.storage import open_file

__all__ = [
    "holds_entry",
    "list_connections",
    "list_devices",
    "list_erasures",
    "order_erasure",
    "retire_connection",
    "revoke_device",
]

T = TypeVar("T")

_BUSY_TIMEOUT_MS = 5000


def list_devices(path: str | os.PathLike[str]) -> list[Device]:
    """Return the devices that a server's file knows, also while a server has it open.

    Raises:
        StorageError: it cannot be read, or is no server's file.
    """
    return _look(path, lambda connection: DeviceTable(connection).all())


def revoke_device(path: str | os.PathLike[str], replica: int) -> bool:
    """Revoke a device in a server's file, also while a server has it open; False if it is unknown.

    Raises:
        StorageError: it cannot be written, or is no server's file.
    """
    return _touch(path, lambda connection: DeviceTable(connection).revoke(replica))


def list_connections(
    path: str | os.PathLike[str], user: str | None = None
) -> list[KnownConnection]:
    """Return the connections that a server's file knows, of one user or of all.

    Raises:
        StorageError: it cannot be read, or is no server's file.
    """

    def look(connection: apsw.Connection) -> list[KnownConnection]:
        table = ConnectionTable(connection)
        crowds = {crowd.document: crowd for crowd in table.crowds()}
        known = []
        for record in table.of(user):
            followed = table.followed(record.client)
            known.append(KnownConnection(record, followed, lag_of(followed, crowds), None))
        return known

    return _look(path, look)


def retire_connection(path: str | os.PathLike[str], client: bytes, reason: str) -> bool:
    """Retire a connection in a server's file; False if there is none that could be.

    Raises:
        StorageError: it cannot be written, or is no server's file.
    """

    def touch(connection: apsw.Connection) -> bool:
        table = ConnectionTable(connection)
        held = table.get(client)
        if held is None or (held.state, Event.RETIRE) not in TRANSITIONS:
            return False
        to = TRANSITIONS[held.state, Event.RETIRE].to
        return table.put(dataclasses.replace(held, state=to, reason=reason, since=unix_ms()))

    return _touch(path, lambda connection: _together(connection, touch))


def list_erasures(path: str | os.PathLike[str], *, due: bool = False) -> list[Erasure]:
    """Return what was erased in a server's file, or is to be, also while a server has it open.

    Args:
        path: the file.
        due: only what nobody has carried out yet.

    Raises:
        StorageError: it cannot be read, or is no server's file.
    """
    return _look(path, lambda connection: ErasureTable(connection).all(due=due))


def holds_entry(path: str | os.PathLike[str], document: str, replica: int, seq: int) -> bool:
    """Tell whether a server's file holds an entry, also while a server has it open.

    Raises:
        StorageError: it cannot be read, or is no server's file.
    """

    def look(connection: apsw.Connection) -> bool:
        table = EntryTable(connection)
        number = table.document(document)
        return number is not None and table.holds(number, replica, seq)

    return _look(path, look)


def order_erasure(path: str | os.PathLike[str], erasure: Erasure) -> None:
    """Have the server that has a file open, or opens it next, erase an entry.

    Raises:
        StorageError: it cannot be written, or is no server's file.
    """
    _touch(path, lambda connection: ErasureTable(connection).put(erasure, due=True))


def _together(connection: apsw.Connection, act: Callable[[apsw.Connection], T]) -> T:
    """Do several statements in one transaction, which nobody else can come between."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        done = act(connection)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    return done


def _look(path: str | os.PathLike[str], act: Callable[[apsw.Connection], T]) -> T:
    file = open_file(path, "server", "", read_only=True)
    try:
        with file.errors():
            return act(file.connection)
    finally:
        file.close()


def _touch(path: str | os.PathLike[str], act: Callable[[apsw.Connection], T]) -> T:
    """Write to a file that another process may have open: to tables that nobody remembers."""
    _look(path, lambda _: None)  # is it a server's file at all?
    connection = apsw.Connection(os.fspath(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        connection.set_busy_timeout(_BUSY_TIMEOUT_MS)
        connection.pragma("synchronous", "FULL")
        return act(connection)
    except apsw.Error as error:
        raise StorageError(f"it cannot be written: {error}", path=os.fspath(path)) from error
    finally:
        connection.close()
