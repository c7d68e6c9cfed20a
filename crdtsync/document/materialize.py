"""From the log to the CRDT: loading a document, and applying entries to it.

A log may begin at a base: a state in place of all that was below. The quick way begins at the
snapshot, which is that or a later one, and applies many entries in one CRDT transaction. Where an
entry cannot be applied (its author wrote nonsense, or hides what it builds on) the careful way
begins anew and applies one after the other, leaving out those that cannot be: see `effect`. An
entry left out stays in the log, without effect, and is reported. The CRDT is never left waiting for
something that is missing: such parts would be lost from its state without a word.
"""

from __future__ import annotations

import gc
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pycrdt

from crdtsync import events
from crdtsync.document.crdt import Reached, apply_updates, clocks, is_crdt_failure
from crdtsync.document.effect import Waiting, apply_what_can_be, took_effect
from crdtsync.document.journal import Loadable, Snapshot
from crdtsync.document.slots import ROOT
from crdtsync.errors import CloneError, CorruptLogError
from crdtsync.log import Entry

__all__ = [
    "Material",
    "apply_entries",
    "live_slots_of",
    "load_state",
    "materialize",
    "paused_collection",
    "slot_changes",
    "slot_events",
]

_ENTRIES_PER_TRANSACTION = 200
_FAILURES_LOGGED_MAX = 10
_BYTES = (bytes, bytearray)


@dataclass(slots=True)
class Material:
    """A document as loaded.

    Attributes:
        doc: the CRDT document.
        slots: the live slots in it.
        vector: the entries it holds.
        tail_bytes: how many bytes of entries were applied on top of the snapshot.
        waiting: entries without effect, by their logs.
    """

    doc: pycrdt.Doc[Any]
    slots: dict[str, bytes] = field(default_factory=dict)
    vector: dict[int, int] = field(default_factory=dict)
    tail_bytes: int = 0
    waiting: dict[int, Waiting] = field(default_factory=dict)

    def snapshot(self) -> Snapshot:
        """Return the state as it can be kept."""
        return Snapshot(dict(self.vector), self.doc.get_update(), clocks(self.doc), self.slots)


def materialize(journal: Loadable, passing: Callable[[Material], object] | None = None) -> Material:
    """Load a document from its log, as far as that can be done.

    Args:
        journal: the log.
        passing: is shown each sound state on the way.
    """
    material: Material | None = None
    while material is None:
        try:
            start = journal.snapshot() or journal.base()
            material = _quickly(journal, start, passing) or _carefully(journal)
        except CorruptLogError:
            journal.set_damage_aside()
    for replica, held in itertools.islice(material.waiting.items(), _FAILURES_LOGGED_MAX):
        events.ENTRY_WITHOUT_EFFECT.log(
            document=journal.name,
            replica=f"{replica:x}",
            seq=held.entries[0].seq,
            error=held.reason,
        )
    return material


def apply_entries(doc: pycrdt.Doc[Any], entries: Sequence[Entry]) -> bool:
    """Apply entries in one CRDT transaction; False if any of them could not be.

    Then the document is spoiled and must be loaded anew.
    """
    before = Reached(doc)
    try:
        apply_updates(doc, [entry.update for entry in entries])
    except BaseException as error:
        if not is_crdt_failure(error):
            raise
        return False
    return took_effect(entries, before, Reached(doc))


def load_state(state: bytes, expected: Mapping[int, int]) -> dict[str, bytes] | None:
    """Load a CRDT state by itself, to see whether it is whole.

    Args:
        state: a Yjs v1 update.
        expected: the CRDT clocks that it must give.

    Returns:
        The live slots in it; None if it cannot be loaded, or is not what was expected.
    """
    doc: pycrdt.Doc[Any] = pycrdt.Doc()
    with slot_events(doc) as changes:
        if not _apply_state(doc, state, expected):
            return None
    return {key: data for key, data in slot_changes(changes) if data is not None}


@contextmanager
def slot_events(doc: pycrdt.Doc[Any]) -> Iterator[list[Any]]:
    """Collect what changes in the map of slots, as the CRDT library reports it.

    Its Rust core is asked directly: the Python layer above would walk every value of every event,
    in search of shared types, which cost a tenth of all receiving.
    """
    changes: list[Any] = []
    slots: Any = doc.get(ROOT, type=pycrdt.Map).integrated
    subscription = slots.observe(lambda event: changes.append(event.keys))
    try:
        yield changes
    finally:
        subscription.drop()


def live_slots_of(doc: pycrdt.Doc[Any]) -> dict[str, bytes]:
    """List the live slots of a CRDT document. Slow: the library hands over one after the other."""
    slots = doc.get(ROOT, type=pycrdt.Map)
    return {k: bytes(data) for k, data in slots.items() if isinstance(data, _BYTES)}


def slot_changes(changes: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, bytes | None]]:
    """Yield (key, bytes) of slots that were set, (key, None) of those that were deleted."""
    for event in changes:
        for key, change in event.items():
            data = None if change["action"] == "delete" else change["newValue"]
            # What is not bytes is no slot: to us it is as if nothing stood there.
            yield key, bytes(data) if isinstance(data, _BYTES) else None


def _quickly(
    journal: Loadable, snapshot: Snapshot | None, passing: Callable[[Material], object] | None
) -> Material | None:
    """Load from the snapshot on; None if an entry cannot be applied."""
    material = Material(pycrdt.Doc(client_id=journal.replica))
    if snapshot is not None:
        if _apply_state(material.doc, snapshot.state, snapshot.clocks):
            material.vector, material.slots = dict(snapshot.vector), snapshot.slots
        else:
            events.SNAPSHOT_UNUSABLE.log(document=journal.name)
            if journal.base() is not None:
                return None
            material.doc = pycrdt.Doc(client_id=journal.replica)
    entries = journal.entries(dict(material.vector))
    while batch := list(itertools.islice(entries, _ENTRIES_PER_TRANSACTION)):
        with slot_events(material.doc) as changes:
            if not apply_entries(material.doc, batch):
                return None
        for key, data in slot_changes(changes):
            if data is None:
                material.slots.pop(key, None)
            else:
                material.slots[key] = data
        material.tail_bytes += sum(len(entry.data) for entry in batch)
        material.vector.update((entry.replica, entry.seq) for entry in batch)
        if passing is not None:
            passing(material)
    return material


def _apply_state(doc: pycrdt.Doc[Any], state: bytes, expected: Mapping[int, int]) -> bool:
    try:
        doc.apply_update(state)
    except BaseException as error:
        if not is_crdt_failure(error):
            raise
        return False
    return clocks(doc) == expected


def _carefully(journal: Loadable) -> Material:
    """Load entry by entry, leaving out those that cannot take effect."""
    failures: dict[tuple[int, int], str] = {}
    base = journal.base()
    while True:
        doc: pycrdt.Doc[Any] = pycrdt.Doc(client_id=journal.replica)
        if base is not None and not _apply_state(doc, base.state, base.clocks):
            raise CloneError("its state cannot be loaded", document=journal.name)
        waiting = apply_what_can_be(doc, journal.entries(), failures)
        if waiting is not None:
            return Material(doc, live_slots_of(doc), waiting=waiting)


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
