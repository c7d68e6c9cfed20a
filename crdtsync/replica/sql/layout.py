"""Layout: which tables and columns a document class has in SQL.

The table of class `Board` is `board`, with the document's name as its key; that of its field
`tasks` is `board_tasks`, with the document and the record's key; that of a table in those records
is `board_tasks_steps`, with the key of the task as `tasks_key` too. SQLite does not tell capitals
from small letters in names: of two that would be the same there, the second gets a number.

All names are quoted wherever they stand in a statement.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from crdtsync.document import Schema
from crdtsync.replica.sql.cells import declared_type

__all__ = ["WRITES", "Layout", "lay_out", "quoted", "table_name"]

WRITES = "crdtsync_alone_writes_here"
"""Name of an SQL function that only our connection has. Who writes without it reads the name."""

_Unique = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Layout:
    """One table.

    Attributes:
        name: of the table.
        keys: the columns that say which record a row is.
        columns: field to column.
        types: field to declared type.
        nested: table field to its table.
        parent: the table whose records have these; None for that of the documents.
    """

    name: str
    keys: tuple[str, ...]
    columns: Mapping[str, str]
    types: Mapping[str, str]
    nested: Mapping[str, Layout]
    parent: tuple[str, tuple[str, ...]] | None

    def all(self) -> Iterator[Layout]:
        """Yield this table and those nested in it."""
        yield self
        for table in self.nested.values():
            yield from table.all()

    def schema(self) -> dict[str, str]:
        """Return the SQL that makes the table and its triggers, by the names of what it makes."""
        told = [f"{quoted(key)} TEXT NOT NULL" for key in self.keys]
        told += [
            f"{quoted(column)} {self.types[field]}".rstrip()
            for field, column in self.columns.items()
        ]
        told.append(f"PRIMARY KEY({_listed(self.keys)})")
        if self.parent is not None:
            name, keys = self.parent
            own = _listed(self.keys[:-1])
            told.append(f"FOREIGN KEY({own}) REFERENCES {quoted(name)}({_listed(keys)})")
        made = {self.name: f"CREATE TABLE {quoted(self.name)}({', '.join(told)}) WITHOUT ROWID"}
        for event in ("INSERT", "UPDATE", "DELETE"):
            trigger = f"{self.name}_{event.lower()}"
            made[trigger] = (
                f"CREATE TRIGGER {quoted(trigger)} BEFORE {event} ON {quoted(self.name)} "
                f"WHEN NOT {WRITES}() BEGIN SELECT RAISE(ABORT, '{WRITES}'); END"
            )
        return made

    def insertion(self) -> str:
        """Return the SQL that puts a row in place of what stands there."""
        columns = [*self.keys, *self.columns.values()]
        marks = ", ".join("?" * len(columns))
        return f"INSERT OR REPLACE INTO {quoted(self.name)}({_listed(columns)}) VALUES({marks})"

    def update(self, fields: Iterable[str]) -> str:
        """Return the SQL that changes fields of a row: their values, then the keys."""
        settings = ", ".join(f"{quoted(self.columns[field])} = ?" for field in fields)
        return f"UPDATE {quoted(self.name)} SET {settings} WHERE {_found(self.keys)}"  # noqa: S608

    def question(self) -> str:
        """Return the SQL that asks whether there is a row."""
        return f"SELECT 1 FROM {quoted(self.name)} WHERE {_found(self.keys)}"  # noqa: S608

    def deletion(self, keys: int) -> str:
        """Return the SQL that deletes all rows with the same first keys."""
        return f"DELETE FROM {quoted(self.name)} WHERE {_found(self.keys[:keys])}"  # noqa: S608


def quoted(name: str) -> str:
    """Return a name as SQL takes it, whatever it is.

    >>> print(quoted("order"), quoted('say "so"!'))
    "order" "say ""so""!"
    """
    return '"' + name.replace('"', '""') + '"'


def table_name(cls: type) -> str:
    """Return the name of a class's table, unless it is given another.

    >>> table_name(type("ShoppingList", (), {})), table_name(type("HTTPLog", (), {}))
    ('shopping_list', 'http_log')
    """
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__)
    return words.lower()


def lay_out(schema: Schema, name: str) -> Layout:
    """Return the table of a document class, with those nested in it.

    Args:
        schema: of the class.
        name: of the table.
    """
    return _table(schema, name, ("document",), ("document",), None, _names())


def _table(
    schema: Schema,
    name: str,
    keys: tuple[str, ...],
    below: tuple[str, ...],
    parent: tuple[str, tuple[str, ...]] | None,
    unique: _Unique,
) -> Layout:
    """Lay out one table.

    Args:
        schema: of its records.
        name: what it is to be called.
        keys: what its key columns are to be called.
        below: what they are to be called in the tables nested in it.
        parent: name and key columns of the table that it is nested in.
        unique: makes the names of tables different.
    """
    name, unique_column = unique(name), _names()
    keys = tuple(map(unique_column, keys))
    columns, types, nested = {}, {}, {}
    for field, spec in schema.fields.items():
        if spec.record is None:
            columns[field], types[field] = unique_column(field), declared_type(spec)
        else:
            nested[field] = _table(
                spec.record,
                f"{name}_{field}",
                (*below, "key"),
                (*below, f"{field}_key"),
                (name, keys),
                unique,
            )
    return Layout(name, keys, columns, types, nested, parent)


def _names() -> _Unique:
    """Return a function that makes names different from those it has given out."""
    taken: set[str] = set()

    def unique(name: str) -> str:
        found, number = name, 1
        while found.lower() in taken:
            number += 1
            found = f"{name}_{number}"
        taken.add(found.lower())
        return found

    return unique


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(quoted, names))


def _found(keys: Iterable[str]) -> str:
    return " AND ".join(f"{quoted(key)} = ?" for key in keys)
