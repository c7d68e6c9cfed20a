"""A live document: where an action meets the CRDT, the log and the view.

Local, one way: edits → CRDT transaction → update → entry in the log (durable) → view → observers.
Remote, one way: entry in the log → CRDT → view → observers.

If anything fails between the CRDT and the log, the document is materialized anew from the log, so
that it is what it was. Read `journal` for what the log must be able to do.
"""

from __future__ import annotations

import gc
import itertools
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pycrdt

from crdtsync.codec import check_value
from crdtsync.document.action import Action, JoinedAction, NestedAction, current_action
from crdtsync.document.change import Change, Observers
from crdtsync.document.crdt import clocks, is_crdt_failure
from crdtsync.document.journal import Journal, Snapshot
from crdtsync.document.node import Node
from crdtsync.document.path import Path
from crdtsync.document.record import RecordNode
from crdtsync.document.schema import Schema
from crdtsync.document.slots import ROOT
from crdtsync.document.table import TableEdit
from crdtsync.document.value import Conflict
from crdtsync.document.view import View, slot_changes
from crdtsync.document.writer import Writer
from crdtsync.errors import ActionError, CorruptLogError
from crdtsync.log import Entry, check_structs

__all__ = ["LiveDocument"]

_log = logging.getLogger("crdtsync.document")

_ENTRIES_PER_TRANSACTION = 200
_SNAPSHOT_BYTES_MIN = 1024 * 1024
_FAILURES_LOGGED_MAX = 10
_KEY_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's: sorts as the numbers do


class LiveDocument:
    """The machinery behind one `Document`.

    Args:
        schema: what its class declares.
        journal: the log.
        schema_version: written into every entry.
    """

    def __init__(self, schema: Schema, journal: Journal, schema_version: int) -> None:
        self.schema = schema
        self.journal = journal
        self.observers = Observers()
        self._schema_version = schema_version
        self.view = View(schema, journal.users)
        self._action: Action | None = None
        self._deferred: list[Entry] = []
        self._updates: list[bytes] = []
        self._committing = False
        self._without_effect: dict[tuple[int, int], str] = {}
        self._closed = False
        self.load()

    # --- looking -------------------------------------------------------------------------------

    def visible_action(self) -> Action | None:
        """Return the open action if this task is in its body."""
        action = self._action
        return action if action is None or current_action.get() is action else None

    @property
    def root(self) -> RecordNode:
        """The node of the document itself."""
        return self.view.root

    def plain(self) -> dict[str, Any]:
        """Return the committed view as plain Python."""
        view = self.view
        plain: dict[str, Any] = view.root.plain()
        undeclared = {
            node.path: node.slots()[-1].value for node in view.undeclared() if node.slots()
        }
        return plain | undeclared if undeclared and not plain else plain

    def conflicts(self) -> list[Conflict]:
        """Return what is at odds."""
        found = (node.conflict() for node in self.view.conflicts())
        return [conflict for conflict in found if conflict is not None]

    def observe(self, callback: Callable[[Change], object]) -> Callable[[], None]:
        """Tell `callback` of every change from now on."""
        self.view.watch_all()
        return self.observers.add(callback)

    def changes(self) -> AsyncIterator[Change]:
        """Return every change from now on, as a stream."""
        self.view.watch_all()
        return self.observers.stream()

    def new_key(self) -> str:
        """Return a record key that no other replica can make; they sort by time."""
        number = (self.journal.tick() << 53) | self.journal.replica
        digits = []
        for _ in range(24):
            number, digit = divmod(number, 32)
            digits.append(_KEY_DIGITS[digit])
        return "".join(reversed(digits))

    # --- acting --------------------------------------------------------------------------------

    def act(self, name: str, node: Node, *, atomic: bool = False) -> AbstractContextManager[Action]:
        """Join the action whose body is running, or begin one that is named after a single edit.

        Args:
            name: the edit's name.
            node: what it edits.
            atomic: several edits will be made, which belong together.
        """
        owner = node.owner
        if owner is not None and owner.table is not None and not self._present(owner):
            raise ActionError(
                f"record {owner.key!r} is not in {owner.table.path} any more: it was deleted; "
                "add it again to go on with it"
            )
        action = self._running_action()
        if action is None:
            return Action(self, name, {"path": node.path})
        return NestedAction(action) if atomic else JoinedAction(action)

    def action(self, name: str, arguments: dict[str, Any]) -> AbstractContextManager[Action]:
        """Begin an action, or a part of the one whose body is running."""
        action = self._running_action()
        if action is None:
            for key, value in arguments.items():
                check_value(value, where=f"argument {key!r} of action {name!r}")
            return Action(self, name, arguments)
        return NestedAction(action)

    def _running_action(self) -> Action | None:
        action = self._action
        if action is not None and current_action.get() is not action:
            raise ActionError(
                f"another task is inside action {action.name!r} on document "
                f"{self.journal.name!r}; an action's body must not await"
            )
        return action

    def _present(self, record: RecordNode) -> bool:
        action = self._action
        while record.table is not None:
            edit: TableEdit | None = None if action is None else action.edits.get(record.table)
            present = None if edit is None else edit.members.get(record.key)
            if not (record.exists if present is None else present):
                return False
            assert record.owner is not None
            record = record.owner
        return True

    def open_action(self, action: Action) -> None:
        """Let an action's body begin."""
        if self._closed:
            raise ActionError(f"document {self.journal.name!r} is closed")
        assert self._action is None
        self._action = action

    def close_action(self, action: Action, *, commit: bool) -> None:
        """Let an action's body end, and make it happen if it ended well."""
        assert self._action is action
        self._action = None
        try:
            if commit and action.edits:
                self._commit(action)
        finally:
            if self._deferred:
                deferred, self._deferred = self._deferred, []
                self.apply(deferred)

    def _commit(self, action: Action) -> None:
        journal, view = self.journal, self.view
        seq = journal.next_seq
        time = journal.tick()
        updates: list[bytes] = []
        self._updates = updates
        self._committing = True
        try:
            with Writer(self._doc, view.slots, journal, seq, time) as writer:
                for node, edit in action.edits.items():
                    node.write(writer, edit)
            if not updates:
                return
            update = updates[0] if len(updates) == 1 else pycrdt.merge_updates(*updates)
            entry = journal.record(
                time, action.name, action.arguments, update, self._schema_version
            )
            for slot_node, (pairs, slots) in writer.installs.items():
                slot_node.install(pairs, slots)
        except BaseException:
            self.load()
            raise
        finally:
            self._committing = False
        if self.observers:
            paths = dict.fromkeys(
                path for node, edit in action.edits.items() for path in _paths(node, edit)
            )
            self.observers.tell(Change(journal.name, "local", (entry,), tuple(paths)))

    # --- following -----------------------------------------------------------------------------

    def apply(self, entries: Sequence[Entry]) -> None:
        """Materialize entries that are in the log now."""
        if self._action is not None:
            self._deferred.extend(entries)
            return
        view = self.view
        view.listen()
        with self._slot_events() as events:
            applied = self._apply_all(entries)
        paths: dict[Path, None] = {}
        if not applied:
            self.load()
        else:
            paths = view.take(events, tell=bool(self.observers))
        if self.observers:
            self.observers.tell(Change(self.journal.name, "remote", tuple(entries), tuple(paths)))

    def _apply_all(self, entries: Sequence[Entry]) -> bool:
        """Apply entries in one CRDT transaction; False if any of them cannot be."""
        doc = self._doc
        try:
            with doc.transaction():
                for entry in entries:
                    doc.apply_update(entry.update)
        except BaseException as error:
            if not is_crdt_failure(error):
                self.load()
                raise
            return False
        # Structs are applied without gaps. So if the last of a replica's are, then all of them are.
        begins: dict[int, int] = {}
        for entry in reversed(entries):
            if entry.replica not in begins:
                begin = check_structs(entry)
                if begin is not None:
                    begins[entry.replica] = begin
        if not begins:
            return True
        reached = clocks(doc)
        return all(reached.get(replica, 0) > begin for replica, begin in begins.items())

    # --- loading -------------------------------------------------------------------------------

    def load(self) -> None:
        """Materialize the document from its log, as far as that can be done.

        An entry whose update the CRDT cannot apply stays in the log, without effect.
        """
        self._deferred.clear()
        with paused_collection():
            try:
                slots = self._load_quickly(self.journal.snapshot())
            except CorruptLogError:
                self.journal.set_damage_aside()
                slots = self._load_quickly(None)
            while slots is None:
                slots = self._load_carefully()
            self.view.show(self._doc, slots)

    def _begin(self) -> None:
        self._doc: pycrdt.Doc[Any] = pycrdt.Doc(client_id=self.journal.replica)
        self._doc.observe(self._collect)

    def _collect(self, event: pycrdt.TransactionEvent) -> None:
        if self._committing:
            self._updates.append(event.update)

    @contextmanager
    def _slot_events(self) -> Iterator[list[Any]]:
        """Collect what changes in the map of slots."""
        events: list[Any] = []
        slots = self._doc.get(ROOT, type=pycrdt.Map)
        subscription = slots.observe(lambda event: events.append(event.keys))
        try:
            yield events
        finally:
            slots.unobserve(subscription)

    def _load_quickly(self, snapshot: Snapshot | None) -> dict[str, bytes] | None:
        """Return the live slots; None if an entry cannot be applied."""
        self._begin()
        size = 0
        slots: dict[str, bytes] = {}
        vector: dict[int, int] = {}
        if snapshot is not None:
            if self._apply_snapshot(snapshot):
                vector, slots = snapshot.vector, snapshot.slots
            else:
                _log.warning("document %r: its snapshot is not usable", self.journal.name)
                self._begin()
        entries = self.journal.entries(vector)
        while batch := list(itertools.islice(entries, _ENTRIES_PER_TRANSACTION)):
            with self._slot_events() as events:
                if not self._apply_all(batch):
                    return None
            for key, data in slot_changes(events):
                if data is None:
                    slots.pop(key, None)
                else:
                    slots[key] = data
            size += sum(len(entry.data) for entry in batch)
        self._without_effect.clear()
        if size > max(_SNAPSHOT_BYTES_MIN, len(snapshot.state) if snapshot else 0):
            self._save_snapshot(slots)
        return slots

    def _load_carefully(self) -> dict[str, bytes] | None:
        """Apply entries one by one; None if one spoiled the document and it must begin anew."""
        self._begin()
        for entry in self.journal.entries():
            name = (entry.replica, entry.seq)
            if name in self._without_effect:
                continue
            begin = check_structs(entry)
            known = clocks(self._doc).get(entry.replica, 0)
            if begin is not None and begin > known:
                self._leave_out(entry, "structs before its own are missing")
                continue
            try:
                self._doc.apply_update(entry.update)
            except BaseException as error:
                if not is_crdt_failure(error):
                    raise
                self._leave_out(entry, str(error))
                if not isinstance(error, ValueError):
                    return None  # the CRDT library may have applied a part of it
                continue
            if begin is not None and clocks(self._doc).get(entry.replica, 0) <= begin:
                self._leave_out(entry, "it builds on structs that are missing")
                return None
        slots = self._doc.get(ROOT, type=pycrdt.Map)
        return {
            key: bytes(data) for key, data in slots.items() if isinstance(data, bytes | bytearray)
        }

    def _leave_out(self, entry: Entry, reason: str) -> None:
        self._without_effect[entry.replica, entry.seq] = reason
        if len(self._without_effect) <= _FAILURES_LOGGED_MAX:
            _log.error(
                "document %r: entry %d of replica %x stays without effect: %s",
                self.journal.name,
                entry.seq,
                entry.replica,
                reason,
            )

    def _apply_snapshot(self, snapshot: Snapshot) -> bool:
        try:
            self._doc.apply_update(snapshot.state)
        except BaseException as error:
            if not is_crdt_failure(error):
                raise
            return False
        return clocks(self._doc) == snapshot.clocks

    def take_snapshot(self) -> None:
        """Keep the state, so that the next load need not replay the log up to here.

        Not while an entry is without effect: a snapshot would hide that.
        """
        if not self._without_effect:
            self._save_snapshot(self.view.live_slots())

    def _save_snapshot(self, slots: dict[str, bytes]) -> None:
        state = self._doc.get_update()
        self.journal.save_snapshot(Snapshot(self.journal.vector, state, clocks(self._doc), slots))

    @property
    def crdt_clocks(self) -> dict[int, int]:
        """How many CRDT structs of each client are applied."""
        return clocks(self._doc)

    @property
    def without_effect(self) -> dict[tuple[int, int], str]:
        """Entries that the CRDT could not apply: (replica, seq) to the reason."""
        return dict(self._without_effect)

    def close(self) -> None:
        """Take no more actions."""
        self._closed = True


def _paths(node: Node, edit: Any) -> list[Path]:
    if isinstance(edit, TableEdit):
        return [(*node.keys, key) for key in edit.members]
    return [node.keys]


@contextmanager
def paused_collection() -> Iterator[None]:
    """Make many objects without looking for cycles among them, which doubles the cost."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
