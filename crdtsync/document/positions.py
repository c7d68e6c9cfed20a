"""Finds positions in a text: places that stay where they are while the text changes around them.

The CRDT library has such positions too (sticky indices), but counts the units of characters wrongly
where they are not ASCII, so that a Yjs client would take them for others.

Read next: `crdtsync.position` (what is in one), `crdtsync.document.ids` (which ids are whose).
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping
from typing import Any

import pycrdt

from crdtsync.document.ids import stretches, units_of, within
from crdtsync.position import Place, Position, read_place

__all__ = ["Positions"]


class Positions:
    """The positions in one state of a text.

    Args:
        doc: the CRDT document. It is left as it is.
        path: name of the text in it.
    """

    def __init__(self, doc: pycrdt.Doc[Any], path: str) -> None:
        self._path = path
        found = list(stretches(doc, path))
        self._there = [stretch for stretch in found if stretch.text]
        self._starts = [stretch.start for stretch in self._there]
        self._by_id = sorted(found)
        self._length = sum(len(stretch.text) for stretch in found)

    def at(self, index: int) -> Position:
        """Return the position before a character; at the length of the text, that of its end."""
        if index == self._length:
            return Position.of(Place(None, self._path, is_after=False))
        stretch = self._there[bisect.bisect_right(self._starts, index) - 1]
        clock = stretch.clock + units_of(stretch.text[: index - stretch.start])
        return Position.of(Place((stretch.client, clock), None, is_after=False))

    def index(self, position: bytes | Mapping[str, Any]) -> int | None:
        """Return where a position is now; None if it is none, or none that is known in this text.

        Where its character is deleted, it is where that was.
        """
        try:
            place = read_place(position)
        except ValueError:
            return None
        if place.id is None:
            end = 0 if place.is_after else self._length
            return end if place.root == self._path else None
        client, clock = place.id
        at = bisect.bisect_right(self._by_id, (client, clock + 1)) - 1
        if at < 0:
            return None
        stretch = self._by_id[at]
        units = clock - stretch.clock
        if stretch.client != client or units >= stretch.units:
            return None
        if not stretch.text:
            return stretch.start
        return stretch.start + within(stretch.text, 0, units) + place.is_after
