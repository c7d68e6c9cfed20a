"""Names that wait for their turn: the most urgent first, within one priority as they came."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

__all__ = ["Turns"]


class Turns:
    """A queue in which each name stands once, at the most urgent of its priorities.

    >>> turns = Turns()
    >>> for name, priority in [("a", 5), ("b", 5), ("c", 0), ("b", 1), ("a", 7)]:
    ...     turns.add(name, priority)
    >>> list(turns.take(2)), list(turns.take(2)), bool(turns)
    (['c', 'b'], ['a'], False)
    """

    def __init__(self) -> None:
        self._priorities: dict[str, int] = {}
        self._heap: list[tuple[int, int, str]] = []  # priority, turn
        self._turns = 0

    def __len__(self) -> int:
        return len(self._priorities)

    def add(self, name: str, priority: int) -> None:
        """Let a name stand in the queue, unless it does already and is as urgent."""
        before = self._priorities.get(name)
        if before is None or priority < before:
            self._priorities[name] = priority
            self._turns += 1
            heapq.heappush(self._heap, (priority, self._turns, name))

    def take(self, most: int) -> Iterator[str]:
        """Take so many names out, those whose turn it is."""
        while most > 0 and self._heap:
            priority, _, name = heapq.heappop(self._heap)
            if self._priorities.get(name) == priority:
                del self._priorities[name]
                most -= 1
                yield name
