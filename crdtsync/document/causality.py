"""Causality: what the author of an entry had seen, and what had been done at a point in time.

Every entry names the heads of other logs that became known since its author's entry before. Added
up along the logs, that is the exact causal past of each entry.

Source: Fidge, "Timestamps in Message-Passing Systems That Preserve the Partial Ordering", 1988.
"""

from __future__ import annotations

import bisect
from array import array
from typing import NamedTuple

from crdtsync.document.journal import Journal
from crdtsync.log import Dependency, Entry
from crdtsync.vector import covers

__all__ = ["Causality"]


class _Knowing(NamedTuple):
    """An entry whose author had come to know of others."""

    replica: int
    seq: int
    heads: tuple[Dependency, ...]


class Causality:
    """The causal order of a document's entries.

    The log is read when something is asked for the first time, and from then on only what is new.

    Args:
        journal: the log.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._below: dict[int, int] = {}  # where the logs begin
        self._forget()

    def _forget(self) -> None:
        self._vector: dict[int, int] = {}
        self._first: dict[int, int] = {}
        self._times: dict[int, array[int]] = {}
        self._knowing: list[_Knowing] = []
        self._known_by: dict[int, list[_Knowing]] = {}

    def _follow(self) -> None:
        held, below = self._journal.vector, self._journal.below
        if not covers(held, self._vector) or below != self._below:
            self._forget()  # damaged entries were set aside, or the logs begin elsewhere now
            self._below = dict(below)
        if held != self._vector:
            for entry in self._journal.entries(self._vector):
                self._add(entry)

    def _add(self, entry: Entry) -> None:
        replica, seq = entry.replica, entry.seq
        self._first.setdefault(replica, seq)
        times = self._times.setdefault(replica, array("Q"))
        times.append(max(entry.when, times[-1]) if times else entry.when)
        if entry.dependencies:
            knowing = _Knowing(replica, seq, entry.dependencies)
            self._knowing.append(knowing)
            self._known_by.setdefault(replica, []).append(knowing)
        self._vector[replica] = seq

    def past(self, replica: int, seq: int) -> dict[int, int]:
        """Return the state vector that an entry's author had right after making it.

        Raises:
            LookupError: the entry is not in the log.
        """
        self._follow()
        if not self._first.get(replica, seq + 1) <= seq <= self._vector.get(replica, 0):
            raise LookupError(f"entry {seq} of replica {replica:x} is not in the log")
        past: dict[int, int] = {}
        heads = [(replica, seq)]
        while heads:
            author, upto = heads.pop()
            after = past.get(author, 0)
            if upto <= after:
                continue
            past[author] = upto
            known = self._known_by.get(author, [])
            start = bisect.bisect_right(known, after, key=_seq)
            stop = bisect.bisect_right(known, upto, key=_seq)
            heads += [(head.replica, head.seq) for one in known[start:stop] for head in one.heads]
        return past

    def upto(self, time: int) -> dict[int, int]:
        """Return the state vector of the entries up to a time, by their authors' clocks.

        What an author had seen that is later than that by somebody else's clock is not in it, nor
        what was built on it.
        """
        self._follow()
        vector = {
            replica: self._first[replica] + bisect.bisect_right(times, time) - 1
            for replica, times in self._times.items()
            if times[0] <= time
        }
        for replica, seq, heads in self._knowing:  # in causal order: once through is enough
            if seq <= vector.get(replica, 0) and any(
                head.seq > max(vector.get(head.replica, 0), self._below.get(head.replica, 0))
                for head in heads
            ):
                vector[replica] = seq - 1
        return {replica: seq for replica, seq in vector.items() if seq}


def _seq(knowing: _Knowing) -> int:
    return knowing.seq
