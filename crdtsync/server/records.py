"""What a server keeps of its connections, and how: the contract with its storage engine.

A record says what a connection is; it is changed by compare-and-set, so that two server processes
cannot undo each other. What the connection follows stands beside it, document by document, with
the cursor that the server honours, if it honours one; that changes all the time, so it is written
in batches, and nothing hangs on the last of them: a cursor that is lost is an older cursor.

Read next: `crdtsync.server.lifecycle` (what a connection can be).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from crdtsync.server.lifecycle import State

__all__ = [
    "ConnectionRecord",
    "ConnectionStore",
    "Crowd",
    "Followed",
    "KnownConnection",
    "Lag",
    "Move",
    "lag_of",
]


@dataclass(frozen=True, slots=True)
class ConnectionRecord:
    """One client installation, as the server knows it.

    Attributes:
        client: its id, 16 bytes.
        user: who uses it; None where nobody asked.
        replica: the id that it writes under.
        state: what the connection is.
        reason: why, a sentence for people.
        since: since when, Unix time in milliseconds.
        last_seen: when it was last on line, Unix time in milliseconds.
        version: how often the record was changed; it is changed only by who knows this.
    """

    client: bytes
    user: str | None
    replica: int
    state: State
    reason: str
    since: int
    last_seen: int
    version: int = 0


class Followed(NamedTuple):
    """A document that a connection follows.

    Attributes:
        priority: lower numbers are sent first.
        offset: everything up to here is durable at the client; None: no cursor is honoured.
    """

    priority: int
    offset: int | None


@dataclass(frozen=True, slots=True)
class KnownConnection:
    """A connection, as an operator sees it.

    Attributes:
        record: what it is, whose, and since when.
        followed: its documents, with the cursors that are honoured.
        behind: about how many entries these have not got to.
        online: it is connected now; None where nobody can tell.
    """

    record: ConnectionRecord
    followed: dict[str, Followed]
    behind: int
    online: bool | None


class Move(NamedTuple):
    """News of what a connection follows.

    Attributes:
        client: whose connection.
        document: which document.
        followed: with which priority, and how far it has got; None: it is followed no more.
    """

    client: bytes
    document: str
    followed: Followed | None


class Crowd(NamedTuple):
    """Those whose cursors are honoured in a document.

    Attributes:
        document: its name.
        cursors: how many they are.
        floor: the lowest of their cursors.
        offset: of the document's newest entry.
    """

    document: str
    cursors: int
    floor: int
    offset: int


class Lag(NamedTuple):
    """How far a cursor is behind: by how many entries, and of how many bytes."""

    entries: int
    size: int


def lag_of(followed: Mapping[str, Followed], crowds: Mapping[str, Crowd]) -> int:
    """Return by about how many entries a connection's cursors are behind."""
    return sum(
        max(0, crowds[document].offset - one.offset)
        for document, one in followed.items()
        if one.offset is not None and document in crowds
    )


class ConnectionStore(Protocol):
    """Keeps connections. A part of `crdtsync.server.backend.Backend`."""

    async def connection(self, client: bytes) -> ConnectionRecord | None:
        """Return a connection's record; None if there is none.

        Raises:
            StorageError: it could not be read.
        """

    async def connections(self, user: str | None = None) -> list[ConnectionRecord]:
        """Return the records of a user, or of all, by their client ids.

        Raises:
            StorageError: they could not be read.
        """

    async def put_connection(self, record: ConnectionRecord) -> bool:
        """Store a record durably if the one held has its version; a new one has version 0.

        It is kept with the next version. The cursors of a connection that is not active are let go;
        a retired one follows nothing.

        Returns:
            Whether it was stored.

        Raises:
            StorageError: it could not be stored.
        """

    async def followed(self, client: bytes) -> dict[str, Followed]:
        """Return what a connection follows.

        Raises:
            StorageError: it could not be read.
        """

    async def note(self, moves: Sequence[Move], seen: Mapping[bytes, int]) -> None:
        """Take note of what connections follow and how far they have got, in one go.

        Only an active connection's offsets are kept. Moves of clients without a record are none.

        Args:
            moves: at most one for each document of a client.
            seen: when clients were last on line, Unix time in milliseconds.

        Raises:
            StorageError: nothing was noted.
        """

    async def floor(self, document: str) -> int | None:
        """Return the lowest cursor that is honoured in a document; None if there is none.

        Raises:
            StorageError: it could not be read.
        """

    async def crowds(self) -> list[Crowd]:
        """Return all documents in which cursors are honoured, by their names.

        Raises:
            StorageError: they could not be read.
        """

    async def lags(self, document: str) -> dict[bytes, Lag]:
        """Return how far the cursors in a document are behind, for all that are honoured.

        Raises:
            StorageError: it could not be read.
        """

    async def retired(self) -> frozenset[bytes]:
        """Return the clients whose connections are retired.

        Raises:
            StorageError: they could not be read.
        """
