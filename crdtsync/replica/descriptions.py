"""What the documents of a store are declared as, as far as the store remembers it.

So they can be read without the app, and a class that would misread them is found out. Read next:
`crdtsync.document.described` (how a class is made of a description).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crdtsync.document import (
    Document,
    Schema,
    check_kinds,
    described_document,
    is_description,
)

if TYPE_CHECKING:
    from crdtsync.replica.ledger import Ledger
    from crdtsync.replica.store import Store

__all__ = ["Descriptions"]


class Descriptions:
    """The descriptions of documents' classes, one for each document.

    Args:
        store: the file that they are in.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def of(self, ledger: Ledger) -> Any:
        """Return what `Schema.describe` gave when a document was opened last; None if it never was.

        Raises:
            StorageError: the store could not be read.
        """
        with self._store.file.errors():
            return self._store.schema_description(ledger.number)

    def class_of(self, ledger: Ledger) -> type[Document]:
        """Return a class by which a document can be read.

        Raises:
            StorageError: the store could not be read.
        """
        return described_document(self.of(ledger))

    def declare(self, ledger: Ledger, schema: Schema) -> None:
        """Remember what a document is opened as. Not where the store is only looked at.

        Raises:
            SchemaError: what was stored could not be read any more.
            StorageError: it could not be remembered.
        """
        if not self._store.read_only:
            check_kinds(self.of(ledger), schema)
            self._write(ledger, schema.describe())

    def learn(self, ledger: Ledger, description: Any) -> None:
        """Remember what somebody else says of a document's class, where we know nothing.

        Args:
            ledger: of the document.
            description: whatever was said; what is no description is passed over.

        Raises:
            StorageError: it could not be remembered.
        """
        if is_description(description) and self.of(ledger) is None:
            self._write(ledger, description)

    def _write(self, ledger: Ledger, description: Any) -> None:
        with self._store.file.errors():
            self._store.write_schema_description(ledger.number, description)
