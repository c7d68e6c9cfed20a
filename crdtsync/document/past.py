"""The past: a document as it was at a state vector, materialized from its log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from crdtsync.document.journal import Journal, Snapshot
from crdtsync.document.materialize import materialize
from crdtsync.document.schema import Schema
from crdtsync.document.view import View
from crdtsync.log import Entry
from crdtsync.vector import covers

__all__ = ["view_at"]


class _PastLog:
    """A journal read up to a state vector."""

    def __init__(self, journal: Journal, vector: Mapping[int, int]) -> None:
        self.name = journal.name
        self.replica = journal.replica
        self.set_damage_aside = journal.set_damage_aside
        self.base = journal.base
        self._journal = journal
        self._vector = vector

    def snapshot(self) -> Snapshot | None:
        found = self._journal.snapshot()
        return found if found is not None and covers(self._vector, found.vector) else None

    def entries(self, after: Mapping[int, int] | None = None) -> Iterator[Entry]:
        vector = self._vector
        return (e for e in self._journal.entries(after) if e.seq <= vector.get(e.replica, 0))


def view_at(
    journal: Journal, schema: Schema, schema_version: int, vector: Mapping[int, int]
) -> View:
    """Return the view of the entries that a state vector covers."""
    material = materialize(_PastLog(journal, vector))
    view = View(schema, journal.users, schema_version, journal.clamps)
    view.show(material.doc, material.slots)
    return view
