"""Judges: which strategy decides a path, for what was written under which schema version.

Whoever first writes under a schema version *announces* in the document which paths have another
rule than the default. So a history says itself how it is to be read: by the rule that was announced
first for the newest version among the writes, if a strategy of that name, version and parameters is
at hand. If there is none, that is said, and the last write is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from crdtsync.document.node import Pairs, SlotNode
from crdtsync.document.rule import Rule, default_rule, find_judge, read_rule, rule_of
from crdtsync.document.schema import FieldSpec, Schema
from crdtsync.document.slots import Slot
from crdtsync.errors import SchemaError

__all__ = ["ANNOUNCEMENTS", "AnnouncementNode", "Judges", "Ruling"]

ANNOUNCEMENTS = "$schema"
"""Path below which schema versions are announced; no field can have that name."""


class Ruling(NamedTuple):
    """Who decides.

    Attributes:
        rule: by which rule.
        judge: the strategy that follows it; None where a set needs none, or there is a problem.
        problem: why the rule cannot be followed here.
    """

    rule: Rule
    judge: Any
    problem: str | None


class AnnouncementNode(SlotNode):
    """The rules of one schema version, as announced.

    Several replicas may have done so, if they had not seen each other.
    """

    __slots__ = ("_changed",)

    def __init__(self, path: str, changed: Callable[[], None]) -> None:
        super().__init__(path, None)
        self._changed = changed

    @property
    def version(self) -> int:
        """The schema version, 0 if the path names none."""
        number = self.path.rpartition("/")[2]
        return int(number) if number.isdecimal() else 0

    def install(self, pairs: Pairs, slots: tuple[Slot, ...] | None = None) -> None:
        before = self.rules()
        super().install(pairs, slots)
        if self.rules() != before:
            self._changed()

    def rules(self) -> dict[str, Rule] | None:
        """Return what was announced first, None if nothing was."""
        return next(self.announced(), None)

    def announced(self) -> Iterator[dict[str, Rule]]:
        """Yield all that was announced, the first first."""
        return (_read_rules(slot.value) for slot in self.slots())


def _read_rules(value: Any) -> dict[str, Rule]:
    if type(value) is not dict:
        return {}
    rules = {path: read_rule(told) for path, told in value.items()}
    return {path: rule for path, rule in rules.items() if rule is not None}


class Judges:
    """The judges of one document.

    Args:
        schema: what its class declares, bound.
        version: its schema version.
        announcement: gives the node of a schema version's announcement.
        newest: gives the newest schema version that was announced, 0 if none was.
    """

    def __init__(
        self,
        schema: Schema,
        version: int,
        announcement: Callable[[int], AnnouncementNode],
        newest: Callable[[], int],
    ) -> None:
        self.version = version
        self._announcement = announcement
        self._newest = newest
        self._rules = schema.rules()
        self._rulings: dict[tuple[str, int], Ruling] = {}

    def forget(self) -> None:
        """Take what is announced into account anew."""
        self._rulings.clear()

    def unannounced(self) -> Mapping[str, Any] | None:
        """Return what is to be announced before we write, None if nothing is."""
        told = list(self._announcement(self.version).announced())
        if self._rules in told or not (told or self._rules):
            return None
        return {path: list(rule) for path, rule in self._rules.items()}

    def clash(self) -> str | None:
        """Say how the class differs from what was announced first for its schema version."""
        told = self._announcement(self.version).rules()
        if told is None:
            return None
        for path in sorted(told.keys() | self._rules.keys()):
            theirs, ours = told.get(path), self._rules.get(path)
            if theirs != ours:
                return (
                    f"schema version {self.version} has rule {theirs or 'default'} for {path} in "
                    f"this document, not {ours or 'default'}: raise schema_version when you "
                    "change a strategy"
                )
        return None

    def newest_ruling(self, spec: FieldSpec) -> Ruling:
        """Return who decides a field under the newest schema version that was announced."""
        return self.ruling(spec, max(self.version, self._newest()))

    def ruling(self, spec: FieldSpec, version: int) -> Ruling:
        """Return who decides a field between writes of which the newest has a schema version."""
        ruling = self._rulings.get((spec.path, version))
        if ruling is None:
            ruling = self._rulings[spec.path, version] = self._find(spec, version)
        return ruling

    def _find(self, spec: FieldSpec, version: int) -> Ruling:
        default = default_rule(spec.kind)
        rule = (self._announcement(version).rules() or {}).get(spec.path, default)
        if rule == (default if spec.judge is None else rule_of(spec.judge)):
            return Ruling(rule, spec.judge, None)
        try:
            return Ruling(rule, find_judge(rule, spec.formerly), None)
        except SchemaError as error:
            return Ruling(rule, None, f"written under schema version {version}: {error}")
