"""The mirror: one document's rows, kept in step with what the document shows.

A change touches nodes; a node belongs to a field of a record; so of a change exactly those fields
are written that it touched. Beside them, a record may come or go by work on one that is nested in
it, and where a column's records are decided together, one may get another value by work on another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any, TypeAlias

import apsw

from crdtsync import events
from crdtsync.document import Column, LiveDocument, Node, RecordNode
from crdtsync.errors import StorageError
from crdtsync.replica.sql.cells import Cell, cell
from crdtsync.replica.sql.layout import Layout
from crdtsync.strategy import Settled

if TYPE_CHECKING:
    from crdtsync.replica.ledger import Ledger
    from crdtsync.replica.store import Store

__all__ = ["Mirror"]

_Changes: TypeAlias = dict[RecordNode, set[str]]
"""Records of which something may have changed, and which of their fields have."""


class Mirror:
    """Keeps one document's rows.

    Args:
        store: the file.
        view: name of the view.
        layout: the tables.
        ledger: the document's logs.
        live: the document.
        damaged: makes the tables anew, when they are not as they were made.
    """

    def __init__(
        self,
        store: Store,
        view: str,
        layout: Layout,
        ledger: Ledger,
        live: LiveDocument,
        damaged: Callable[[], None],
    ) -> None:
        self._store = store
        self._execute = store.file.connection.execute
        self._view = view
        self._layout = layout
        self._ledger = ledger
        self._live = live
        self._damaged = damaged
        self._inside = False
        self._settled: dict[Column, Mapping[str, Settled[Any]]] = {}

    def begin(self) -> None:
        """Bring the rows up to date, and keep them so from now on."""
        view = self._live.view
        view.watch_all()
        view.listen()
        with self._store.file.transaction():
            self._execute(
                "INSERT OR IGNORE INTO sql_documents VALUES(?, ?, NULL)", self._document()
            )
            if self._stored_position() == self._ledger.position:
                self._changed_in_columns()
            else:
                self.write_all()
        view.touched = []
        self._ledger.together = self._live.together = self._together

    def end(self) -> None:
        """Leave the rows as they are."""
        self._live.view.touched = None
        self._ledger.together = self._live.together = nullcontext

    def _document(self) -> tuple[str, int]:
        return self._view, self._ledger.number

    def _stored_position(self) -> int | None:
        found: int | None = self._execute(
            "SELECT position FROM sql_documents WHERE view = ? AND document = ?", self._document()
        ).get
        return found

    # --- in step -------------------------------------------------------------------------------

    @contextmanager
    def _together(self) -> Iterator[None]:
        """Store what a block stores together with the rows that it changes, or nothing at all.

        Observers hear of it when it is stored.
        """
        if self._inside:
            yield
            return
        with self._live.observers.held():
            self._inside = True
            try:
                with self._store.file.transaction():
                    yield
                    self._write()
            except BaseException as error:
                with suppress(StorageError):  # then loading fails, too, and says so
                    self._ledger.reread()
                self._live.go_back(error)
                self._take_touched()  # what was changed is not: the rows are as they were
                raise
            finally:
                self._inside = False

    def _take_touched(self) -> list[Node]:
        view = self._live.view
        touched, view.touched = view.touched or [], []
        return touched

    def _write(self) -> None:
        touched = self._take_touched()
        try:
            if self._live.view.root in touched:
                self.write_all()
            else:
                self._write_changes(touched)
        except (apsw.SQLError, apsw.ConstraintError, apsw.SchemaChangeError) as error:
            events.SQL_VIEW_REMADE.log(view=self._view, error=error)
            self._damaged()

    def write_all(self) -> None:
        """Write all rows anew. Call it inside a transaction."""
        self._delete(self._layout, (self._ledger.name,))
        self._insert(self._layout, self._live.root)
        self._settled.clear()
        self._changed_in_columns()
        self._note_position(anew=True)

    def _write_changes(self, touched: Iterable[Node]) -> None:
        changes = _changes(touched)
        for record, field in self._changed_in_columns():
            changes.setdefault(record, set()).add(field)
        for record in sorted(changes, key=_depth):
            self._write_record(record, changes[record])
        self._note_position()

    def _note_position(self, *, anew: bool = False) -> None:
        """Note up to where in the log the rows are right, unless entries wait to be shown.

        Args:
            anew: they were not right before, and are now.
        """
        if not self._live.is_behind:
            self._execute(
                "UPDATE sql_documents SET position = ? WHERE view = ? AND document = ? "
                "AND (position IS NOT NULL OR ?)",
                (self._ledger.position, *self._document(), anew),
            )

    def _changed_in_columns(self) -> list[tuple[RecordNode, str]]:
        """Return the fields that got another value by the column that they are in."""
        found = []
        for table in self._live.view.column_tables:
            for column in table.columns.values():
                now, before = column.settled(), self._settled.get(column, {})
                if now is before:
                    continue
                self._settled[column] = now
                found += [
                    (table.record(key), column.spec.name)
                    for key in now.keys() | before.keys()
                    if now.get(key) != before.get(key)
                ]
        return found

    # --- rows ----------------------------------------------------------------------------------

    def _keys(self, record: RecordNode) -> tuple[str, ...]:
        keys = [record.key, *(owner.key for owner in record.owners())]
        return (self._ledger.name, *keys[-2::-1])

    def _layout_of(self, record: RecordNode) -> Layout:
        if record.table is None or record.owner is None:
            return self._layout
        return self._layout_of(record.owner).nested[record.table.spec.name]

    def _write_record(self, record: RecordNode, fields: set[str]) -> None:
        layout, keys = self._layout_of(record), self._keys(record)
        if not (record.exists and record.is_shown()):
            self._delete(layout, keys)
        elif not self._update(layout, keys, record, sorted(fields & layout.columns.keys())):
            self._insert(layout, record)

    def _update(
        self, layout: Layout, keys: tuple[str, ...], record: RecordNode, fields: list[str]
    ) -> bool:
        """Write fields of a record's row; return whether there is one."""
        if not fields:
            return self._execute(layout.question(), keys).get is not None
        self._execute(layout.update(fields), (*_cells(record, fields), *keys))
        return self._store.file.connection.changes() > 0

    def _insert(self, layout: Layout, record: RecordNode) -> None:
        """Write the rows of a record and of those nested in it."""
        row = (*self._keys(record), *_cells(record, layout.columns))
        self._execute(layout.insertion(), row)
        for field, table in layout.nested.items():
            node = record.child(field)
            for key in node.members:
                self._insert(table, node.records[key])

    def _delete(self, layout: Layout, keys: tuple[str, ...]) -> None:
        """Delete the rows of a record and of those nested in it."""
        for table in layout.all():
            self._execute(table.deletion(len(keys)), keys)


def _cells(record: RecordNode, fields: Iterable[str]) -> Iterator[Cell]:
    return (cell(record.child(field).plain()) for field in fields)


def _depth(record: RecordNode) -> int:
    return sum(1 for _ in record.owners())


def _changes(touched: Iterable[Node]) -> _Changes:
    """Return which fields of which records nodes stand for.

    Of the records around them it is only asked whether they are there.
    """
    changes: _Changes = {}
    for node in touched:
        record = node.owner
        if record is None:
            continue
        stored = node.path[len(record.path) :].lstrip("/").partition("/")[0]
        fields = changes.setdefault(record, set())
        if stored:
            fields.add(record.schema.stored[stored].name)
        for owner in record.owners():
            if owner.table is not None:
                changes.setdefault(owner, set())
    return changes
