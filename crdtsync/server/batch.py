"""Entries on their way to many connections: encoded once, the same bytes object for all.

A batch is a run of a document's entries in one Entries frame. It follows from nothing but the log:
the same offset always begins a batch with the same entries, so batches can be kept and shared by
whoever happens to be at that offset.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from crdtsync.server.backend import Row
from crdtsync.sync import Entries, encode_frame

__all__ = ["Batch", "BatchCache", "encode_entries", "fitting"]

_ENTRY_OVERHEAD_BYTES = 5  # the CBOR head of a byte string of up to 4 GiB
_FRAME_OVERHEAD_BYTES = 64  # array, type, two offsets, and the heads of the name and the list
_BATCH_OVERHEAD_BYTES = 512  # what the cache itself needs for one, roughly


class Batch:
    """A run of entries, encoded.

    Attributes:
        document: whose entries.
        after: the offset it goes on from.
        upto: the offset of its last entry.
        payload: the encoded Entries frame.
        tops: for each log in it, its highest number.
        marked: there are marked entries in it, of which those who hold them must be told.
        count: how many entries there are in it.
    """

    __slots__ = ("_advance", "after", "count", "document", "marked", "payload", "tops", "upto")

    def __init__(self, document: str, after: int, rows: Sequence[Row]) -> None:
        self.document = document
        self.after = after
        self.upto = rows[-1].offset
        self.payload = encode_entries(document, after, self.upto, (row.data for row in rows))
        self.count = len(rows)
        self.tops = {row.replica: row.seq for row in rows}
        self.marked = any(row.is_marked for row in rows)
        self._advance: bytes | None = None

    @property
    def advance(self) -> bytes:
        """The frame that moves the cursor as far, for those who hold all these entries."""
        if self._advance is None:
            self._advance = encode_entries(self.document, self.after, self.upto, ())
        return self._advance


def encode_entries(document: str, after: int, upto: int, datas: Iterable[bytes]) -> bytes:
    """Encode an Entries frame."""
    return encode_frame(Entries(document, after, upto, tuple(datas)))


def fitting(rows: Sequence[Row], document: str, frame_bytes_max: int) -> int:
    """Return how many of the rows go into one frame: at least one, however large it is."""
    room = frame_bytes_max - _FRAME_OVERHEAD_BYTES - len(document.encode())
    for count, row in enumerate(rows):
        room -= len(row.data) + _ENTRY_OVERHEAD_BYTES
        if room < 0:
            return max(count, 1)
    return len(rows)


class BatchCache:
    """The batches used last, up to a number of bytes, by document and offset.

    Attributes:
        bytes: how many they have now.
    """

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self.bytes = 0
        self._batches: dict[tuple[str, int], Batch] = {}

    def get(self, document: str, after: int) -> Batch | None:
        """Return the batch that goes on from an offset, if it is kept."""
        batch = self._batches.pop((document, after), None)
        if batch is not None:
            # Taken out and put back, so that the first one is always the one unused for longest.
            self._batches[document, after] = batch
        return batch

    def forget(self, document: str) -> None:
        """Keep no batch of a document: some of what is in them has changed."""
        for key in [key for key in self._batches if key[0] == document]:
            self.bytes -= _size(self._batches.pop(key))

    def put(self, batch: Batch) -> None:
        """Keep a batch, at the cost of those unused for longest."""
        key = batch.document, batch.after
        replaced = self._batches.pop(key, None)
        if replaced is not None:
            self.bytes -= _size(replaced)
        self._batches[key] = batch
        self.bytes += _size(batch)
        while self.bytes > self._bytes_max and len(self._batches) > 1:
            self.bytes -= _size(self._batches.pop(next(iter(self._batches))))


def _size(batch: Batch) -> int:
    return len(batch.payload) + _BATCH_OVERHEAD_BYTES
