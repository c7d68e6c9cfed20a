"""The audit: does every stored entry fit where it stands?"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from crdtsync.errors import (
    BrokenChainError,
    CorruptLogError,
    EntryError,
    MalformedEntryError,
    SequenceGapError,
)
from crdtsync.limits import Limits
from crdtsync.log import Entry, Head, check_follows, decode_entry
from crdtsync.replica.inbox import Batch, has_past
from crdtsync.replica.logs import DIGEST_BYTES, Row, digest_of
from crdtsync.structs import check_structs

__all__ = ["STORED", "Auditor"]

# What was written once is read whatever the limits are now.
STORED = Limits(entry_bytes_max=2**31, name_length_max=2**31, depth_max=1000)
"""Limits that every stored entry keeps."""


@dataclass(frozen=True, slots=True)
class Auditor:
    """Checks the stored rows of one document.

    Attributes:
        document: its name.
        path: the file, for what it reports.
    """

    document: str
    path: str

    def check(self, row: Row) -> None:
        """Check that a row holds the bytes that were written.

        Raises:
            CorruptLogError: it does not.
        """
        if type(row.data) is not bytes or (
            hashlib.sha256(row.data).digest()[:DIGEST_BYTES] != row.digest
        ):
            raise self.corrupt(row, "its bytes are not those that were written")

    def read(self, row: Row) -> Entry:
        """Decode a row, which must hold the entry that its place says.

        Raises:
            CorruptLogError: it does not.
        """
        if type(row.data) is not bytes:
            raise self.corrupt(row, "its bytes are not those that were written")
        try:
            entry = decode_entry(row.data, STORED)
        except MalformedEntryError as error:
            raise self.corrupt(row, error.reason) from error
        if digest_of(entry) != row.digest:
            raise self.corrupt(row, "its bytes are not those that were written")
        if (entry.document, entry.replica, entry.seq) != (self.document, row.replica, row.seq):
            raise self.corrupt(row, "another entry stands in its place")
        return entry

    def follow(self, row: Row, head: Head | Entry | None) -> Entry:
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

    def audit(
        self,
        rows: Iterable[Row],
        heads: dict[int, Head],
        hash_of: Callable[[int, int], bytes | None],
        is_below: Callable[[int, int], bool],
    ) -> Iterator[Entry | CorruptLogError]:
        """Say of every row, in the order of arrival, whether it fits.

        What follows a damaged entry in its log, or depends on one, does not fit either.

        Args:
            rows: all rows of the document.
            heads: where its logs begin; brought up to where they end.
            hash_of: returns the hash of a stored entry of a replica by its number.
            is_below: tells which entries are below where the logs begin.
        """
        known = Batch(heads, hash_of, is_below)
        for row in rows:
            try:
                entry = self.follow(row, known.head(row.replica))
                check_structs(entry)
                if not has_past(entry, known):
                    raise self.corrupt(row, "an entry that it depends on is missing")
            except CorruptLogError as error:
                yield error
            except EntryError as error:
                yield self.corrupt(row, error.reason)
            else:
                heads[entry.replica] = Head(entry.seq, entry.hash)
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
