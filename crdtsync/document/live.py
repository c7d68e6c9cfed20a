"""A live document: where an action meets the CRDT, the log and the view.

Local, one way: edits → CRDT transaction → update → entry in the log (durable) → view → observers.
Remote, one way: entry in the log → CRDT → view → observers.

If anything fails between the CRDT and the log, the document is materialized anew from the log, so
that it is what it was. Read `journal` for what the log must be able to do.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import pycrdt

from crdtsync import events
from crdtsync.codec import check_value
from crdtsync.document.action import Action, JoinedAction, NestedAction, current_action
from crdtsync.document.causality import Causality
from crdtsync.document.caveats import Caveat, caveats
from crdtsync.document.change import Change, Observers
from crdtsync.document.conflict import Conflict
from crdtsync.document.crdt import Reached, clocks
from crdtsync.document.journal import Journal, Snapshot
from crdtsync.document.materialize import (
    Material,
    apply_entries,
    materialize,
    paused_collection,
    slot_events,
)
from crdtsync.document.node import Edit, Node
from crdtsync.document.path import Path
from crdtsync.document.record import RecordNode
from crdtsync.document.schema import Schema
from crdtsync.document.table import TableEdit
from crdtsync.document.view import NO_EFFECTS, View
from crdtsync.document.writer import Withdrawal, Writer
from crdtsync.errors import ActionError, StorageError
from crdtsync.log import EMPTY_UPDATE, Entry

__all__ = ["LiveDocument"]


E = TypeVar("E", bound=Edit)

_TAIL_BYTES_AT_REST_MAX = 1024 * 1024
"""Entries that a load may have to apply on top of the snapshot, after a proper close."""
_TAIL_BYTES_MAX = 16 * 1024 * 1024
"""The same after a crash."""
_KEY_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's: sorts as the numbers do


class LiveDocument:
    """The machinery behind one `Document`.

    Args:
        schema: what its class declares.
        journal: the log.
        schema_version: written into every entry.

    Attributes:
        causality: the causal order of the log.
        view: what is shown.
        near: a state of the document shortly before what was undone last.
        together: makes a block in which an entry is stored, and what else the store makes of the
            document, at once. By default it makes nothing else.
    """

    def __init__(self, schema: Schema, journal: Journal, schema_version: int) -> None:
        self.schema = schema
        self.journal = journal
        self.observers = Observers()
        self.schema_version = schema_version
        self.causality = Causality(journal)
        self.together: Callable[[], AbstractContextManager[object]] = nullcontext
        self.view = View(schema, journal.users, schema_version, journal.clamps)
        self._action: Action | None = None
        self._announced = False
        self._newest_schema = schema_version
        self._deferred: list[Entry] = []
        self._stale = False
        self._capture = Capture()
        self._subscription: Any = None
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
        return self.view.conflicts()

    def caveats(self) -> list[Caveat]:
        """Return what is not read here as it was meant."""
        return caveats(self.view, self.without_effect)

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
        action = self._joinable(node)
        if action is None:
            return Action(self, name, {"path": node.path})
        return NestedAction(action) if atomic else JoinedAction(action)

    def _joinable(self, node: Node) -> Action | None:
        """Return the action whose body is running, if a node can be edited at all."""
        owner = node.owner
        if owner is not None and owner.table is not None and not self._present(owner):
            raise ActionError(
                f"record {owner.key!r} is not in {owner.table.path} any more: it was deleted; "
                "add it again to go on with it"
            )
        return self._running_action()

    def edit(self, name: str, node: Node, edit: E, add: Callable[[Any, E], None]) -> None:
        """Make one edit: a part of the action whose body is running, or an action of its own.

        What `with self.act(name, node)` does for several lines, without a body to run.

        Args:
            name: the edit's name.
            node: what it edits.
            edit: what is meant, as if it were the first.
            add: adds it to an edit of the node that is there already.
        """
        action = self._joinable(node)
        if action is None:
            self.open_action(action := Action(self, name, {"path": node.path}))
            action.edits[node] = edit
            self.close_action(action, commit=True)
        elif node in action.edits:
            add(action.edit(node, type(edit)), edit)
        else:
            action.stage(node, edit)

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
        if self._action is not None:
            raise ActionError(
                f"action {self._action.name!r} is open on document {self.journal.name!r}: call "
                "action() where its body begins, not before"
            )
        self._action = action

    def close_action(self, action: Action, *, commit: bool) -> None:
        """Let an action's body end, and make it happen if it ended well."""
        assert self._action is action
        self._action = None
        try:
            if commit and (action.edits or action.always):
                with self.together():
                    self._commit(action)
        finally:
            if self._deferred or self._stale:
                deferred, self._deferred = self._deferred, []
                stale, self._stale = self._stale, False
                with self.together():
                    (self.rebuild if stale else self.apply)(deferred)

    def _commit(self, action: Action) -> None:
        journal, view = self.journal, self.view
        seq = journal.next_seq
        time = journal.tick()
        updates = self._capture.updates = []
        try:
            with Writer(self._doc, view.slots, journal, seq, time, self.schema_version) as writer:
                for node, edit in action.edits.items():
                    if isinstance(edit, Withdrawal):
                        writer.withdraw(edit)
                    else:
                        node.write(writer, edit)
                if not self._announced:
                    self._announce(writer)
            if not (updates or action.always):
                return
            update = _joined(updates)
            entry = journal.record(time, action.name, action.arguments, update, self.schema_version)
            effects = view.install(writer.installs, tell=bool(self.observers))
            view.touch(action.edits)
            self._announced = True
            if self._is_waited_for():
                self.load()
            self._grow(len(entry.data))
        except BaseException as error:
            self.go_back(error)
            raise
        finally:
            self._capture.updates = None
        if self.observers:
            paths = dict.fromkeys(
                path for node, edit in action.edits.items() for path in _paths(node, edit)
            )
            effects = effects._replace(paths=tuple(paths))
            self.observers.tell(Change(journal.name, "local", (entry,), *effects))

    def _announce(self, writer: Writer) -> None:
        """Say in the document by which rules our schema version is to be read."""
        rules = self.view.judges.unannounced()
        if rules is not None:
            writer.put_own(self.view.announcement(self.schema_version), rules)

    @property
    def is_behind(self) -> bool:
        """Whether entries are in the log that wait for an action's end to be shown."""
        return self._action is not None or bool(self._deferred)

    # --- following -----------------------------------------------------------------------------

    def apply(self, entries: Sequence[Entry]) -> None:
        """Materialize entries that are in the log now."""
        if self._action is not None:
            self._deferred.extend(entries)
            return
        self._look_ahead(entries)
        view = self.view
        view.listen()
        with slot_events(self._doc) as changes:
            try:
                applied = apply_entries(self._doc, self._not_waiting(entries))
            except BaseException as error:
                self.go_back(error)
                raise
        effects = NO_EFFECTS
        if not applied or self._is_waited_for():
            self.load()
        else:
            effects = view.take(changes, tell=bool(self.observers))
        self._grow(sum(len(entry.data) for entry in entries))
        if self.observers:
            self.observers.tell(Change(self.journal.name, "remote", tuple(entries), *effects))

    def _not_waiting(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Return the entries whose logs have had effect so far; the others wait with these."""
        waiting = self._waiting
        if not waiting:
            return entries
        for entry in entries:
            if entry.replica in waiting:
                waiting[entry.replica].entries.append(entry)
        return [entry for entry in entries if entry.replica not in waiting]

    def _is_waited_for(self) -> bool:
        """Tell whether an entry without effect may have what it waited for by now."""
        if not self._waiting:
            return False
        reached = Reached(self._doc)
        return any(held.is_over(reached) for held in self._waiting.values())

    def rebuild(self, entries: Sequence[Entry]) -> None:
        """Materialize the document anew: entries have no effect any more, or a state is new."""
        if self._action is not None:
            self._stale = True
            self._deferred.extend(entries)
            return
        self.renew()
        if self.observers:
            self.observers.tell(Change(self.journal.name, "remote", tuple(entries), ()))

    @property
    def running(self) -> str | None:
        """The name of the action whose body is running, if one is."""
        return None if self._action is None else self._action.name

    def renew(self) -> None:
        """Materialize the document anew, because the log says something else now."""
        self.causality = Causality(self.journal)
        try:
            self.load()
        except BaseException:
            self._closed = True  # what it shows, and writes under, is not so any more
            raise

    def reorder(self, entries: Sequence[Entry]) -> None:
        """Decide anew where entries wrote that count as of another time now."""
        if self._action is not None:
            self._stale = True
            self._deferred.extend(entries)
            return
        written = {(entry.replica, entry.seq) for entry in entries}
        effects = self.view.reorder(written, tell=bool(self.observers))
        if self.observers:
            self.observers.tell(Change(self.journal.name, "remote", tuple(entries), *effects))

    def _look_ahead(self, entries: Sequence[Entry]) -> None:
        """Say it once if others are ahead of us."""
        newest = max((entry.schema_version for entry in entries), default=0)
        if newest > self._newest_schema:
            self._newest_schema = newest
            events.SCHEMA_AHEAD.log(
                document=self.journal.name, newest=newest, known=self.schema_version
            )

    # --- loading -------------------------------------------------------------------------------

    def load(self) -> None:
        """Materialize the document from its log."""
        self._deferred.clear()
        self._let_go()
        self.near: Snapshot | None = None
        with paused_collection():
            material = self._materialize()
            self.view.show(material.doc, material.slots)
        self._doc = material.doc
        self._subscription = self._doc.observe(self._capture)
        self._waiting = material.waiting
        self._announced = False
        self._tail_bytes = material.tail_bytes
        if self._tail_bytes > _TAIL_BYTES_AT_REST_MAX:
            self.take_snapshot()

    def _materialize(self) -> Material:
        return materialize(self.journal)

    def go_back(self, error: BaseException) -> None:
        """Be what the log says, after something went wrong on the way to it or from it."""
        try:
            self.load()
        except StorageError as again:
            # It can be neither what it was nor what it was to be.
            self._closed = True
            error.add_note(f"document {self.journal.name!r} is closed: {again}")

    def _grow(self, size: int) -> None:
        self._tail_bytes += size
        if self._tail_bytes > _TAIL_BYTES_MAX:
            self.take_snapshot()

    def take_snapshot(self) -> None:
        """Keep the state, so that the next load need not replay the log up to here.

        Not while an entry is without effect: a snapshot would hide that.
        """
        self._tail_bytes = 0
        if self._waiting:
            return
        journal = self.journal
        state, slots = self._doc.get_update(), self.view.live_slots()
        try:
            journal.save_snapshot(Snapshot(journal.vector, state, clocks(self._doc), slots))
        except StorageError as error:  # the log has everything; only the next load is slower
            events.SNAPSHOT_NOT_KEPT.log(document=journal.name, error=error)

    @property
    def crdt_clocks(self) -> dict[int, int]:
        """How many CRDT structs of each client are applied."""
        return clocks(self._doc)

    @property
    def without_effect(self) -> dict[tuple[int, int], str]:
        """Entries that the CRDT could not apply: (replica, seq) to the reason."""
        found: dict[tuple[int, int], str] = {}
        for held in self._waiting.values():
            found |= held.reasons()
        return found

    def close(self) -> None:
        """Take no more actions."""
        if self._tail_bytes > _TAIL_BYTES_AT_REST_MAX:
            self.take_snapshot()
        self._let_go()
        self._closed = True

    def _let_go(self) -> None:
        """Stop listening: an observed CRDT document holds itself and is never collected."""
        if self._subscription is not None:
            self._doc.unobserve(self._subscription)
            self._subscription = None
        self.view.deafen()

    def __del__(self) -> None:
        if not self._closed:
            self._let_go()


class Capture:
    """Takes the updates of the CRDT's transactions while an action is written.

    The CRDT document holds it, so it must not hold the live document.

    Attributes:
        updates: where to put them; None while nobody wants them.
    """

    __slots__ = ("updates",)

    def __init__(self) -> None:
        self.updates: list[bytes] | None = None

    def __call__(self, event: pycrdt.TransactionEvent) -> None:
        if self.updates is not None:
            self.updates.append(event.update)


def _joined(updates: Sequence[bytes]) -> bytes:
    if len(updates) == 1:
        return updates[0]
    return pycrdt.merge_updates(*updates) if updates else EMPTY_UPDATE


def _paths(node: Node, edit: Any) -> list[Path]:
    if isinstance(edit, TableEdit):
        return [(*node.keys, key) for key in edit.members]
    return [node.keys]
