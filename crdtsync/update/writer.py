"""Writes CRDT updates. Read `crdtsync.update.reader` for how they are encoded."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter

from crdtsync.update.reader import Deletion, Section

__all__ = ["encoded", "write"]


def encoded(*parts: int | bytes) -> bytes:
    """Encode numbers, and bytes after their number."""
    data = bytearray()
    for part in parts:
        number = part if isinstance(part, int) else len(part)
        while number >= 0x80:  # noqa: PLR2004 - the bit that says there is more
            data.append(number & 0x7F | 0x80)
            number >>= 7
        data.append(number)
        if isinstance(part, bytes):
            data += part
    return bytes(data)


def write(section: Section | None, deletions: Iterable[Deletion] = ()) -> bytes:
    """Return the update of what one client wrote, if anything, and of what it deletes."""
    if section is None:
        data = bytearray(encoded(0))
    else:
        data = bytearray(encoded(1, len(section.structs), section.client, section.clock))
        for struct in section.structs:
            data.append(struct.info)
            data += encoded(*struct.place) + struct.content
    clients = [
        (client, list(runs)) for client, runs in groupby(sorted(deletions), key=itemgetter(0))
    ]
    data += encoded(len(clients))
    for client, runs in clients:
        data += encoded(client, len(runs))
        for _, clock, length in runs:
            data += encoded(clock, length)
    return bytes(data)
