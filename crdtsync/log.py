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
from crdtsync.envelope import (
    NEUTRAL_VERSION,
    Envelope,
    is_neutral,
    is_wrapped,
    unwrap,
    wrap,
)
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
    "ERASED",
    "REFUSED",
    "VERSION",
    "Cursor",
    "Dependency",
    "Entry",
    "Head",
    "check_follows",
    "decode_entries",
    "decode_entry",
    "hash_of",
    "make_entry",
    "with_clamp",
    "with_seal",
]

VERSION = 1
REFUSED, ERASED = "refused", "erased"
"""Under one of these names the `extra` of such an entry says why."""
HASH_BYTES = 32
EMPTY_UPDATE = b"\x00\x00"
"""A Yjs v1 update without structs and without deletions."""

_TYPES = [int, str, int, int, bytes, list, int, int, str, dict, bytes, dict]
_NEUTRAL_TYPES = [*_TYPES[:9], bytes, *_TYPES[10:]]  # the hash stands where the arguments were
_SEQ_MAX = 2**53
_DEPTH_AROUND_VALUES = 2  # the entry and its arguments
_DEPTH_DECODED_MAX = 1000  # the decoder has seen to the depth
_TIME_MAX = 2**64
_LIMITS = Limits()
_ARGUMENTS_SHOWN = 100  # characters
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

    `data` is its bytes as they are stored and sent, `hash` their SHA-256 without what others have
    put around them; of a refused or erased entry, the SHA-256 of what it was before (see
    `crdtsync.refusal`). `seal` is its author's signature, if it bears one: it covers all of the log
    up to here (`crdtsync.seal`). `clamp` is a server's, if its author's clock was far ahead
    (`crdtsync.marks`).
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
    clamp: int | None = None

    def __repr__(self) -> str:
        said = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        if len(said) > _ARGUMENTS_SHOWN:
            said = said[:_ARGUMENTS_SHOWN] + "…"
        return f"<Entry {self.replica:x}:{self.seq} of {self.document!r}: {self.name}({said})>"

    @property
    def when(self) -> int:
        """The time that counts: the author's, or an earlier one where a server has clamped it."""
        return self.time if self.clamp is None else self.clamp

    @property
    def user(self) -> str | None:
        """The user a log's first entry names; None for the others."""
        user = self.extra.get("user")
        return user if isinstance(user, str) else None

    @property
    def refusal(self) -> str | None:
        """Why the entry was refused, so that it is kept without effect; None if it was not."""
        return self.extra.get(REFUSED) if self.extra and is_neutral(self.data) else None

    @property
    def erasure(self) -> str | None:
        """Why the entry's content was erased; None if it was not."""
        return self.extra.get(ERASED) if self.extra and is_neutral(self.data) else None


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
    return _new(Entry, (*fields[1:], data, hashlib.sha256(data).digest(), None, None))


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
    if is_wrapped(data):
        envelope = unwrap(data)
        return _enveloped(decode_entry(envelope.entry, limits), data, envelope)
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
    if any(map(is_wrapped, datas)):
        return _decode_wrapped_group(datas, limits)
    if max(map(len, datas)) <= min(_SMALL_BYTES_MAX, limits.entry_bytes_max):
        with contextlib.suppress(CodecError):  # at least one of them is at fault: see which one
            decoded = decode_all(datas, depth_max=limits.depth_max + _DEPTH_AROUND_VALUES)
            return map(_entry, decoded, datas, itertools.repeat(limits))
    return map(decode_entry, datas, itertools.repeat(limits))


def _decode_wrapped_group(datas: Sequence[bytes], limits: Limits) -> Iterator[Entry]:
    bare: list[bytes] = []
    envelopes: dict[int, Envelope] = {}
    failure: MalformedEntryError | None = None
    for index, data in enumerate(datas):
        if is_wrapped(data):
            try:
                envelopes[index] = unwrap(data)
            except MalformedEntryError as error:
                failure = error
                break
            data = envelopes[index].entry  # noqa: PLW2901 - the same entry, bare
        bare.append(data)
    for index, entry in enumerate(_decode_group(bare, limits) if bare else ()):
        envelope = envelopes.get(index)
        yield entry if envelope is None else _enveloped(entry, datas[index], envelope)
    if failure is not None:
        raise failure


def _enveloped(entry: Entry, data: bytes, envelope: Envelope) -> Entry:
    """Return an entry with what stands around it."""
    if envelope.clamp is not None and envelope.clamp >= entry.time:
        raise MalformedEntryError(
            "it is clamped to no earlier time than its own",
            document=entry.document,
            replica=entry.replica,
            seq=entry.seq,
        )
    return entry._replace(data=data, seal=envelope.seal, clamp=envelope.clamp)


def with_seal(entry: Entry, seal: bytes) -> Entry:
    """Return an entry that bears a seal."""
    data = wrap(unwrap(entry.data)._replace(seal=seal))
    return entry._replace(data=data, seal=seal)


def with_clamp(entry: Entry, clamp: int | None) -> Entry:
    """Return an entry that counts as of another time, which is earlier than its author's."""
    assert clamp is None or 0 < clamp < entry.time
    data = wrap(unwrap(entry.data)._replace(clamp=clamp))
    return entry._replace(data=data, clamp=clamp)


def _entry(fields: Any, data: bytes, limits: Limits) -> Entry:
    """Check the items of an entry."""
    hash_: bytes | None = None
    if type(fields) is not list or list(map(type, fields)) != _TYPES:
        fields, hash_ = _neutral(fields), fields[9]
    version, document, replica, seq, previous, depends, time, schema, name, args, update, extra = (
        fields
    )
    if not (
        version == (VERSION if hash_ is None else NEUTRAL_VERSION)
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
            None,
        ),
    )


def _neutral(fields: Any) -> list[Any]:
    """Return the items of a refused or erased entry as those of another; raise if it is none."""
    if type(fields) is not list or list(map(type, fields)) != _NEUTRAL_TYPES:
        raise _misfit(fields)
    reasons = [fields[11][name] for name in (REFUSED, ERASED) if name in fields[11]]
    if len(fields[9]) != HASH_BYTES or list(map(type, reasons)) != [str]:
        raise _misfit(fields)
    return [*fields[:9], {}, *fields[10:]]


def hash_of(data: bytes) -> bytes:
    """Return the hash of an entry, given its bytes as they are stored."""
    with contextlib.suppress(MalformedEntryError):  # damaged: then this hash fits nothing
        data = unwrap(data).entry
        if is_neutral(data):
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
