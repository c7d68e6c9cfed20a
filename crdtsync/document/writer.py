"""The writer: carries an action's edits out on the CRDT, in one transaction.

What becomes of the nodes is only noted here. They take it over when the log has the entry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from crdtsync.document.slots import Slot, encode_slot, next_generation, slot_key
from crdtsync.strategy import Base
from crdtsync.vector import join, to_pairs

if TYPE_CHECKING:
    import pycrdt

    from crdtsync.document.journal import Journal
    from crdtsync.document.node import Pairs, SlotNode
    from crdtsync.document.record import RecordNode

__all__ = ["Withdrawal", "Writer"]


class Withdrawal:
    """Take away slots of ours beside which others stand. It is an edit of any node of slots."""

    __slots__ = ("node", "slots")

    def __init__(self, node: SlotNode, slots: Sequence[Slot]) -> None:
        self.node = node
        self.slots = slots

    def copy(self) -> Withdrawal:
        return Withdrawal(self.node, self.slots)


class Writer:
    """Writes one action.

    Args:
        doc: the CRDT document.
        slots: its root map of slots.
        journal: tells whose log it is and how far it got.
        seq: number that the action's entry will have.
        time: its hybrid logical clock.
        schema_version: under which schema version it is written.

    Attributes:
        installs: what each node is to take over: its slots as stored, and decoded where known.
    """

    __slots__ = (
        "_doc",
        "_journal",
        "_schema_version",
        "_slots",
        "_transaction",
        "installs",
        "seq",
        "time",
    )

    def __init__(
        self,
        doc: pycrdt.Doc[Any],
        slots: pycrdt.Map[Any],
        journal: Journal,
        seq: int,
        time: int,
        schema_version: int,
    ) -> None:
        self._doc = doc
        self._slots = slots
        self._journal = journal
        self.seq = seq
        self.time = time
        self._schema_version = schema_version
        self.installs: dict[SlotNode, tuple[Pairs, tuple[Slot, ...] | None]] = {}

    @property
    def replica(self) -> int:
        """Whose log is written."""
        return self._journal.replica

    def __enter__(self) -> Writer:
        self._transaction = self._doc.transaction()
        self._transaction.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._transaction.__exit__(None, None, None)

    def breathe(self) -> None:
        """Begin a new CRDT transaction: within one, long runs of list inserts cost their square."""
        self._transaction.__exit__(None, None, None)
        self._transaction = self._doc.transaction()
        self._transaction.__enter__()

    @property
    def sent(self) -> int:
        """Number up to which somebody else may have seen our entries."""
        return self._journal.sent

    def is_settled(self, slot: Slot) -> bool:
        """Tell whether a slot is our own and can no longer be refused."""
        return slot.replica == self.replica and slot.seq <= self._journal.acknowledged

    def put(
        self, node: SlotNode, value: Any, base: Base[Any] | None = None, *, own: bool = False
    ) -> None:
        """Write a slot that replaces every slot seen on its path.

        Args:
            node: where.
            value: what.
            base: what it replaces, if that is to be kept.
            own: say that it has seen our own slots too, where an older one would count beside it.
        """
        seen = self._replaced(node)
        if own:
            seen = {**(seen or {}), self.replica: self.seq - 1}
        self._replace(node, value, base, seen)

    def bury(self, node: SlotNode, seen: Mapping[int, int]) -> None:
        """Write a tombstone: a slot whose value is the writes that the removal has seen.

        Args:
            node: where.
            seen: writes elsewhere that it has seen too.
        """
        seen = join(seen, self._replaced(node) or {}) | {self.replica: self.seq}
        self._replace(node, to_pairs(seen))

    def put_own(self, node: SlotNode, value: Any) -> None:
        """Write a slot that replaces only our own acknowledged ones on its path."""
        key, data, slot = self._fresh(node, value)
        stored = node.stored()
        settled = [s for s in stored if self.is_settled(s)]
        taken = {slot_key(node.path, s.replica, s.generation) for s in settled}
        kept = []
        for pair in self._pairs(node):
            if pair[0] in taken:
                del self._slots[pair[0]]
            elif pair[0] != key:
                kept.append(pair)
        self._slots[key] = data
        left = tuple(s for s in stored if s not in settled) if settled else stored
        self.installs[node] = (*kept, (key, data)), node.live((*left, slot))

    def remove(self, node: SlotNode) -> None:
        """Delete every slot seen on a path.

        What may come back if an entry of ours is refused is remembered in a slot without a value.
        """
        if not all(map(self.is_settled, node.stored())):
            seen = {**(self._replaced(node) or {}), self.replica: self.seq}
            self._replace(node, None, None, seen)
            return
        for key, _ in self._pairs(node):
            del self._slots[key]
        self.installs[node] = (), ()

    def withdraw(self, withdrawal: Withdrawal) -> None:
        """Delete some of the slots of a path, and leave the others."""
        node = withdrawal.node
        taken = {slot_key(node.path, s.replica, s.generation) for s in withdrawal.slots}
        for key in taken:
            del self._slots[key]
        left = tuple(pair for pair in self._pairs(node) if pair[0] not in taken)
        self.installs[node] = left, None

    def touch(self, record: RecordNode | None) -> None:
        """Note work on a record that leaves no slot: text is typed, a list changed.

        A deletion elsewhere that has not seen this work must be able to tell. Nobody can have seen
        a slot of ours that was never sent, so only those that were are written anew. The price: if
        the entry with that slot is refused, later work of the same batch cannot keep the record
        from a deletion that has not seen it. The work itself stays, should the record come back.
        """
        while record is not None and record.presence is not None:
            presence = record.presence
            noted = presence in self.installs or any(map(self._is_unsent, presence.additions()))
            if not noted:
                self.put_own(presence, True)
            record = record.owner

    def _pairs(self, node: SlotNode) -> Pairs:
        """Return a node's live slots as this action has left them so far."""
        written = self.installs.get(node) if self.installs else None
        return node.pairs if written is None else written[0]

    def _is_unsent(self, slot: Slot) -> bool:
        return slot.replica == self.replica and slot.seq > self._journal.sent

    def _replaced(self, node: SlotNode) -> dict[int, int] | None:
        """Return the writes of others that a write to a path replaces.

        Those included that come back if a pending write of ours is refused.
        """
        if not node.pairs:
            return None
        replica = self.replica
        seen: dict[int, int] = {}
        for slot in node.stored():
            if slot.replica != replica:
                seen = join(seen, {slot.replica: slot.seq})
            elif slot.seq > self._journal.acknowledged:
                seen = join(seen, node.replaced(slot) or {})
        seen.pop(replica, None)
        return seen or None

    def _replace(
        self,
        node: SlotNode,
        value: Any,
        base: Base[Any] | None = None,
        seen: Mapping[int, int] | None = None,
    ) -> None:
        """Write a slot and delete every slot seen on its path."""
        key, data, slot = self._fresh(node, value, base, seen)
        slots = self._slots
        for gone, _ in self._pairs(node):
            del slots[gone]
        slots[key] = data
        self.installs[node] = ((key, data),), (slot,) if seen is None else node.live((slot,))

    def _fresh(
        self,
        node: SlotNode,
        value: Any,
        base: Base[Any] | None = None,
        seen: Mapping[int, int] | None = None,
    ) -> tuple[str, bytes, Slot]:
        replica, seq, schema = self.replica, self.seq, self._schema_version
        own = [s for s in node.stored() if s.replica == replica] if node.pairs else ()
        generation = next_generation(own, seq, self._journal.acknowledged)
        slot = Slot(self.time, replica, seq, generation, value, base, schema, seen)
        return slot_key(node.path, replica, generation), encode_slot(slot), slot
