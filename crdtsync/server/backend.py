"""What keeps a server's logs: the contract between the server and its storage engine.

A backend holds, for each document, one sequence of entries in the order in which it admitted them.
That order is *causal*: an entry is admitted only after the entry before it in its own log and after
everything it depends on. Each entry has an *offset*, which rises along the sequence; a cursor is an
offset together with the `epoch` of this incarnation of the sequence.

Promised by every backend, and proved by the conformance suite:

- **durable before answered**: what `append` has returned survives the loss of power;
- **idempotent**: an entry that is held already is no news, however often and by whomever it comes;
- **contiguous and chained**: no gap in a log, no two entries of one number (`ForkError`);
- **all or nothing per call** where `append` raises;
- **watchers see every entry once**, in the order of offsets, after it has become durable;
- **erased is erased**: in whatever form and order an entry comes, its content is not held.

Not promised, so never to be relied upon: offsets without gaps, transactions over two documents,
cursors kept by the backend, any order between documents.

**History.** A document may have one snapshot: a clone of it as it was at an offset. What a snapshot
covers can be *trimmed*: the log then begins at a `base`, and who has not got that far is given the
snapshot. Of an entry that is dropped its number, place and hash stay, so that everything above
remains true; so does the first entry of each log, which says whose it is.

Read next: `admission` (the rules that decide what may be stored), `records` (connections),
`backends.sqlite`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

from crdtsync.envelope import is_marked
from crdtsync.log import Entry, Head
from crdtsync.server.devices import Device
from crdtsync.server.erasures import ErasureStore
from crdtsync.server.records import ConnectionStore

__all__ = [
    "EPOCH_BYTES",
    "Added",
    "Appended",
    "Backend",
    "Row",
    "SnapshotInfo",
    "State",
    "Stored",
    "Watcher",
]

EPOCH_BYTES = 16
"""Length of an epoch: enough that no two incarnations ever draw the same."""


class Row(NamedTuple):
    """One entry as it stands in a document's sequence. `data` is its bytes, as they were pushed."""

    offset: int
    replica: int
    seq: int
    data: bytes

    @property
    def is_marked(self) -> bool:
        """Whether the entry bears a mark: then whoever holds it must be told."""
        return is_marked(self.data)


class SnapshotInfo(NamedTuple):
    """A document's snapshot: its id, the offset at which it was taken, and its size in bytes."""

    id: bytes
    offset: int
    size: int


class State(NamedTuple):
    """Where a document's sequence ends, and where it begins.

    Attributes:
        offset: of the newest entry; 0 if there is none.
        heads: the ends of the logs there.
        base: the log below it, up to here, was trimmed; 0 if nothing was.
        snapshot: the document's snapshot, if there is one. It covers `base`.
    """

    offset: int
    heads: dict[int, Head]
    base: int = 0
    snapshot: SnapshotInfo | None = None


class Stored(NamedTuple):
    """How far a pushed log is durable: up to number `seq`, which stands at `offset`."""

    seq: int
    offset: int


@dataclass(frozen=True, slots=True)
class Appended:
    """The answer to an append.

    Attributes:
        stored: for each log in the call of which something is held: up to which of the given
            entries. Less than what was given where there is a gap.
        gap: some of the given entries could not be stored because entries before them, in their
            own log or among their dependencies, are not held.
    """

    stored: dict[int, Stored]
    gap: bool


@dataclass(frozen=True, slots=True)
class Added:
    """What watchers are told.

    Attributes:
        document: which document has grown.
        rows: the new ones.
        heads: of the logs that have grown with them.
        rewritten: the rows are of entries that were held before in another form: what was read of
            the document until now is not to be handed on.
        unsnapshotted: the document's snapshot held them in that form, and was dropped: its log
            begins at the first entry again.
    """

    document: str
    rows: Sequence[Row]
    heads: Mapping[int, Head]
    rewritten: bool = False
    unsnapshotted: bool = False


Watcher: TypeAlias = Callable[[Added], None]
"""Called in the event loop's thread. It must not raise, block, or call the backend."""


class Backend(ConnectionStore, ErasureStore, Protocol):
    """A storage engine for the server. Belongs to one event loop."""

    @property
    def epoch(self) -> bytes:
        """The random name of this incarnation of the sequences."""

    async def append(self, document: str, entries: Sequence[Entry]) -> Appended:
        """Store the entries that are new; they are durable when this returns.

        A caller that is cancelled does not know whether they were stored, and may ask again.

        Args:
            document: name of the document that all the entries belong to.
            entries: checked entries in causal order, of any number of logs.

        Raises:
            ForkError: a log holds another entry of that number, or one of the entries was chained
                to, or depends on, another entry than the one held. Nothing of the call is stored.
            BrokenChainError: a log's first entry claims to follow another. Nothing is stored.
            StorageError: they could not be stored. Nothing of the call is stored.
        """

    async def read(
        self, document: str, after: int, bytes_max: int, upto: int | None = None
    ) -> list[Row]:
        """Return the rows that follow an offset, in order, without those that were dropped.

        Args:
            document: name of the document; one that is not held has no rows.
            after: the offset below the first row wanted.
            bytes_max: stop before the entries together exceed this; one row is always returned
                if there is one.
            upto: the last offset wanted; without it, to the end.

        Raises:
            StorageError: they could not be read.
        """

    async def state(self, document: str) -> State:
        """Return where a document's sequence ends. A caller may keep what it is given.

        Raises:
            StorageError: it could not be read, or the end of a log is damaged.
        """

    async def entry(self, document: str, replica: int, seq: int) -> bytes | None:
        """Return an entry's bytes by its number; None if it is not held, or was dropped.

        Raises:
            StorageError: it could not be read.
        """

    async def covered(self, document: str, vector: Mapping[int, int]) -> int:
        """Return an offset up to which a state vector covers every entry, and none is marked.

        The nearer to the first entry that is not covered, the less is read in vain; 0 is right
        for any vector.

        Raises:
            StorageError: it could not be read.
        """

    async def keep_snapshot(self, document: str, offset: int, data: bytes) -> SnapshotInfo:
        """Keep an encoded clone durably, in place of the snapshot before.

        Args:
            document: its name.
            offset: at which it was taken.
            data: see `crdtsync.clone`.

        Raises:
            StorageError: it could not be stored. The one before is still there.
        """

    async def read_snapshot(
        self, document: str, id_: bytes, position: int, bytes_max: int
    ) -> bytes | None:
        """Return a part of a snapshot; None if it is not the document's any more.

        Args:
            document: its name.
            id_: of the snapshot.
            position: of the first byte wanted, below its size.
            bytes_max: how many bytes at the most; at least one is returned.

        Raises:
            StorageError: it could not be read.
        """

    async def trim(self, document: str, upto: int, *, drop: bool) -> int:
        """Let the log begin at an offset, as far as the snapshot covers what is below.

        Args:
            document: its name.
            upto: the offset; one below the log's beginning changes nothing.
            drop: forget the entries below; else they can still be read.

        Returns:
            Where the log begins now: less than was asked for where more is covered by no snapshot,
            or where more would take too long at once; ask again.

        Raises:
            StorageError: nothing was changed.
        """

    async def documents(self) -> list[str]:
        """Return the names of all documents that hold an entry, sorted.

        Raises:
            StorageError: they could not be read.
        """

    async def bind(self, device: Device) -> Device:
        """Bind a replica id to a key and a user for good, unless it is bound already.

        To a user it can be bound later, while it is to none.

        Returns:
            What it is bound to now.

        Raises:
            StorageError: it could not be stored.
        """

    async def device(self, replica: int) -> Device | None:
        """Return what a replica id is bound to; None if it is not bound.

        Raises:
            StorageError: it could not be read.
        """

    async def devices(self) -> list[Device]:
        """Return all devices that were ever bound, by their ids.

        Raises:
            StorageError: they could not be read.
        """

    async def revoked(self) -> frozenset[int]:
        """Return the replica ids under which nobody is let in any more.

        Raises:
            StorageError: they could not be read.
        """

    async def revoke(self, replica: int) -> bool:
        """Let nobody in under a replica id any more; False if there is no such device.

        Raises:
            StorageError: it could not be stored.
        """

    async def keep(self, name: str, value: bytes) -> bytes:
        """Keep a small value for the server itself, unless one of that name is kept already.

        Returns:
            What is kept now.

        Raises:
            StorageError: it could not be stored.
        """

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Have every addition from now on reported to `watcher`; returns the cancel function.

        The additions of one document come in the order of offsets, whoever made them. An append's
        addition is reported before that append returns.
        """

    async def aclose(self) -> None:
        """Finish what was begun and release the storage; a second call does nothing."""
