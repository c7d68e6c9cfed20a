"""Schemas: what a `Document` or `Record` class declares, read from its annotations.

A schema is data. The rest of the package asks it which kind of field stands where, and never looks
at annotations itself.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from crdtsync.codec import check_value, copy_value, encode
from crdtsync.document.slots import ROOT
from crdtsync.errors import SchemaError
from crdtsync.strategy import Presence, Strategy, load_strategy

__all__ = ["MISSING", "FieldOptions", "FieldSpec", "Kind", "Schema", "field", "read_schema"]

Kind: TypeAlias = Literal["value", "counter", "set", "text", "list", "table"]

DEFAULT_STRATEGY = "lww"
DEFAULT_PRESENCE = "add-wins"


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING: Any = _Missing()
"""Stands for a default that was not given."""


@dataclass(frozen=True, slots=True)
class FieldOptions:
    """What `field()` was told, until the class is read."""

    default: Any
    strategy: Strategy | None
    presence: Presence | None


def field(
    *,
    default: Any = MISSING,
    strategy: Strategy | None = None,
    presence: Presence | None = None,
) -> Any:
    """Declare a field with more than a default.

    Args:
        default: the value of a plain field that nobody has written.
        strategy: who decides a plain field between concurrent writes; `LastWriterWins` by default.
        presence: who decides a table's records between deletion and work; `AddWins` by default.
    """
    return FieldOptions(default, strategy, presence)


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One declared field.

    Attributes:
        name: the attribute's name.
        kind: what is kept under it.
        default: of a plain field; MISSING where a new record must be given one.
        strategy: of a plain field.
        presence: of a table.
        record: the schema of a table's records.
    """

    name: str
    kind: Kind
    default: Any = MISSING
    strategy: Strategy | None = None
    presence: Presence | None = None
    record: Schema | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Schema:
    """What one class declares.

    Attributes:
        cls: the class.
        fields: its fields in the order of declaration.
    """

    cls: type
    fields: Mapping[str, FieldSpec]

    def rules(self, prefix: str = "") -> dict[str, str]:
        """Return the conflict rule of every path: `{"tasks/*/title": "value lww 1"}`."""
        rules: dict[str, str] = {}
        for spec in self.fields.values():
            path = prefix + spec.name
            judge = spec.strategy or spec.presence
            rules[path] = f"{spec.kind} {judge.name} {judge.version}" if judge else spec.kind
            if spec.record is not None:
                rules |= spec.record.rules(f"{path}/*/")
        return rules

    def describe(self) -> list[dict[str, Any]]:
        """Return the schema as plain data, from which a store can be read without the class."""
        described: list[dict[str, Any]] = []
        for spec in self.fields.values():
            judge = spec.strategy or spec.presence
            record = spec.record
            described.append(
                {
                    "name": spec.name,
                    "kind": spec.kind,
                    "default": None if spec.default is MISSING else spec.default,
                    "strategy": judge.name if judge else None,
                    "record": [record.cls.__name__, record.describe()] if record else None,
                }
            )
        return described

    def fingerprint(self) -> bytes:
        """Return a digest of `rules`: equal only for classes that settle everything alike."""
        return hashlib.sha256(encode(self.rules())).digest()


_EMPTY = Schema(object, {})


def read_schema(cls: type, reserved: frozenset[str], *, top: bool, frame: int) -> Schema:
    """Read a class's own and inherited annotations.

    Args:
        cls: the class.
        reserved: names that its base class needs.
        top: whether it is a document, whose texts and lists are named at the CRDT's root.
        frame: how many callers up the class statement stands.

    Raises:
        SchemaError: a field cannot be stored as declared.
    """
    fields: dict[str, FieldSpec] = {}
    for base in reversed(cls.__mro__[1:]):
        fields |= getattr(base, "__crdtsync_schema__", _EMPTY).fields
    for name, hint in _own_annotations(cls, sys._getframe(frame + 1).f_locals).items():
        if name.startswith("_") or hint is typing.ClassVar:
            continue
        if typing.get_origin(hint) is typing.ClassVar:
            continue
        where = f"field {name!r} of class {cls.__name__}"
        if name in reserved or (top and name == ROOT):
            raise SchemaError(f"{where}: the name is taken by crdtsync; choose another")
        fields[name] = _read_field(name, hint, vars(cls).get(name, MISSING), where)
    return Schema(cls, fields)


def _own_annotations(cls: type, scope: Mapping[str, Any]) -> dict[str, Any]:
    """Evaluate the annotations of a class statement with the names that it could see."""
    holder = types.SimpleNamespace(__annotations__=inspect.get_annotations(cls))
    module = vars(sys.modules[cls.__module__]) if cls.__module__ in sys.modules else {}
    try:
        return typing.get_type_hints(holder, module, {**scope, cls.__name__: cls})
    except NameError as error:
        raise SchemaError(
            f"class {cls.__name__}: {error}; define the classes that its fields use before it"
        ) from error


def _read_field(name: str, hint: Any, declared: Any, where: str) -> FieldSpec:
    if not isinstance(declared, FieldOptions):
        declared = FieldOptions(declared, None, None)
    kind = _kind(hint)
    if kind == "value":
        if declared.presence is not None:
            raise SchemaError(f"{where}: only tables have a presence strategy")
        default = declared.default
        if default is not MISSING:
            try:
                check_value(default)
            except (TypeError, ValueError) as error:
                raise SchemaError(f"{where}: its default cannot be stored: {error}") from error
            default = copy_value(default)
        return FieldSpec(name, kind, default, declared.strategy or load_strategy(DEFAULT_STRATEGY))
    if declared.default is not MISSING:
        raise SchemaError(f"{where}: a {kind} always begins empty and takes no default")
    if declared.strategy is not None:
        raise SchemaError(f"{where}: a {kind} merges by itself and takes no strategy")
    if kind != "table":
        if declared.presence is not None:
            raise SchemaError(f"{where}: only tables have a presence strategy")
        return FieldSpec(name, kind)
    arguments = typing.get_args(hint)
    record = getattr(arguments[0], "__crdtsync_schema__", None) if arguments else None
    if record is None:
        raise SchemaError(f"{where}: say of which Record class the table is: Table[Task]")
    presence = declared.presence or load_strategy(DEFAULT_PRESENCE)
    return FieldSpec(name, kind, presence=presence, record=record)


def _kind(hint: Any) -> Kind:
    origin = typing.get_origin(hint) or hint
    kind: Kind = getattr(origin, "__crdtsync_kind__", "value")
    return kind
