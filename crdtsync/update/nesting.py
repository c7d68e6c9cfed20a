"""Finds updates that nest values, or shared types, too deeply.

The CRDT library reads nested values by recursion, and deletes nested types by it: an update of
80 KB can nest them so deeply that the process dies, now and at every later start, because the entry
is in the log by then. So what might be deep is measured before an entry is admitted.

Types can be nested further by one entry after the other; what one update may add is bounded, so
that it takes a hundred of them to come near the depth that hurts.
"""

from __future__ import annotations

import bisect

from crdtsync.update.reader import FLAGS, NEIGHBOURS, NESTING_MAX, TYPE, Reader, Section

__all__ = ["nests_too_deeply"]

_FLAG_SETS = [flags for flags in range(0, 256, 32) if flags & ~FLAGS == 0]


def nests_too_deeply(update: bytes) -> bool:
    """Tell whether an update nests values, or shared types, deeper than `NESTING_MAX`.

    Where it holds enough that could be nested, it also has to be readable, and in one way only:
    what the CRDT library reads otherwise than we do might hide values from us.
    """
    # Each level costs two bytes, one of them its own: nearly all updates are too short to be deep,
    # or hold too few of them.
    if len(update) <= 2 * NESTING_MAX or not (_may_nest_values(update) or _may_nest_types(update)):
        return False
    reader = Reader(update)
    try:
        deepest = max(_depth(reader.section()) for _ in range(reader.number()))
    except ValueError:
        return True
    return reader.disputed or deepest > NESTING_MAX


def _may_nest_values(update: bytes) -> bool:
    return update.count(b"u") + update.count(b"v") > NESTING_MAX


def _may_nest_types(update: bytes) -> bool:
    return sum(update.count(TYPE | flags) for flags in _FLAG_SETS) > NESTING_MAX


def _depth(section: Section) -> int:
    """Return how deeply the types of a section are nested in each other."""
    starts: list[int] = []
    levels: list[int] = []  # in how many of the section's types each struct is
    deepest, clock = 0, section.clock

    def level_of(client: int | bytes, at: int | bytes) -> int | None:
        """Return the level of the struct that holds a clock; None if the section does not."""
        if client != section.client or not section.clock <= at < clock:  # type: ignore[operator]
            return None
        return levels[bisect.bisect_right(starts, at) - 1]

    for struct in section.structs:
        place, level = struct.place, 0
        if struct.info & NEIGHBOURS:
            beside = zip(place[::2], place[1::2], strict=True)
            level = max(level_of(*one) or 0 for one in beside)
        elif place and place[0] == 0:
            around = level_of(place[1], place[2])
            level = 0 if around is None else around + 1
        starts.append(clock)
        levels.append(level)
        clock += struct.length
        if struct.info & ~FLAGS == TYPE:
            deepest = max(deepest, level + 1)
    return deepest
