"""Records: groups of fields, and the question whether a record exists.

A record exists by the writes to it. Deleting one writes a tombstone slot that names the writes it
has seen; the table's presence strategy decides between tombstones and writes that they have not
seen. Nothing of a deleted record is thrown away, so one that comes back is whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, dataclass_transform

from crdtsync.display import repr_html
from crdtsync.document.access import FieldAccess
from crdtsync.document.counter import CounterNode
from crdtsync.document.declaration import FieldOptions, field, read_schema
from crdtsync.document.lists import ListNode
from crdtsync.document.maps import MapNode
from crdtsync.document.node import Node, SlotNode
from crdtsync.document.path import escape, unescape
from crdtsync.document.presence import MemberNode, is_present
from crdtsync.document.rich_text import RichTextNode
from crdtsync.document.schema import FieldSpec, Schema
from crdtsync.document.sets import SetNode
from crdtsync.document.slots import Slot
from crdtsync.document.text import TextNode
from crdtsync.document.value import ColumnValueNode, ValueNode
from crdtsync.strategy import Candidate, Presence, Strategy
from crdtsync.vector import join

if TYPE_CHECKING:
    from crdtsync.document.live import LiveDocument
    from crdtsync.document.table import TableNode
    from crdtsync.document.view import View
    from crdtsync.document.writer import Writer

__all__ = ["PresenceNode", "Record", "RecordNode"]

SLOT_KINDS = frozenset({"value", "counter"})
"""Kinds of fields that are one node of slots."""
NATIVE_KINDS = frozenset({"text", "list", "map", "rich-text"})
"""Kinds of fields that are a CRDT type of their own."""
_TABLE_DEPTH = 2


class PresenceNode(MemberNode):
    """Additions (True) and tombstones of one record."""

    __slots__ = ()

    def additions(self) -> list[Slot]:
        """Return the live additions."""
        return [slot for slot in self.slots() if slot.value is True]

    def is_undisputed(self) -> bool:
        """Tell whether there are additions and nothing else."""
        slots = self.slots()
        return bool(slots) and all(slot.value is True for slot in slots)


class RecordNode(Node):
    """State of a record, or of the document itself (which has neither table nor presence)."""

    __slots__ = ("_exists", "children", "key", "presence", "schema", "table", "view")

    def __init__(self, path: str, schema: Schema, view: View, table: TableNode | None) -> None:
        super().__init__(path, None if table is None else table.owner)
        self.schema = schema
        self.view = view
        self.table = table
        self.key = unescape(path.rpartition("/")[2])
        self.children: dict[str, Node] = {}
        self.presence = None if table is None else PresenceNode(path, self)
        self._exists: bool | None = None
        view.records[path] = self
        if view.watching:
            view.watch(self)

    def child(self, name: str) -> Any:
        """Return the node of a declared field."""
        node = self.children.get(name)
        if node is None:
            spec = self.schema.fields[name]
            path = f"{self.path}/{spec.stored}" if self.path else spec.stored
            node = self.children[name] = self._make(spec, path)
        return node

    def _make(self, spec: FieldSpec, path: str) -> Node:
        match spec.kind:
            case "value":
                if self.table is not None and spec.name in self.table.columns:
                    return ColumnValueNode(path, self, spec)
                return ValueNode(path, self, spec)
            case "counter":
                return CounterNode(path, self)
            case "set":
                return SetNode(path, self, spec)
            case "text":
                return TextNode(path, self)
            case "list":
                return ListNode(path, self)
            case "map":
                return MapNode(path, self)
            case "rich-text":
                return RichTextNode(path, self)
            case "table":
                return self.view.make_table(path, self, spec)

    def descend(self, segments: list[str], at: int) -> SlotNode | None:
        """Return the node that a slot's path names, None if no such field is declared."""
        left = len(segments) - at
        if left == 0:
            return self.presence
        spec = self.schema.stored.get(segments[at])
        if spec is None:
            return None
        node = self.child(spec.name)
        if spec.kind in SLOT_KINDS:
            return node if left == 1 else None
        if left == 1:
            return None
        if spec.kind == "set":
            return node.element(segments[at + 1]) if left == 2 else None  # noqa: PLR2004
        if spec.kind == "table":
            record: RecordNode = node.record(unescape(segments[at + 1]))
            return record.descend(segments, at + 2)
        return None

    def declares(self, segments: list[str], at: int) -> bool:
        """Tell whether the CRDT type of a path is that of a declared field."""
        spec = self.schema.stored.get(segments[at])
        if spec is None:
            return False
        left = len(segments) - at - 1
        if spec.kind != "table":
            return left == 0
        if left < _TABLE_DEPTH:
            return False
        record: RecordNode = self.child(spec.name).record(unescape(segments[at + 1]))
        return record.declares(segments, at + 2)

    def slot_nodes(self) -> Iterator[SlotNode]:
        """Yield every node of slots that belongs to the record, nested records' included."""
        if self.presence is not None:
            yield self.presence
        for node in self.children.values():
            if isinstance(node, SlotNode):
                yield node
            elif isinstance(node, SetNode):
                yield from node.elements.values()
            else:
                for record in node.nested():
                    yield from record.slot_nodes()

    @property
    def exists(self) -> bool:
        """Whether the record is in its table."""
        if self._exists is None:
            self._exists = self._decide()
        return self._exists

    def _decide(self) -> bool:
        presence = self.presence
        if presence is None:
            return True
        if presence.is_undisputed():
            return True
        removals = presence.removals()
        if not removals:
            return any(map(_writes, self.slot_nodes()))
        writes = [slot for node in self.slot_nodes() for slot in _writes(node)]
        assert self.table is not None
        return is_present(self.view, self.table.spec, self.path, writes, removals)

    def slots_changed(self) -> None:
        """Note that slots of the record changed; find out about its presence when asked."""
        if self.table is None:
            return
        presence = self.presence
        assert presence is not None
        self.table.touch(self.key)
        if not (self._exists and presence.is_undisputed()):
            self._exists = None
            self.table.keys_cache = None
        if self.owner is not None:
            self.owner.slots_changed()

    def seen(self) -> dict[int, int]:
        """Return the highest number of each replica's writes to the record.

        Those included that come back if a pending write is refused.
        """
        seen: dict[int, int] = {}
        for node in self.slot_nodes():
            for slot in node.stored():
                if slot.seq > seen.get(slot.replica, 0):
                    seen[slot.replica] = slot.seq
                replaced = node.replaced(slot)
                if replaced:
                    seen = join(seen, replaced)
        return seen

    def write_presence(self, writer: Writer, *, present: bool) -> None:
        """Add or delete the record."""
        assert self.presence is not None
        if present:
            writer.put(self.presence, True)
        else:
            writer.bury(self.presence, self.seen())

    def candidates(self, name: str) -> tuple[Candidate[Any], ...]:
        """Return the live writes to a plain field."""
        node = self.child(name)
        if not isinstance(node, ValueNode):
            raise KeyError(name)
        return node.candidates()

    def rejudge(self) -> None:
        """Decide anew, by the rules that are announced now, when somebody looks."""
        self._exists = None
        for node in self.children.values():
            node.rejudge()

    def clear(self) -> None:
        self._exists = None
        if self.presence is not None:
            self.presence.clear()
        for node in self.children.values():
            node.clear()

    def plain(self) -> dict[str, Any]:
        return {name: self.child(name).plain() for name in self.schema.fields}


def _writes(node: SlotNode) -> tuple[Slot, ...]:
    # A tombstone is no work on the record; nor is a nested record's, which is work on that one.
    return tuple(node.additions()) if isinstance(node, PresenceNode) else node.slots()


_RECORD_NAMES = frozenset({"candidates", "key", "to_dict"})


@dataclass_transform(kw_only_default=True, field_specifiers=(field, FieldOptions))
class Record:
    """Base of an app's record classes: what one row of a `Table` is made of.

    Declare fields as annotations. Records are made by `Table.add` only.

    >>> from crdtsync import Document, Replica, Table, Text
    >>> class Task(Record):
    ...     title: str = ""
    ...     notes: Text
    >>> class Board(Document):
    ...     tasks: Table[Task]
    >>> board = Replica().document(Board, "board")
    >>> task = board.tasks.add(title="Buy milk", key="t1")
    >>> task.title = "Buy oat milk"
    >>> task
    Task(key='t1', title='Buy oat milk', notes='')
    """

    __crdtsync_declared__: ClassVar[Schema]
    _live: LiveDocument
    _node: RecordNode
    _repr_html_ = repr_html

    def __init_subclass__(
        cls,
        *,
        strategy: Strategy | None = None,
        presence: Presence | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init_subclass__(**kwargs)
        cls.__crdtsync_declared__ = read_schema(
            cls, _RECORD_NAMES, top=False, strategy=strategy, presence=presence, frame=1
        )
        for spec in cls.__crdtsync_declared__.fields.values():
            setattr(cls, spec.name, FieldAccess(spec))

    if not TYPE_CHECKING:

        def __init__(self, **_: object) -> None:
            raise TypeError(
                f"a {type(self).__name__} is made by its table: table.add(…), not by its class"
            )

    @classmethod
    def _of(cls, live: LiveDocument, node: RecordNode) -> Any:
        record = object.__new__(cls)
        object.__setattr__(record, "_live", live)
        object.__setattr__(record, "_node", node)
        return record

    @property
    def key(self) -> str:
        """The record's key in its table."""
        return self._node.key

    def __setattr__(self, name: str, value: object) -> None:
        if name not in self.__crdtsync_declared__.fields:
            raise AttributeError(self.__crdtsync_declared__.unknown(name))
        object.__setattr__(self, name, value)

    def candidates(self, field: str) -> tuple[Candidate[Any], ...]:
        """Return the live writes to a plain field: several while replicas disagree.

        Raises:
            KeyError: there is no such plain field.
        """
        return self._node.candidates(field)

    def to_dict(self) -> dict[str, Any]:
        """Return the committed fields as plain Python, sharing nothing."""
        return self._node.plain()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Record):
            return self._live is other._live and self._node is other._node
        return NotImplemented

    def __hash__(self) -> int:
        return hash((id(self._live), self._node.path))

    def __repr__(self) -> str:
        fields = {"key": self.key} | self.to_dict()
        inner = ", ".join(f"{name}={value!r}" for name, value in fields.items())
        return f"{type(self).__name__}({inner})"


def record_path(table: str, key: str) -> str:
    """Return the path of a record."""
    return f"{table}/{escape(key)}"
