"""Columns: one field of a table in which all the records are decided together.

Each existing record claims a value; the column's strategy keeps an index of the claims and says
which records get another. The index is filled when somebody first looks, and then follows the
records that changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from crdtsync import events
from crdtsync.codec import check_value
from crdtsync.document.guard import STEPS_MAX, StrategyError, bounded_by
from crdtsync.document.node import Pairs
from crdtsync.document.rule import Rule
from crdtsync.document.schema import FieldSpec
from crdtsync.strategy import Claim, ColumnIndex, Settled

if TYPE_CHECKING:
    from crdtsync.document.table import TableNode
    from crdtsync.document.value import ColumnValueNode
    from crdtsync.document.view import View

__all__ = ["Column"]

_STEPS_PER_RECORD = 1_000


class Column:
    """One such field.

    Attributes:
        table: whose records.
        spec: which field.
    """

    def __init__(self, table: TableNode, spec: FieldSpec) -> None:
        self.table = table
        self.spec = spec
        self._index: ColumnIndex | None = None
        self._filled = False
        self._stale: set[str] = set()
        self._claimed: dict[str, Pairs] = {}
        """The slots of each claim that the index has."""
        self._settled: Mapping[str, Settled[Any]] = {}

    @property
    def rule(self) -> Rule:
        """The rule by which it is decided."""
        return self._view.judges.newest_ruling(self.spec).rule

    @property
    def _view(self) -> View:
        assert self.table.owner is not None
        return self.table.owner.view

    def touch(self, key: str) -> None:
        """Note that a record changed, and may claim something else now."""
        self._stale.add(key)

    def forget(self) -> None:
        """Begin anew when somebody looks."""
        self._index = None
        self._filled = False
        self._settled = {}

    def settled(self) -> Mapping[str, Settled[Any]]:
        """Return the records whose claims are at odds, by key, and what they get."""
        if self._stale or not self._filled:
            try:
                self._settle()
            except StrategyError as failure:
                path = self.spec.path
                events.STRATEGY_FAILED.log(strategy=str(self.rule), path=path, error=failure)
                self.forget()
            self._filled = True  # or failed, until something changes
        return self._settled

    def _settle(self) -> None:
        index, keys = self._index, self._stale
        if index is None:
            judge = self._view.judges.newest_ruling(self.spec).judge
            if not hasattr(judge, "index"):
                return
            index = self._index = judge.index()
            self._claimed.clear()
            keys = set(self.table.records)
        self._stale = set()
        changed = [change for change in map(self._change, sorted(keys)) if change is not None]
        if not changed:
            return
        steps = STEPS_MAX + _STEPS_PER_RECORD * len(self._claimed)
        for key, claim in changed:
            bounded_by(steps, index.put, key, claim)
        settled = bounded_by(steps, index.settled)
        for key, got in settled.items():
            try:
                check_value(got.value)
            except (TypeError, ValueError) as error:
                raise StrategyError(f"what it gave record {key!r}: {error}") from error
        self._settled = dict(settled)

    def _change(self, key: str) -> tuple[str, Claim[Any] | None] | None:
        """Return what a record claims now, None if it claims that already."""
        record = self.table.records[key]
        if not record.exists:
            return None if self._claimed.pop(key, None) is None else (key, None)
        node: ColumnValueNode = record.child(self.spec.name)
        if self._claimed.get(key) is node.pairs:
            return None
        self._claimed[key] = node.pairs
        return key, node.claim()
