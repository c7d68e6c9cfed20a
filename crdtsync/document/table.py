"""Tables: records by key."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from crdtsync.document.access import register_handle
from crdtsync.document.column import Column
from crdtsync.document.handle import Handle
from crdtsync.document.node import Node
from crdtsync.document.places import Places
from crdtsync.document.record import Record, RecordNode, record_path
from crdtsync.document.schema import MISSING, FieldSpec, Schema
from crdtsync.strategy import Positional

if TYPE_CHECKING:
    from crdtsync.document.action import Action
    from crdtsync.document.writer import Writer

__all__ = ["Table", "TableEdit", "TableNode"]

R = TypeVar("R", bound=Record)


class TableEdit:
    """Add and delete records: key to whether it is to be there."""

    __slots__ = ("members",)

    def __init__(self, members: dict[str, bool] | None = None) -> None:
        self.members = {} if members is None else members

    def copy(self) -> TableEdit:
        return TableEdit(dict(self.members))


class TableNode(Node):
    """State of a table: a node for every record there ever was."""

    __slots__ = ("columns", "keys_cache", "places", "records", "schema", "spec")

    def __init__(self, path: str, owner: RecordNode, spec: FieldSpec) -> None:
        super().__init__(path, owner)
        assert spec.record is not None
        self.spec = spec
        self.schema = spec.record
        self.records: dict[str, RecordNode] = {}
        self.columns = {column.name: Column(self, column) for column in self.schema.columns}
        position = self.schema.position
        self.places = None if position is None else Places(self, position)
        if self.columns:
            owner.view.column_tables.append(self)
        self.keys_cache: list[str] | None = None

    def record(self, key: str) -> RecordNode:
        """Return the node of a record, whether it exists or not."""
        node = self.records.get(key)
        if node is None:
            assert self.owner is not None
            path = record_path(self.path, key)
            node = self.records[key] = RecordNode(path, self.schema, self.owner.view, self)
        return node

    @property
    def members(self) -> list[str]:
        """The keys of the records that exist, sorted."""
        if self.keys_cache is None:
            self.keys_cache = sorted(key for key, node in self.records.items() if node.exists)
        return self.keys_cache

    def nested(self) -> Iterable[RecordNode]:
        return self.records.values()

    def touch(self, key: str) -> None:
        """Note that a record changed."""
        if self.places is not None:
            self.places.touch(key)
        for column in self.columns.values():
            column.touch(key)

    def _forget(self) -> None:
        self.keys_cache = None
        if self.places is not None:
            self.places.forget()
        for column in self.columns.values():
            column.forget()

    def rejudge(self) -> None:
        self._forget()
        for node in self.records.values():
            node.rejudge()

    def clear(self) -> None:
        self._forget()
        for node in self.records.values():
            node.clear()

    def plain(self) -> dict[str, Any]:
        return {key: self.records[key].plain() for key in self.members}

    def write(self, writer: Writer, edit: TableEdit) -> None:
        for key, present in edit.members.items():
            self.record(key).write_presence(writer, present=present)

    def erasure(self) -> TableEdit | None:
        members = self.members
        return TableEdit(dict.fromkeys(members, False)) if members else None


class Table(Handle[TableNode], Mapping[str, R]):
    """Records by key: a mapping in the order of keys, with `add` and `del`.

    Keys that `add` makes sort by time of creation.

    >>> from crdtsync import Document, Replica
    >>> class Task(Record):
    ...     title: str
    >>> class Board(Document):
    ...     tasks: Table[Task]
    >>> board = Replica().document(Board, "board")
    >>> key = board.tasks.add(title="Buy milk").key
    >>> board.tasks[key].title
    'Buy milk'
    >>> del board.tasks[key]
    >>> len(board.tasks)
    0
    """

    __slots__ = ()

    def add(self, *, key: str | None = None, **fields: Any) -> R:
        """Add a record and return it.

        Args:
            key: its key; one that no other replica can make, by default.
            fields: values of its fields: also of texts, sets, lists and counters.

        Raises:
            ValueError: there is a record of that key already.
            TypeError: a field is not declared, cannot hold the value, or was not given and has
                no default. A field that holds the record's place is given the last one.
        """
        schema = self._node.schema
        position = schema.position
        if position is not None and position.default is MISSING and position.name not in fields:
            fields[position.name] = self._position(None, None)
        _check_fields(schema, fields)
        if key is None:
            key = self._live.new_key()
        elif not isinstance(key, str):
            raise TypeError(f"a record's key is a str, not {type(key).__name__}")
        elif key in self:
            raise ValueError(f"there is a record {key!r} in {self._node.path} already")
        node = self._node.record(key)
        with self._live.act("add", self._node, atomic=True) as action:
            if any(slots.pairs for slots in node.slot_nodes()):
                _erase(action, node)
            action.edit(self._node, TableEdit).members[key] = True
            record: R = schema.cls._of(self._live, node)  # type: ignore[attr-defined]
            for name, value in fields.items():
                if schema.fields[name].kind == "counter":
                    getattr(record, name).increment(value)
                else:
                    setattr(record, name, value)
        return record

    def order_by(self, field: str, *, reverse: bool = False) -> list[R]:
        """Return the records ordered by a field's value, and by key where that is equal.

        Raises:
            KeyError: there is no such field.
        """
        if field not in self._node.schema.fields:
            raise KeyError(field)
        return sorted(self.values(), key=lambda record: getattr(record, field), reverse=reverse)

    def in_order(self) -> list[R]:
        """Return the records in the order in which people have put them.

        Raises:
            TypeError: no field of theirs holds a position.
        """
        return [self[key] for _, key in self._order()]

    def move(
        self, record: R | str, *, before: R | str | None = None, after: R | str | None = None
    ) -> None:
        """Put a record elsewhere in the order: last, if no neighbour is named.

        However many replicas move it at once, it stands in one place.

        Args:
            record: the record, or its key.
            before: the record before which it is to stand, or its key.
            after: the record after which it is to stand, or its key; not both.

        Raises:
            KeyError: one of the records is not there.
            TypeError: no field of theirs holds a position; or two neighbours are named.
        """
        if before is not None and after is not None:
            raise TypeError("name the record before or the record after, not both")
        moved = self[_key(record)]
        position = self._position(_key(before), _key(after), without=moved.key)
        setattr(moved, self._places().spec.name, position)

    def _position(self, before: str | None, after: str | None, without: str = "") -> str:
        """Return a new position between two neighbours, as if one record did not stand there."""
        order = self._order()
        if before is not None:
            high = self._index(order, before)
            low = high - 1
        else:
            low = len(order) - 1 if after is None else self._index(order, after)
            high = low + 1
        if low >= 0 and order[low][1] == without:
            low -= 1
        if high < len(order) and order[high][1] == without:
            high += 1
        between: Positional = self._places().spec.strategy  # type: ignore[assignment]
        return between.between(
            order[low][0] if low >= 0 else None,
            order[high][0] if high < len(order) else None,
            self._live.journal.replica,
        )

    def _index(self, order: list[tuple[str, str]], key: str) -> int:
        place = self._place(key)
        return bisect.bisect_left(order, (place, key))

    def _place(self, key: str) -> str:
        place = getattr(self[key], self._places().spec.name)
        return place if type(place) is str else ""

    def _places(self) -> Places:
        places = self._node.places
        if places is None:
            raise TypeError(f"no field of {self._node.schema.cls.__name__} holds a position")
        return places

    def _order(self) -> list[tuple[str, str]]:
        """Return (position, key) of the records, sorted, as the open action has left them."""
        places = self._places()
        order = places.order()
        action = self._live.visible_action()
        if action is None:
            return order
        name = places.spec.name
        moved = set(self._member_edits() or ())
        for node in action.edits:
            record = node.owner
            if record is not None and record.table is self._node and node is record.child(name):
                moved.add(record.key)
        if not moved:
            return order
        order = [item for item in order if item[1] not in moved]
        for key in moved:
            if key in self:
                bisect.insort(order, (self._place(key), key))
        return order

    def _member_edits(self) -> dict[str, bool] | None:
        edit: TableEdit | None = self._edit()
        return None if edit is None else edit.members

    def __getitem__(self, key: str) -> R:
        if key not in self:
            raise KeyError(key)
        record: R = self._node.schema.cls._of(self._live, self._node.record(key))  # type: ignore[attr-defined]
        return record

    def __delitem__(self, key: str) -> None:
        if key not in self:
            raise KeyError(key)
        with self._live.act("delete", self._node.record(key)) as action:
            action.edit(self._node, TableEdit).members[key] = False

    def __contains__(self, key: object) -> bool:
        edits = self._member_edits()
        if edits is not None and key in edits:
            return edits[key]
        node = self._node.records.get(key)  # type: ignore[call-overload]
        return node is not None and node.exists

    def __iter__(self) -> Iterator[str]:
        members = self._node.members
        edits = self._member_edits()
        if edits:
            kept = {key for key in members if edits.get(key, True)}
            members = sorted(kept | {key for key, present in edits.items() if present})
        return iter(list(members))

    def __len__(self) -> int:
        edits = self._member_edits()
        return sum(1 for _ in self) if edits else len(self._node.members)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Table):
            return self._identity() == other._identity()
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self._identity())

    def __repr__(self) -> str:
        return f"Table({self._node.path!r}, {len(self)} records)"


def _key(record: Record | str | None) -> Any:
    return record.key if isinstance(record, Record) else record


def _check_fields(schema: Schema, fields: Mapping[str, Any]) -> None:
    for name in fields:
        if name not in schema.fields:
            raise TypeError(schema.unknown(name))
    for spec in schema.fields.values():
        if spec.kind == "value" and spec.default is MISSING and spec.name not in fields:
            raise TypeError(f"{schema.cls.__name__} needs a value for field {spec.name!r}")


def _erase(action: Action, record: RecordNode) -> None:
    """Let a record that was deleted begin anew, empty."""
    for name in record.schema.fields:
        child = record.child(name)
        erasure = child.erasure()
        if erasure is not None:
            action.stage(child, erasure)


register_handle("table", Table)
