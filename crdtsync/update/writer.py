"""Writes CRDT updates. Read `crdtsync.update.reader` for how they are encoded."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from crdtsync.update.encoding import encoded
from crdtsync.update.reader import Section

__all__ = ["Deletion", "write"]


class Deletion(NamedTuple):
    """A run of one client's clocks that an update deletes."""

    client: int
    clock: int
    length: int


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
