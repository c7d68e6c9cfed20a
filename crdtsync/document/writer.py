"""The writer: carries an action's edits out on the CRDT, in one transaction.

What becomes of the nodes is only noted here. They take it over when the log has the entry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crdtsync.document.slots import Slot, encode_slot, next_generation, slot_key
from crdtsync.strategy import Base

if TYPE_CHECKING:
    import pycrdt

    from crdtsync.document.journal import Journal
    from crdtsync.document.node import Pairs, SlotNode
    from crdtsync.document.record import RecordNode

__all__ = ["Writer"]


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

    def put(self, node: SlotNode, value: Any, base: Base[Any] | None = None) -> None:
        """Write a slot that replaces every slot seen on its path.

        Args:
            node: where.
            value: what.
            base: what it replaces, if that is to be kept.
        """
        key, data, slot = self._fresh(node, value, base)
        slots = self._slots
        for seen, _ in self._pairs(node):
            del slots[seen]
        slots[key] = data
        self.installs[node] = ((key, data),), (slot,)

    def put_own(self, node: SlotNode, value: Any) -> None:
        """Write a slot that replaces only our own ones on its path."""
        key, data, _ = self._fresh(node, value)
        mark = f"@{self._journal.replica:x}."
        kept = []
        for pair in self._pairs(node):
            if mark in pair[0]:
                del self._slots[pair[0]]
            else:
                kept.append(pair)
        self._slots[key] = data
        self.installs[node] = (*kept, (key, data)), None

    def remove(self, node: SlotNode) -> None:
        """Delete every slot seen on a path."""
        for seen, _ in self._pairs(node):
            del self._slots[seen]
        self.installs[node] = (), ()

    def touch(self, record: RecordNode | None) -> None:
        """Note work on a record that leaves no slot: text is typed, a list changed.

        A deletion elsewhere that has not seen this work must be able to tell. Nobody can have seen
        a slot of ours that was never sent, so only those that were are written anew.
        """
        while record is not None and record.presence is not None:
            presence = record.presence
            if presence not in self.installs:
                own = presence.own_slot(self._journal.replica)
                if own is None or own.seq <= self._journal.sent:
                    self.put_own(presence, True)
            record = record.owner

    def _pairs(self, node: SlotNode) -> Pairs:
        """Return a node's live slots as this action has left them so far."""
        written = self.installs.get(node) if self.installs else None
        return node.pairs if written is None else written[0]

    def _fresh(
        self, node: SlotNode, value: Any, base: Base[Any] | None = None
    ) -> tuple[str, bytes, Slot]:
        journal = self._journal
        replica = journal.replica
        own = node.own_slot(replica) if node.pairs else None
        generation = next_generation(own, self.seq, journal.acknowledged)
        slot = Slot(self.time, replica, self.seq, generation, value, base, self._schema_version)
        return slot_key(node.path, replica, generation), encode_slot(slot), slot
