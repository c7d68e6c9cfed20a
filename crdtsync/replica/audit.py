"""The audit: does every stored entry fit where it stands?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from crdtsync.errors import (
    BrokenChainError,
    CorruptLogError,
    EntryError,
    MalformedEntryError,
    SequenceGapError,
)
from crdtsync.limits import Limits
from crdtsync.log import EMPTY_HEAD, Entry, Head, check_follows, check_structs, decode_entry
from crdtsync.replica.inbox import is_ready
from crdtsync.replica.logs import Row

__all__ = ["Auditor"]


@dataclass(frozen=True, slots=True)
class Auditor:
    """Checks the stored rows of one document.

    Attributes:
        document: its name.
        path: the file, for what it reports.
        limits: what an entry may be.
    """

    document: str
    path: str
    limits: Limits

    def read(self, row: Row) -> Entry:
        """Decode a row, which must hold the entry that its place says.

        Raises:
            CorruptLogError: it does not.
        """
        try:
            entry = decode_entry(row.data, self.limits)
        except MalformedEntryError as error:
            raise self.corrupt(row, error.reason) from error
        if (entry.document, entry.replica, entry.seq) != (self.document, row.replica, row.seq):
            raise self.corrupt(row, "another entry stands in its place")
        return entry

    def follow(self, row: Row, head: Head | None) -> Entry:
        """Decode a row, which must follow a log's head; None where that is not known.

        Raises:
            CorruptLogError: it does not.
        """
        entry = self.read(row)
        try:
            check_follows(entry, head or Head(row.seq - 1, entry.previous_hash))
        except (SequenceGapError, BrokenChainError) as error:
            raise self.corrupt(row, error.reason) from error
        return entry

    def audit(self, rows: Iterable[Row]) -> Iterator[Entry | CorruptLogError]:
        """Say of every row, in the order of arrival, whether it fits.

        What follows a damaged entry in its log, or depends on one, does not fit either.
        """
        heads: dict[int, Head] = {}
        for row in rows:
            try:
                entry = self.follow(row, heads.get(row.replica, EMPTY_HEAD))
                check_structs(entry)
                if not is_ready(entry, heads.get(row.replica, EMPTY_HEAD), heads):
                    raise self.corrupt(row, "an entry that it depends on is missing")
            except CorruptLogError as error:
                yield error
            except EntryError as error:
                yield self.corrupt(row, error.reason)
            else:
                heads[row.replica] = Head(entry.seq, entry.hash)
                yield entry

    def corrupt(self, row: Row, reason: str) -> CorruptLogError:
        """Say what is wrong with a row."""
        return CorruptLogError(
            reason,
            path=self.path,
            document=self.document,
            replica=row.replica,
            seq=row.seq,
            position=row.position,
        )
