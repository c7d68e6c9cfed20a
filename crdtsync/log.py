"""Entries: the immutable records of actions, chained by hash into one log per replica.

An entry is one deterministic CBOR array::

    [version, document, replica, seq, previous_hash, dependencies, time, schema_version,
     name, arguments, update, extra]

- `seq` counts 1, 2, 3 … without gaps within (document, replica).
- `previous_hash` is the SHA-256 of the same log's entry before it (32 zero bytes for the first).
- `dependencies` is `[[replica, seq, hash], …]`: the heads of other logs that became known since
  the entry before. With `previous_hash` it gives the exact causal past of every entry.
- `time` is the hybrid logical clock.
- `update` is a Yjs v1 update that holds structs of this replica only.
- `extra` is a dict, mostly empty; a log's first entry names its user there.

The bytes are what is stored, hashed, sent and fanned out: encoded once, never again.
Read next: `crdtsync.document` (who makes entries), `crdtsync.replica` (who keeps them).
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from crdtsync.codec import FLAT, check_value, decode, decode_all, encode
from crdtsync.errors import (
    BrokenChainError,
    CodecError,
    LimitError,
    MalformedEntryError,
    SequenceGapError,
)
from crdtsync.identity import REPLICA_ID_MAX, is_replica_id
from crdtsync.limits import Limits

__all__ = [
    "EMPTY_HEAD",
    "EMPTY_UPDATE",
    "VERSION",
    "Cursor",
    "Dependency",
    "Entry",
    "Head",
    "check_follows",
    "decode_entries",
    "decode_entry",
    "hash_of",
    "is_refused",
    "is_sealed",
    "make_entry",
    "with_seal",
]

VERSION = 1
REFUSED_VERSION = 0
"""In place of the version in an entry of which only the header is left."""
REFUSED = "refused"
"""Under this name the `extra` of such an entry says why."""
HASH_BYTES = 32
EMPTY_UPDATE = b"\x00\x00"
"""A Yjs v1 update without structs and without deletions."""

_TYPES = [int, str, int, int, bytes, list, int, int, str, dict, bytes, dict]
SEAL_BYTES = 64
_SEALED = b"\x82"  # an array of two: the entry, and the byte string of the seal
_SEAL_HEAD = bytes([0x58, SEAL_BYTES])
_SEAL_OVERHEAD = 1 + len(_SEAL_HEAD) + SEAL_BYTES
_REFUSED_MARK = bytes([REFUSED_VERSION])
_REFUSED_TYPES = [*_TYPES[:9], bytes, *_TYPES[10:]]  # the hash stands where the arguments were
_SEQ_MAX = 2**53
_DEPTH_AROUND_VALUES = 2  # the entry and its arguments
_DEPTH_DECODED_MAX = 1000  # the decoder has seen to the depth
_TIME_MAX = 2**64
_LIMITS = Limits()
_new = tuple.__new__  # of a named tuple: at half the cost of its own constructor
# What is decoded together is all in memory before the first of it is checked.
_TOGETHER = 64
_SMALL_BYTES_MAX = 4096


class Head(NamedTuple):
    """The end of a log: its last number and that entry's hash."""

    seq: int
    hash: bytes


EMPTY_HEAD = Head(0, bytes(HASH_BYTES))


class Dependency(NamedTuple):
    """The head of another replica's log that an entry's author had come to know."""

    replica: int
    seq: int
    hash: bytes


class Cursor(NamedTuple):
    """Where a connection has got to in a server's log of a document.

    `epoch` names one incarnation of that log; in another one the offset means nothing.
    """

    epoch: bytes
    offset: int


class Entry(NamedTuple):
    """One action as it stands in a log.

    `data` is its bytes as they are stored and sent, `hash` their SHA-256 without a seal; of a
    refused entry, the SHA-256 of what it was before (see `crdtsync.refusal`). `seal` is its
    author's signature, if it bears one: it covers all of the log up to here (`crdtsync.seal`).
    """

    document: str
    replica: int
    seq: int
    previous_hash: bytes
    dependencies: tuple[Dependency, ...]
    time: int
    schema_version: int
    name: str
    arguments: dict[str, Any]
    update: bytes
    extra: dict[str, Any]
    data: bytes
    hash: bytes
    seal: bytes | None = None

    @property
    def user(self) -> str | None:
        """The user a log's first entry names; None for the others."""
        user = self.extra.get("user")
        return user if isinstance(user, str) else None

    @property
    def refusal(self) -> str | None:
        """Why the entry is kept without effect; None if it is as its author wrote it."""
        return self.extra.get(REFUSED, "") if is_refused(self.data) else None


def make_entry(
    document: str,
    replica: int,
    head: Head,
    time: int,
    name: str,
    update: bytes,
    *,
    dependencies: tuple[Dependency, ...] = (),
    schema_version: int = 1,
    arguments: dict[str, Any] | None = None,
    extra: dict[str, Any] | None = None,
    limits: Limits = _LIMITS,
) -> Entry:
    """Make the entry that follows `head`.

    Raises:
        LimitError: the entry, its name or its arguments are larger than the limits allow.
        TypeError, ValueError: the arguments cannot be encoded.
    """
    if len(name) > limits.name_length_max:
        raise LimitError("name_length_max", limits.name_length_max, len(name), "an action's name")
    arguments = arguments or {}
    extra = extra or {}
    seq = head.seq + 1
    fields = (
        VERSION,
        document,
        replica,
        seq,
        head.hash,
        dependencies,
        time,
        schema_version,
        name,
        arguments,
        update,
        extra,
    )
    # One key has one order: such arguments are encoded alike with and without sorting.
    flat = not extra and len(arguments) <= 1 and FLAT.issuperset(map(type, arguments.values()))
    data = encode(fields, flat=flat)
    if len(data) > limits.argument_bytes_max or len(data) > limits.entry_bytes_max:
        _check_size(name, arguments, data, limits)
    return _new(Entry, (*fields[1:], data, hashlib.sha256(data).digest(), None))


def _check_size(name: str, arguments: dict[str, Any], data: bytes, limits: Limits) -> None:
    size = len(encode(arguments))
    if size > limits.argument_bytes_max:
        what = f"the size in bytes of the arguments of action {name!r}"
        raise LimitError("argument_bytes_max", limits.argument_bytes_max, size, what)
    if len(data) > limits.entry_bytes_max:
        what = f"the size in bytes of action {name!r} (split it into several)"
        raise LimitError("entry_bytes_max", limits.entry_bytes_max, len(data), what)


def decode_entry(data: bytes, limits: Limits = _LIMITS) -> Entry:
    """Read an entry from its bytes, trusting nothing.

    Raises:
        MalformedEntryError: the bytes are not an entry of a version we know, or too large.
    """
    if data[:1] == _SEALED:
        bare, seal = _unseal(data)
        return decode_entry(bare, limits)._replace(data=data, seal=seal)
    if len(data) > limits.entry_bytes_max:
        raise MalformedEntryError(
            f"{len(data):,} bytes, more than entry_bytes_max={limits.entry_bytes_max:,}"
        )
    try:
        fields = decode(data, depth_max=limits.depth_max + _DEPTH_AROUND_VALUES)
    except CodecError as error:
        raise MalformedEntryError(str(error)) from error
    return _entry(fields, data, limits)


def decode_entries(datas: Sequence[bytes], limits: Limits = _LIMITS) -> Iterator[Entry]:
    """Read entries one after the other, each as `decode_entry` does, but faster.

    Raises:
        MalformedEntryError: when it comes to bytes that are no entry.
    """
    groups = (datas[at : at + _TOGETHER] for at in range(0, len(datas), _TOGETHER))
    return itertools.chain.from_iterable(_decode_group(group, limits) for group in groups)


def _decode_group(datas: Sequence[bytes], limits: Limits) -> Iterator[Entry]:
    if any(data[:1] == _SEALED for data in datas):
        return _decode_sealed_group(datas, limits)
    if max(map(len, datas)) <= min(_SMALL_BYTES_MAX, limits.entry_bytes_max):
        with contextlib.suppress(CodecError):  # at least one of them is at fault: see which one
            decoded = decode_all(datas, depth_max=limits.depth_max + _DEPTH_AROUND_VALUES)
            return map(_entry, decoded, datas, itertools.repeat(limits))
    return map(decode_entry, datas, itertools.repeat(limits))


def _decode_sealed_group(datas: Sequence[bytes], limits: Limits) -> Iterator[Entry]:
    bare: list[bytes] = []
    seals: dict[int, bytes] = {}
    failure: MalformedEntryError | None = None
    for index, data in enumerate(datas):
        if data[:1] == _SEALED:
            try:
                data, seals[index] = _unseal(data)  # noqa: PLW2901 - the same entry, bare
            except MalformedEntryError as error:
                failure = error
                break
        bare.append(data)
    for index, entry in enumerate(_decode_group(bare, limits) if bare else ()):
        seal = seals.get(index)
        yield entry if seal is None else entry._replace(data=datas[index], seal=seal)
    if failure is not None:
        raise failure


def _unseal(data: bytes) -> tuple[bytes, bytes]:
    """Return a sealed entry's bare bytes, and the seal."""
    head = data[-_SEAL_OVERHEAD + 1 : -SEAL_BYTES]
    if len(data) <= _SEAL_OVERHEAD or head != _SEAL_HEAD or data[1:2] == _SEALED:
        raise MalformedEntryError("what should be a sealed entry is none")
    return data[1 : -_SEAL_OVERHEAD + 1], data[-SEAL_BYTES:]


def with_seal(entry: Entry, seal: bytes) -> Entry:
    """Return an entry that bears a seal: as stored and sent, the array of both."""
    bare = entry.data if entry.seal is None else _unseal(entry.data)[0]
    return entry._replace(data=_SEALED + bare + _SEAL_HEAD + seal, seal=seal)


def _entry(fields: Any, data: bytes, limits: Limits) -> Entry:
    """Check the items of an entry."""
    hash_: bytes | None = None
    if type(fields) is not list or list(map(type, fields)) != _TYPES:
        fields, hash_ = _refused(fields), fields[9]
    version, document, replica, seq, previous, depends, time, schema, name, args, update, extra = (
        fields
    )
    if not (
        version == (VERSION if hash_ is None else REFUSED_VERSION)
        and 0 < replica <= REPLICA_ID_MAX
        and 0 < seq <= _SEQ_MAX
        and len(previous) == HASH_BYTES
        and 0 <= time < _TIME_MAX
        and len(name) <= limits.name_length_max
        and len(document) <= limits.name_length_max
    ):
        raise _misfit(fields)
    for key, value in args.items():
        if type(value) not in FLAT or type(key) is not str:
            _check_arguments(args)
            break
    depends = tuple(map(_decode_dependency, depends)) if depends else ()
    return _new(
        Entry,
        (
            document,
            replica,
            seq,
            previous,
            depends,
            time,
            schema,
            name,
            args,
            update,
            extra,
            data,
            hashlib.sha256(data).digest() if hash_ is None else hash_,
            None,
        ),
    )


def _refused(fields: Any) -> list[Any]:
    """Return the items of a refused entry as those of another; raise if it is none."""
    if type(fields) is not list or list(map(type, fields)) != _REFUSED_TYPES:
        raise _misfit(fields)
    if len(fields[9]) != HASH_BYTES or type(fields[11].get(REFUSED)) is not str:
        raise _misfit(fields)
    return [*fields[:9], {}, *fields[10:]]


def is_refused(data: bytes) -> bool:
    """Tell whether an entry is kept without effect, given its bytes."""
    return (data[2:3] if data[:1] == _SEALED else data[1:2]) == _REFUSED_MARK


def is_sealed(data: bytes) -> bool:
    """Tell whether an entry bears a seal, given its bytes."""
    return data[:1] == _SEALED


def hash_of(data: bytes) -> bytes:
    """Return the hash of an entry, given its bytes as they are stored."""
    with contextlib.suppress(MalformedEntryError):  # damaged: then this hash fits nothing
        if data[:1] == _SEALED:
            data = _unseal(data)[0]
        if is_refused(data):
            return decode_entry(data).hash
    return hashlib.sha256(data).digest()


def _misfit(fields: Any) -> MalformedEntryError:
    """Say why an item that was decoded is no entry."""
    if type(fields) is not list or len(fields) != len(_TYPES):
        return MalformedEntryError(f"not an array of {len(_TYPES)} items")
    version = fields[0]
    if type(version) is not int or version != VERSION:
        return MalformedEntryError(f"entry version {version!r}; this crdtsync knows {VERSION}")
    return MalformedEntryError("an item has the wrong type or range")


def _check_arguments(arguments: dict[str, Any]) -> None:
    try:
        check_value(arguments, depth_max=_DEPTH_DECODED_MAX)
    except (TypeError, ValueError) as error:
        raise MalformedEntryError(f"its arguments: {error}") from error


def _decode_dependency(item: Any) -> Dependency:
    if type(item) is list and len(item) == 3:  # noqa: PLR2004 - replica, seq, hash
        replica, seq, hash_ = item
        if (
            is_replica_id(replica)
            and type(seq) is int
            and seq > 0
            and type(hash_) is bytes
            and len(hash_) == HASH_BYTES
        ):
            return Dependency(replica, seq, hash_)
    raise MalformedEntryError("a dependency is not [replica, seq, hash]")


def check_follows(entry: Entry, head: Head | Entry) -> None:
    """Check that an entry is the next one after a log's head, or after the entry that is.

    Raises:
        SequenceGapError: entries between `head` and this one are missing.
        BrokenChainError: it has the next number, but was chained to something else.
    """
    if entry.seq != head.seq + 1:
        raise SequenceGapError(
            f"expected entry {head.seq + 1} next",
            document=entry.document,
            replica=entry.replica,
            seq=entry.seq,
        )
    if entry.previous_hash != head.hash:
        raise BrokenChainError(
            f"it follows another entry {head.seq} than the one held here",
            document=entry.document,
            replica=entry.replica,
            seq=entry.seq,
        )
