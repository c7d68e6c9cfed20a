"""Who wrote which characters of a text.

The CRDT keeps for every character which client wrote it and at which of that client's clocks; the
log says which entry holds that clock. So the answer is exact, however many wrote at once.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any, NamedTuple

import pycrdt

from crdtsync.clock import to_datetime
from crdtsync.document.ids import Ids, units_of, within
from crdtsync.document.journal import Journal
from crdtsync.log import Entry
from crdtsync.structs import check_structs

__all__ = ["Authored", "authors"]


class Authored(NamedTuple):
    """Characters that one entry put into a text.

    Attributes:
        start: index of the first one in the text.
        text: they themselves.
        replica: who wrote them: id of the replica, or of the front end.
        user: who used that replica, where known.
        seq: number of the entry; None where that is not held here.
        time: when they were written; None likewise.
    """

    start: int
    text: str
    replica: int
    user: str | None
    seq: int | None
    time: datetime.datetime | None


class Origins:
    """Finds the entry in which a CRDT clock lies.

    The clocks of a log's entries rise, so a few of them are looked at.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._begins: dict[tuple[int, int], int | None] = {}

    def find(self, replica: int, clock: int) -> tuple[Entry | None, int | None]:
        """Return the entry that wrote a clock of a replica, and the first clock after that entry.

        None in place of an entry that is not held, and where there is no clock after it.
        """
        seq = self._last_upto(replica, clock)
        last = self._journal.vector.get(replica, 0)
        begins = (self._begin(replica, later) for later in range(seq + 1, last + 1))
        entry = self._journal.at(replica, seq) if seq else None
        return entry, next((begin for begin in begins if begin is not None), None)

    def _last_upto(self, replica: int, clock: int) -> int:
        """Return the number of the last entry that begins no later than a clock; 0 if none does."""
        answer, low, high = 0, 0, self._journal.vector.get(replica, 0)
        while low < high:
            middle = (low + high + 1) // 2
            found = self._begin_upto(replica, middle, low)
            if found is None:
                low = middle
            elif found[1] <= clock:
                answer, low = found[0], middle
            else:
                high = found[0] - 1
        return answer

    def _begin_upto(self, replica: int, seq: int, after: int) -> tuple[int, int] | None:
        """Return the last entry up to a number that writes anything, and where it begins."""
        for number in range(seq, after, -1):
            begin = self._begin(replica, number)
            if begin is not None:
                return number, begin
        return None

    def _begin(self, replica: int, seq: int) -> int | None:
        name = (replica, seq)
        if name not in self._begins:
            entry = self._journal.at(replica, seq)
            self._begins[name] = None if entry is None else check_structs(entry)
        return self._begins[name]


def authors(doc: pycrdt.Doc[Any], path: str, journal: Journal) -> Iterator[Authored]:
    """Yield who wrote what, from the beginning of a text to its end.

    Args:
        doc: the CRDT document.
        path: name of the text in it.
        journal: the log.
    """
    origins = Origins(journal)
    pending: Authored | None = None
    for client, clock, start, text in Ids(doc, path).runs:
        for offset, part, entry in _by_entry(origins, client, clock, text):
            authored = Authored(
                start + offset,
                part,
                client,
                journal.users.get(client),
                None if entry is None else entry.seq,
                None if entry is None else to_datetime(entry.when),
            )
            if pending is not None and _continues(pending, authored):
                pending = pending._replace(text=pending.text + part)
                continue
            if pending is not None:
                yield pending
            pending = authored
    if pending is not None:
        yield pending


def _continues(one: Authored, other: Authored) -> bool:
    adjacent = one.start + len(one.text) == other.start
    return adjacent and (one.replica, one.seq) == (other.replica, other.seq)


def _by_entry(
    origins: Origins, client: int, clock: int, text: str
) -> Iterator[tuple[int, str, Entry | None]]:
    """Cut a run of ids where one entry ends and the next one begins."""
    start = 0
    while start < len(text):
        entry, end = origins.find(client, clock)
        stop = len(text) if end is None else start + within(text, start, end - clock)
        yield start, text[start:stop], entry
        clock += units_of(text[start:stop])
        start = stop
