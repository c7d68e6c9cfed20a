"""Disputes: which conflicts a change lets arise, and which it settles."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from crdtsync.document.conflict import Conflict
from crdtsync.document.node import Pairs, SlotNode
from crdtsync.document.path import Path
from crdtsync.document.record import PresenceNode, RecordNode
from crdtsync.document.value import ValueNode

if TYPE_CHECKING:
    from crdtsync.document.column import Column
    from crdtsync.document.view import View

__all__ = ["Disputes"]


class Disputes:
    """What is at odds around some nodes, before they change.

    Args:
        view: the view.
        nodes: the nodes that will change.
    """

    def __init__(self, view: View, nodes: Collection[SlotNode]) -> None:
        self._view = view
        self._nodes = [node for node in nodes if isinstance(node, ValueNode)]
        self._records = {
            node.owner: None
            for node in nodes
            if isinstance(node, PresenceNode) and node.owner is not None
        }
        owners = [node.owner for node in nodes if node.owner is not None]
        tables = {owner.table: None for owner in owners if owner.table is not None}
        self._columns = [column for table in tables for column in table.columns.values()]
        self._before = self._contested()
        self._settled_before = self._settled()

    def outcome(self) -> tuple[tuple[Conflict, ...], tuple[Path, ...]]:
        """Return the conflicts that arose or grew, and the paths of those that are no more."""
        after, settled_after = self._contested(), self._settled()
        arisen = {node: None for node, pairs in after.items() if self._before.get(node) != pairs}
        ended = {node: None for node in self._before if node not in after}
        for column, after_by_key in settled_after.items():
            before_by_key = self._settled_before[column]
            for key in before_by_key.keys() | after_by_key.keys():
                node = column.table.record(key).child(column.spec.name)
                if key not in after_by_key:
                    ended[node] = None
                elif before_by_key.get(key) != after_by_key[key]:
                    arisen[node] = None
        conflicts = [node.conflict() for node in sorted(arisen, key=_keys)]
        paths = [node.keys for node in sorted(ended, key=_keys) if node.conflict() is None]
        return tuple(c for c in conflicts if c is not None), tuple(paths)

    def _contested(self) -> dict[ValueNode, Pairs]:
        watched = dict.fromkeys(self._nodes)
        if self._records:
            watched |= {node: None for node in self._view.contested if self._concerns(node)}
        return {node: node.pairs for node in watched if self._view.is_contested(node)}

    def _concerns(self, node: ValueNode) -> bool:
        owner: RecordNode | None = node.owner
        while owner is not None:
            if owner in self._records:
                return True
            owner = owner.owner
        return False

    def _settled(self) -> dict[Column, Mapping[str, Any]]:
        return {column: column.settled() for column in self._columns}


def _keys(node: ValueNode) -> Path:
    return node.keys
