"""Runs of clocks: which structs of each client something is true of, such as that they are deleted.

Read next: `crdtsync.update.division`, whose deletions are such runs.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping

__all__ = ["Runs"]


class Runs:
    """A set of (client, clock), kept as runs.

    >>> runs = Runs({7: [(0, 3), (5, 6)]})
    >>> runs.add({7: [(3, 5)]})
    >>> runs.lacking({7: [(0, 8)], 9: [(1, 2)]})
    {7: [(6, 8)], 9: [(1, 2)]}
    """

    def __init__(self, runs: Mapping[int, Iterable[tuple[int, int]]] | None = None) -> None:
        # Of each client: where a run begins, where it ends, where the next begins, and so on.
        self._edges: dict[int, list[int]] = {}
        self.add(runs or {})

    def add(self, runs: Mapping[int, Iterable[tuple[int, int]]]) -> None:
        """Add runs of clocks (first, behind the last), by client."""
        for client, added in runs.items():
            edges = self._edges.setdefault(client, [])
            for first, behind in added:
                if first < behind:
                    start, stop = bisect_left(edges, first), bisect_right(edges, behind)
                    kept_first = [first] if start % 2 == 0 else []
                    kept_behind = [behind] if stop % 2 == 0 else []
                    edges[start:stop] = kept_first + kept_behind

    def lacking(
        self, runs: Mapping[int, Iterable[tuple[int, int]]]
    ) -> dict[int, list[tuple[int, int]]]:
        """Return what of these runs is not in the set."""
        found: dict[int, list[tuple[int, int]]] = {}
        for client, asked in runs.items():
            edges = self._edges.get(client, [])
            lacking = [gap for run in asked for gap in _gaps(edges, *run)]
            if lacking:
                found[client] = lacking
        return found


def _gaps(edges: list[int], first: int, behind: int) -> Iterable[tuple[int, int]]:
    """Yield the parts of a run that lie between the runs of a set."""
    at = bisect_right(edges, first)
    start = first if at % 2 == 0 else edges[at]
    at += at % 2
    while start < behind:
        stop = edges[at] if at < len(edges) else behind
        if start < min(stop, behind):
            yield start, min(stop, behind)
        start = edges[at + 1] if at < len(edges) else behind
        at += 2
