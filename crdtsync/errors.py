"""Every error that crdtsync raises, as one tree.

::

    CrdtSyncError
    ├── SchemaError               a Document or Record class cannot be stored as declared
    ├── ActionError               an action was used in a way that cannot be logged
    ├── LimitError                something is larger than a named limit allows
    ├── CodecError                bytes that are not the CBOR we accept
    ├── ConfigurationError        a key or a rule that a server was given cannot be used
    ├── BundleError               a bundle is damaged, cut off, or holds what cannot be taken in
    ├── EntryError                an entry that cannot stand in its log
    │   ├── MalformedEntryError       its bytes are not an entry
    │   ├── SequenceGapError          entries before it are missing
    │   ├── SealError                 its author's signature is missing or false
    │   ├── BrokenChainError          it does not follow the entry stored before it
    │   ├── ForkError                 another entry of the same number is already held
    │   └── ForeignStructsError       its update writes in another replica's name
    ├── StorageError              the store could not be read or written
    │   ├── StoreLockedError          another process has the file open
    │   ├── StoreFormatError          the file is not a store, or of an unknown version
    │   └── CorruptLogError           a stored entry no longer fits its chain
    └── SyncError                 synchronization cannot go on
        ├── LocalProtocolError        this side misused the protocol
        ├── RemoteProtocolError       the peer broke the protocol
        ├── RefusedError              the server said no, with a reason
        ├── CloneError                a document's state from elsewhere cannot be gone on from
        ├── AuthenticationError       a client has not shown who it is
        └── TransportError            the bytes do not get through

Facts are attributes; the message says what happened, to what, and what to do next.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "ActionError",
    "AuthenticationError",
    "BrokenChainError",
    "BundleError",
    "CloneError",
    "CodecError",
    "ConfigurationError",
    "CorruptLogError",
    "CrdtSyncError",
    "EntryError",
    "ForeignStructsError",
    "ForkError",
    "LimitError",
    "LocalProtocolError",
    "MalformedEntryError",
    "RefusedError",
    "RemoteProtocolError",
    "SchemaError",
    "SealError",
    "SequenceGapError",
    "StorageError",
    "StoreFormatError",
    "StoreLockedError",
    "SyncError",
    "TransportError",
]


class CrdtSyncError(Exception):
    """Base of all errors that crdtsync raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.args, self.__dict__)


def _restore(
    cls: type[CrdtSyncError], args: tuple[Any, ...], facts: dict[str, Any]
) -> CrdtSyncError:
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(facts)
    return error


class SchemaError(CrdtSyncError):
    """Raised when a `Document` or `Record` class cannot be stored as it is declared."""


class ActionError(CrdtSyncError):
    """Raised when an action is used in a way that cannot be logged."""


class LimitError(CrdtSyncError):
    """Raised when something is larger than a named limit allows.

    Attributes:
        limit: name of the limit, as in `crdtsync.limits.Limits`.
        allowed: the limit's value.
        actual: what was met.
    """

    def __init__(self, limit: str, allowed: int, actual: int, what: str) -> None:
        super().__init__(f"{what} is {actual:,}, more than {limit}={allowed:,} allows")
        self.limit = limit
        self.allowed = allowed
        self.actual = actual


class CodecError(CrdtSyncError):
    """Raised when bytes are not exactly one CBOR item of the kinds that crdtsync accepts."""


class ConfigurationError(CrdtSyncError):
    """Raised when a key, a rule or a pattern of names that was given cannot be used."""


class BundleError(CrdtSyncError):
    """Raised when a bundle is damaged, cut off, or holds what cannot be taken in.

    What is whole and can be proved was imported. Importing a sound copy goes on from there.

    Attributes:
        path: the bundle.
        position: the byte from which on it is not read; None if it was read to its end.
        reason: what is wrong with it.
        imported: what was imported all the same, a `crdtsync.replica.Imported`; None if nothing.
    """

    def __init__(
        self, reason: str, *, path: str, position: int | None = None, imported: Any = None
    ) -> None:
        where = "" if position is None else f" at byte {position:,}"
        super().__init__(f"{path}{where}: {reason}")
        self.path = path
        self.position = position
        self.reason = reason
        self.imported = imported


class EntryError(CrdtSyncError):
    """Raised when an entry cannot stand in its log.

    Attributes:
        document: name of the document, where known.
        replica: id of the replica whose log it is, where known.
        seq: the entry's sequence number, where known.
        reason: what is wrong with it, without where it stands.
    """

    def __init__(
        self,
        reason: str,
        *,
        document: str | None = None,
        replica: int | None = None,
        seq: int | None = None,
    ) -> None:
        where = "entry" if seq is None else f"entry {seq}"
        if replica is not None:
            where += f" of replica {replica:x}"
        if document is not None:
            where += f" in document {document!r}"
        super().__init__(f"{where}: {reason}")
        self.reason = reason
        self.document = document
        self.replica = replica
        self.seq = seq


class MalformedEntryError(EntryError):
    """Raised when bytes are not an entry."""


class SealError(EntryError):
    """Raised when an entry is not proved to be its author's: a seal is missing, or false."""


class SequenceGapError(EntryError):
    """Raised when the entries before this one are missing."""


class BrokenChainError(EntryError):
    """Raised when an entry's `previous_hash` is not the hash of the entry held before it."""


class ForkError(EntryError):
    """Raised when one replica's log holds two different entries of one number.

    That is what a copied database file, a restored backup or a cloned disk leads to.

    Attributes:
        common: number of the last entry that both branches have, where that is known.
    """

    def __init__(
        self,
        reason: str,
        *,
        document: str | None = None,
        replica: int | None = None,
        seq: int | None = None,
        common: int | None = None,
    ) -> None:
        super().__init__(reason, document=document, replica=replica, seq=seq)
        self.common = common


class ForeignStructsError(EntryError):
    """Raised when an entry's CRDT update writes in another replica's name."""


class StorageError(CrdtSyncError):
    """Raised when the store could not be read or written. Nothing was changed.

    Attributes:
        path: the file.
    """

    def __init__(self, reason: str, *, path: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.reason = reason
        self.path = path


class StoreLockedError(StorageError):
    """Raised when another process, or another `Replica` in this one, has the file open."""


class StoreFormatError(StorageError):
    """Raised when a file is not a crdtsync store, or was written by an unknown version."""


class CorruptLogError(StorageError):
    """Raised when a stored entry no longer fits its chain.

    Attributes:
        document: name of the document.
        replica: whose log.
        seq: the first entry that does not fit.
        position: its row in the file.
        reason: what is wrong with it, without where it stands.
    """

    def __init__(
        self, reason: str, *, path: str, document: str, replica: int, seq: int, position: int
    ) -> None:
        super().__init__(
            f"entry {seq} of replica {replica:x} in document {document!r} (row {position}): "
            f"{reason}",
            path=path,
        )
        self.document = document
        self.replica = replica
        self.seq = seq
        self.position = position
        self.reason = reason


class SyncError(CrdtSyncError):
    """Raised when synchronization cannot go on. Local work always can."""


class LocalProtocolError(SyncError):
    """Raised when this side asks the protocol for something it cannot do now."""


class RemoteProtocolError(SyncError):
    """Raised when the peer broke the protocol."""


class RefusedError(SyncError):
    """Raised when the server refused, for a reason that trying again will not change.

    Attributes:
        code: a short machine-readable word.
        reason: a sentence for people.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"refused by the server ({code}): {reason}")
        self.code = code
        self.reason = reason


class CloneError(SyncError):
    """Raised when a document's state that was taken elsewhere cannot be gone on from.

    Attributes:
        document: name of the document, where known.
        reason: what is wrong with it.
    """

    def __init__(self, reason: str, *, document: str | None = None) -> None:
        where = "a clone" if document is None else f"the clone of document {document!r}"
        super().__init__(f"{where}: {reason}")
        self.reason = reason
        self.document = document


class AuthenticationError(SyncError):
    """Raised when a client has not shown who it is.

    Attributes:
        reason: a sentence for the client. It holds nothing of a token or a key.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"not authenticated: {reason}")
        self.reason = reason


class TransportError(SyncError):
    """Raised when bytes do not get through: no route, no listener, a cut connection."""
