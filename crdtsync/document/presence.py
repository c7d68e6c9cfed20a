"""Presence: whether something exists that was removed on one replica and worked on on another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from crdtsync import events
from crdtsync.document.guard import StrategyError, bounded
from crdtsync.document.node import SlotNode
from crdtsync.document.schema import FieldSpec
from crdtsync.document.slots import Slot
from crdtsync.strategy import Candidate, Removal
from crdtsync.vector import from_pairs

if TYPE_CHECKING:
    from crdtsync.document.view import View

__all__ = ["MemberNode", "is_present"]


class MemberNode(SlotNode):
    """Slots that say whether something is there: additions, and tombstones.

    A tombstone's value is the writes that the removal has seen, as pairs. What is added is no list.
    """

    __slots__ = ()

    def replaced(self, slot: Slot) -> Mapping[int, int] | None:
        buried = seen_by(slot)
        if buried is None:
            return slot.seen
        # Not itself: it is there, and its replica's older slots do not count anyway.
        return {replica: seq for replica, seq in buried.items() if replica != slot.replica}

    def removals(self) -> list[Removal]:
        """Return the live tombstones."""
        return [
            Removal(slot.replica, slot.seq, slot.time, seen)
            for slot in self.slots()
            if (seen := seen_by(slot)) is not None
        ]


def seen_by(slot: Slot) -> dict[int, int] | None:
    """Return the writes that a removal had seen; None if the slot is no removal."""
    if type(slot.value) is not list:
        return None
    try:
        return from_pairs(slot.value)
    except (TypeError, ValueError):
        return None


def is_present(
    view: View, spec: FieldSpec, path: str, writes: Sequence[Slot], removals: Sequence[Removal]
) -> bool:
    """Ask the presence strategy of a table or set.

    If it fails, or is not at hand, what a removal had not seen stays: nothing is lost by that.

    Args:
        view: the view.
        spec: the table or set.
        path: of the record or element.
        writes: all live writes, in any order.
        removals: all live removals, at least one.
    """
    users = view.users
    candidates = sorted(
        (
            Candidate(slot.value, slot.replica, users.get(slot.replica), slot.seq, slot.time)
            for slot in writes
        ),
        key=lambda write: (write.time, write.replica, write.seq),
    )
    version = max((slot.schema for slot in writes), default=view.judges.version)
    ruling = view.judges.ruling(spec, version)
    problem = ruling.problem
    if ruling.judge is not None:
        try:
            present = bounded(ruling.judge.present, tuple(candidates), tuple(removals))
        except StrategyError as failure:
            problem = str(failure)
        else:
            if isinstance(present, bool):
                return present
            problem = f"it returned a {type(present).__name__}, not a bool"
    if problem is not None:
        events.STRATEGY_FAILED.log(strategy=str(ruling.rule), path=path, error=problem)
    return any(
        all(write.seq > removal.seen.get(write.replica, 0) for removal in removals)
        for write in candidates
    )
