"""Plain fields: one value, several candidates where replicas wrote unaware of each other.

The field's strategy decides between candidates. A strategy that raises does not break the app: the
field shows the last write, and the conflict carries the error.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

from crdtsync.codec import copy_value
from crdtsync.document.node import Pairs, SlotNode
from crdtsync.document.path import Path
from crdtsync.document.slots import Slot
from crdtsync.strategy import Candidate, Strategy

if TYPE_CHECKING:
    from crdtsync.document.record import RecordNode
    from crdtsync.document.writer import Writer

__all__ = ["Conflict", "ValueEdit", "ValueNode"]

_log = logging.getLogger("crdtsync.strategy")


class Conflict(NamedTuple):
    """A field with several live writes.

    Attributes:
        path: the field.
        candidates: the writes, ordered by (time, replica).
        chosen: the value the field has.
        strategy: name of the strategy that chose it.
        error: why the strategy failed and the last write was taken instead; None if it did not.
    """

    path: Path
    candidates: tuple[Candidate[Any], ...]
    chosen: Any
    strategy: str
    error: str | None


class ValueEdit:
    """Set a field, or (as an erasure) return it to its default."""

    __slots__ = ("erase", "value")

    def __init__(self, value: Any, *, erase: bool = False) -> None:
        self.value = value
        self.erase = erase

    def replace(self, other: ValueEdit) -> None:
        """Mean what another edit means."""
        self.value, self.erase = other.value, other.erase

    def copy(self) -> ValueEdit:
        return ValueEdit(self.value, erase=self.erase)


class ValueNode(SlotNode):
    """State of a plain field."""

    __slots__ = ("_conflict", "_value", "default", "strategy")

    def __init__(self, path: str, owner: RecordNode, default: Any, strategy: Strategy) -> None:
        super().__init__(path, owner)
        self.default = default
        self.strategy = strategy
        self._conflict: Conflict | None = None
        self._value: Any = default

    def install(self, pairs: Pairs, slots: tuple[Slot, ...] | None = None) -> None:
        super().install(pairs, slots)
        self._value = _UNRESOLVED
        assert self.owner is not None
        contested = self.owner.view.contested
        if len(pairs) > 1:
            contested[self] = None
        elif contested:
            contested.pop(self, None)

    def adopt(self, pair: tuple[str, bytes]) -> None:
        super().adopt(pair)
        self._value = _UNRESOLVED
        if len(self.pairs) > 1:
            assert self.owner is not None
            self.owner.view.contested[self] = None

    def clear(self) -> None:
        super().clear()
        self._value = _UNRESOLVED

    @property
    def value(self) -> Any:
        """The field's value. Shared: copy it before you hand it out."""
        if self._value is _UNRESOLVED:
            self._resolve()
        return self._value

    def conflict(self) -> Conflict | None:
        """Return what is at odds here, if anything."""
        if self._value is _UNRESOLVED:
            self._resolve()
        return self._conflict

    def _resolve(self) -> None:
        slots = self.slots()
        self._conflict = None
        if not slots:
            self._value = self.default
            return
        if len(slots) == 1:
            self._value = slots[0].value
            return
        assert self.owner is not None
        users = self.owner.view.users
        candidates = tuple(
            Candidate(slot.value, slot.replica, users.get(slot.replica), slot.seq, slot.time)
            for slot in slots
        )
        error = None
        try:
            value = copy_value(self.strategy.resolve(candidates))
        except Exception as caught:
            error = f"{type(caught).__name__}: {caught}"
            value = slots[-1].value
            _log.warning("strategy %s failed on %s: %s", self.strategy.name, self.path, error)
        self._value = value
        self._conflict = Conflict(self.keys, candidates, value, self.strategy.name, error)

    def plain(self) -> Any:
        return copy_value(self.value)

    def write(self, writer: Writer, edit: ValueEdit) -> None:
        if edit.erase:
            writer.remove(self)
        else:
            writer.put(self, edit.value)

    def erasure(self) -> ValueEdit | None:
        return ValueEdit(self.default, erase=True) if self.pairs else None


class _Unresolved:
    """Marks a value that nobody has looked at since its slots changed."""


_UNRESOLVED = _Unresolved()
