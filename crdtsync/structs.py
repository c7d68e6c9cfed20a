"""Structs: in whose name an entry's CRDT update writes.

Whoever writes an entry may add to the CRDT as itself only, beginning where its log left off. That
is seen from the first few numbers of the update, before the CRDT library reads any of it.

Read next: `crdtsync.update`, which looks further into an update.
"""

from __future__ import annotations

import functools

from crdtsync.errors import ForeignStructsError, MalformedEntryError
from crdtsync.log import Entry
from crdtsync.update import NESTING_MAX, nests_too_deeply

__all__ = ["begin_of_structs", "check_structs", "varuint"]

_VARUINT_MORE = 0x80
_VARUINT_BITS_MAX = 63  # a client id has 53 bits: what is longer is no update


def check_structs(entry: Entry) -> int | None:
    """Check that an entry's update writes in its own replica's name only.

    Returns:
        The CRDT clock at which its structs begin; None if it only deletes.

    Raises:
        ForeignStructsError: it holds structs of another replica.
        MalformedEntryError: the update is cut short, or nests values so deeply, or so strangely,
            that reading it might end the process.
    """
    if nests_too_deeply(entry.update):
        raise MalformedEntryError(
            f"its CRDT update nests values deeper than {NESTING_MAX}, or cannot be read",
            document=entry.document,
            replica=entry.replica,
            seq=entry.seq,
        )
    return begin_of_structs(entry)


def begin_of_structs(entry: Entry) -> int | None:
    """Return what `check_structs` returns, of an entry that it has checked.

    The first four varuints of a Yjs v1 update are (sections, structs, client, clock); an update of
    one transaction has a section for each client that wrote, so ours has one at the most.
    """
    update = entry.update
    try:
        if update[0] == 1 and update[1] < _VARUINT_MORE:
            name = varuint(entry.replica)
            if update.startswith(name, 2):  # what honest replicas write
                return _read_varuint(update, 2 + len(name))[0]
        sections, at = _read_varuint(update, 0)
        if sections == 0:
            return None
        _, at = _read_varuint(update, at)
        client, at = _read_varuint(update, at)
        clock, at = _read_varuint(update, at)
    except IndexError as error:
        raise MalformedEntryError(
            "its CRDT update is cut short",
            document=entry.document,
            replica=entry.replica,
            seq=entry.seq,
        ) from error
    if sections != 1 or client != entry.replica:
        raise ForeignStructsError(
            f"its CRDT update writes in the name of replica {client:x}"
            if sections == 1
            else f"its CRDT update writes in the name of {sections} replicas",
            document=entry.document,
            replica=entry.replica,
            seq=entry.seq,
        )
    return clock


@functools.lru_cache(4096)
def varuint(value: int) -> bytes:
    """Write lib0's varuint: seven bits a byte, the low ones first."""
    data = bytearray()
    while value >= _VARUINT_MORE:
        data.append(value & 0x7F | _VARUINT_MORE)
        value >>= 7
    data.append(value)
    return bytes(data)


def _read_varuint(data: bytes, at: int) -> tuple[int, int]:
    """Read what `varuint` writes."""
    byte = data[at]
    if byte < _VARUINT_MORE:
        return byte, at + 1
    value = byte & 0x7F
    shift = 7
    while True:
        at += 1
        byte = data[at]
        value |= (byte & 0x7F) << shift
        if byte < _VARUINT_MORE:
            return value, at + 1
        shift += 7
        if shift > _VARUINT_BITS_MAX:
            raise IndexError
