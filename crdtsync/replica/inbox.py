"""The inbox: which of the entries that come in can be stored now.

An entry is admitted when the entry before it in its log and everything that its author had seen
are here; until then it is held back, in memory and in bounds. The server's order is causal, so
little is ever held; bundles, merges and hostile peers are not so kind.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from crdtsync.errors import EntryError, ForkError, MalformedEntryError, SequenceGapError
from crdtsync.limits import Limits
from crdtsync.log import EMPTY_HEAD, Entry, Head, check_follows, check_structs, decode_entry

__all__ = ["Admitted", "Inbox", "is_ready"]


class Admitted(NamedTuple):
    """What became of some entries.

    Attributes:
        entries: those that can be stored now, in causal order.
        heads: the ends of the logs that they are in.
        failure: why it stopped before the end, if it did.
    """

    entries: list[Entry]
    heads: dict[int, Head]
    failure: EntryError | None


class Inbox:
    """Admits entries to one document.

    Args:
        document: its name.
        limits: what an entry may be, and how much may be held.
        stored: returns the bytes of a stored entry of a replica by its number.
    """

    def __init__(
        self, document: str, limits: Limits, stored: Callable[[int, int], bytes | None]
    ) -> None:
        self._document = document
        self._limits = limits
        self._stored = stored
        self._held: dict[tuple[int, int], Entry] = {}
        self._held_bytes = 0

    def __len__(self) -> int:
        return len(self._held)

    def admit(self, datas: Iterable[bytes], heads: Mapping[int, Head]) -> Admitted:
        """Check entries against the ends of the logs that are stored.

        It stops at the first that cannot stand in its log.
        """
        entries: list[Entry] = []
        grown: dict[int, Head] = {}
        known: ChainMap[int, Head] = ChainMap(grown, heads)  # type: ignore[arg-type]  # never written
        try:
            for data in datas:
                entry = decode_entry(data, self._limits)
                head = grown.get(entry.replica) or heads.get(entry.replica, EMPTY_HEAD)
                if self._is_next(entry, head, known):
                    grown[entry.replica] = Head(entry.seq, entry.hash)
                    entries.append(entry)
                    if self._held:
                        self._release(known, entries)
        except EntryError as error:
            return Admitted(entries, grown, error)
        return Admitted(entries, grown, None)

    def _is_next(self, entry: Entry, head: Head, known: Mapping[int, Head]) -> bool:
        if entry.document != self._document:
            raise MalformedEntryError(
                f"it belongs to document {entry.document!r}", document=self._document
            )
        if entry.seq <= head.seq:
            self._check_repeat(entry, head)
            return False
        check_structs(entry)
        if not is_ready(entry, head, known):
            self._hold(entry)
            return False
        check_follows(entry, head)
        return True

    def _check_repeat(self, entry: Entry, head: Head) -> None:
        if entry.seq == head.seq:
            same = entry.hash == head.hash
        else:
            stored = self._stored(entry.replica, entry.seq)
            same = stored is None or stored == entry.data  # None: admitted just now, not yet stored
        if not same:
            raise ForkError(
                "another entry of this number is held here: the log was continued in two places",
                document=self._document,
                replica=entry.replica,
                seq=entry.seq,
            )

    def _hold(self, entry: Entry) -> None:
        name = (entry.replica, entry.seq)
        if name in self._held:
            return
        self._held[name] = entry
        self._held_bytes += len(entry.data)
        limits = self._limits
        if len(self._held) > limits.held_entries_max or self._held_bytes > limits.held_bytes_max:
            self._held.clear()
            self._held_bytes = 0
            raise SequenceGapError(
                "too many entries wait for entries before them; ask for all that is missing",
                document=self._document,
                replica=entry.replica,
                seq=entry.seq,
            )

    def _release(self, known: ChainMap[int, Head], entries: list[Entry]) -> None:
        progress = True
        while progress and self._held:
            progress = False
            for name, entry in list(self._held.items()):
                head = known.get(entry.replica, EMPTY_HEAD)
                stale = entry.seq <= head.seq
                if not stale and not is_ready(entry, head, known):
                    continue
                del self._held[name]
                self._held_bytes -= len(entry.data)
                if not stale:
                    check_follows(entry, head)
                    known[entry.replica] = Head(entry.seq, entry.hash)
                    entries.append(entry)
                    progress = True


def is_ready(entry: Entry, head: Head, heads: Mapping[int, Head]) -> bool:
    """Tell whether all that an entry follows is here.

    Raises:
        ForkError: its author saw another entry than the one held here.
    """
    if entry.seq != head.seq + 1:
        return False
    for replica, seq, hash_ in entry.dependencies:
        known = heads.get(replica, EMPTY_HEAD)
        if known.seq < seq:
            return False
        if known.seq == seq and known.hash != hash_:
            raise ForkError(
                f"its author saw another entry {seq} of replica {replica:x} than the one held here",
                document=entry.document,
                replica=entry.replica,
                seq=entry.seq,
            )
    return True
