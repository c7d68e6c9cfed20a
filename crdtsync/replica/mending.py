"""Mending: a log of ours that was continued in two places becomes two logs again.

It happens where a store was copied, or restored from a backup, and worked with. One branch stays
what it is: the one that the others know. Our entries behind the last common one are moved to a
table of their own, and written anew under the id that we have now, with all that they did. Nothing
is deleted, and nothing is done twice.

All of it happens in one transaction, so that it has happened whole, or not begun. Read next:
`crdtsync.document.reauthor` (what becomes of an entry's update).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from crdtsync import events
from crdtsync.document.reauthor import Reauthor
from crdtsync.errors import ForkError
from crdtsync.log import EMPTY_HEAD, ERASED, REFUSED, Dependency, Entry, Head, make_entry
from crdtsync.replica.audit import STORED
from crdtsync.replica.logs import SEQ_MAX
from crdtsync.replica.store import Progress
from crdtsync.seal import KEY

if TYPE_CHECKING:
    from crdtsync.document import Schema
    from crdtsync.replica.ledger import Ledger
    from crdtsync.replica.store import Store
    from crdtsync.replica.stored import StoredLogs

__all__ = ["Mending", "mend"]


def mend(store: Store, ledger: Ledger, schema: Schema, replica: int, common: int) -> list[Entry]:
    """Make two logs of one of ours, and draw a new id if it is the log that we are writing.

    It stands in the file then; what is in memory is for the caller to renew.

    Args:
        store: the file.
        ledger: the document's logs.
        schema: what the document is declared as.
        replica: id of ours under which the log stands.
        common: number of the last entry that both branches have.

    Returns:
        Our entries that were written anew.

    Raises:
        ForkError: it cannot be mended, or not here: what stands there is not ours.
        StorageError: nothing was changed.
    """
    if not ledger.wrote_after(replica, common):
        raise ForkError(
            "what stands here was not written here, so that it cannot be mended here",
            document=ledger.name,
            replica=replica,
            seq=common + 1,
        )
    mending = ledger.mending(replica, common, schema)
    with store.file.transaction(durable=True):
        new, key = store.replica, store.key
        if new in mending.firsts:
            new, key = store.rotate()
        entries = mending.carry_out(new, None if key is None else key.public)
    events.LOG_MENDED.log(
        document=ledger.name,
        replica=f"{new:x}",
        former=f"{replica:x}",
        seq=common,
        entries=len(entries),
    )
    return entries


class Mending:
    """Writes anew what stands behind the last common entry of a log of ours.

    Args:
        store: the file.
        stored: the document's logs in it.
        name: the document's.
        schema: what it is declared as.
        replica: id of ours under which the log stands.
        common: number of the last entry that both branches have.

    Attributes:
        firsts: for each log, the number of its first entry that cannot stay: those behind the fork,
            and those that build on them.
    """

    def __init__(
        self,
        store: Store,
        stored: StoredLogs,
        *,
        name: str,
        schema: Schema,
        replica: int,
        common: int,
    ) -> None:
        self._store = store
        self._stored = stored
        self._name = name
        self._schema = schema
        self.firsts = {replica: common + 1}
        self._gone = [(e.replica, e.seq) for e in self._find(stored.arrived(replica, common + 1))]

    def _find(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Yield the entries that cannot stay, in the order of arrival."""
        for entry in entries:
            first = self.firsts.get(entry.replica)
            if (first is not None and entry.seq >= first) or any(
                one.replica in self.firsts and one.seq >= self.firsts[one.replica]
                for one in entry.dependencies
            ):
                self.firsts.setdefault(entry.replica, entry.seq)
                yield entry

    def carry_out(self, replica: int, public: bytes | None) -> list[Entry]:
        """Move what cannot stay out of the way, and write what of it is ours anew.

        Args:
            replica: the id under which that is to stand: one whose log stays.
            public: its public key.

        Returns:
            The new entries.

        Raises:
            ForkError: our entries cannot be read.
        """
        store, stored, number = self._store, self._stored, self._stored.number
        assert replica not in self.firsts
        before = store.progress(number)
        reauthor, user = self._read_what_stays(replica)
        last = stored.last(replica)
        position, head = stored.top(), EMPTY_HEAD
        known = before.known
        if last is not None:
            head = Head(last[1].seq, last[1].hash)
            known = last[0] if known is None else known
        log = stored.logs.get(replica)
        if log is None:
            log = store.logs.add_log(number, replica)
        named: set[int] = set()  # logs whose part that stays the new log depends on
        entries: list[Entry] = []
        for author, seq in self._gone:
            entry = stored.at(author, seq)
            assert entry is not None
            anew = None
            if author in store.keys:
                if not head.seq and entry.user is None and user is not None:
                    entry = entry._replace(extra={**entry.extra, "user": user})
                new = self._rewritten(entry, reauthor, head, named, public)
                position += 1
                store.logs.insert(log, position, new)
                if new.user is not None:
                    store.write_user(number, replica, new.user)
                head = Head(new.seq, new.hash)
                entries.append(new)
                anew = log, new.seq
            store.logs.supersede(stored.logs[author], seq, anew)
        for author, carried in store.carried(number).items():
            upto = min(carried.upto, self.firsts.get(author, carried.upto + 1) - 1)
            store.write_carried(number, author, carried._replace(upto=upto))
        store.drop_snapshot(number)
        store.write_progress(number, Progress(before.sent, before.acknowledged, None, known))
        return entries

    def _read_what_stays(self, replica: int) -> tuple[Reauthor, str | None]:
        """Return what knows our slots in what stays, and who used the log when it forked."""
        reauthor, user = Reauthor(replica, self._schema), None
        ends = {author: first - 1 for author, first in self.firsts.items()} | {replica: SEQ_MAX}
        for author in ends.keys() & self._store.keys.keys():
            for entry in self._stored.log(author, ends[author]):
                try:
                    reauthor.stays(entry)
                except ValueError as error:
                    raise self._unreadable(entry) from error
                if author != replica:
                    user = entry.user or user
        return reauthor, user

    def _rewritten(
        self,
        entry: Entry,
        reauthor: Reauthor,
        head: Head,
        named: set[int],
        public: bytes | None,
    ) -> Entry:
        seq = head.seq + 1
        try:
            update = reauthor.moved(entry, seq)
        except ValueError as error:
            raise self._unreadable(entry) from error
        left = {KEY, REFUSED, ERASED}
        extra: dict[str, Any] = {k: v for k, v in entry.extra.items() if k not in left}
        if seq == 1 and public is not None:
            extra[KEY] = public
        return make_entry(
            self._name,
            reauthor.replica,
            head,
            entry.time,
            entry.name,
            update,
            dependencies=self._dependencies(entry, reauthor.replica, named),
            schema_version=entry.schema_version,
            arguments=reauthor.arguments(entry),
            extra=extra,
            limits=STORED,
        )

    def _dependencies(self, entry: Entry, replica: int, named: set[int]) -> tuple[Dependency, ...]:
        """Return what an entry depends on, under the id that it has now."""
        found = {
            one.replica: one
            for one in entry.dependencies
            if one.replica != replica and one.seq < self.firsts.get(one.replica, one.seq + 1)
        }
        common = self.firsts[entry.replica] - 1
        if common and entry.replica not in named:
            hash_ = self._stored.hash_of(entry.replica, common)
            assert hash_ is not None
            found[entry.replica] = Dependency(entry.replica, common, hash_)
        named.add(entry.replica)
        return tuple(found[replica] for replica in sorted(found))

    def _unreadable(self, entry: Entry) -> ForkError:
        return ForkError(
            "the log was continued in two places, and this entry cannot be written anew",
            document=self._name,
            replica=entry.replica,
            seq=entry.seq,
        )
