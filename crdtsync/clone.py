"""Clones: a document's state with what is needed to go on from there, in place of the log below.

A clone holds the CRDT state up to a state vector and, of each log, where it ended there and whose
it is. Whoever begins with a clone can check every entry that follows, write entries of their own,
and has no entry from below.

**What a clone proves.** Where its author has sealed a log, the clone carries the seal over the end
that it names, so nobody can make up an end that its author never wrote. The state itself is the
word of whoever took it: a seal speaks of entries, not of what they add up to.

Read next: `crdtsync.server.snapshots` (who makes them), `crdtsync.replica.beginning`
(who begins there).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from crdtsync.codec import decode, encode
from crdtsync.envelope import CLAMP_MAX, SEAL_BYTES
from crdtsync.errors import CloneError, CodecError
from crdtsync.identity import is_replica_id
from crdtsync.log import HASH_BYTES, Head
from crdtsync.seal import check_seal
from crdtsync.vector import from_pairs, to_pairs

__all__ = ["CLONE_ID_BYTES", "Clone", "LogBase", "Resume", "decode_clone", "encode_clone", "id_of"]

CLONE_ID_BYTES = 32
_VERSION = 1
_DEPTH_MAX = 4
_LOG_TYPES = [int, int, bytes, int, bool]  # and three that may be null: user, key, seal


class LogBase(NamedTuple):
    """Where a log ended when the clone was taken, and whose it is.

    Attributes:
        replica: whose log.
        seq: number of its last entry.
        hash: that entry's hash.
        time: as of when that entry counts, by the hybrid logical clock.
        tip: no other entry that the clone holds depends on that one.
        user: who uses the replica, as the log says.
        key: the key that its seals are made with; None for a log without seals.
        seal: its author's over this end; None for a log without seals.
    """

    replica: int
    seq: int
    hash: bytes
    time: int
    tip: bool
    user: str | None = None
    key: bytes | None = None
    seal: bytes | None = None

    @property
    def head(self) -> Head:
        """The log's head."""
        return Head(self.seq, self.hash)


class Clone(NamedTuple):
    """A document's state up to a state vector.

    Attributes:
        document: its name.
        logs: where each log ended.
        clocks: the CRDT clocks that the state must give once loaded.
        clamps: the times as of which clamped entries in it count, by (replica, seq).
        state: a Yjs v1 update of the whole state.
    """

    document: str
    logs: Mapping[int, LogBase]
    clocks: Mapping[int, int]
    clamps: Mapping[tuple[int, int], int]
    state: bytes

    @property
    def vector(self) -> dict[int, int]:
        """The entries it holds."""
        return {replica: base.seq for replica, base in self.logs.items()}


class Resume(NamedTuple):
    """How much of a clone has arrived.

    Attributes:
        id: of the clone, 32 bytes.
        held: how many of its bytes, from the first one on.
    """

    id: bytes
    held: int


def id_of(data: bytes) -> bytes:
    """Return what names an encoded clone, and shows that all of it has come."""
    return hashlib.sha256(data).digest()


def encode_clone(clone: Clone) -> bytes:
    """Encode a clone; equal clones give equal bytes.

    >>> clone = Clone("board/1", {7: LogBase(7, 1, bytes(32), 0, True)}, {7: 2}, {}, b"state")
    >>> decode_clone(encode_clone(clone)) == clone
    True
    """
    logs = [tuple(base) for _, base in sorted(clone.logs.items())]
    clamps = [(*entry, clamp) for entry, clamp in sorted(clone.clamps.items())]
    return encode((_VERSION, clone.document, logs, to_pairs(clone.clocks), clamps, clone.state))


def decode_clone(data: bytes) -> Clone:
    """Read a clone from its bytes, trusting nothing but the state, which the CRDT is to check.

    Raises:
        CloneError: the bytes are no clone, or a seal in it is missing or false.
    """
    try:
        fields = decode(data, depth_max=_DEPTH_MAX)
    except CodecError as error:
        raise CloneError(str(error)) from error
    if (
        type(fields) is not list
        or list(map(type, fields)) != [int, str, list, list, list, bytes]
        or fields[0] != _VERSION
    ):
        raise CloneError(f"it is no clone of version {_VERSION}")
    _, document, items, pairs, marks, state = fields
    logs: dict[int, LogBase] = {}
    for item in items:
        base = _read_base(document, item)
        if base.replica in logs:
            raise CloneError(f"the log of replica {base.replica:x} ends twice", document=document)
        logs[base.replica] = base
    try:
        clocks = from_pairs(pairs)
    except ValueError as error:
        raise CloneError(f"its clocks: {error}", document=document) from error
    clamps: dict[tuple[int, int], int] = {}
    for mark in marks:
        if type(mark) is not list or list(map(type, mark)) != [int, int, int]:
            raise CloneError("a clamp in it is none", document=document)
        replica, seq, clamp = mark
        if replica not in logs or not 0 < seq <= logs[replica].seq or not 0 < clamp <= CLAMP_MAX:
            raise CloneError("a clamp in it is none", document=document)
        clamps[replica, seq] = clamp
    return Clone(document, logs, clocks, clamps, state)


def _read_base(document: str, item: Any) -> LogBase:
    if type(item) is not list or len(item) != len(LogBase._fields):
        raise CloneError("where a log ends is not told in full", document=document)
    base = LogBase(*item)
    if not (
        list(map(type, base[:5])) == _LOG_TYPES
        and is_replica_id(base.replica)
        and base.seq > 0
        and len(base.hash) == HASH_BYTES
        and 0 <= base.time < 2**64
        and (base.user is None or type(base.user) is str)
        and (base.key is None or type(base.key) is bytes)
        and (base.seal is None or (type(base.seal) is bytes and len(base.seal) == SEAL_BYTES))
    ):
        raise CloneError("where a log ends has the wrong type or range", document=document)
    if base.key is not None and not (
        base.seal is not None and check_seal(base.key, document, base.replica, base.head, base.seal)
    ):
        raise CloneError(
            f"its author has not sealed the log of replica {base.replica:x} up to {base.seq}",
            document=document,
        )
    return base
