"""From a backend's log to a CRDT document, and on from there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pycrdt

from crdtsync.clone import Clone
from crdtsync.document import Snapshot
from crdtsync.document.crdt import clocks
from crdtsync.document.effect import Waiting
from crdtsync.document.materialize import apply_entries, materialize
from crdtsync.document.slots import ROOT
from crdtsync.errors import EntryError
from crdtsync.identity import new_replica_id
from crdtsync.log import Entry, decode_entry
from crdtsync.server.backend import Backend, Row
from crdtsync.server.snapshots import read_base
from crdtsync.update import Runs
from crdtsync.update.reader import Reader

__all__ = ["Replay"]

_BYTES_AT_ONCE = 1024 * 1024


class Replay:
    """One document, materialized from a backend's log. Call `close` when done with it.

    Attributes:
        doc: the CRDT document.
        offset: up to which offset of the log it goes.
        clocks: how many structs of each client it holds.
        deleted: which of them are deleted.
        latest: the latest time as of which an entry counts.
    """

    def __init__(self, document: str) -> None:
        self.document = document
        self.offset = 0
        self.latest = 0
        self._has_fields = False
        self._waiting: dict[int, Waiting] = {}  # what could not be applied, by the log
        self._begin(pycrdt.Doc())

    def _begin(self, doc: pycrdt.Doc[Any]) -> None:
        self.doc = doc
        self.clocks = clocks(doc)
        reader = Reader(doc.get_update(doc.get_state()))
        reader.number()  # no sections: it asks for nothing but the deletions
        self.deleted = deleted = Runs(reader.deletions())
        self._subscription = doc.observe(
            lambda event: deleted.add(_read_deletions(event.delete_set))
        )

    @property
    def has_fields(self) -> bool:
        """Whether it holds fields, or has held some."""
        self._has_fields = self._has_fields or ROOT in self.doc.keys()  # noqa: SIM118 - no mapping
        return self._has_fields

    def close(self) -> None:
        """Let go of the CRDT document, which would hold itself for ever."""
        self.doc.unobserve(self._subscription)

    async def read(self, backend: Backend) -> None:
        """Take in what the backend holds.

        Raises:
            StorageError: it could not be read.
        """
        if not self.offset:
            base = await read_base(backend, self.document)
            if base is not None:
                self.close()
                doc: pycrdt.Doc[Any] = pycrdt.Doc()
                self.offset, clone = base
                doc.apply_update(clone.state)
                self._begin(doc)
                self.latest = max(log.time for log in clone.logs.values())
        while rows := await backend.read(self.document, self.offset, _BYTES_AT_ONCE):
            if self.take(rows) is None:
                await self.read_anew(backend)

    async def read_anew(self, backend: Backend) -> None:
        """Begin again, and leave out the entries that cannot be applied.

        Raises:
            StorageError: it could not be read.
        """
        found: dict[tuple[int, int], Entry] = {}
        base = await read_base(backend, self.document)
        offset, clone = (0, None) if base is None else base
        while rows := await backend.read(self.document, offset, _BYTES_AT_ONCE):
            # One that was rewritten comes once more, and counts as it is now.
            found.update({(entry.replica, entry.seq): entry for entry in _decoded(rows)})
            offset = rows[-1].offset
        self.close()
        material = materialize(_Log(self.document, clone, list(found.values())))
        self._begin(material.doc)
        self._waiting = material.waiting
        self.offset = max(offset, self.offset)

    def take(
        self, rows: Sequence[Row], known: Mapping[tuple[int, int], Entry] | None = None
    ) -> list[Entry] | None:
        """Apply rows that follow; None if one cannot be: then the document is to be read anew.

        Args:
            rows: of the log.
            known: entries that need not be decoded, by replica and number.

        Returns:
            The entries in them that had not been applied before.
        """
        entries = _decoded([row for row in rows if row.offset > self.offset], known)
        self.offset = max(self.offset, rows[-1].offset)
        if not apply_entries(self.doc, entries):
            return None
        self.clocks = clocks(self.doc)
        if any(held.needs and held.is_over(self.clocks) for held in self._waiting.values()):
            return None
        self.latest = max([self.latest, *(entry.when for entry in entries)])
        return entries


def _decoded(
    rows: Sequence[Row], known: Mapping[tuple[int, int], Entry] | None = None
) -> list[Entry]:
    """Return the entries of rows; what is damaged on our disk is left out: others will say so."""
    entries = []
    for row in rows:
        entry = known.get((row.replica, row.seq)) if known else None
        if entry is not None and entry.data == row.data:
            entries.append(entry)
            continue
        try:
            entries.append(decode_entry(row.data))
        except EntryError:
            continue
    return entries


def _read_deletions(data: bytes) -> dict[int, list[tuple[int, int]]]:
    """Read a set of deletions as the CRDT library reports it."""
    return Reader(data).deletions()


class _Log:
    """A document's log, as `materialize` wants it."""

    def __init__(self, name: str, clone: Clone | None, entries: list[Entry]) -> None:
        self.name = name
        self._clone = clone
        self.replica = new_replica_id()
        self._entries = entries

    def base(self) -> Snapshot | None:
        clone = self._clone
        if clone is None:
            return None
        return Snapshot(clone.vector, clone.state, dict(clone.clocks), {})

    snapshot = base

    def entries(self, after: Mapping[int, int] | None = None) -> Iterator[Entry]:
        return iter(self._entries)

    def set_damage_aside(self) -> None:
        raise AssertionError("what was read cannot be damaged any more")
