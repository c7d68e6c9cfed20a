"""The latest entries of all documents, in the order in which they became durable.

Whoever follows them has a number, and nothing is queued for anybody: who is too slow misses some,
and is told how many.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import anyio

from crdtsync.server.backend import Added, Row

__all__ = ["Feed", "Item"]

_ITEMS_MAX = 500
_BYTES_MAX = 4 * 1024 * 1024


class Item(NamedTuple):
    """An entry that was added. `number` counts all of them, from 1."""

    number: int
    document: str
    row: Row


class Feed:
    """Keeps the latest entries.

    Args:
        items_max: how many.
        bytes_max: of how many bytes together; the very last one is kept whatever its size.

    Attributes:
        end: number of the last one.
    """

    def __init__(self, items_max: int = _ITEMS_MAX, bytes_max: int = _BYTES_MAX) -> None:
        self.end = 0
        self._items: deque[Item] = deque()
        self._items_max = items_max
        self._bytes = 0
        self._bytes_max = bytes_max
        self._bell = anyio.Event()

    def add(self, added: Added) -> None:
        """Take in an addition; returns at once."""
        for row in added.rows:
            self.end += 1
            self._items.append(Item(self.end, added.document, row))
            self._bytes += len(row.data)
        while len(self._items) > self._items_max or (
            self._bytes > self._bytes_max and len(self._items) > 1
        ):
            self._bytes -= len(self._items.popleft().row.data)
        bell, self._bell = self._bell, anyio.Event()
        bell.set()

    def after(self, number: int, most: int) -> list[Item]:
        """Return the next items after a number, of those that are kept."""
        if not self._items:
            return []
        start = max(0, number + 1 - self._items[0].number)
        return [self._items[i] for i in range(start, min(start + most, len(self._items)))]

    async def wait(self, number: int) -> None:
        """Wait until there are items after a number."""
        while self.end <= number:
            await self._bell.wait()
