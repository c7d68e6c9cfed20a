"""Schemas: which kind of field stands where, and which strategy decides it.

A schema is data, read from a class by `declaration`. A class alone leaves strategies open that
stand in a wider scope: the table that its records are in, the document. `Schema.bind` fills them
in, and gives each field the path by which its rule is known: `tasks/*/status`.

Source of the rules for change: Kleppmann, "Designing Data-Intensive Applications", ch. 4 (readers
and writers of several schema versions at once).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

from crdtsync.document.rule import DEFAULT_PRESENCE, DEFAULT_STRATEGY, Rule, rule_of
from crdtsync.strategy import ColumnStrategy, Positional, Presence, Strategy, load_strategy

__all__ = ["MISSING", "FieldSpec", "Kind", "Schema", "Upcast"]

Kind: TypeAlias = Literal["value", "counter", "set", "text", "list", "map", "rich-text", "table"]
Upcast: TypeAlias = Callable[[Any], Any]


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING: Any = _Missing()
"""Stands for a default that was not given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSpec:
    """One declared field.

    Attributes:
        name: the attribute's name.
        kind: what is kept under it.
        stored: the path segment that it is stored under; its first name, where it was renamed.
        default: of a plain field; MISSING where a new record must be given one.
        types: what a plain field's annotation admits; None if that is anything, or beyond telling.
        strategy: of a plain field; of a table, the default of its records' plain fields.
        presence: of a table or set; None for a set whose removals need no trace.
        formerly: strategies that earlier schema versions had here.
        upcasts: schema version to the function that turns its values into the next version's.
        record: the schema of a table's records.
        path: the path by which its rule is known, once bound.
    """

    name: str
    kind: Kind
    stored: str
    default: Any = MISSING
    types: tuple[type, ...] | None = None
    strategy: Strategy | None = None
    presence: Presence | None = None
    formerly: tuple[Any, ...] = ()
    upcasts: Mapping[int, Upcast] = dataclasses.field(default_factory=dict)
    record: Schema | None = None
    path: str = ""

    @property
    def judge(self) -> Any:
        """What decides here: a strategy for a plain field, a presence for a table or set."""
        return self.strategy if self.kind == "value" else self.presence

    @property
    def is_column(self) -> bool:
        """Whether the records of a table are decided together."""
        return self.kind == "value" and isinstance(self.strategy, ColumnStrategy)

    @property
    def is_position(self) -> bool:
        """Whether it holds a record's place among others."""
        return self.kind == "value" and isinstance(self.strategy, Positional)


@dataclass(frozen=True, eq=False)
class Schema:
    """What one class declares.

    Attributes:
        cls: the class.
        fields: its fields by name, in the order of declaration.
        strategy: the default of its plain fields, if the class gives one.
        presence: the default of its tables and sets, if the class gives one.
    """

    cls: type
    fields: Mapping[str, FieldSpec]
    strategy: Strategy | None = None
    presence: Presence | None = None

    @cached_property
    def stored(self) -> Mapping[str, FieldSpec]:
        """The fields by the path segments that they are stored under."""
        return {spec.stored: spec for spec in self.fields.values()}

    @cached_property
    def columns(self) -> tuple[FieldSpec, ...]:
        """The fields in which a table's records are decided together."""
        return tuple(spec for spec in self.fields.values() if spec.is_column)

    @cached_property
    def position(self) -> FieldSpec | None:
        """The field that holds a record's place in its table, if there is one."""
        found = (spec for spec in self.fields.values() if spec.is_position)
        return next(found, None)

    def unknown(self, name: str) -> str:
        """Say that no field has this name, and which there are."""
        known = ", ".join(self.fields) or "none"
        return f"{self.cls.__name__} declares no field {name!r}; its fields: {known}"

    def bind(
        self,
        strategy: Strategy | None = None,
        presence: Presence | None = None,
        prefix: str = "",
    ) -> Schema:
        """Return the schema as it holds in one place, every strategy filled in.

        The nearest one counts: of the field, of its table, of the record's class, of what that
        table stands in, of the document.

        Args:
            strategy: what the place says of plain fields.
            presence: what the place says of tables and sets.
            prefix: the rule path of the place.
        """
        strategy, presence = strategy or self.strategy, presence or self.presence
        bound = {
            name: _bind_field(spec, strategy, presence, prefix)
            for name, spec in self.fields.items()
        }
        return dataclasses.replace(self, fields=bound)

    def specs(self) -> dict[str, FieldSpec]:
        """Return every field of a bound schema, those of nested records included, by its path."""
        specs: dict[str, FieldSpec] = {}
        for spec in self.fields.values():
            specs[spec.path] = spec
            if spec.record is not None:
                specs |= spec.record.specs()
        return specs

    def kind_of(self, path: str) -> Kind | None:
        """Return the kind of the field at a stored path; None if none is declared there."""
        schema: Schema | None = self
        spec: FieldSpec | None = None
        for number, segment in enumerate(path.split("/")):
            if number % 2:  # a record's key
                schema = None if spec is None else spec.record
                spec = None
            else:
                spec = None if schema is None else schema.stored.get(segment)
        return None if spec is None else spec.kind

    def rules(self) -> dict[str, Rule]:
        """Return the rule of every path of a bound schema that has another than the default."""
        rules: dict[str, Rule] = {}
        for path, spec in self.specs().items():
            rule = None if spec.judge is None else rule_of(spec.judge)
            if rule is not None and not rule.is_default(spec.kind):
                rules[path] = rule
        return rules

    def describe(self) -> list[dict[str, Any]]:
        """Return a bound schema as data, from which a store can be read without the class."""
        return [_describe_field(spec) for spec in self.fields.values()]


def _bind_field(
    spec: FieldSpec, strategy: Strategy | None, presence: Presence | None, prefix: str
) -> FieldSpec:
    path = prefix + spec.stored
    match spec.kind:
        case "value":
            chosen = spec.strategy or strategy or load_strategy(DEFAULT_STRATEGY)
            return dataclasses.replace(spec, path=path, strategy=chosen)
        case "set":
            return dataclasses.replace(spec, path=path, presence=spec.presence or presence)
        case "table":
            assert spec.record is not None
            inside = spec.record.strategy if spec.strategy is None else spec.strategy
            record = spec.record.bind(
                inside or strategy, spec.record.presence or presence, f"{path}/*/"
            )
            chosen_presence = spec.presence or presence or load_strategy(DEFAULT_PRESENCE)
            return dataclasses.replace(spec, path=path, presence=chosen_presence, record=record)
        case _:
            return dataclasses.replace(spec, path=path)


def _describe_field(spec: FieldSpec) -> dict[str, Any]:
    rule = None if spec.judge is None else rule_of(spec.judge)
    record = spec.record
    return {
        "name": spec.name,
        "stored": spec.stored,
        "kind": spec.kind,
        "default": None if spec.default is MISSING else spec.default,
        "rule": None if rule is None else list(rule),
        "record": None if record is None else [record.cls.__name__, record.describe()],
    }
