"""The scribe: turns what Yjs clients write into entries, and keeps them.

A Yjs client has no key and no log of its own, so the server keeps one for each CRDT client id, in
the name of the user whose token the client has shown, and seals it with a key of its own. A log is
gone on with only for the user who began it: nobody writes in another's name, nor in the name of a
replica that has a key.

An entry names as dependencies the logs that its structs build on, as they are then. That is all
that is known of what its author had seen.

Read next: `crdtsync.update.division`, which takes updates apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from crdtsync.clock import HybridLogicalClock
from crdtsync.errors import ForeignStructsError, LimitError
from crdtsync.identity import is_replica_id, new_replica_id
from crdtsync.keys import DeviceKey
from crdtsync.log import EMPTY_HEAD, Dependency, Entry, Head, decode_entry, make_entry, with_seal
from crdtsync.seal import KEY, binding, make_seal
from crdtsync.server.backend import Backend
from crdtsync.update import Division, deleting

__all__ = ["NAME", "PART_BYTES_MAX", "Author", "Scribe", "door_key"]

NAME = "yjs"
"""The name of actions that Yjs clients did."""

PART_BYTES_MAX = 256 * 1024
"""Of one entry's structs: well below what an entry may have."""

_RUNS_PER_ENTRY_MAX = 8192
_KEY_NAME = "door key"


async def door_key(backend: Backend) -> DeviceKey:
    """Return the key of a server's doors, drawn when it was first asked for.

    Raises:
        StorageError: it could not be read or kept.
    """
    return DeviceKey.from_bytes(await backend.keep(_KEY_NAME, DeviceKey.generate().private_bytes))


class Author:
    """Who writes, through one connection to one document.

    Attributes:
        user: their name, as their token tells.
        log: the log that takes what belongs to no struct of theirs.
    """

    def __init__(self, user: str | None) -> None:
        self.user = user
        self.log: int | None = None


class _Owner(NamedTuple):
    """Whose log it is. `ours`: it is sealed with the key of the doors."""

    user: str | None
    ours: bool


class Scribe:
    """Writes the logs of one document.

    Args:
        document: its name.
        backend: where they are kept.
        key: of the server's doors.
        clock: the server's.
        heads: the ends of the document's logs; follows them.
        logs_max: how many there may be.
    """

    def __init__(
        self,
        document: str,
        backend: Backend,
        key: DeviceKey,
        clock: HybridLogicalClock,
        heads: Mapping[int, Head],
        logs_max: int,
    ) -> None:
        self._document = document
        self._backend = backend
        self._key = key
        self._clock = clock
        self._heads = heads
        self._logs_max = logs_max
        self._written: dict[int, Head] = {}  # heads of entries that are not stored yet
        self._owners: dict[int, _Owner] = {}
        self._depended: dict[int, dict[int, int]] = {}
        self._latest: dict[str | None, int] = {}  # the log that a user has written last

    def see(self, time: int) -> None:
        """Take note of an entry's time: what is written from now on is later."""
        self._clock.see(time)

    def stored(self) -> None:
        """Take note that what was written is stored: the heads say so."""
        self._written.clear()

    def abandoned(self) -> None:
        """Take note that what was written will not be stored."""
        self._written.clear()
        self._depended.clear()

    async def check(self, division: Division, author: Author) -> None:
        """Check that an author may write in the names that an update has.

        Raises:
            ForeignStructsError: it has structs that are not held, of somebody else.
            LimitError: the document has as many logs as it may have.
            StorageError: it could not be read whose logs they are.
        """
        clients = dict.fromkeys(part.client for part in division.parts)
        known = self._heads.keys() | self._written.keys()
        if clients and not clients.keys() <= known:
            count = len(known | clients.keys())
            if count > self._logs_max:
                what = f"the number of logs in document {self._document!r}"
                raise LimitError("logs_max", self._logs_max, count, what)
        for client in clients:
            if not await self.may_write(client, author):
                raise ForeignStructsError(
                    f"client {client} is somebody else's, and what it wrote is not held here",
                    document=self._document,
                    replica=client,
                )

    async def may_write(self, client: int, author: Author) -> bool:
        """Tell whether a log is, or can become, an author's.

        Raises:
            StorageError: it could not be read whose it is.
        """
        if not is_replica_id(client):
            return False
        if client not in self._owners:
            owner = await self._owner(client)
            if owner is None:
                return True
            self._owners[client] = owner
        return self._owners[client] == (author.user, True)

    async def _owner(self, client: int) -> _Owner | None:
        if client in self._heads:
            data = await self._backend.entry(self._document, client, 1)
            bound = None if data is None else binding(decode_entry(data))
            if bound is None:
                return _Owner(None, ours=False)
            return _Owner(bound.user, bound.public == self._key.public)
        # The device may not have got here yet with its log of this document.
        device = await self._backend.device(client)
        return None if device is None else _Owner(device.user, ours=False)

    async def write(self, division: Division, author: Author) -> list[Entry]:
        """Make the entries of an update that was checked.

        Args:
            division: the update, with those of its deletions that are new.
            author: who wrote it.

        Raises:
            StorageError: it could not be read whose logs they are.
        """
        entries = []
        runs = list(_in_portions(division.deletions))
        for part in division.parts:
            update, depends = part.update, set(part.references)
            if runs and part is division.parts[-1]:
                deleted = runs.pop(0)
                update, depends = deleting(deleted, update), depends | deleted.keys()
            entries.append(self._entry(part.client, update, depends, author))
            author.log = part.client
        for deleted in runs:
            log = await self._log_of(author)
            entries.append(self._entry(log, deleting(deleted), deleted, author))
        return self._sealed(entries)

    async def _log_of(self, author: Author) -> int:
        """Return the log for what names no client: of this one, if it is known; of its user."""
        if author.log is None or not await self.may_write(author.log, author):
            author.log = self._latest.get(author.user) or new_replica_id()
        return author.log

    def _entry(self, log: int, update: bytes, depends: Iterable[int], author: Author) -> Entry:
        head = self._head(log)
        extra: dict[str, Any] | None = None
        if head.seq == 0:
            extra = {KEY: self._key.public}
            if author.user is not None:
                extra["user"] = author.user
            self._owners[log] = _Owner(author.user, ours=True)
        entry = make_entry(
            self._document,
            log,
            head,
            self._clock.tick(),
            NAME,
            update,
            dependencies=tuple(self._dependencies(log, depends)),
            extra=extra,
        )
        self._written[log] = Head(entry.seq, entry.hash)
        self._latest[author.user] = log
        return entry

    def _dependencies(self, log: int, others: Iterable[int]) -> Iterator[Dependency]:
        known = self._depended.setdefault(log, {})
        for other in sorted(others):
            head = self._head(other)
            if other != log and head.seq > known.get(other, 0):
                known[other] = head.seq
                yield Dependency(other, *head)

    def _head(self, log: int) -> Head:
        return self._written.get(log) or self._heads.get(log, EMPTY_HEAD)

    def _sealed(self, entries: Sequence[Entry]) -> list[Entry]:
        """Seal the last entry of each log."""
        last = {entry.replica: entry.seq for entry in entries}
        return [
            entry
            if entry.seq != last[entry.replica]
            else with_seal(entry, make_seal(self._key, self._document, entry.replica, entry))
            for entry in entries
        ]


def _in_portions(
    deletions: Mapping[int, list[tuple[int, int]]],
) -> Iterator[dict[int, list[tuple[int, int]]]]:
    """Yield deletions, of which only so many go into one entry."""
    portion: dict[int, list[tuple[int, int]]] = {}
    room = _RUNS_PER_ENTRY_MAX
    for client, runs in deletions.items():
        at = 0
        while at < len(runs):
            portion[client] = runs[at : at + room]
            at += len(portion[client])
            room -= len(portion[client])
            if room == 0:
                yield portion
                portion, room = {}, _RUNS_PER_ENTRY_MAX
    if portion:
        yield portion
