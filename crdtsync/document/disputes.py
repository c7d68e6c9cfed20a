"""Disputes: which conflicts a change lets arise, and which it settles."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from crdtsync.document.conflict import Conflict
from crdtsync.document.node import SlotNode
from crdtsync.document.path import Path
from crdtsync.document.record import RecordNode
from crdtsync.document.value import ValueNode

if TYPE_CHECKING:
    from crdtsync.document.view import View

__all__ = ["Disputes"]

_State: TypeAlias = dict[ValueNode, Any]
"""Fields that are in conflict, and what would tell that the conflict has become another."""


class Disputes:
    """What is at odds around some nodes, before they change.

    Args:
        view: the view.
        nodes: the nodes that will change.
    """

    def __init__(self, view: View, nodes: Collection[SlotNode]) -> None:
        self._view = view
        self._nodes = [node for node in nodes if isinstance(node, ValueNode)]
        owners = dict.fromkeys(node.owner for node in nodes if node.owner is not None)
        tables = dict.fromkeys(owner.table for owner in owners if owner.table is not None)
        self._columns = [column for table in tables for column in table.columns.values()]
        self._existed = {owner: owner.exists for owner in owners}
        self._before = self._state()

    @property
    def existed(self) -> Mapping[RecordNode, bool]:
        """Which of the records that will change were there."""
        return self._existed

    def outcome(self) -> tuple[tuple[Conflict, ...], tuple[Path, ...]]:
        """Return the conflicts that arose or grew, and the paths of those that are no more."""
        before, after = self._before, self._state()
        for node in self._contested_in_passing():
            if self._was_shown(node):
                before.setdefault(node, node.pairs)
            if self._view.is_contested(node):
                after.setdefault(node, node.pairs)
        arisen = sorted((n for n in after if before.get(n) != after[n]), key=_keys)
        ended = sorted((n for n in before if n not in after), key=_keys)
        conflicts = (node.conflict() for node in arisen)
        return tuple(c for c in conflicts if c is not None), tuple(map(_keys, ended))

    def _state(self) -> _State:
        state: _State = {node: node.pairs for node in self._nodes if self._view.is_contested(node)}
        for column in self._columns:
            for key, settled in column.settled().items():
                state[column.table.record(key).child(column.spec.name)] = settled
        return state

    def _contested_in_passing(self) -> Iterator[ValueNode]:
        """Yield the contested fields of records that came or went with the change."""
        passing = {record for record, before in self._existed.items() if record.exists != before}
        if passing:
            for node in self._view.contested:
                if not passing.isdisjoint(node.owners()):
                    yield node

    def _was_shown(self, node: ValueNode) -> bool:
        existed = (self._existed.get(owner, owner.exists) for owner in node.owners())
        return len(node.slots()) > 1 and all(existed)


def _keys(node: ValueNode) -> Path:
    return node.keys
