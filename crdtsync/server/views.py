"""Views for policies that judge an action by what the document holds.

The server forwards entries without looking into them. Only where a policy asks for the view does it
materialize a document, and then follows it from one push to the next. It knows no classes: fields
stand under their paths, as `tasks/t1/title`, each with the value written last.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pycrdt

from crdtsync.document import Document
from crdtsync.document.crdt import is_crdt_failure
from crdtsync.document.materialize import live_slots_of
from crdtsync.document.native import from_native
from crdtsync.document.slots import ROOT, Slot
from crdtsync.document.view import View
from crdtsync.errors import EntryError
from crdtsync.log import decode_entry
from crdtsync.server.backend import Backend, Row
from crdtsync.server.snapshots import read_base

__all__ = ["DocumentView"]

_BYTES_AT_ONCE = 1024 * 1024


class DocumentView:
    """One document, materialized as far as it has been followed."""

    def __init__(self, document: str) -> None:
        self._document = document
        self._rewritten_upto = 0
        self._begin()

    def _begin(self) -> None:
        self._doc: pycrdt.Doc[Any] = pycrdt.Doc()
        self._offset = 0
        self._vector: dict[int, int] = {}
        self._clamps: dict[tuple[int, int], int] = {}

    async def follow(self, backend: Backend) -> None:
        """Take in what the backend holds by now.

        Raises:
            StorageError: it could not be read.
        """
        if not self._offset:
            base = await read_base(backend, self._document)
            if base is not None:
                self._offset, clone = base
                self._doc.apply_update(clone.state)
                self._vector = clone.vector
                self._clamps.update(clone.clamps)
        while rows := await backend.read(self._document, self._offset, _BYTES_AT_ONCE):
            again = [row for row in rows if self._is_rewritten(row)]
            if again:  # begin anew, with what is to be read now in its place
                self._rewritten_upto = again[-1].offset
                self._begin()
                continue
            for row in rows:
                self._apply(row)
            self._offset = rows[-1].offset

    def _is_rewritten(self, row: Row) -> bool:
        """Tell whether a row holds another form of an entry that was applied already."""
        known = row.seq <= self._vector.get(row.replica, 0)
        return known and row.offset > self._rewritten_upto

    def _apply(self, row: Row) -> None:
        if row.seq <= self._vector.get(row.replica, 0):
            return
        self._vector[row.replica] = row.seq
        try:
            entry = decode_entry(row.data)
            if entry.clamp is not None:
                self._clamps[row.replica, row.seq] = entry.clamp
            self._doc.apply_update(entry.update)
        except EntryError:
            return  # damaged on our disk: others will say so
        except BaseException as error:
            if not is_crdt_failure(error):
                raise

    def fields(self) -> dict[str, tuple[Slot, ...]]:
        """Return the fields by their paths, each with the writes that stand beside each other."""
        view = View(Document.__crdtsync_schema__, {}, 1, self._clamps)
        view.show(self._doc, live_slots_of(self._doc))
        return {node.path: node.slots() for node in view.undeclared() if node.slots()}

    def plain(self) -> Mapping[str, Any]:
        """Return the fields by their paths, as plain values."""
        return {path: slots[-1].value for path, slots in self.fields().items()}

    def types(self) -> dict[str, tuple[str, Any]]:
        """Return texts, lists, maps and rich texts by their paths, each with its kind and content.

        A CRDT does not say which of them one is, so that is told from what is in it; the empty
        ones are left out.
        """
        found = {path: _content(self._doc, path) for path in sorted(self._doc.keys())}
        return {path: it for path, it in found.items() if it is not None and path != ROOT}


def _content(doc: pycrdt.Doc[Any], path: str) -> tuple[str, Any] | None:
    try:
        if text := str(doc.get(path, type=pycrdt.Text)):
            return "text", text
        try:
            if doc.get(path, type=pycrdt.Array).to_py():
                return "list", from_native(doc.get(path, type=pycrdt.Array))
            if pairs := from_native(doc.get(path, type=pycrdt.Map)):
                return "map", dict(sorted(pairs.items()))
        except ValueError:  # what is in it is not plain: it is XML
            return "rich text", str(doc.get(path, type=pycrdt.XmlFragment))
    except BaseException as error:
        if not is_crdt_failure(error):
            raise
    return None
