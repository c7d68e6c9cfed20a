"""One SQLite file, opened by one process, through apsw.

apsw brings a current SQLite of its own: versions before 3.51.3 can corrupt a write-ahead log when
two connections checkpoint at once. There is one connection, and a second process is kept out by a
lock on the sidecar file `NAME-lock`, which the operating system drops when its holder dies. The
database itself stays unlocked between transactions, so other programs may read it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, TypeAlias

import apsw

from crdtsync.errors import StorageError, StoreFormatError, StoreLockedError

__all__ = ["Durability", "StoreFile", "kind_of", "open_file"]

Durability: TypeAlias = Literal["process", "power"]
"""What a commit survives: the death of the process, or the loss of power too."""

APPLICATION_ID = 0x43524453  # "CRDS": tells `file(1)` and us whose database this is
FORMAT_VERSION = 1
_SYNCHRONOUS = {"process": "NORMAL", "power": "FULL"}
_BUSY_TIMEOUT_MS = 5_000
# Each action rewrites the same few pages. A checkpoint copies a page once, however often it was
# rewritten, and flushes the disk twice: at 16 MiB of write-ahead log that is hardly noticed. Where
# every commit is flushed, a short log is better, which is soon written over instead of grown.
_CHECKPOINT_PAGES = {"process": 4096, "power": 1000}


class StoreFile:
    """An open store. Made by `open_file`.

    Attributes:
        path: where it is; `:memory:` for one that is nowhere.
        connection: the only connection to it.
    """

    def __init__(
        self,
        path: str,
        connection: apsw.Connection,
        lock: apsw.Connection | None,
        *,
        lengthened: bool,
    ) -> None:
        self.path = path
        self.connection = connection
        self._lock = lock
        self._lengthened = lengthened

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[apsw.Connection]:
        """Run statements that are kept together or not at all.

        Inside another transaction they are part of that one.

        Args:
            durable: survive the loss of power, whatever durability the file was opened with.
                Only of a transaction that is not inside another.

        Raises:
            StorageError: they could not be kept; nothing was changed.
        """
        connection = self.connection
        with self.errors():
            if connection.in_transaction:
                assert not durable, "what is to be durable must be committed here and now"
                yield connection
                return
            ordinary = connection.pragma("synchronous") if durable else None
            if durable:
                connection.pragma("synchronous", "FULL")
            try:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            finally:
                if durable:
                    connection.pragma("synchronous", ordinary)

    def scrub(self) -> None:
        """Let nothing be left, in the file or beside it, of what was overwritten or deleted.

        In the file itself that is so from the commit on. What stays is the log of writes, which is
        emptied here, unless another process reads from it at this moment.

        Raises:
            StorageError: it could not be emptied. What was committed is committed.
        """
        with self.errors(), contextlib.suppress(apsw.BusyError):
            self.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            if self._lengthened:
                _lengthen_log(self.connection)

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn apsw's errors into ours."""
        try:
            yield
        except apsw.Error as error:
            raise self.error(error) from error
        except UnicodeDecodeError as error:
            raise StorageError(
                "the file is damaged: a text in it is none", path=self.path
            ) from error

    def error(self, error: apsw.Error) -> StorageError:
        """Say an apsw error in our words."""
        return _explain(error, self.path)

    def damage(self) -> list[str]:
        """Return what SQLite finds wrong with the file's structure, in its words."""
        with self.errors():
            found: list[str] = [
                text for (text,) in self.connection.execute("PRAGMA integrity_check")
            ]
        return [] if found == ["ok"] else found

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self.connection.close()
        if self._lock is not None:
            self._lock.close()


def open_file(
    path: str | os.PathLike[str],
    kind: str,
    schema: str,
    *,
    durability: Durability = "process",
    read_only: bool = False,
) -> StoreFile:
    """Open a store, making it where there is none.

    Args:
        path: the file, or `:memory:`.
        kind: what it is a store of (`replica`, `server`); another kind is refused.
        schema: SQL that makes the tables that are not there yet.
        durability: what an ordinary commit survives.
        read_only: look at a store that another process may have open. It must exist.

    Raises:
        StoreLockedError: another process has it open.
        StoreFormatError: it is something else than a store of this kind and version.
        StorageError: it cannot be opened or made.
    """
    path = os.fspath(path)
    if not path:
        raise StorageError("a store needs a file name, or `:memory:`", path=path)
    in_memory = path == ":memory:"
    if read_only and not os.path.exists(path):
        raise StorageError("there is no such file", path=path)
    lock = None if in_memory or read_only else _take_lock(path)
    lengthened = durability == "power" and lock is not None
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    if lock is not None:
        _make_private(path)
    connection = None
    try:
        connection = apsw.Connection(path, apsw.SQLITE_OPEN_READONLY if read_only else flags)
        connection.set_busy_timeout(_BUSY_TIMEOUT_MS)
        _check_format(connection, path, kind, new_allowed=not read_only)
        if read_only:
            _check_tables(connection, path, schema)
        else:
            connection.pragma("journal_mode", "WAL")
            # What is erased must not be found in the file. Logs hardly ever delete anything.
            connection.pragma("secure_delete", True)
            connection.pragma("synchronous", _SYNCHRONOUS[durability])
            connection.pragma("wal_autocheckpoint", _CHECKPOINT_PAGES[durability])
            connection.execute(schema)
            if lengthened:
                _lengthen_log(connection)
    except BaseException as error:
        if connection is not None:
            connection.close()
        if lock is not None:
            lock.close()
        if isinstance(error, apsw.Error):
            raise _explain(error, path) from error
        raise
    return StoreFile(path, connection, lock, lengthened=lengthened)


def kind_of(path: str | os.PathLike[str]) -> str:
    """Tell what a file is a store of: `replica`, `server`.

    Raises:
        StoreFormatError: it is something else than a store.
        StorageError: it cannot be read.
    """
    path = os.fspath(path)
    if not os.path.exists(path):
        raise StorageError("there is no such file", path=path)
    try:
        connection = apsw.Connection(path, apsw.SQLITE_OPEN_READONLY)
        try:
            connection.set_busy_timeout(_BUSY_TIMEOUT_MS)
            if connection.pragma("application_id") != APPLICATION_ID:
                raise StoreFormatError("this is not a crdtsync store", path=path)
            return str(connection.execute("SELECT value FROM meta WHERE name = 'kind'").get)
        finally:
            connection.close()
    except apsw.Error as error:
        raise _explain(error, path) from error


def _make_private(path: str) -> None:
    """Make a new file that nobody else can read: a replica's holds its device's private key."""
    with contextlib.suppress(OSError):  # it is there, or cannot be: SQLite says which
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _lengthen_log(connection: apsw.Connection) -> None:
    """Make the write-ahead log as long as it will become, before anything is committed to it.

    To flush a file that has grown, its new length must be flushed as well, which costs about as
    much again. So the log is filled once with what is then rolled back: SQLite writes over it.
    """
    pages = _CHECKPOINT_PAGES["power"]
    cache_size = connection.pragma("cache_size")
    connection.pragma("cache_size", 10)  # pages: all that does not fit goes to the log at once
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute("CREATE TABLE filler(bytes)")
        size = pages * connection.pragma("page_size")
        connection.execute("INSERT INTO filler VALUES(zeroblob(?))", (size,))
    except apsw.FullError:
        pass  # there is no room to be fast in; what is to be stored may still fit
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        connection.pragma("cache_size", cache_size)


def _take_lock(path: str) -> apsw.Connection:
    """Hold a lock that lasts as long as this process does."""
    try:
        # By its real path, so that a link to the store is no way round the lock.
        lock = apsw.Connection(os.path.realpath(path) + "-lock")
    except apsw.Error as error:
        raise _explain(error, path) from error
    try:
        lock.pragma("locking_mode", "EXCLUSIVE")
        lock.execute("BEGIN EXCLUSIVE")
    except apsw.BusyError as error:
        lock.close()
        raise StoreLockedError(
            "another process has this store open, or this one has it open already: close it there "
            "first, or give each its own file and connect them to a server",
            path=path,
        ) from error
    except apsw.Error as error:
        lock.close()
        raise _explain(error, path) from error
    return lock


def _check_format(connection: apsw.Connection, path: str, kind: str, *, new_allowed: bool) -> None:
    application = connection.pragma("application_id")
    if application == 0 and new_allowed and not list(connection.execute("PRAGMA table_list(meta)")):
        if list(connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1")):
            raise StoreFormatError("this is an SQLite database of another program", path=path)
        with connection:
            connection.pragma("application_id", APPLICATION_ID)
            connection.pragma("user_version", FORMAT_VERSION)
            connection.execute("CREATE TABLE meta(name TEXT PRIMARY KEY, value)")
            connection.execute("INSERT INTO meta VALUES('kind', ?)", (kind,))
        return
    if application != APPLICATION_ID:
        raise StoreFormatError("this is not a crdtsync store", path=path)
    version = connection.pragma("user_version")
    if version != FORMAT_VERSION:
        raise StoreFormatError(
            f"written in format {version}; this crdtsync reads format {FORMAT_VERSION}", path=path
        )
    found = connection.execute("SELECT value FROM meta WHERE name = 'kind'").get
    if found != kind:
        raise StoreFormatError(
            f"this is the store of a {found}, not of a {kind}: each has a file of its own",
            path=path,
        )


def _check_tables(connection: apsw.Connection, path: str, schema: str) -> None:
    """Check that a file's tables are declared as ours: else nothing in it means what it seems."""
    with contextlib.closing(apsw.Connection(":memory:")) as ours:
        ours.execute(schema)
        wanted = _declarations(ours)
    try:
        found = _declarations(connection)
    except UnicodeDecodeError:
        found = {}
    for name, declaration in wanted.items():
        if found.get(name) != declaration:
            raise StoreFormatError(
                f"its table {name!r} is not declared as this crdtsync declares it: the file is "
                "damaged, or of another version",
                path=path,
            )


def _declarations(connection: apsw.Connection) -> dict[str, str]:
    rows = connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL")
    return {name: " ".join(sql.split()) for name, sql in rows}


def _explain(error: apsw.Error, path: str) -> StorageError:
    if isinstance(error, apsw.NotADBError):
        return StoreFormatError("this is not a crdtsync store", path=path)
    if isinstance(error, apsw.CorruptError):
        return StorageError(f"the file is damaged: {error}", path=path)
    if isinstance(error, apsw.FullError):
        return StorageError("the disk is full; nothing was changed: make room", path=path)
    if os.path.isdir(path):
        return StorageError("this is a folder: a store is one file", path=path)
    if isinstance(error, apsw.CantOpenError):
        return StorageError(
            "cannot be opened: does its folder exist, and may this user write there?", path=path
        )
    return StorageError(f"{type(error).__name__}: {error}", path=path)
