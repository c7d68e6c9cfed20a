"""Tells what an update builds on: what has to be there before it can be applied as a whole.

The CRDT library applies the part of an update that it can, and keeps the rest until what that
builds on has come. What it keeps is in no state that it gives out. So whoever must not lose
anything asks before.
"""

from __future__ import annotations

from crdtsync.update.reader import NEIGHBOURS, Reader, Struct

__all__ = ["needs"]


def needs(update: bytes) -> dict[int, int]:
    """Return the clock of each client that has to be reached before an update can be applied.

    What the update builds on in itself, and in what its client wrote before, is left out.

    Raises:
        ValueError: it cannot be read, or not in one way only.

    >>> import pycrdt
    >>> ann, bob = pycrdt.Doc(client_id=1), pycrdt.Doc(client_id=2)
    >>> ann["text"] = pycrdt.Text("spam")
    >>> bob["text"] = text = pycrdt.Text()
    >>> bob.apply_update(ann.get_update())
    >>> text += " and eggs"
    >>> needs(ann.get_update()), needs(bob.get_update(ann.get_state()))
    ({}, {1: 4})
    """
    reader = Reader(update)
    own: dict[int, int] = {}
    found: dict[int, int] = {}
    for _ in range(reader.number()):
        client, clock, structs = reader.section()
        for struct in structs:
            for other, at in _ids(struct):
                if other != client or at >= clock:
                    found[other] = max(at + 1, found.get(other, 0))
            clock += struct.length
        own[client] = clock
    for client, runs in reader.deletions().items():
        end = max((behind for _, behind in runs), default=0)
        if end > own.get(client, 0):
            found[client] = max(end, found.get(client, 0))
    if reader.disputed:
        raise ValueError("the CRDT library reads this update in another way than we do")
    return found


def _ids(struct: Struct) -> list[tuple[int, int]]:
    """Return the ids of what a struct stands beside, or in."""
    place = struct.place
    if struct.info & NEIGHBOURS:
        return list(zip(place[::2], place[1::2], strict=True))  # type: ignore[arg-type]
    return [(place[1], place[2])] if place and place[0] == 0 else []  # type: ignore[list-item]
