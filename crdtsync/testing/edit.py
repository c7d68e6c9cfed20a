"""Edits: what a person may do to a document, said without knowing what is in it.

An edit says "the record of that key, if there is one" and "a place in the text, wherever it ends".
Only when it meets a document does it become a line of Python, which can be run and printed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from crdtsync.document import Document
from crdtsync.document.parts import Element
from crdtsync.document.schema import Schema

__all__ = ["Call", "Edit", "Nth", "Row"]


class Nth(NamedTuple):
    """Stands for the key of a record: the n-th of those that are there.

    Attributes:
        n: which; it begins anew at the end.
    """

    n: int

    def among(self, keys: list[str]) -> str:
        """Return the key; one of our own if there are none."""
        return keys[self.n % len(keys)] if keys else "a"


class Row(NamedTuple):
    """A step down into a record.

    Attributes:
        table: the table's name.
        key: the record's key.
        fields: what to make it with if it is not there.
    """

    table: str
    key: str | Nth
    fields: dict[str, Any]


class Edit(NamedTuple):
    """One edit of one field.

    Attributes:
        rows: the way down to the record; empty for a field of the document.
        field: the field's name.
        kind: its kind.
        verb: what is done to it.
        arguments: with what.
    """

    rows: tuple[Row, ...]
    field: str
    kind: str
    verb: str
    arguments: tuple[Any, ...]

    def line(self, document: Document, name: str = "document") -> str:
        """Return Python that does it.

        Args:
            document: as it is now.
            name: what it is called there.
        """
        target: Any = document
        for row in self.rows:
            table, name = getattr(target, row.table), f"{name}.{row.table}"
            key = _key(row.key, table)
            if key not in table:
                return _added(name, key, row.fields)
            target, name = table[key], f"{name}[{key!r}]"
        handle = None if self.kind == "value" else getattr(target, self.field)
        return _LINES[self.kind](f"{name}.{self.field}", handle, self.verb, *self.arguments)


class Call(NamedTuple):
    """A call of one of the document's own actions.

    Attributes:
        action: its name.
        arguments: with what.
    """

    action: str
    arguments: dict[str, Any]

    def line(self, document: Document, name: str = "document") -> str:
        """Return Python that does it; see `Edit.line`."""
        keys = list(_all_keys(document, type(document).__crdtsync_schema__))
        given = {
            name: value.among(keys) if isinstance(value, Nth) else value
            for name, value in self.arguments.items()
        }
        return f"{name}.{self.action}({_named(given)})"


def _key(key: str | Nth, table: Any) -> str:
    return key.among(list(table)) if isinstance(key, Nth) else key


def _all_keys(target: Any, schema: Schema) -> Iterator[str]:
    """Yield the keys of all records, those of nested ones included."""
    for spec in schema.fields.values():
        if spec.record is not None:
            for key, record in getattr(target, spec.name).items():
                yield key
                yield from _all_keys(record, spec.record)


def _named(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items())


def _added(table: str, key: str, fields: Mapping[str, Any]) -> str:
    return f"{table}.add({_named({'key': key, **fields})})"


def _call_line(name: str, _: Any, verb: str, *arguments: Any) -> str:
    if verb in {"set", "assign"}:
        return f"{name} = {arguments[0]!r}"
    return f"{name}.{verb}({', '.join(map(repr, arguments))})"


def _text_line(name: str, text: Any, verb: str, *arguments: Any) -> str:
    if verb not in {"replace", "format"}:
        return _call_line(name, text, verb, *arguments)
    start, stop = _span(len(text), *arguments[:2])
    what = f"bold={arguments[2]!r}" if verb == "format" else repr(arguments[2])
    return f"{name}.{verb}({start}, {stop}, {what})"


def _rich_text_line(name: str, body: Any, verb: str, *arguments: Any) -> str:
    index, *others = arguments
    if verb == "insert" or not len(body):
        words = others[0] if verb == "insert" else ""
        return f"{name}.insert({min(index, len(body))}, 'p', {words!r})"
    index %= len(body)
    block, name = body[index], f"{name}[{index}]"
    if verb == "delete":
        return f"del {name}"
    if isinstance(block, Element) and verb == "set":
        return f"{name}.attributes['level'] = {others[0]!r}"
    while isinstance(block, Element) and len(block):
        block, name = block[-1], f"{name}[-1]"
    if isinstance(block, Element):
        return f"{name}.append_text('new')"
    return _text_line(name, block, *others) if verb == "text" else f"{name}.append('more')"


def _list_line(name: str, items: Any, verb: str, *arguments: Any) -> str:
    if verb == "splice":
        start, stop = _span(len(items), *arguments[:2])
        return f"{name}[{start}:{stop}] = {arguments[2]!r}"
    if verb == "move":
        length = len(items)
        if not length:
            return f"{name}.append(0)"
        return f"{name}.move({arguments[0] % length}, {arguments[1] % length})"
    return _call_line(name, items, verb, *arguments)


def _map_line(name: str, entries: Any, verb: str, *arguments: Any) -> str:
    if verb == "set":
        return f"{name}[{arguments[0]!r}] = {arguments[1]!r}"
    if verb == "delete":
        keys = list(entries)
        return f"del {name}[{keys[arguments[0] % len(keys)]!r}]" if keys else f"{name}['a'] = 0"
    return _call_line(name, entries, verb, *arguments)


def _table_line(name: str, table: Any, verb: str, *arguments: Any) -> str:
    key = _key(arguments[0], table)
    if verb == "toggle":
        return f"del {name}[{key!r}]" if key in table else _added(name, key, arguments[1])
    side, neighbour = arguments[1], _key(arguments[2], table)
    if key not in table or neighbour not in table:
        return _added(name, key, {}) if key not in table else f"{name}.move({key!r})"
    return f"{name}.move({key!r}, {side}={neighbour!r})"


def _span(length: int, start: int, extent: int) -> tuple[int, int]:
    start = min(start, length)
    return start, min(start + extent, length)


_LINES: dict[str, Callable[..., str]] = {
    "value": _call_line,
    "counter": _call_line,
    "set": _call_line,
    "text": _text_line,
    "list": _list_line,
    "map": _map_line,
    "rich-text": _rich_text_line,
    "table": _table_line,
}
