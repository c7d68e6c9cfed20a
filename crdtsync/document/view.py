"""The view: the tree of nodes, and how the CRDT's changes reach it.

Built once from the slots that are live, then kept up to date by what changes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pycrdt

from crdtsync.document.lists import ListNode
from crdtsync.document.materialize import slot_changes
from crdtsync.document.node import Node, Pairs, SlotNode
from crdtsync.document.path import Path
from crdtsync.document.record import SLOT_KINDS, PresenceNode, RecordNode
from crdtsync.document.schema import FieldSpec, Schema
from crdtsync.document.slots import ROOT, path_of
from crdtsync.document.table import TableNode
from crdtsync.document.text import TextNode
from crdtsync.document.value import ValueNode

__all__ = ["View"]


class View:
    """The materialized state of one document.

    Args:
        schema: what its class declares.
        users: who uses each replica.

    Attributes:
        doc: the CRDT document.
        slots: its root map of slots.
        root: the node of the document itself.
        contested: plain fields that have several live writes.
        unheard: texts and lists that must be listened to before the next change from elsewhere.
        changed: texts and lists that the present change from elsewhere touched.
        records: every record there ever was, by its path; the document itself has the empty path.
        watching: whether changes to unread texts and lists must be noticed too.
    """

    def __init__(self, schema: Schema, users: Mapping[int, str]) -> None:
        self.users = users
        self.contested: dict[ValueNode, None] = {}
        self.unheard: dict[TextNode | ListNode, None] = {}
        self.changed: dict[TextNode | ListNode, None] = {}
        self._listening: dict[TextNode | ListNode, None] = {}
        self.watching = False
        self.records: dict[str, RecordNode] = {}
        self.root = RecordNode("", schema, self, None)
        self._undeclared: dict[str, SlotNode] = {}

    def show(self, doc: pycrdt.Doc[Any], slots: Mapping[str, bytes]) -> None:
        """Show a CRDT document, forgetting all that was shown.

        Args:
            doc: the document.
            slots: the live slots in it.
        """
        self.doc = doc
        self.slots: pycrdt.Map[Any] = doc.get(ROOT, type=pycrdt.Map)
        self.contested.clear()
        self.unheard.clear()
        self.changed.clear()
        self.root.clear()
        self._undeclared.clear()
        for pair in slots.items():
            self.node(path_of(pair[0])).adopt(pair)
        if self.watching:
            self.watch_all()

    def live_slots(self) -> dict[str, bytes]:
        """Return all live slots, declared or not."""
        nodes = itertools.chain(self.root.slot_nodes(), self.undeclared())
        return {key: data for node in nodes for key, data in node.pairs}

    def make_table(self, path: str, owner: RecordNode, spec: FieldSpec) -> TableNode:
        """Return the node of a table field."""
        assert spec.record is not None
        assert spec.presence is not None
        return TableNode(path, owner, spec.record, spec.presence)

    def node(self, path: str) -> SlotNode:
        """Return the node of a slot's path; one without an owner if it is not declared."""
        owner, _, name = path.rpartition("/")
        record = self.records.get(owner)
        if record is not None:
            spec = record.schema.fields.get(name)
            if spec is not None and spec.kind in SLOT_KINDS:
                node: SlotNode = record.child(name)
                return node
        found = self.root.descend(path.split("/"), 0) or self._undeclared.get(path)
        if found is None:
            found = self._undeclared[path] = SlotNode(path, None)
        return found

    def undeclared(self) -> Iterator[SlotNode]:
        """Yield the live nodes of paths that the schema does not know."""
        return (node for node in self._undeclared.values() if node.pairs)

    def take(self, events: Iterable[Mapping[str, Any]], *, tell: bool) -> dict[Path, None]:
        """Take over what changed in the map of slots.

        Args:
            events: the map's changes, as the CRDT library reports them.
            tell: whether anybody wants to know what changed.

        Returns:
            The paths touched, in order; nothing if nobody wants to know.
        """
        changes: dict[str, dict[str, bytes | None]] = {}
        for key, data in slot_changes(events):
            changes.setdefault(path_of(key), {})[key] = data
        touched = [(self.node(path), keys) for path, keys in changes.items()]
        records = {node.owner for node, _ in touched if node.owner is not None} if tell else ()
        existed = {record: record.exists for record in records}
        for node, keys in touched:
            node.install(_merged(node.pairs, keys))
        if not tell:
            self.changed.clear()
            return {}
        paths = {node.keys: None for node, _ in touched if not isinstance(node, PresenceNode)}
        paths |= {r.keys: None for r, before in existed.items() if r.exists != before}
        paths |= {root.keys: None for root in self.changed}
        self.changed.clear()
        return paths

    def listen(self) -> None:
        """Get ready for changes from elsewhere."""
        while self.unheard:
            node, _ = self.unheard.popitem()
            node.listen()
            self._listening[node] = None

    def deafen(self) -> None:
        """Stop listening to texts and lists."""
        while self._listening:
            self._listening.popitem()[0].deafen()

    def watch_all(self) -> None:
        """Follow every text and list, so that observers hear of changes to unread ones."""
        self.watching = True
        stack = [self.root]
        while stack:
            record = stack.pop()
            self.watch(record)
            for spec in record.schema.fields.values():
                if spec.kind == "table":
                    stack.extend(record.child(spec.name).records.values())

    def watch(self, record: RecordNode) -> None:
        """Follow a record's texts and lists."""
        for spec in record.schema.fields.values():
            if spec.kind in {"text", "list"}:
                self.unheard[record.child(spec.name)] = None

    def conflicts(self) -> Iterator[ValueNode]:
        """Yield the contested fields of records that exist, in the order of paths."""
        for node in sorted(self.contested, key=lambda node: node.keys):
            if len(node.slots()) > 1 and _shown(node):
                yield node


def _merged(pairs: Pairs, changes: Mapping[str, bytes | None]) -> Pairs:
    kept = [pair for pair in pairs if pair[0] not in changes]
    kept += [(key, data) for key, data in changes.items() if data is not None]
    return tuple(kept)


def _shown(node: Node) -> bool:
    owner = node.owner
    while owner is not None:
        if not owner.exists:
            return False
        owner = owner.owner
    return True
