"""The documents that the app has open: one object for each name, whoever asks for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from crdtsync.document import Document, LiveDocument, Schema
from crdtsync.errors import SchemaError

if TYPE_CHECKING:
    from crdtsync.replica.descriptions import Descriptions
    from crdtsync.replica.ledger import Ledger

__all__ = ["Shelf"]

D = TypeVar("D", bound=Document)


class Shelf:
    """Opens documents, and keeps them.

    Args:
        ledger_of: returns a document's logs.
        descriptions: of the documents' classes.
        opened: is told of each document that is opened, and as what.
    """

    def __init__(
        self,
        ledger_of: Callable[[str], Ledger],
        descriptions: Descriptions,
        opened: Callable[[type[Document], Ledger, LiveDocument], object],
    ) -> None:
        self._ledger_of = ledger_of
        self._descriptions = descriptions
        self._opened = opened
        self._documents: dict[str, Any] = {}
        self._classless: set[str] = set()  # documents opened without their class

    def __contains__(self, name: str) -> bool:
        return name in self._documents

    def documents(self) -> list[Any]:
        """Return the documents that are open."""
        return list(self._documents.values())

    def get(self, name: str) -> Any:
        """Return a document; None if it is not open."""
        return self._documents.get(name)

    def is_classless(self, name: str) -> bool:
        """Tell whether a document was opened without its class: then that may still come."""
        return name in self._classless

    def schema(self, name: str) -> Schema:
        """Return what a document is declared as, open or not."""
        document = self._documents.get(name)
        if document is not None:
            schema: Schema = type(document).__crdtsync_schema__
            return schema
        return self._descriptions.class_of(self._ledger_of(name)).__crdtsync_schema__

    def open(self, cls: type[D], name: str) -> D:
        """Return a document, opening it if it is not open.

        Args:
            cls: what it is declared as; `Document` itself: what it was opened as last.
            name: of the document.

        Raises:
            SchemaError: it is open as another class, or cannot be read as this one.
            StorageError: the store could not be read.
        """
        document = self._documents.get(name)
        if document is None:
            return self._open(cls, name)
        if cls is Document or isinstance(document, cls):
            same: D = document
            return same
        if name not in self._classless:
            raise SchemaError(
                f"document {name!r} is open as {type(document).__name__}, not as {cls.__name__}"
            )
        document._live.close()
        return self._open(cls, name)

    def _open(self, cls: type[D], name: str) -> D:
        ledger = self._ledger_of(name)
        actual: type[Document] = cls
        if cls is Document:
            actual = self._descriptions.class_of(ledger)
        else:
            self._descriptions.declare(ledger, cls.__crdtsync_schema__)
        live = LiveDocument(actual.__crdtsync_schema__, ledger, actual.schema_version)
        ledger.apply, ledger.rebuild = live.apply, live.rebuild
        ledger.reorder = live.reorder
        document: D = actual._of(live)
        self._documents[name] = document
        if cls is Document:
            self._classless.add(name)
        else:
            self._classless.discard(name)
        self._opened(cls, ledger, live)
        return document

    def running(self) -> tuple[str, str] | None:
        """Return a document on which an action is open, and the action's name; None if none is."""
        for name, document in self._documents.items():
            action: str | None = document._live.running
            if action is not None:
                return name, action
        return None

    def close(self) -> None:
        """Close all documents."""
        for document in self._documents.values():
            document._live.close()
