"""An entry seen from both sides: the document just before it and just after it.

Only what the entry touched is shown on the two sides, with the records that this is in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pycrdt

from crdtsync.document.journal import Snapshot
from crdtsync.document.judges import ANNOUNCEMENTS
from crdtsync.document.lists import ListNode
from crdtsync.document.live import LiveDocument
from crdtsync.document.maps import MapNode
from crdtsync.document.materialize import (
    Material,
    apply_entries,
    materialize,
    slot_changes,
    slot_events,
)
from crdtsync.document.node import Node
from crdtsync.document.past import PastJournal
from crdtsync.document.path import unescape
from crdtsync.document.record import NATIVE_KINDS, RecordNode
from crdtsync.document.rich_text import RichTextNode
from crdtsync.document.slots import ROOT, path_of
from crdtsync.document.text import TextNode
from crdtsync.document.view import View
from crdtsync.log import Entry
from crdtsync.vector import covers

__all__ = ["Sides", "native_at", "sides_of"]

_NEAR = 200
"""A state so many entries before an entry is kept in memory, for the entries before that one."""


_ROOTS = {
    TextNode: pycrdt.Text,
    ListNode: pycrdt.Array,
    MapNode: pycrdt.Map,
    RichTextNode: pycrdt.XmlFragment,
}


class Sides(NamedTuple):
    """What an entry did.

    Attributes:
        before: the document without it.
        after: the document with it.
        slots: the paths of the slots that it wrote or deleted.
        deltas: path of each text, list and map that it changed, to how, as the CRDT library reports
            it: for a map, by its keys.
    """

    before: View
    after: View
    slots: tuple[str, ...]
    deltas: dict[str, Any]


class _NearPast(PastJournal):
    """The past of an entry, with a state not far below it kept in memory."""

    def __init__(self, live: LiveDocument, vector: Mapping[int, int]) -> None:
        self._live = live
        super().__init__(live.journal, vector)

    def snapshot(self) -> Snapshot | None:
        near, stored = self._live.near, super().snapshot()
        if near is None or not covers(self.vector, near.vector):
            return stored
        if stored is not None and sum(stored.vector.values()) > sum(near.vector.values()):
            return stored
        return near._replace(slots=dict(near.slots))

    def passing(self, material: Material) -> None:
        super().passing(material)
        if 0 < self.count - sum(material.vector.values()) <= _NEAR:
            kept = material.snapshot()
            self._live.near = kept._replace(slots=dict(kept.slots))


def sides_of(live: LiveDocument, entry: Entry) -> Sides:
    """Return what an entry of ours did."""
    journal = _NearPast(live, live.journal.held_before(entry.replica, entry.seq))
    material = materialize(journal, journal.passing)
    before, after = _view(live), _view(live)
    doc: pycrdt.Doc[Any] = pycrdt.Doc(client_id=live.journal.replica)
    doc.apply_update(material.doc.get_update())
    deltas: dict[str, Any] = {}
    watched = [
        _watch(node, deltas)
        for path in live.view.doc.keys()  # noqa: SIM118 - no mapping
        if path != ROOT and (node := _rooted(native_at(after.root, path), doc)) is not None
    ]
    with slot_events(doc) as events:
        apply_entries(doc, [entry])
    for stop in watched:
        stop()
    changes = dict(slot_changes(events))
    paths = tuple(dict.fromkeys(map(path_of, changes)))
    groups = {_group(live, path) for path in (*paths, *deltas)} | {ANNOUNCEMENTS}
    slots = {k: v for k, v in material.slots.items() if _group(live, path_of(k)) in groups}
    before.show(material.doc, slots)
    for key, data in changes.items():
        slots.pop(key, None)
        if data is not None:
            slots[key] = data
    after.show(doc, slots)
    return Sides(before, after, paths, deltas)


def native_at(root: RecordNode, path: str) -> Any:
    """Return the node of a path that is a CRDT type of its own; None if none is declared there."""
    record, segments = root, path.split("/")
    while segments:
        spec = record.schema.stored.get(segments.pop(0))
        if spec is None:
            return None
        node = record.child(spec.name)
        if spec.kind in NATIVE_KINDS:
            return None if segments else node
        if spec.kind != "table" or not segments:
            return None
        record = node.record(unescape(segments.pop(0)))
    return None


def _view(live: LiveDocument) -> View:
    return View(live.schema, live.journal.users, live.schema_version, live.journal.clamps)


def _group(live: LiveDocument, path: str) -> str:
    """Return the path of the outermost record that a path is in, or of the field itself."""
    first, _, rest = path.partition("/")
    spec = live.schema.stored.get(first)
    return f"{first}/{rest.partition('/')[0]}" if spec and spec.kind == "table" else first


def _rooted(node: Node | None, doc: pycrdt.Doc[Any]) -> Any:
    """Return the CRDT type of a node in a document that no view shows yet."""
    if node is None:
        return None
    return node, doc.get(node.path, type=_ROOTS[type(node)])


def _watch(rooted: tuple[Node, Any], deltas: dict[str, Any]) -> Callable[[], None]:
    node, root = rooted

    def follow(event: Any) -> None:
        match node:
            case RichTextNode():
                deltas[node.path] = []
            case MapNode():
                deltas[node.path] = event.keys
            case _:
                deltas[node.path] = event.delta

    is_deep = isinstance(node, RichTextNode)
    subscription = root.observe_deep(follow) if is_deep else root.observe(follow)
    return lambda: root.unobserve(subscription)
