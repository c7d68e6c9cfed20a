"""Plain fields: one value, several candidates where replicas wrote unaware of each other.

The field's strategy decides between candidates, in a `guard` that contains what it does wrong.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from crdtsync import events
from crdtsync.clock import to_datetime
from crdtsync.codec import copy_value
from crdtsync.document.conflict import Conflict
from crdtsync.document.guard import StrategyError, admits, bounded, choose
from crdtsync.document.judges import Ruling
from crdtsync.document.node import Pairs, SlotNode
from crdtsync.document.path import Path
from crdtsync.document.schema import MISSING, FieldSpec
from crdtsync.document.slots import Slot
from crdtsync.strategy import Base, Candidate, Claim, Strategy
from crdtsync.telemetry import CONFLICTS

if TYPE_CHECKING:
    from crdtsync.document.column import Column
    from crdtsync.document.record import RecordNode
    from crdtsync.document.writer import Writer

__all__ = ["ColumnValueNode", "ValueEdit", "ValueNode"]


class ValueEdit:
    """Set a field, or (as an erasure) return it to its default."""

    __slots__ = ("erase", "value")

    def __init__(self, value: Any, *, erase: bool = False) -> None:
        self.value = value
        self.erase = erase

    def replace(self, other: ValueEdit) -> None:
        """Mean what another edit means."""
        self.value, self.erase = other.value, other.erase

    def copy(self) -> ValueEdit:
        return ValueEdit(self.value, erase=self.erase)


class _Verdict(NamedTuple):
    """How several writes were settled."""

    candidates: tuple[Candidate[Any], ...]
    ruling: Ruling
    error: str | None

    def conflict(self, path: Path, chosen: Any) -> Conflict:
        """Return it as an app sees it."""
        rule = self.ruling.rule
        if self.error is None:
            reason = _reason(self.ruling.judge, self.candidates, chosen)
        else:
            reason = f"the last write holds, because strategy {rule} could not decide"
        return Conflict(path, self.candidates, chosen, rule.name, reason, self.error)


class ValueNode(SlotNode):
    """State of a plain field."""

    __slots__ = ("_value", "_verdict", "spec")

    def __init__(self, path: str, owner: RecordNode, spec: FieldSpec) -> None:
        super().__init__(path, owner)
        self.spec = spec
        self._verdict: _Verdict | None = None
        self._value: Any = self.default

    @property
    def default(self) -> Any:
        """The value while nobody has written one."""
        return None if self.spec.default is MISSING else self.spec.default

    def install(self, pairs: Pairs, slots: tuple[Slot, ...] | None = None) -> None:
        super().install(pairs, slots)
        self._value = _UNRESOLVED
        assert self.owner is not None
        contested = self.owner.view.contested
        if len(pairs) > 1:
            if self not in contested:
                CONFLICTS.add()
            contested[self] = None
        elif contested:
            contested.pop(self, None)

    def adopt(self, pair: tuple[str, bytes]) -> None:
        super().adopt(pair)
        self._value = _UNRESOLVED
        if len(self.pairs) > 1:
            assert self.owner is not None
            self.owner.view.contested[self] = None

    def clear(self) -> None:
        super().clear()
        self._value = _UNRESOLVED

    def rejudge(self) -> None:
        """Decide anew when somebody looks: it may be another's to decide now."""
        self._value = _UNRESOLVED

    @property
    def value(self) -> Any:
        """The field's value. Shared: copy it before you hand it out."""
        if self._value is _UNRESOLVED:
            self._resolve()
        return self._value

    def conflict(self) -> Conflict | None:
        """Return what is at odds here, if anything."""
        if self._value is _UNRESOLVED:
            self._resolve()
        return None if self._verdict is None else self._verdict.conflict(self.keys, self._value)

    def candidates(self) -> tuple[Candidate[Any], ...]:
        """Return the live writes that can be read here, ordered by (time, replica)."""
        assert self.owner is not None
        users = self.owner.view.users
        return tuple(
            Candidate(
                _upcast(self.spec, slot.value, slot.schema),
                slot.replica,
                users.get(slot.replica),
                slot.seq,
                slot.time,
                _upcast_base(self.spec, slot.base, slot.schema),
            )
            for slot in self.slots()
            if self.unreadable(slot) is None
        )

    def unreadable(self, slot: Slot) -> str | None:
        """Tell why a write cannot be read here; None if it can."""
        assert self.owner is not None
        version = self.owner.view.judges.version
        if slot.schema == version:
            return None
        if slot.schema > version:
            if admits(self.spec, slot.value):
                return None
            return f"schema version {slot.schema} writes a {type(slot.value).__name__} here"
        try:
            _upcast(self.spec, slot.value, slot.schema)
        except StrategyError as failure:
            return str(failure)
        return None

    def _resolve(self) -> None:
        slots = self.slots()
        self._verdict = None
        if len(slots) == 1 and slots[0].schema == 1 and not self.spec.upcasts:
            self._value = slots[0].value
            return
        candidates = self.candidates()
        if len(candidates) > 1:
            self._settle(candidates, max(slot.schema for slot in slots))
        else:
            self._value = candidates[0].value if candidates else self.default

    def _settle(self, candidates: tuple[Candidate[Any], ...], version: int) -> None:
        ruling = self._ruling(version)
        error = ruling.problem
        value = candidates[-1].value
        if error is None:
            try:
                value = choose(ruling.judge, self.spec, candidates)
            except StrategyError as failure:
                error = str(failure)
                events.STRATEGY_FAILED.log(strategy=str(ruling.rule), path=self.path, error=error)
        self._value = value
        self._verdict = _Verdict(candidates, ruling, error)

    def _ruling(self, version: int) -> Ruling:
        assert self.owner is not None
        return self.owner.view.judges.ruling(self.spec, version)

    def plain(self) -> Any:
        return copy_value(self.value)

    def write(self, writer: Writer, edit: ValueEdit) -> None:
        if edit.erase:
            writer.remove(self)
        else:
            writer.put(self, edit.value, self._base(writer))

    def _base(self, writer: Writer) -> Base[Any] | None:
        """Return what a write now replaces, if the strategy uses that.

        Nobody else can have built on a write of ours that was never sent: then it is the same as
        what that one replaced.
        """
        if not getattr(self.spec.strategy, "uses_base", False):
            return None
        slots = self.slots()
        if len(slots) == 1 and slots[0].replica == writer.replica and slots[0].seq > writer.sent:
            return slots[0].base
        return Base(copy_value(self.value), max((slot.time for slot in slots), default=0))

    def erasure(self) -> ValueEdit | None:
        return ValueEdit(self.default, erase=True) if self.pairs else None


class ColumnValueNode(ValueNode):
    """State of a field in which the records of a table are decided together."""

    __slots__ = ()

    def claim(self) -> Claim[Any]:
        """Return what the record says by itself."""
        value = super().value
        slots = self.slots()
        if not slots:
            return Claim(value, 0, 0)
        newest = slots[-1]
        return Claim(value, newest.time, newest.replica, newest.base)

    @property
    def value(self) -> Any:
        settled = self._column().settled().get(self._key())
        return super().value if settled is None else settled.value

    def conflict(self) -> Conflict | None:
        column, own = self._column(), super().conflict()
        settled = column.settled().get(self._key())
        if settled is None:
            return own
        assert self.owner is not None
        assert self.owner.table is not None
        rivals = tuple(
            self.owner.table.record(key).child(self.spec.name).keys for key in settled.rivals
        )
        return Conflict(
            self.keys,
            self.candidates(),
            settled.value,
            column.rule.name,
            settled.reason,
            None if own is None else own.error,
            rivals,
        )

    def _column(self) -> Column:
        assert self.owner is not None
        assert self.owner.table is not None
        return self.owner.table.columns[self.spec.name]

    def _key(self) -> str:
        assert self.owner is not None
        return self.owner.key


def _upcast(spec: FieldSpec, value: Any, version: int) -> Any:
    """Return a value as the present schema version understands it.

    Raises:
        StrategyError: a function that should have turned it failed.
    """
    for step in sorted(spec.upcasts):
        if step >= version:
            value = bounded(spec.upcasts[step], copy_value(value))
    return value


def _upcast_base(spec: FieldSpec, base: Base[Any] | None, version: int) -> Base[Any] | None:
    if base is None or not spec.upcasts:
        return base
    try:
        return Base(_upcast(spec, base.value, version), base.time)
    except StrategyError:
        return None


def _reason(judge: Strategy, candidates: tuple[Candidate[Any], ...], chosen: Any) -> str:
    explain = getattr(judge, "explain", None)
    if explain is not None:
        try:
            return str(bounded(explain, candidates, chosen))
        except StrategyError:
            events.STRATEGY_SILENT.log(strategy=judge.name)
    writers = [c for c in candidates if c.value == chosen]
    if not writers:
        return f"{judge.name} made it of {len(candidates)} writes"
    wrote: datetime.datetime = to_datetime(writers[-1].time)
    return f"{judge.name} chose what {writers[-1].user or 'somebody'} wrote at {wrote:%F %T} UTC"


class _Unresolved:
    """Marks a value that nobody has looked at since its slots changed."""


_UNRESOLVED = _Unresolved()
