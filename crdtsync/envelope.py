"""Envelopes: what others have put around an entry, which its hash does not cover.

An entry goes bare, or with its author's *seal* (`crdtsync.seal`), or with a server's *clamp*
(`crdtsync.marks`), or both::

    entry
    [entry, seal]
    [clamp, seal or null, entry]

The clamp is eight bytes, the high ones first. It stands in front, so that nothing an author writes
can be taken for it.
"""

from __future__ import annotations

from typing import NamedTuple

from crdtsync.errors import MalformedEntryError

__all__ = [
    "CLAMP_MAX",
    "NEUTRAL_VERSION",
    "SEAL_BYTES",
    "Envelope",
    "is_bare",
    "is_marked",
    "is_neutral",
    "is_sealed",
    "is_wrapped",
    "unwrap",
    "wrap",
]

NEUTRAL_VERSION = 0
"""In place of the version in an entry of which only the header is left."""
SEAL_BYTES = 64
CLAMP_MAX = 2**63 - 1
"""What every storage engine's signed integers hold."""

_SEALED = b"\x82"  # an array of two: the entry, and the byte string of the seal
_CLAMPED = b"\x83"  # an array of three: two byte strings, or one and null, and the entry
_WRAPPED = (_SEALED, _CLAMPED)
_SEAL_HEAD = bytes([0x58, SEAL_BYTES])
_SEAL_SIZE = len(_SEAL_HEAD) + SEAL_BYTES
_NULL = b"\xf6"
_NEUTRAL_MARK = bytes([NEUTRAL_VERSION])
_CLAMP_BYTES = 8
_CLAMP_HEAD = bytes([0x40 | _CLAMP_BYTES])
_CLAMP_END = 2 + _CLAMP_BYTES  # of the array's head, the byte string's head, and the clamp


class Envelope(NamedTuple):
    """What there is to a stored entry: its own bytes, and what was put around them."""

    entry: bytes
    seal: bytes | None = None
    clamp: int | None = None


def is_wrapped(data: bytes) -> bool:
    """Tell whether there is anything around an entry, given its bytes as they are stored."""
    return data[:1] in _WRAPPED


def is_sealed(data: bytes) -> bool:
    """Tell whether its author's seal is there."""
    return is_wrapped(data) and unwrap(data).seal is not None


def is_neutral(data: bytes) -> bool:
    """Tell whether an entry was refused or erased."""
    version = _start(data) + 1  # behind the head of the entry's array
    return data[version : version + 1] == _NEUTRAL_MARK


def is_bare(data: bytes) -> bool:
    """Tell whether these bytes are what the entry's hash is of, and nothing else."""
    return data[:1] not in _WRAPPED and data[1:2] != _NEUTRAL_MARK


def is_marked(data: bytes) -> bool:
    """Tell whether whoever holds an entry as its author wrote it must be told."""
    return data[:1] == _CLAMPED or is_neutral(data)


def wrap(envelope: Envelope) -> bytes:
    """Return the bytes that are stored and sent.

    >>> wrap(Envelope(b"entry")), wrap(Envelope(b"entry", None, 5)).hex(" ")
    (b'entry', '83 48 00 00 00 00 00 00 00 05 f6 65 6e 74 72 79')
    """
    entry, seal, clamp = envelope
    if clamp is not None:
        mark = _CLAMP_HEAD + clamp.to_bytes(_CLAMP_BYTES, "big")
        return _CLAMPED + mark + (_NULL if seal is None else _SEAL_HEAD + seal) + entry
    return entry if seal is None else _SEALED + entry + _SEAL_HEAD + seal


def unwrap(data: bytes) -> Envelope:
    """Take a stored entry apart.

    Raises:
        MalformedEntryError: that is not what it begins as.

    >>> unwrap(wrap(Envelope(b"entry", bytes(64), 5))).entry
    b'entry'
    """
    if data[:1] == _CLAMPED:
        return _unclamp(data)
    if data[:1] != _SEALED:
        return Envelope(data)
    head = data[-_SEAL_SIZE:-SEAL_BYTES]
    if len(data) <= 1 + _SEAL_SIZE or head != _SEAL_HEAD or is_wrapped(data[1:2]):
        raise MalformedEntryError("what should be a sealed entry is none")
    return Envelope(data[1:-_SEAL_SIZE], data[-SEAL_BYTES:])


def _unclamp(data: bytes) -> Envelope:
    start = _start(data)
    mark, seal, entry = data[1:_CLAMP_END], data[_CLAMP_END:start], data[start:]
    clamp = int.from_bytes(mark[1:], "big")
    if (
        mark[:1] != _CLAMP_HEAD
        or (seal != _NULL and seal[:2] != _SEAL_HEAD)
        or not 0 < clamp <= CLAMP_MAX
        or not entry
        or is_wrapped(entry)
    ):
        raise MalformedEntryError("what should be a clamped entry is none")
    return Envelope(entry, None if seal == _NULL else seal[2:], clamp)


def _start(data: bytes) -> int:
    """Return where the entry itself begins."""
    if data[:1] == _SEALED:
        return 1
    if data[:1] != _CLAMPED:
        return 0
    return _CLAMP_END + (1 if data[_CLAMP_END : _CLAMP_END + 1] == _NULL else _SEAL_SIZE)
