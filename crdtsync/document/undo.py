"""Undo and redo: what we did is taken back by a new action, and what others did stays.

What an action of ours did is seen by looking at the document before it and after it (`rewind`).
Taking it back is one edit for each thing that it touched:

- **Plain field**: the value that it replaced, if what we wrote still stands alone. Where others
  have written beside it, ours goes and theirs stay. Where others have written over it, nothing.
- **Counter**: what it added is taken off.
- **Set**: an element that it put in goes, unless others have put it in too; one that it took out
  comes back, unless others have taken it out too.
- **Record**: one that it added goes, unless others have worked on it: then it stays, with all that
  is in it. One that it deleted comes back whole, unless others have deleted it too.
- **Text and list**: see `regain`.
- **Map**: of each key that it wrote, the value that it replaced, if what we wrote still stands; of
  each that it deleted, the value that it had, unless there is another one by now.
- **Rich text**: as it was before, if it still is what our action made of it. Else nothing: it is
  left as it is.
- What is in a record that is deleted by now is left alone.

An undoing writes things anew. It says in its arguments what stands for what, so that earlier
actions can be undone after it: `restores` names the writes whose values it wrote again, by path
(for a key of a map: the map's path and the key); `again` the characters and values that it put into
texts and lists again, in order.

Source: Yu, Elvinger and Ignat, "A Generic Undo Support for State-Based CRDTs", OPODIS 2019 (what
undo should mean among many); Yjs's UndoManager (only one's own changes).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

from crdtsync.document.action import Action, current_action
from crdtsync.document.authors import Origins
from crdtsync.document.counter import CounterEdit, CounterNode
from crdtsync.document.ids import Id, ids_of_keys
from crdtsync.document.lists import ListNode
from crdtsync.document.live import LiveDocument
from crdtsync.document.maps import MapEdit, MapNode
from crdtsync.document.markup import differences, equal
from crdtsync.document.node import Node, SlotNode
from crdtsync.document.path import escape
from crdtsync.document.record import PresenceNode, RecordNode
from crdtsync.document.regain import regain_list, regain_text
from crdtsync.document.rewind import Sides, native_at, sides_of
from crdtsync.document.rich_text import RichTextNode
from crdtsync.document.sets import ElementNode, SetEdit
from crdtsync.document.slots import Slot
from crdtsync.document.stack import REDO, UNDO, later_undoings, to_redo, to_undo
from crdtsync.document.table import TableEdit
from crdtsync.document.text import TextNode
from crdtsync.document.value import ColumnValueNode, ValueEdit, ValueNode
from crdtsync.document.writer import Withdrawal
from crdtsync.errors import ActionError
from crdtsync.log import Entry
from crdtsync.update import inserted_clocks

__all__ = ["redo", "undo"]


def undo(live: LiveDocument) -> Entry | None:
    """Undo our newest action that is not undone, and return its entry; None if there is none.

    Actions of which nothing is left to undo are passed over, and count as undone.

    Raises:
        ActionError: an action is open.
        StorageError: the log could not take it; nothing happened.
    """
    while (entry := to_undo(live.journal)) is not None:
        if _take_back(live, UNDO, entry):
            return entry
    return None


def redo(live: LiveDocument) -> Entry | None:
    """Undo our newest undoing that is not redone, and return its entry; None if there is none.

    Raises:
        ActionError, StorageError: as `undo`.
    """
    while (entry := to_redo(live.journal)) is not None:
        if _take_back(live, REDO, entry):
            return entry
    return None


def _take_back(live: LiveDocument, name: str, entry: Entry) -> bool:
    """Log an action that takes an entry back; tell whether there was anything to take back."""
    if current_action.get() is not None and live.visible_action() is not None:
        raise ActionError(f"{name}() is an action of its own: call it outside of any other")
    taking = _TakingBack(live, entry)
    taking.look()
    arguments: dict[str, Any] = {"of": [entry.replica, entry.seq]}
    if taking.restores:
        arguments["restores"] = taking.restores
    if taking.again:
        arguments["again"] = taking.again
    with Action(live, name, arguments, always=True) as action:
        for node, edit in taking.edits.items():
            action.stage(node, edit)
    return bool(taking.edits)


class _TakingBack:
    """What takes one entry back.

    Attributes:
        edits: what to do to each node.
        restores: path to the writes whose value is written again.
        again: ids of what is put into texts and lists again, in order.
    """

    def __init__(self, live: LiveDocument, entry: Entry) -> None:
        self._live = live
        self._entry = entry
        self._sides: Sides = sides_of(live, entry)
        self._own = live.journal.own_logs()
        self._later = later_undoings(live.journal, entry)
        self._copies = dict(itertools.chain(*map(_copies_in, self._later)))
        self._kept: set[RecordNode] = set()  # records that stay, with all that is in them
        self._fresh: set[RecordNode] = set()  # records that go, and were not there before
        self._members: dict[RecordNode, bool] = {}
        self.edits: dict[Node, Any] = {}
        self.restores: dict[str, list[list[int]]] = {}
        self.again: list[list[int]] = []

    def look(self) -> None:
        """Find out what is to be done."""
        nodes = [self._live.view.node(path) for path in self._sides.slots]
        for node in nodes:
            if isinstance(node, PresenceNode):
                self._presence(node)
        for node in nodes:
            if not isinstance(node, PresenceNode) and self._is_open(node):
                self._slots(node)
        natives = [native_at(self._live.root, path) for path in self._sides.deltas]
        for native in sorted(natives, key=lambda node: isinstance(node, RichTextNode)):
            if self._is_open(native):
                self._native(native)
        tables: dict[Node, TableEdit] = {}
        for record, present in self._members.items():
            assert record.table is not None
            tables.setdefault(record.table, TableEdit()).members[record.key] = present
        self.edits |= tables  # last: a deletion has seen all the rest

    # --- whose is what -------------------------------------------------------------------------

    def _standing(self, path: str) -> set[tuple[int, int]]:
        """Return which writes to a path are the entry's, or stand for the entry's."""
        standing = {(self._entry.replica, self._entry.seq)}
        for later in self._later:
            restored = _pairs(later.arguments.get("restores"), path)
            if restored and restored <= standing:
                standing.add((later.replica, later.seq))
        return standing

    def _with_copies(self, ids: Iterable[Id]) -> Iterator[Id]:
        """Yield ids, and those of what was put in for them again."""
        for id_ in ids:
            chain: list[Id] = []
            at: Id | None = id_
            while at is not None and at not in chain:
                chain.append(at)
                at = self._copies.get(at)
            yield from chain

    def _put_in(self) -> Iterator[Id]:
        """Yield the ids of what the entry put into texts and lists."""
        return ((self._entry.replica, clock) for clock in inserted_clocks(self._entry.update))

    def _is_open(self, node: Node) -> bool:
        """Tell whether a node is to be touched."""
        for owner in node.owners():
            if owner in self._kept or owner in self._fresh:
                return False
            if owner not in self._members and not owner.exists:
                return False
        return True

    # --- fields --------------------------------------------------------------------------------

    def _slots(self, node: SlotNode) -> None:
        before, after = self._sides.before.node(node.path), self._sides.after.node(node.path)
        match node:
            case CounterNode():
                assert isinstance(before, CounterNode)
                assert isinstance(after, CounterNode)
                if after.value != before.value:
                    self.edits[node] = CounterEdit(before.value - after.value)
            case ElementNode():
                self._element(node, before, after)
            case ValueNode():
                self._value(node, before, after)

    def _value(self, node: ValueNode, before: Any, after: SlotNode) -> None:
        ours, theirs = self._split(node, node.slots())
        wrote = self._wrote(after)
        if theirs:
            if wrote and ours:
                self.edits[node] = Withdrawal(node, ours)
        elif ours or not wrote:
            self._restore(node, before.slots())
            if before.slots():
                value = (
                    before.claim().value if isinstance(before, ColumnValueNode) else before.value
                )
                self.edits[node] = ValueEdit(value)
            else:
                self.edits[node] = ValueEdit(node.default, erase=True)

    def _element(self, node: ElementNode, before: Any, after: Any) -> None:
        if after.is_in():
            ours, theirs = self._split(node, node.additions())
            if not ours:
                return
            if theirs:
                self.edits[node] = Withdrawal(node, ours)
            else:
                self._put_element(node, after.additions(), before)
        elif before.is_in() and not node.is_in() and all(map(self._is_ours, node.stored())):
            self._put_element(node, before.additions(), before)

    def _put_element(self, node: ElementNode, additions: list[Slot], before: Any) -> None:
        """Let an element be in as it was before, or not."""
        present = before.is_in()
        if present:
            self._restore(node, before.additions())
        edit = self.edits.setdefault(node.parent, SetEdit())
        edit.elements[node.path.rpartition("/")[2]] = (additions[-1].value, present)

    def _presence(self, node: PresenceNode) -> None:
        record = node.owner
        before, after = self._sides.before.node(node.path), self._sides.after.node(node.path)
        assert record is not None
        assert before.owner is not None
        assert after.owner is not None
        was, made = before.owner.exists, after.owner.exists
        if made and not was and record.exists:
            if not all(self._is_ours(s) for node in record.slot_nodes() for s in node.slots()):
                self._kept.add(record)
            else:
                self._members[record] = False
                if not before.pairs:
                    self._fresh.add(record)
        elif was and not (made or record.exists) and all(map(self._is_ours, node.stored())):
            self._members[record] = True

    def _is_ours(self, slot: Slot) -> bool:
        """Tell whether we wrote a slot: in the entry, or in one that is undone by now."""
        return slot.seq <= self._own.get(slot.replica, 0)

    def _split(self, node: SlotNode, slots: Iterable[Slot]) -> tuple[list[Slot], list[Slot]]:
        """Return which slots are the entry's, or stand for the entry's, and the others."""
        standing = self._standing(node.path)
        ours: list[Slot] = []
        theirs: list[Slot] = []
        for slot in slots:
            (ours if (slot.replica, slot.seq) in standing else theirs).append(slot)
        return ours, theirs

    def _wrote(self, after: SlotNode) -> bool:
        """Tell whether the entry left a value."""
        name = (self._entry.replica, self._entry.seq)
        return any((slot.replica, slot.seq) == name for slot in after.slots())

    def _restore(self, node: SlotNode, slots: Iterable[Slot]) -> None:
        restored = [[slot.replica, slot.seq] for slot in slots]
        if restored:
            self.restores[node.path] = restored

    # --- texts, lists and maps -------------------------------------------------------------------

    def _native(self, node: Any) -> None:
        before = native_at(self._sides.before.root, node.path)
        after = native_at(self._sides.after.root, node.path)
        delta = self._sides.deltas[node.path]
        match node:
            case TextNode():
                regained = regain_text(
                    node, before, after, delta, self._put_in(), self._with_copies
                )
            case ListNode():
                regained = regain_list(node, before, delta, self._put_in(), self._with_copies)
            case MapNode():
                self._map(node, before, after, delta)
                return
            case _:
                steps = list(differences(node.tree, before.tree.children))
                if steps and equal(node.tree, after.tree):
                    self.edits[node] = node.edit().extend(steps)
                return
        if regained is not None:
            self.edits[node] = regained.edit
            self.again += regained.again

    def _map(self, node: MapNode, before: MapNode, after: MapNode, keys: Iterable[str]) -> None:
        standing, replaced = self._authors(node, keys), self._authors(before, keys)
        edit = MapEdit()
        for key in keys:
            path = f"{node.path}/{escape(key)}"
            if key in after.values:
                if standing.get(key) not in self._standing(path):
                    continue
            elif key in node.values:
                continue
            if key in before.values:
                edit.put(key, before.values[key])
                if key in replaced:
                    self.restores[path] = [list(replaced[key])]
            else:
                edit.keys[key] = None
        if edit.keys:
            self.edits[node] = edit

    def _authors(self, node: MapNode, keys: Iterable[str]) -> dict[str, tuple[int, int]]:
        """Return which entry wrote what stands at keys of a map, as far as that is known."""
        assert node.owner is not None
        ids, origins = ids_of_keys(node.owner.view.doc, node.path), Origins(self._live.journal)
        found = {key: origins.find(*ids[key])[0] for key in keys if key in ids}
        return {key: (entry.replica, entry.seq) for key, entry in found.items() if entry}


def _pairs(restores: Any, path: str) -> set[tuple[int, int]]:
    """Return what an undoing says that it restored at a path."""
    found = restores.get(path) if isinstance(restores, dict) else None
    pairs: set[tuple[int, int]] = set()
    for pair in found if isinstance(found, list) else ():
        match pair:
            case [int(replica), int(seq)]:
                pairs.add((replica, seq))
    return pairs


def _copies_in(undoing: Entry) -> Iterator[tuple[Id, Id]]:
    """Yield what an undoing put into texts and lists again: the id that it had, and has."""
    spans = undoing.arguments.get("again")
    if not isinstance(spans, list):
        return
    new = iter(inserted_clocks(undoing.update))
    for span in spans:
        match span:
            case [int(client), int(clock), int(length)]:
                for count, made in enumerate(itertools.islice(new, length)):
                    yield (client, clock + count), (undoing.replica, made)
            case _:
                return
