"""Finds positions in a text: places that stay where they are while the text changes around them.

Each costs about what typing a character does, however long the text is.

Read next: `crdtsync.position` (what is in one), `crdtsync.document.shadow` (which ids are where).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crdtsync.document.ids import Id
from crdtsync.document.rope import Rope
from crdtsync.document.shadow import Shadow
from crdtsync.position import Place, Position, read_place

__all__ = ["Positions"]


class Positions:
    """The positions in one state of a text.

    Args:
        shadow: the copy of the document in which ids are found. It is brought up to date.
        path: name of the text in it.
        rope: the text.
    """

    def __init__(self, shadow: Shadow, path: str, rope: Rope) -> None:
        self._shadow, self._path, self._rope = shadow, path, rope
        shadow.follow()
        if shadow.units(path) != rope.units:
            shadow.renew()  # a client has cut a character in two, and libraries differ in that

    def at(self, index: int) -> Position:
        """Return the position before a character; at the length of the text, that of its end."""
        if index == len(self._rope):
            return Position.of(Place(None, self._path, is_after=False))
        id_ = self._shadow.id(self._path, self._rope.unit(index))
        return Position.of(Place(id_, None, is_after=False))

    def index(self, position: bytes | Mapping[str, Any]) -> int | None:
        """Return where a position is now; None if it is none, or none that is known in this text.

        Where its character is deleted, it is where that was.
        """
        try:
            place = read_place(position)
        except ValueError:
            return None
        if place.id is None:
            end = 0 if place.is_after else len(self._rope)
            return end if place.root == self._path else None
        unit = self._shadow.unit(self._path, place.id)
        if unit is None:
            return None
        index = self._rope.index_of_unit(unit)
        return index + 1 if place.is_after and self._is_there(place.id, unit) else index

    def _is_there(self, id_: Id, unit: int) -> bool:
        """Tell whether an id is at a place, and not only was."""
        return unit < self._rope.units and self._shadow.id(self._path, unit) == id_
