"""Counters: exact under any repetition and re-ordering.

The counter is the sum of its slots. No two replicas write the same slot, so nothing is ever lost
or counted twice. An increment takes the replica's acknowledged slots up into its own. The pending
ones it leaves alone: each of them may still be refused, and then only what it adds is to go.

Source: Shapiro et al., INRIA RR-7506, 2011 (PN-counter).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from crdtsync.document.handle import Handle
from crdtsync.document.node import SlotNode
from crdtsync.document.slots import Slot, unseen

if TYPE_CHECKING:
    from crdtsync.document.writer import Writer

__all__ = ["Counter", "CounterEdit", "CounterNode"]


class CounterEdit:
    """Add to a counter, after returning it to zero if `erase`."""

    __slots__ = ("delta", "erase")

    def __init__(self, delta: int = 0, *, erase: bool = False) -> None:
        self.delta = delta
        self.erase = erase

    def copy(self) -> CounterEdit:
        return CounterEdit(self.delta, erase=self.erase)


class CounterNode(SlotNode):
    """State of a counter."""

    __slots__ = ()

    @property
    def value(self) -> int:
        """The sum of all slots."""
        return _sum(self.slots())

    def live(self, stored: tuple[Slot, ...]) -> tuple[Slot, ...]:
        return unseen(stored, self.replaced)

    def plain(self) -> int:
        return self.value

    def write(self, writer: Writer, edit: CounterEdit) -> None:
        if edit.erase:
            writer.put(self, edit.delta, own=True)
        elif edit.delta:
            settled = _sum(slot for slot in self.slots() if writer.is_settled(slot))
            writer.put_own(self, settled + edit.delta)

    def erasure(self) -> CounterEdit | None:
        return CounterEdit(erase=True) if self.pairs else None


def _sum(slots: Iterable[Slot]) -> int:
    return sum(slot.value for slot in slots if type(slot.value) is int)


class Counter(Handle[CounterNode]):
    """A whole number that many can count on at once.

    >>> from crdtsync import Document, Replica
    >>> class Poll(Document):
    ...     votes: Counter
    >>> poll = Replica().document(Poll, "poll")
    >>> poll.votes.increment()
    >>> poll.votes.decrement(3)
    >>> int(poll.votes)
    -2
    """

    __slots__ = ()

    def increment(self, n: int = 1) -> None:
        """Add `n`, which may be negative.

        Raises:
            TypeError: `n` is not a whole number.
        """
        if type(n) is not int:
            raise TypeError(f"a counter counts whole numbers, not {type(n).__name__}")
        with self._act("increment") as action:
            action.edit(self._node, CounterEdit).delta += n

    def decrement(self, n: int = 1) -> None:
        """Subtract `n`."""
        self.increment(-n)

    def __iadd__(self, n: int) -> Counter:
        self.increment(n)
        return self

    def __isub__(self, n: int) -> Counter:
        self.increment(-n)
        return self

    def __int__(self) -> int:
        edit: CounterEdit | None = self._edit()
        if edit is None:
            return self._node.value
        return (0 if edit.erase else self._node.value) + edit.delta

    def __index__(self) -> int:
        return int(self)

    def __bool__(self) -> bool:
        return int(self) != 0

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Counter | int):
            return int(self) == int(other)
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self._identity())

    def __lt__(self, other: Counter | int) -> bool:
        return int(self) < int(other)

    def __le__(self, other: Counter | int) -> bool:
        return int(self) <= int(other)

    def __gt__(self, other: Counter | int) -> bool:
        return int(self) > int(other)

    def __ge__(self, other: Counter | int) -> bool:
        return int(self) >= int(other)

    def __repr__(self) -> str:
        return f"Counter({int(self)})"
