"""Places: the records of a table in the order of a field that holds their positions.

Kept sorted while somebody looks at it: a move costs the search for its place, not a new sorting.
"""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING

from crdtsync.document.schema import FieldSpec

if TYPE_CHECKING:
    from crdtsync.document.table import TableNode

__all__ = ["Places"]


class Places:
    """The committed order of a table.

    Args:
        table: whose records.
        spec: the field that holds their positions.
    """

    def __init__(self, table: TableNode, spec: FieldSpec) -> None:
        self._table = table
        self.spec = spec
        self._order: list[tuple[str, str]] | None = None
        self._held: dict[str, str] = {}
        self._stale: set[str] = set()

    def touch(self, key: str) -> None:
        """Note that a record may stand elsewhere now."""
        self._stale.add(key)

    def forget(self) -> None:
        """Begin anew when somebody looks."""
        self._order = None

    def order(self) -> list[tuple[str, str]]:
        """Return (position, key) of the records that exist, sorted. Not to be changed."""
        if self._order is None:
            found = ((key, self._position(key)) for key in self._table.members)
            self._held = {key: position for key, position in found if position is not None}
            self._order = sorted((position, key) for key, position in self._held.items())
        else:
            for key in self._stale:
                self._place(key, self._order)
        self._stale.clear()
        return self._order

    def _position(self, key: str) -> str | None:
        record = self._table.records[key]
        if not record.exists:
            return None
        position = record.child(self.spec.name).value
        return position if type(position) is str else ""

    def _place(self, key: str, order: list[tuple[str, str]]) -> None:
        position, held = self._position(key), self._held.pop(key, None)
        if position != held:
            if held is not None:
                del order[bisect.bisect_left(order, (held, key))]
            if position is not None:
                bisect.insort(order, (position, key))
        if position is not None:
            self._held[key] = position
