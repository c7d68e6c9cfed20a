"""Differences between sequences, of two and of three. Not a strategy, but a part of `merge`.

The standard library's `difflib` is not used on purpose: what it finds may change with the version
of Python, and every replica must find the same. Its cost has no bound either.

Source: Myers, "An O(ND) Difference Algorithm and Its Variations", Algorithmica 1, 1986; Khanna,
Kunal, Pierce, "A Formal Investigation of Diff3", FSTTCS 2007.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

__all__ = ["Hunk", "Region", "Work", "find_hunks", "find_regions"]


class Work:
    """How much may still be done.

    Attributes:
        left: comparisons of two items.
    """

    def __init__(self, left: int) -> None:
        self.left = left


class Hunk(NamedTuple):
    """A change: what was `old[low:high]` is now `new[start:stop]`."""

    low: int
    high: int
    start: int
    stop: int


class Region(NamedTuple):
    """A part of three sequences between which there is nothing that all three share.

    Attributes:
        base: where it is in the first sequence.
        ours: where it is in the second.
        theirs: where it is in the third.
        ours_changed: the second differs from the first here.
        theirs_changed: the third differs from the first here.
    """

    base: slice
    ours: slice
    theirs: slice
    ours_changed: bool
    theirs_changed: bool


def find_hunks(old: Sequence[Any], new: Sequence[Any], work: Work) -> list[Hunk]:
    """Return the fewest changes that make one sequence of another, in their order.

    Where that is too much work, all between the first and the last change is one change.

    >>> find_hunks("abcdef", "abxdeyf", Work(1000))
    [Hunk(low=2, high=3, start=2, stop=3), Hunk(low=5, high=5, start=5, stop=6)]
    """
    before = _common_prefix(old, new)
    after = _common_suffix(old, new, min(len(old), len(new)) - before)
    old, new = old[before : len(old) - after], new[before : len(new) - after]
    if not old and not new:
        return []
    matches = _match(old, new, work) if old and new else None
    hunks = _between_matches(matches or [], len(old), len(new))
    return [Hunk(*(end + before for end in hunk)) for hunk in hunks]


def find_regions(
    base: Sequence[Any], ours: Sequence[Any], theirs: Sequence[Any], work: Work
) -> Iterator[Region]:
    """Yield the regions of three sequences in their order, unchanged ones included.

    Changes of both sides are one region if they overlap, or if both insert at the same place.

    >>> found = find_regions("abcd", "aXcd", "abcY", Work(1000))
    >>> [("abcd"[r.base], "aXcd"[r.ours], "abcY"[r.theirs]) for r in found]
    [('a', 'a', 'a'), ('b', 'X', 'b'), ('c', 'c', 'c'), ('d', 'd', 'Y')]
    """
    sides = find_hunks(base, ours, work), find_hunks(base, theirs, work)
    at = [0, 0, 0]  # what has been dealt with, of base, ours and theirs
    for low, high, changes in _clusters(*sides):
        if low > at[0]:
            yield _region(at, low, [at[1] + low - at[0], at[2] + low - at[0]], (False, False))
        ends = [
            hunks[-1].stop + high - hunks[-1].high if hunks else at[side] + high - low
            for side, hunks in enumerate(changes, 1)
        ]
        yield _region(at, high, ends, (bool(changes[0]), bool(changes[1])))
    if len(base) > at[0]:
        yield _region(at, len(base), [len(ours), len(theirs)], (False, False))


def _region(at: list[int], high: int, ends: list[int], changed: tuple[bool, bool]) -> Region:
    """Return the region from where we are to these ends, and go there."""
    begins, at[:] = list(at), (high, *ends)
    base, ours, theirs = map(slice, begins, at)
    return Region(base, ours, theirs, *changed)


def _clusters(
    ours: list[Hunk], theirs: list[Hunk]
) -> Iterator[tuple[int, int, tuple[list[Hunk], list[Hunk]]]]:
    """Yield (low, high, changes of either side) of the parts of the base that changed."""
    waiting = sorted([(*hunk, 0) for hunk in ours] + [(*hunk, 1) for hunk in theirs], reverse=True)
    while waiting:
        low, high = waiting[-1][:2]
        changes: tuple[list[Hunk], list[Hunk]] = [], []
        while waiting and (waiting[-1][0] < high or waiting[-1][:2] == (low, high)):
            *hunk, side = waiting.pop()
            changes[side].append(Hunk(*hunk))
            high = max(high, hunk[1])
        yield low, high, changes


def _common_prefix(one: Sequence[Any], other: Sequence[Any]) -> int:
    """Return how many items two sequences have in common at their beginning."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _common_suffix(one: Sequence[Any], other: Sequence[Any], high: int) -> int:
    """Return how many items two sequences have in common at their end, `high` at the most."""
    low = 0
    while low < high:
        middle = (low + high + 1) // 2
        if one[len(one) - middle : len(one) - low] == other[len(other) - middle : len(other) - low]:
            low = middle
        else:
            high = middle - 1
    return low


def _between_matches(
    matches: list[tuple[int, int, int]], old_length: int, new_length: int
) -> Iterator[Hunk]:
    low = start = 0
    for x, y, length in [*matches, (old_length, new_length, 0)]:
        if x > low or y > start:
            yield Hunk(low, x, start, y)
        low, start = x + length, y + length


def _match(old: Sequence[Any], new: Sequence[Any], work: Work) -> list[tuple[int, int, int]] | None:
    """Return a longest common subsequence as (place in old, in new, length) of its runs.

    Myers' greedy search: `reach[k]` is how far in `old` one gets on diagonal k = x - y with a given
    number of changes. None if that is too much work.
    """
    if min(len(old), len(new)) > work.left:
        return None
    reach = {1: 0}
    trace: list[dict[int, int]] = []
    for changes in range(len(old) + len(new) + 1):
        trace.append(reach.copy())
        for k in range(-changes, changes + 1, 2):
            down = k == -changes or (k != changes and reach[k - 1] < reach[k + 1])
            x = begin = reach[k + 1] if down else reach[k - 1] + 1
            y = x - k
            while x < len(old) and y < len(new) and old[x] == new[y]:
                x += 1
                y += 1
            reach[k] = x
            work.left -= 1 + x - begin
            if x >= len(old) and y >= len(new):
                return _go_back(trace, x, y)
            if work.left < 0:
                return None
    raise AssertionError("sequences differ in all their items at the most")


def _go_back(trace: list[dict[int, int]], x: int, y: int) -> list[tuple[int, int, int]]:
    """Return the runs on the way that a search has come."""
    runs = []
    for changes in range(len(trace) - 1, -1, -1):
        reach, k = trace[changes], x - y
        down = k == -changes or (k != changes and reach[k - 1] < reach[k + 1])
        begin = reach[k + 1] if down else reach[k - 1] + 1
        if x > begin:
            runs.append((begin, begin - k, x - begin))
        x = begin if down else begin - 1
        y = begin - k - 1 if down else begin - k
    return runs[::-1]
