"""Takes the effect out of an update and leaves its place: what a refused action comes to.

Every struct that the update inserts becomes a deleted one of the same length, at the same clocks
and in the same place; its deletions are dropped. So later updates, of the same replica and of
others, still find what they were built on: text that was typed next to refused text stands where
it was typed, and what was put into a refused list or record goes with it.

Deleted items are not given up as a *GC* struct would be: such a struct has no place, and whatever
was inserted next to it would vanish as well. Structs that came as GC structs stay what they are.

Source: the integration rule of YATA (Nicolaescu, Jahns, Derntl and Klamma, "Near Real-Time
Peer-to-Peer Shared Editing on Extensible Data Types", GROUP 2016): an item's position depends on
its id and its neighbours when it was made, and not on its content.
"""

from __future__ import annotations

from crdtsync.update.encoding import encoded
from crdtsync.update.reader import DELETED, FLAGS, GC, SKIP, Reader, Section, Struct

__all__ = ["emptied", "neutralize"]


def neutralize(update: bytes) -> bytes:
    """Return an update that takes the same clocks in the same places, but has no effect.

    What an entry's update wrote is gone from the result: texts, values, names of formats and of
    elements. The names of root types remain, and so do the keys that were written in maps and as
    attributes, since later writes to a key find it there.

    Three things are not undone by it:

    - A replica that has applied the original already knows these clocks, so the result changes
      nothing there: such a replica has to rebuild the document from its log.
    - A write to a key that had a value hides that value, in the result as well. crdtsync's slots
      have a fresh key for each write and delete the old one, which is undone.
    - Deletions that others made in the meantime stand, of the refused items as of all others.

    The result is never longer than `update`, and neutralizing it again changes nothing.

    Raises:
        ValueError: the update cannot be read, has sections of several clients, or nests values
            deeper than `NESTING_MAX`.

    >>> import pycrdt
    >>> ann, bob = pycrdt.Doc(client_id=1), pycrdt.Doc(client_id=2)
    >>> ann["text"] = typed = pycrdt.Text("spam")
    >>> refused = ann.get_update()
    >>> before = ann.get_state()
    >>> typed += " and eggs"
    >>> bob["text"] = text = pycrdt.Text()
    >>> bob.apply_update(neutralize(refused))
    >>> bob.apply_update(ann.get_update(before))
    >>> str(text)
    ' and eggs'
    """
    reader = Reader(update)
    count = reader.number()
    if count > 1:
        raise ValueError(f"an entry's CRDT update has one client's section, not {count}")
    client, clock, structs = reader.section() if count else Section(0, 0, [])
    reader.deletions()
    # An empty struct takes no clock and no place, and CRDT libraries differ in what it does.
    left = [emptied(struct) for struct in structs if struct.length]
    if not left:
        return encoded(0, 0)
    return encoded(1, len(left), client, clock) + b"".join(left) + encoded(0)


def emptied(struct: Struct) -> bytes:
    """Return a struct that takes the same clocks in the same place, deleted."""
    info = struct.info if struct.info in {GC, SKIP} else struct.info & FLAGS | DELETED
    return bytes([info]) + encoded(*struct.place, struct.length)
