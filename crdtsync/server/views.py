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
from crdtsync.document.view import View
from crdtsync.errors import EntryError
from crdtsync.log import decode_entry
from crdtsync.server.backend import Backend

__all__ = ["DocumentView"]

_BYTES_AT_ONCE = 1024 * 1024


class DocumentView:
    """One document, materialized as far as it has been followed."""

    def __init__(self, document: str) -> None:
        self._document = document
        self._doc: pycrdt.Doc[Any] = pycrdt.Doc()
        self._offset = 0

    async def follow(self, backend: Backend) -> None:
        """Take in what the backend holds by now.

        Raises:
            StorageError: it could not be read.
        """
        while rows := await backend.read(self._document, self._offset, _BYTES_AT_ONCE):
            for row in rows:
                try:
                    self._doc.apply_update(decode_entry(row.data).update)
                except EntryError:
                    continue  # damaged on our disk: others will say so
                except BaseException as error:
                    if not is_crdt_failure(error):
                        raise
            self._offset = rows[-1].offset

    def plain(self) -> Mapping[str, Any]:
        """Return the fields by their paths, as plain values."""
        view = View(Document.__crdtsync_schema__, {}, 1)
        view.show(self._doc, live_slots_of(self._doc))
        return {node.path: node.slots()[-1].value for node in view.undeclared() if node.slots()}
