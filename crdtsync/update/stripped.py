"""Takes the content out of an update and leaves its deletions: what an erased action comes to.

As `neutral`, but what the update deletes stays deleted, so that nothing comes back that has been
gone for years. And of values that are byte strings, as crdtsync's slots are, a part may be kept
that is no content, such as which other writes a slot has replaced.
"""

from __future__ import annotations

from collections.abc import Callable

from crdtsync.update.encoding import encoded
from crdtsync.update.neutral import emptied
from crdtsync.update.reader import FLAGS, Reader, Section, Struct

__all__ = ["strip"]

_BYTES, _VALUES = 3, 8
_BEFORE = {_BYTES: b"", _VALUES: b"\x01\x74"}  # the number of values, and the one's type
_MORE = 0x80


def strip(update: bytes, keep: Callable[[bytes], bytes | None]) -> bytes:
    """Return an update that takes the same clocks in the same places, and only deletes.

    Args:
        update: of one client.
        keep: is given each byte string that was written as a value, and returns what is to stand in
            its place; None: nothing.

    Raises:
        ValueError: the update cannot be read, has sections of several clients, or nests values
            deeper than `NESTING_MAX`.

    >>> import pycrdt
    >>> ann = pycrdt.Doc(client_id=1)
    >>> ann["map"] = map_ = pycrdt.Map({"old": "spam"})
    >>> first, before = ann.get_update(), ann.get_state()
    >>> with ann.transaction():
    ...     del map_["old"]
    ...     map_["new"] = "and eggs"
    >>> then = ann.get_update(before)
    >>> bob = pycrdt.Doc(client_id=2)
    >>> bob["map"] = shown = pycrdt.Map()
    >>> for part in first, strip(then, lambda value: None):
    ...     bob.apply_update(part)
    >>> dict(shown), b"eggs" in strip(then, lambda value: None)
    ({}, False)
    """
    reader = Reader(update)
    count = reader.number()
    if count > 1:
        raise ValueError(f"an entry's CRDT update has one client's section, not {count}")
    client, clock, structs = reader.section() if count else Section(0, 0, [])
    start = reader.at
    reader.deletions()
    deletions = update[start : reader.at]
    left = [_left(update, struct, keep) for struct in structs if struct.length]
    if not left:
        return encoded(0) + deletions
    return encoded(1, len(left), client, clock) + b"".join(left) + deletions


def _left(update: bytes, struct: Struct, keep: Callable[[bytes], bytes | None]) -> bytes:
    content = struct.content
    before = _BEFORE.get(struct.info & ~FLAGS)
    if before is None or not content.startswith(before):
        return emptied(struct)
    at = len(before)  # of the number of bytes, which has been read once already
    while content[at] >= _MORE:
        at += 1
    kept = keep(content[at + 1 :])
    if kept is None:
        return emptied(struct)
    return update[struct.start : struct.stop - len(content)] + before + encoded(kept)
