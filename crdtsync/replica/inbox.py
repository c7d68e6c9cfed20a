"""The inbox: which of the entries that come in can be stored now.

An entry is admitted when the entry before it in its log and everything that its author had seen
are here; until then it is held back, in memory and in bounds. The server's order is causal, so
little is ever held; bundles, merges and hostile peers are not so kind.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from crdtsync.document.erasure import check_inert
from crdtsync.envelope import is_marked, is_neutral
from crdtsync.errors import (
    EntryError,
    ForkError,
    MalformedEntryError,
    SequenceGapError,
)
from crdtsync.limits import Limits
from crdtsync.log import EMPTY_HEAD, Entry, Head, check_follows, decode_entries
from crdtsync.marks import reconciled
from crdtsync.proof import Prover
from crdtsync.structs import check_structs

__all__ = ["Admitted", "Batch", "Inbox", "has_past"]


class Admitted(NamedTuple):
    """What became of some entries.

    Attributes:
        entries: those that can be stored now, in causal order.
        heads: the ends of the logs that they are in.
        marked: entries that are held already, and have come with a mark.
        stale: something below where the logs begin was erased.
        failure: why it stopped before the end, if it did.
    """

    entries: list[Entry]
    heads: dict[int, Head]
    marked: list[Entry]
    stale: bool
    failure: EntryError | None


class Inbox:
    """Admits entries to one document.

    Args:
        document: its name.
        limits: what an entry may be, and how much may be held.
        hash_of: returns the hash of a stored entry of a replica by its number.
        is_below: tells which entries are below where the logs begin here; they are believed.
    """

    def __init__(
        self,
        document: str,
        limits: Limits,
        hash_of: Callable[[int, int], bytes | None],
        is_below: Callable[[int, int], bool],
    ) -> None:
        self._document = document
        self._limits = limits
        self._hash_of = hash_of
        self._is_below = is_below
        # By replica and number. There may be several of one number, of which one is genuine.
        self._held: dict[int, dict[int, list[Entry]]] = {}
        self._held_count = 0
        self._held_bytes = 0
        self._unproved: list[Entry] = []  # entries whose seals have not come yet

    def __len__(self) -> int:
        return self._held_count + len(self._unproved)

    def admit(
        self, datas: Sequence[bytes], heads: Mapping[int, Head], prover: Prover | None = None
    ) -> Admitted:
        """Check entries against the ends of the logs that are stored.

        It stops at the first that cannot stand in its log.

        Args:
            datas: entries as bytes.
            heads: the ends of the logs.
            prover: tells which of them are proved to be their authors'; None: they are believed.
        """
        batch = Batch(heads, self._hash_of, self._is_below)
        failure: EntryError | None = None
        try:
            entries: Iterable[Entry] = decode_entries(datas, self._limits)
            if prover is not None:
                entries, failure = self._proved(datas, prover, heads)
            for entry in entries:
                if self._is_next(entry, batch):
                    batch.add(entry)
            if self._held:
                self._release(batch)
        except EntryError as error:
            failure = failure or error
        return Admitted(batch.entries, batch.ends(), batch.marked, batch.stale, failure)

    def forget_unproved(self) -> None:
        """Wait no longer for seals: what waits for one is going to be sent again, by whomever."""
        self._unproved = []

    def _proved(
        self, datas: Sequence[bytes], prover: Prover, heads: Mapping[int, Head]
    ) -> tuple[list[Entry], EntryError | None]:
        """Return the entries that are proved; the others wait for what comes next.

        If one of them is no entry, that is returned too, and nothing waits.
        """
        entries: list[Entry] = []
        failure: EntryError | None = None
        try:
            entries.extend(decode_entries(datas, self._limits))
        except EntryError as error:
            failure = error
        entries = [*self._unproved, *entries]
        self._unproved = []
        count = prover.proved(entries, self._undisputed(entries, heads))
        if failure is None and count < len(entries):
            self._wait(entries[count:])
        return entries[:count], failure

    def _wait(self, unproved: list[Entry]) -> None:
        if sum(len(entry.data) for entry in unproved) > self._limits.held_bytes_max:
            raise SequenceGapError(
                "too many entries wait for their author's seal",
                document=self._document,
                replica=unproved[0].replica,
                seq=unproved[0].seq,
            )
        self._unproved = unproved

    def _undisputed(
        self, entries: Sequence[Entry], heads: Mapping[int, Head]
    ) -> Mapping[int, Head]:
        """Return how far what is held needs no proof: what contradicts it is to be proved too."""
        lower: dict[int, Head] = {}
        for entry in entries:
            replica, seq = entry.replica, entry.seq
            if (
                seq <= (lower.get(replica) or heads.get(replica, EMPTY_HEAD)).seq
                and not self._is_below(replica, seq)
                and self._hash_of(replica, seq) != entry.hash
            ):
                lower[replica] = Head(seq - 1, entry.previous_hash)
        return {**heads, **lower} if lower else heads

    def _is_next(self, entry: Entry, batch: Batch) -> bool:
        if entry.document != self._document:
            raise MalformedEntryError(
                f"it belongs to document {entry.document!r}", document=self._document
            )
        head = batch.head(entry.replica)
        if (
            not entry.dependencies
            and entry.previous_hash == head.hash
            and entry.seq == head.seq + 1
        ):  # as nearly all do
            check_structs(entry)
            return True
        if batch.is_below(entry.replica, entry.seq):
            batch.stale = batch.stale or entry.erasure is not None
            return False
        if entry.seq <= head.seq:
            if batch.hash_at(entry.replica, entry.seq) != entry.hash:
                raise _fork(entry, batch)
            if is_marked(entry.data):
                batch.mark(entry)
            return False
        check_structs(entry)
        if entry.seq > head.seq + 1 or (entry.dependencies and not has_past(entry, batch)):
            self._hold(entry)
            return False
        check_follows(entry, head)
        return True

    def _hold(self, entry: Entry) -> None:
        rivals = self._held.setdefault(entry.replica, {}).setdefault(entry.seq, [])
        for index, rival in enumerate(rivals):
            if rival.hash == entry.hash:
                rivals[index] = reconciled(rival, entry, from_server=True)
                return
        rivals.append(entry)
        self._held_count += 1
        self._held_bytes += len(entry.data)
        limits = self._limits
        if self._held_count > limits.held_entries_max or self._held_bytes > limits.held_bytes_max:
            self._held.clear()
            self._held_count = self._held_bytes = 0
            raise SequenceGapError(
                "too many entries wait for entries before them; ask for all that is missing",
                document=self._document,
                replica=entry.replica,
                seq=entry.seq,
            )

    def _release(self, batch: Batch) -> None:
        """Add what was held and has its past now, log by log, until nothing more has.

        Raises:
            EntryError: one of them cannot stand in its log. It is forgotten; the others are added.
        """
        failure: EntryError | None = None
        progress = True
        while progress:
            progress = False
            for replica in list(self._held):
                head = batch.head(replica)
                for seq in [seq for seq in self._held[replica] if seq <= head.seq]:
                    self._forget(replica, seq)
                try:
                    while self._release_next(replica, batch):
                        progress = True
                except EntryError as error:
                    failure = failure or error
                    progress = True
        if failure is not None:
            raise failure

    def _release_next(self, replica: int, batch: Batch) -> bool:
        head = batch.head(replica)
        rivals = self._held.get(replica, {}).get(head.seq + 1, [])
        genuine = [entry for entry in rivals if entry.previous_hash == head.hash]
        if rivals and not genuine:
            self._forget(replica, head.seq + 1)
            check_follows(rivals[0], head)
        for entry in genuine:
            try:
                ready = has_past(entry, batch)
            except ForkError:
                self._forget(replica, head.seq + 1)
                raise
            if ready:
                self._forget(replica, head.seq + 1)
                batch.add(entry)
                return True
        return False

    def _forget(self, replica: int, seq: int) -> None:
        for entry in self._held[replica].pop(seq):
            self._held_count -= 1
            self._held_bytes -= len(entry.data)
        if not self._held[replica]:
            del self._held[replica]


def _fork(entry: Entry, batch: Batch) -> ForkError:
    before = batch.hash_at(entry.replica, entry.seq - 1) if entry.seq > 1 else EMPTY_HEAD.hash
    return ForkError(
        "another entry of this number is held here: the log was continued in two places",
        document=entry.document,
        replica=entry.replica,
        seq=entry.seq,
        common=entry.seq - 1 if before == entry.previous_hash else None,
    )


class Batch:
    """Entries that are about to be stored, on top of those that are.

    Attributes:
        entries: the new ones, in causal order.
        marked: those that have come with a mark, and are stored already.
        is_below: tells which entries are below where the logs begin.
        stale: something there was erased.
    """

    def __init__(
        self,
        heads: Mapping[int, Head],
        hash_of: Callable[[int, int], bytes | None],
        is_below: Callable[[int, int], bool] = lambda _, __: False,
    ) -> None:
        self.is_below = is_below
        self.stale = False
        self.entries: list[Entry] = []
        self.marked: list[Entry] = []
        self._by_log: defaultdict[int, list[Entry]] = defaultdict(list)
        self._heads = heads
        self._hash_of = hash_of

    def add(self, entry: Entry) -> None:
        """Take in an entry that follows.

        Raises:
            MalformedEntryError: it was refused or erased, but still writes something.
        """
        if entry.extra:
            self._check(entry)
        self.entries.append(entry)
        self._by_log[entry.replica].append(entry)

    def mark(self, entry: Entry) -> None:
        """Take in an entry that is held already, and has come with a mark.

        Raises:
            MalformedEntryError: it was refused or erased, but still writes something.
        """
        self._check(entry)
        stored = self._heads.get(entry.replica, EMPTY_HEAD).seq
        if entry.seq <= stored:
            self.marked.append(entry)
            return
        new = self._by_log[entry.replica]
        before = new[entry.seq - stored - 1]
        new[entry.seq - stored - 1] = after = reconciled(before, entry, from_server=True)
        self.entries[self.entries.index(before)] = after

    def _check(self, entry: Entry) -> None:
        if is_neutral(entry.data):
            heads = {**self._heads, **self.ends()}
            check_inert(entry, {replica: head.seq for replica, head in heads.items()})

    def ends(self) -> dict[int, Head]:
        """Return the ends of the logs that the new entries are in."""
        return {replica: Head(new[-1].seq, new[-1].hash) for replica, new in self._by_log.items()}

    def head(self, replica: int) -> Head | Entry:
        """Return the end of a log."""
        new = self._by_log.get(replica)
        return new[-1] if new else self._heads.get(replica, EMPTY_HEAD)

    def hash_at(self, replica: int, seq: int) -> bytes | None:
        """Return the hash of an entry that is not beyond the end of its log; None if it is lost."""
        head = self.head(replica)
        if head.seq == seq:
            return head.hash
        stored = self._heads.get(replica, EMPTY_HEAD).seq
        if seq <= stored:
            return self._hash_of(replica, seq)
        return self._by_log[replica][seq - stored - 1].hash


def has_past(entry: Entry, batch: Batch) -> bool:
    """Tell whether all that an entry's author had seen of others is here.

    Raises:
        ForkError: the author saw another entry than the one held here. That is so in whatever
            order entries arrive, so all replicas refuse the same.
    """
    for replica, seq, hash_ in entry.dependencies:
        if batch.head(replica).seq < seq:
            return False
        if not batch.is_below(replica, seq) and batch.hash_at(replica, seq) != hash_:
            raise ForkError(
                f"its author saw another entry {seq} of replica {replica:x} than the one held here",
                document=entry.document,
                replica=entry.replica,
                seq=entry.seq,
            )
    return True
