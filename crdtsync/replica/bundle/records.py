"""Records: what a bundle is made of, and how they stand in the file.

A bundle is a magic line and then records, each of them::

    length (4 bytes, big-endian) · payload (CBOR, `length` bytes) · digest (16 bytes)

A digest is the beginning of the SHA-256 of the digest before it and the payload, so a record that
is damaged, missing, doubled or out of place is found where it stands, and nothing behind it is
read. It is no signature: whoever changes a bundle on purpose can make digests that fit. Against
them stand the seals of the entries.

The order is: one `Header`, a `Contents` for each document, `Part`s of entries, and an `End`. So
whoever has the beginning of a bundle knows what is missing. `docs/bundle.cddl` has it in CDDL.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple, TypeAlias

from crdtsync.codec import decode, encode
from crdtsync.errors import BundleError, CodecError, LimitError
from crdtsync.identity import is_replica_id
from crdtsync.log import Head

__all__ = [
    "MAGIC",
    "RECORD_BYTES_MAX",
    "Contents",
    "End",
    "Header",
    "Part",
    "Record",
    "RecordWriter",
    "read_records",
]

MAGIC = b"crdtsync bundle 1\n"
"""How a bundle begins; the number is the version of all that follows."""
RECORD_BYTES_MAX = 4 * 1024 * 1024
"""The largest payload: about eight of the largest entries, or the heads of 80,000 logs."""

_LENGTH_BYTES = 4
_DIGEST_BYTES = 16
_HASH_BYTES = 32
_READ_BYTES = 64 * 1024


class Header(NamedTuple):
    """What is in the bundle.

    Attributes:
        replica: who made it.
        documents: of how many documents.
        entries: how many in all.
    """

    replica: int
    documents: int
    entries: int


class Contents(NamedTuple):
    """One document.

    Attributes:
        document: its name.
        heads: the ends of its logs.
        description: what its class was when it was opened last, from `Schema.describe`; None if
            that is not known.
    """

    document: str
    heads: dict[int, Head]
    description: Any


class Part(NamedTuple):
    """Some entries of one document, in causal order.

    Attributes:
        document: the number of its `Contents`, from 0 on.
        entries: as they are stored and sent.
    """

    document: int
    entries: list[bytes]


class End(NamedTuple):
    """The end: nothing is missing.

    Attributes:
        entries: how many there were.
    """

    entries: int


Record: TypeAlias = Header | Contents | Part | End


def _to_wire(record: Record) -> list[Any]:
    match record:
        case Header(replica, documents, entries):
            return [0, replica, documents, entries]
        case Contents(document, heads, description):
            ends = [[replica, *head] for replica, head in sorted(heads.items())]
            return [1, document, ends, description]
        case Part(document, entries):
            return [2, document, entries]
        case End(entries):
            return [3, entries]


def _from_wire(items: Any) -> Record:
    """Read a record.

    Raises:
        ValueError: it is none.
    """
    match items:
        case [0, int(replica), int(documents), int(entries)] if (
            is_replica_id(replica) and documents >= 0 and entries >= 0
        ):
            return Header(replica, documents, entries)
        case [1, str(document), list(heads), description]:
            ends = dict(map(_read_head, heads))
            if len(ends) == len(heads):
                return Contents(document, ends, description)
        case [2, int(document), list(entries)] if all(type(data) is bytes for data in entries):
            return Part(document, entries)
        case [3, int(entries)]:
            return End(entries)
    raise ValueError("no record of a bundle of this version")


def _read_head(item: Any) -> tuple[int, Head]:
    match item:
        case [int(replica), int(seq), bytes(hash_)] if (
            is_replica_id(replica) and seq > 0 and len(hash_) == _HASH_BYTES
        ):
            return replica, Head(seq, hash_)
    raise ValueError("the end of a log is not [replica, seq, hash]")


class RecordWriter:
    """Writes a bundle.

    Args:
        file: where to.

    Attributes:
        size: how many bytes were written.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = _digest(b"", MAGIC)
        self.size = 0
        self._write(MAGIC)

    def write(self, record: Record) -> None:
        """Write a record.

        Raises:
            LimitError: it is larger than a reader accepts.
        """
        payload = encode(_to_wire(record))
        if len(payload) > RECORD_BYTES_MAX:
            what = "the size in bytes of a record of a bundle"
            raise LimitError("RECORD_BYTES_MAX", RECORD_BYTES_MAX, len(payload), what)
        self._digest = _digest(self._digest, payload)
        self._write(len(payload).to_bytes(_LENGTH_BYTES) + payload + self._digest)

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:  # a raw file may take less than it is given
            rest = rest[self._file.write(rest) :]
        self.size += len(data)


def read_records(file: BinaryIO, path: str) -> Iterator[Record]:
    """Yield the records of a bundle up to its end, trusting nothing.

    Args:
        file: where from.
        path: what it is called.

    Raises:
        BundleError: it is no bundle, damaged, or cut off. What was yielded is as it was written.
    """
    stream = _Stream(file, path)
    if stream.read(len(MAGIC)) != MAGIC:
        raise BundleError("this is not a bundle of a version that this crdtsync reads", path=path)
    digest = _digest(b"", MAGIC)
    record: Record | None = None
    while not isinstance(record, End):
        stream.begin()
        length = int.from_bytes(stream.read(_LENGTH_BYTES))
        if length > RECORD_BYTES_MAX:
            raise stream.error("it is damaged")
        payload = stream.read(length)
        digest = _digest(digest, payload)
        if stream.read(_DIGEST_BYTES) != digest:
            raise stream.error("it is damaged")
        try:
            record = _from_wire(decode(payload))
        except (CodecError, ValueError) as error:
            raise stream.error(str(error)) from error
        yield record
    stream.begin()
    if stream.has_more():
        raise stream.error("something stands behind its end")


class _Stream:
    """Reads exactly, and knows where."""

    def __init__(self, file: BinaryIO, path: str) -> None:
        self._file = file
        self._path = path
        self._position = 0
        self._begun = 0

    def begin(self) -> None:
        """Note that a record begins here."""
        self._begun = self._position

    def read(self, size: int) -> bytes:
        parts = []
        while size:
            part = self._file.read(min(size, _READ_BYTES))
            if not part:
                raise self.error("it is cut off")
            parts.append(part)
            self._position += len(part)
            size -= len(part)
        return b"".join(parts)

    def has_more(self) -> bool:
        return bool(self._file.read(1))

    def error(self, reason: str) -> BundleError:
        return BundleError(reason, path=self._path, position=self._begun)


def _digest(before: bytes, payload: bytes) -> bytes:
    return hashlib.sha256(before + payload).digest()[:_DIGEST_BYTES]
