"""The writer: carries an action's edits out on the CRDT, in one transaction.

What becomes of the nodes is only noted here. They take it over when the log has the entry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from crdtsync.document.slots import Slot, encode_slot, next_generation, slot_key

if TYPE_CHECKING:
    import pycrdt

    from crdtsync.document.journal import Journal
    from crdtsync.document.node import SlotNode
    from crdtsync.document.record import RecordNode

__all__ = ["Install", "Writer"]

Install: TypeAlias = "tuple[SlotNode, tuple[tuple[str, bytes], ...], tuple[Slot, ...] | None]"
"""What a node is to take over: itself, its slots as stored, and decoded where that is known."""


class Writer:
    """Writes one action.

    Args:
        doc: the CRDT document.
        slots: its root map of slots.
        journal: tells whose log it is and how far it got.
        seq: number that the action's entry will have.
        time: its hybrid logical clock.
    """

    __slots__ = (
        "_doc",
        "_journal",
        "_slots",
        "_touched",
        "_transaction",
        "installs",
        "seq",
        "time",
    )

    def __init__(
        self, doc: pycrdt.Doc[Any], slots: pycrdt.Map[Any], journal: Journal, seq: int, time: int
    ) -> None:
        self._doc = doc
        self._slots = slots
        self._journal = journal
        self._touched: set[RecordNode] | None = None
        self.seq = seq
        self.time = time
        self.installs: list[Install] = []

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

    def put(self, node: SlotNode, value: Any) -> None:
        """Write a slot that replaces every slot seen on its path."""
        key, data, slot = self._fresh(node, value)
        slots = self._slots
        for seen, _ in node.pairs:
            del slots[seen]
        slots[key] = data
        self.installs.append((node, ((key, data),), (slot,)))

    def put_own(self, node: SlotNode, value: Any) -> None:
        """Write a slot that replaces only our own ones on its path."""
        key, data, _ = self._fresh(node, value)
        mark = f"@{self._journal.replica:x}."
        kept = []
        for pair in node.pairs:
            if mark in pair[0]:
                del self._slots[pair[0]]
            else:
                kept.append(pair)
        self._slots[key] = data
        self.installs.append((node, (*kept, (key, data)), None))

    def remove(self, node: SlotNode) -> None:
        """Delete every slot seen on a path."""
        for seen, _ in node.pairs:
            del self._slots[seen]
        self.installs.append((node, (), ()))

    def touch(self, record: RecordNode | None) -> None:
        """Note work on a record that leaves no slot: text is typed, a list changed.

        A deletion elsewhere that has not seen this work must be able to tell. Nobody can have seen
        a slot of ours that was never sent, so only those that were are written anew.
        """
        while record is not None and record.presence is not None:
            presence = record.presence
            own = presence.own_slot(self._journal.replica)
            if self._touched is None:
                self._touched = set()
            if (own is None or own.seq <= self._journal.sent) and record not in self._touched:
                self._touched.add(record)
                self.put_own(presence, True)
            record = record.table.owner if record.table is not None else None

    def _fresh(self, node: SlotNode, value: Any) -> tuple[str, bytes, Slot]:
        journal = self._journal
        replica = journal.replica
        own = node.own_slot(replica) if node.pairs else None
        generation = next_generation(own, self.seq, journal.acknowledged)
        slot = Slot(self.time, replica, self.seq, generation, value)
        return slot_key(node.path, replica, generation), encode_slot(slot), slot
