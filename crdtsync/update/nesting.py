"""Finds updates that hold values nested too deeply.

The CRDT library reads nested values by recursion: an update of 80 KB can nest them so deeply that
the process dies, now and at every later start, because the entry is in the log by then. So values
that might be deep are measured before an entry is admitted.
"""

from __future__ import annotations

from crdtsync.update.reader import NESTING_MAX, Reader

__all__ = ["nests_too_deeply"]


def nests_too_deeply(update: bytes) -> bool:
    """Tell whether an update holds values nested deeper than `NESTING_MAX`.

    Where it holds enough that could be nested, it also has to be readable, and in one way only:
    what the CRDT library reads otherwise than we do might hide values from us.
    """
    # Each level costs two bytes, one of them its own: nearly all updates are too short to be deep,
    # or hold too few of them.
    if len(update) <= 2 * NESTING_MAX or update.count(b"u") + update.count(b"v") <= NESTING_MAX:
        return False
    reader = Reader(update)
    try:
        for _ in range(reader.number()):
            reader.section()
    except ValueError:
        return True
    return reader.disputed
