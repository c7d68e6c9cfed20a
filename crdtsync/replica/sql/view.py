"""A view: the SQL tables of one document class."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import apsw

from crdtsync.codec import decode, encode
from crdtsync.document import Document, LiveDocument
from crdtsync.errors import CodecError, SchemaError, StorageError
from crdtsync.replica.sql.layout import WRITES, lay_out, quoted
from crdtsync.replica.sql.mirror import Mirror

if TYPE_CHECKING:
    from crdtsync.replica.ledger import Ledger
    from crdtsync.replica.store import Store

__all__ = ["SqlView"]

_VERSION = 1


class SqlView:
    """Tables that show the documents of a class. Made by `Replica.sql_view`.

    Args:
        store: the file.
        cls: the class.
        name: of the table of documents; those of records begin with it.
        dropped: is told when the view is no more.

    Raises:
        SchemaError: there is something else of that name in the file.
        StorageError: the store is only looked at.

    Attributes:
        cls: the class.
        name: of the view.
    """

    def __init__(
        self, store: Store, cls: type[Document], name: str, dropped: Callable[[], object]
    ) -> None:
        if store.read_only:
            raise StorageError("a store that is only looked at takes no SQL view", path=store.path)
        self.cls = cls
        self.name = name
        self._store = store
        self._dropped = dropped
        self._layout = lay_out(cls.__crdtsync_schema__, name)
        self._schema = {k: v for table in self._layout.all() for k, v in table.schema().items()}
        self._mirrors: dict[str, Mirror] = {}
        self._execute = store.file.connection.execute
        with store.file.errors():
            store.file.connection.create_scalar_function(WRITES, _yes, 0, deterministic=True)
        self._make()

    @property
    def tables(self) -> list[str]:
        """The names of the tables, that of the documents first."""
        return [table.name for table in self._layout.all()]

    def documents(self) -> list[str]:
        """Return the names of the documents that the view has, or had when it was kept last."""
        with self._store.file.errors():
            rows = self._execute(
                "SELECT name FROM documents JOIN sql_documents ON id = document WHERE view = ? "
                "ORDER BY name",
                (self.name,),
            )
            return [name for (name,) in rows]

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Return the rows that a question in SQL is answered with, each as column to value.

        Use it in the process that has the replica open, instead of another SQLite library: where
        two libraries have one file open in one process, closing it in one loses the locks of both.

        Args:
            sql: one or more statements. They may only read.
            parameters: values for the question marks in it.

        Raises:
            StorageError: SQLite does not understand it, or it would write.
        """
        connection = self._store.file.connection
        with self._store.file.errors():
            connection.pragma("query_only", True)
            try:
                cursor = connection.cursor()
                cursor.row_trace = _by_column
                return list(cursor.execute(sql, tuple(parameters)))
            finally:
                connection.pragma("query_only", False)

    def attach(self, ledger: Ledger, live: LiveDocument) -> None:
        """Show a document from now on."""
        mirror = Mirror(self._store, self.name, self._layout, ledger, live, self._remake)
        mirror.begin()
        self._mirrors[ledger.name] = mirror

    def rebuild(self) -> None:
        """Make the tables anew, if you have reason to mistrust what they hold."""
        with self._store.file.transaction():
            self._remake()

    def drop(self) -> None:
        """Take the tables away. `Replica.sql_view` makes them again."""
        with self._store.file.transaction():
            self._drop(self.tables)
            self._execute("DELETE FROM sql_views WHERE name = ?", (self.name,))
            self._execute("DELETE FROM sql_documents WHERE view = ?", (self.name,))
        while self._mirrors:
            self._mirrors.popitem()[1].end()
        self._dropped()

    def _remake(self) -> None:
        self._create(self.tables)
        for mirror in self._mirrors.values():
            mirror.write_all()

    # --- the tables ----------------------------------------------------------------------------

    def _make(self) -> None:
        """Make the tables, unless they are there, and as this class has them."""
        with self._store.file.transaction():
            signature, tables = self._signature(), self._made()
            taken = set(map(str.lower, self.tables)) & set(map(str.lower, self._others(tables)))
            if taken or self.name.lower().startswith("sqlite_"):
                found = min(taken, default=self.name)
                raise SchemaError(
                    f"the SQL view of {self.cls.__name__} would need a table {found!r}, a name "
                    "that is taken: give the view another name"
                )
            stored = self._execute(
                "SELECT signature FROM sql_views WHERE name = ?", (self.name,)
            ).get
            if stored != signature or self._found() != self._schema:
                self._create(tables)

    def _create(self, old: Iterable[str]) -> None:
        self._drop(old)
        for statement in self._schema.values():
            self._execute(statement)
        self._execute(
            "INSERT OR REPLACE INTO sql_views VALUES(?, ?, ?)",
            (self.name, encode(self.tables), self._signature()),
        )
        self._execute("UPDATE sql_documents SET position = NULL WHERE view = ?", (self.name,))

    def _drop(self, tables: Iterable[str]) -> None:
        for table in tables:
            self._execute(f"DROP TABLE IF EXISTS {quoted(table)}")

    def _made(self) -> list[str]:
        """Return the tables that the view of this name has had until now."""
        found = self._execute("SELECT tables FROM sql_views WHERE name = ?", (self.name,)).get
        try:
            return [] if found is None else decode(found)
        except CodecError:
            return []

    def _others(self, tables: Iterable[str]) -> set[str]:
        """Return the names of everything in the file that is not ours."""
        names = {name for (name,) in self._execute("SELECT tbl_name FROM sqlite_schema")}
        return names - set(tables)

    def _found(self) -> dict[str, str]:
        """Return the SQL of our tables and triggers as they are in the file."""
        marks = ", ".join("?" * len(self.tables))
        return dict(
            self._execute(
                f"SELECT name, sql FROM sqlite_schema WHERE tbl_name IN ({marks}) "  # noqa: S608
                "AND sql IS NOT NULL",
                self.tables,
            )
        )

    def _signature(self) -> bytes:
        """Return a digest of what decides what the rows say, beside the log."""
        schema = self.cls.__crdtsync_schema__
        types = {
            path: None if spec.types is None else [found.__name__ for found in spec.types]
            for path, spec in schema.specs().items()
        }
        told = [_VERSION, self.cls.schema_version, schema.describe(), types]
        return hashlib.sha256(encode(told)).digest()


def _by_column(cursor: apsw.Cursor, row: tuple[Any, ...]) -> Any:
    return {column[0]: value for column, value in zip(cursor.get_description(), row, strict=True)}


def _yes(*_: object) -> bool:
    return True
