"""Columns: one field of a table in which all the records are decided together.

Each existing record claims a value; the column's strategy keeps an index of the claims and says
which records get another. The index is filled when somebody first looks, and then follows the
records that changed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from crdtsync.codec import check_value
from crdtsync.document.guard import StrategyError, bounded
from crdtsync.document.rule import Rule
from crdtsync.document.schema import FieldSpec
from crdtsync.strategy import ColumnIndex, Settled

if TYPE_CHECKING:
    from crdtsync.document.table import TableNode
    from crdtsync.document.view import View

__all__ = ["Column"]

_log = logging.getLogger("crdtsync.strategy")


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
        self._stale: set[str] = set()
        self._settled: Mapping[str, Settled[Any]] | None = None

    @property
    def rule(self) -> Rule:
        """The rule by which it is decided."""
        return self._view.judges.newest_ruling(self.spec).rule

    @property
    def _view(self) -> View:
        assert self.table.owner is not None
        return self.table.owner.view

    def touch(self, key: str) -> None:
        """Note that a record may claim something else now."""
        self._stale.add(key)
        self._settled = None

    def forget(self) -> None:
        """Begin anew when somebody looks."""
        self._index = self._settled = None

    def settled(self) -> Mapping[str, Settled[Any]]:
        """Return the records whose claims are at odds, by key, and what they get."""
        if self._settled is None:
            try:
                self._settled = self._settle()
            except StrategyError as failure:
                _log.warning("strategy %s failed on %s: %s", self.rule, self.spec.path, failure)
                self._index, self._settled = None, {}
        return self._settled

    def _settle(self) -> Mapping[str, Settled[Any]]:
        keys = self._stale
        if self._index is None:
            judge = self._view.judges.newest_ruling(self.spec).judge
            if not hasattr(judge, "index"):
                return {}
            self._index = judge.index()
            keys = set(self.table.records)
        self._stale = set()
        for key in sorted(keys):
            record = self.table.records[key]
            claim = record.child(self.spec.name).claim() if record.exists else None
            bounded(self._index.put, key, claim)
        settled = bounded(self._index.settled)
        for key, got in settled.items():
            try:
                check_value(got.value)
            except (TypeError, ValueError) as error:
                raise StrategyError(f"what it gave record {key!r}: {error}") from error
        return dict(settled)
