"""What synchronization needs of a replica: the side of it that faces the wire.

`crdtsync.replica.Replica` fits; so does anything else that keeps logs. Sessions talk to these
two protocols only, so that they can be tested, and read, without documents and CRDTs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from crdtsync.clone import Resume
from crdtsync.keys import DeviceKey
from crdtsync.log import Cursor, Head

__all__ = ["LedgerPort", "MissingPort", "ReceivedPort", "ReplicaPort"]


class MissingPort(Protocol):
    """An entry that the other side lacks."""

    @property
    def replica(self) -> int:
        """Whose log it is in."""
        ...

    @property
    def seq(self) -> int:
        """Its number there."""
        ...

    @property
    def data(self) -> bytes:
        """Its bytes."""
        ...


class ReceivedPort(Protocol):
    """What became of entries that were received."""

    @property
    def new(self) -> int:
        """How many were stored."""
        ...

    @property
    def held(self) -> int:
        """How many wait for their causal past."""
        ...

    @property
    def clamped(self) -> int:
        """How many of ours, held before, count as of an earlier time now."""
        ...


class LedgerPort(Protocol):
    """One document's logs."""

    @property
    def heads(self) -> Mapping[int, Head]:
        """The ends of all logs held."""
        ...

    @property
    def vector(self) -> Mapping[int, int]:
        """The same, without hashes."""
        ...

    @property
    def cursor(self) -> Cursor | None:
        """Where the server's log was last read up to."""
        ...

    @property
    def ours(self) -> Mapping[int, int]:
        """The number of our last entry, under our id and under former ones that still count."""
        ...

    @property
    def unacknowledged(self) -> int:
        """How many entries of ours are not known to be durable at the server."""
        ...

    def hash_at(self, replica: int, seq: int, /) -> bytes | None:
        """Return the hash of an entry by its number; None if it is not held."""
        ...

    @property
    def resume(self) -> Resume | None:
        """How much of a clone has come."""
        ...

    @property
    def is_stale(self) -> bool:
        """Whether the state that the logs begin above must be replaced by another clone."""
        ...

    def take_part(
        self, id_: bytes, position: int, total: int, data: bytes, cursor: Cursor, /
    ) -> bool:
        """Keep a part of a clone, and begin above it once it is whole; tell whether it is.

        Raises:
            CloneError, EntryError: the clone cannot be gone on from; nothing was changed.
            StorageError: nothing was changed.
        """
        ...

    def proved(self) -> None:
        """Note that the server holds all that is held here."""
        ...

    def missing(self, theirs: Mapping[int, int], bytes_max: int, /) -> Sequence[MissingPort]:
        """Return what they lack, in causal order, up to a size; at least one if there is any."""
        ...

    def receive(
        self, datas: Sequence[bytes], cursor: Cursor | None = None, /, *, prove: bool = False
    ) -> ReceivedPort:
        """Check, store and materialize entries, and keep the cursor with them.

        If `prove`, only what its author has sealed is believed.

        Raises:
            EntryError: one of them is bad; those before it are kept.
            StorageError: they could not be kept.
        """
        ...

    def parts(self, missing: Sequence[Any], most: int, /) -> Iterable[Sequence[MissingPort]]:
        """Yield what `missing` returned in parts in which every log ends in its author's seal."""
        ...

    def forget_unproved(self) -> None:
        """Wait no longer for seals: what waits for one is going to be sent again."""
        ...

    def flush(self) -> None:
        """Make everything so far survive the loss of power."""
        ...

    def refuse(self, replica: int, seq: int, reason: str, /) -> None:
        """Take the effect of an entry of ours away: the server has refused it."""
        ...

    def acknowledge(self, theirs: Mapping[int, int], /) -> None:
        """Remember which of our entries are durable at the server, by its state vector."""
        ...


class ReplicaPort(Protocol):
    """A device's documents."""

    @property
    def id(self) -> int:
        """Names its own logs."""
        ...

    @property
    def user(self) -> str | None:
        """Who uses it."""
        ...

    @property
    def key(self) -> DeviceKey | None:
        """The device's key."""
        ...

    def owns(self, replica: int, /) -> bool:
        """Tell whether an id is ours, or was."""
        ...

    def rotate(self) -> None:
        """Go on under a new id.

        Raises:
            ActionError: an action is open.
            StorageError: nothing was changed.
        """
        ...

    def mend(self, name: str, replica: int, common: int, /) -> None:
        """Write what stands in a log of ours behind the last common entry anew.

        Our id may be another one afterwards.

        Raises:
            ActionError: an action is open.
            EntryError: it cannot be done.
            StorageError: nothing was changed.
        """
        ...

    def names(self) -> Sequence[str]:
        """Return the names of all documents."""
        ...

    def is_open(self, name: str, /) -> bool:
        """Tell whether the app has a document open."""
        ...

    def ledger(self, name: str, /) -> LedgerPort:
        """Return a document's logs, making the document if it is new."""
        ...

    def subscribe(self, callback: Callable[[str], None], /) -> Callable[[], None]:
        """Call back with a document's name after each new entry of our own or new document.

        The call comes in the thread that acted. Returns what ends it.
        """
        ...
