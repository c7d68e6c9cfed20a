"""Nodes: the materialized state of a document, one object for each field, record and table.

The tree of nodes mirrors the document's class. A node that is made of slots keeps them as stored
and decodes them when somebody looks. Handles (`Text`, `Counter`, records) are thin: they read a
node, and stage *edits* of it in the open action. An edit reaches the CRDT, the log and the node
only when the action commits, so a failed action leaves nothing to undo.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from crdtsync.document.path import Path, split
from crdtsync.document.slots import NO_CLAMPS, Clamps, Slot, newest, read_slots, unseen

if TYPE_CHECKING:
    from crdtsync.document.record import RecordNode
    from crdtsync.document.writer import Writer

__all__ = ["Edit", "Node", "Pairs", "SlotNode"]

Pairs: TypeAlias = tuple[tuple[str, bytes], ...]
"""Live slots as stored: their keys and bytes."""


class Edit(Protocol):
    """What an open action means to do to one node."""

    def copy(self) -> Edit:
        """Return an edit that can be put back if a nested action fails."""
        ...


class Node:
    """A place in the document.

    Attributes:
        path: its path as text.
        owner: the record it belongs to; None for the document itself.
    """

    __slots__ = ("__weakref__", "owner", "path")

    def __init__(self, path: str, owner: RecordNode | None) -> None:
        self.path = path
        self.owner = owner

    @property
    def keys(self) -> Path:
        """The path that an app knows it by."""
        path = split(self.path)
        return path if self.owner is None else self.owner.view.as_declared(path)

    def owners(self) -> Iterator[RecordNode]:
        """Yield the records that it is in, from the nearest one to the document."""
        owner = self.owner
        while owner is not None:
            yield owner
            owner = owner.owner

    def is_shown(self) -> bool:
        """Tell whether all the records that it is in exist."""
        return all(owner.exists for owner in self.owners())

    def clear(self) -> None:
        """Forget everything, before the document is materialized anew."""
        raise NotImplementedError

    def rejudge(self) -> None:
        """Decide anew when somebody looks: the rules are others now."""

    def nested(self) -> Iterable[RecordNode]:
        """Return the records below it, whether they exist or not."""
        return ()

    def plain(self) -> Any:
        """Return its value as plain Python, sharing nothing."""
        raise NotImplementedError

    def write(self, writer: Writer, edit: Any) -> None:
        """Carry an edit out on the CRDT."""
        raise NotImplementedError

    def erasure(self) -> Edit | None:
        """Return the edit that takes away all that was written here; None if nothing was."""
        raise NotImplementedError


class SlotNode(Node):
    """A node whose state is the live slots of its path.

    Attributes:
        pairs: (key, bytes) of each live slot, as stored.
    """

    __slots__ = ("_slots", "pairs")

    def __init__(self, path: str, owner: RecordNode | None) -> None:
        super().__init__(path, owner)
        self.pairs: Pairs = ()
        self._slots: tuple[Slot, ...] | None = None

    @property
    def clamps(self) -> Clamps:
        """The times as of which clamped entries count."""
        return NO_CLAMPS if self.owner is None else self.owner.view.clamps

    def slots(self) -> tuple[Slot, ...]:
        """Return the slots that count, in canonical order (time, replica)."""
        slots = self._slots
        if slots is None:
            slots = self._slots = self.live(read_slots(self.pairs, self.clamps))
        return slots

    def stored(self) -> tuple[Slot, ...]:
        """Return all slots of the path, those included that do not count."""
        slots = self.slots()
        return slots if len(slots) == len(self.pairs) else read_slots(self.pairs, self.clamps)

    def has_read(self, written: AbstractSet[tuple[int, int]]) -> bool:
        """Tell whether somebody has looked here at what one of some entries wrote."""
        return any((slot.replica, slot.seq) in written for slot in self._slots or ())

    def live(self, stored: tuple[Slot, ...]) -> tuple[Slot, ...]:
        """Return which of the stored slots count: one for each replica."""
        return newest(unseen(stored, self.replaced))

    def replaced(self, slot: Slot) -> Mapping[int, int] | None:
        """Return the writes to this path that a slot has seen, as far as that is told."""
        return slot.seen

    def install(self, pairs: Pairs, slots: tuple[Slot, ...] | None = None) -> None:
        """Take over what is now stored.

        Args:
            pairs: (key, bytes) of each live slot.
            slots: the same decoded, where it is known.
        """
        self.pairs = pairs
        self._slots = slots
        if self.owner is not None:
            self.owner.slots_changed()

    def adopt(self, pair: tuple[str, bytes]) -> None:
        """Take over one more stored slot while the document is being materialized."""
        self.pairs = (*self.pairs, pair) if self.pairs else (pair,)

    def clear(self) -> None:
        self.pairs = ()
        self._slots = None
