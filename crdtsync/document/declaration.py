"""Declarations: from the annotations of a `Document` or `Record` class to its schema."""

from __future__ import annotations

import datetime
import decimal
import inspect
import sys
import types
import typing
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crdtsync.codec import check_value, copy_value
from crdtsync.document.rule import rule_of
from crdtsync.document.schema import MISSING, FieldSpec, Kind, Schema, Upcast
from crdtsync.document.slots import ROOT
from crdtsync.errors import SchemaError
from crdtsync.strategy import Presence, Strategy

__all__ = ["FieldOptions", "field", "read_schema"]


@dataclass(frozen=True, slots=True)
class FieldOptions:
    """What `field()` was told, until the class is read."""

    default: Any = MISSING
    strategy: Strategy | None = None
    presence: Presence | None = None
    stored_as: str | None = None
    formerly: tuple[Any, ...] = ()
    upcasts: Mapping[int, Upcast] | None = None


def field(
    *,
    default: Any = MISSING,
    strategy: Strategy | None = None,
    presence: Presence | None = None,
    stored_as: str | None = None,
    formerly: Sequence[Any] = (),
    upcasts: Mapping[int, Upcast] | None = None,
) -> Any:
    """Declare a field with more than a default.

    Args:
        default: the value of a plain field that nobody has written.
        strategy: who decides a plain field between concurrent writes, `LastWriterWins` by default;
            for a table, who decides the plain fields of its records, unless they say themselves.
        presence: who decides a table's records, or a set's elements, between deletion and work;
            `AddWins` by default.
        stored_as: the name under which the field is stored, where it was renamed: its first one.
        formerly: strategies that it had under earlier schema versions and that are not installed
            by entry point, so that what was written then is decided as it was meant.
        upcasts: for a plain field whose values changed their meaning or type: schema version to a
            pure function that turns a value of that version into one of the next.

    >>> from crdtsync import Document, Record, Table, field
    >>> from crdtsync.strategies import Maximum, RemoveWins
    >>> class Lot(Record):
    ...     bid: int = field(default=0, strategy=Maximum())
    >>> class Auction(Document):
    ...     lots: Table[Lot] = field(presence=RemoveWins())
    """
    return FieldOptions(default, strategy, presence, stored_as, tuple(formerly), upcasts)


_EMPTY = Schema(object, {})


def read_schema(
    cls: type,
    reserved: frozenset[str],
    *,
    top: bool,
    strategy: Strategy | None,
    presence: Presence | None,
    frame: int,
) -> Schema:
    """Read a class's own and inherited annotations.

    Args:
        cls: the class.
        reserved: names that its base class needs.
        top: whether it is a document, whose texts and lists are named at the CRDT's root.
        strategy: what the class statement gives as default of its plain fields.
        presence: what it gives as default of its tables and sets.
        frame: how many callers up the class statement stands.

    Raises:
        SchemaError: a field cannot be stored as declared.
    """
    fields: dict[str, FieldSpec] = {}
    for base in reversed(cls.__mro__[1:]):
        inherited = base.__dict__.get("__crdtsync_declared__", _EMPTY)
        fields |= inherited.fields
        strategy, presence = strategy or inherited.strategy, presence or inherited.presence
    for name, hint in _own_annotations(cls, sys._getframe(frame + 1).f_locals).items():
        if name.startswith("_") or hint is typing.ClassVar:
            continue
        if typing.get_origin(hint) is typing.ClassVar:
            continue
        where = f"field {name!r} of class {cls.__name__}"
        spec = _read_field(name, hint, vars(cls).get(name, MISSING), where)
        for taken in {name, spec.stored}:
            if taken in reserved or (top and taken == ROOT):
                raise SchemaError(f"{where}: {taken!r} is taken by crdtsync; choose another name")
        fields[name] = spec
    schema = Schema(cls, fields, strategy, presence)
    if len(schema.stored) < len(fields):
        stored = [spec.stored for spec in fields.values()]
        twice = next(name for name in stored if stored.count(name) > 1)
        raise SchemaError(f"class {cls.__name__}: two fields are stored as {twice!r}")
    return schema


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
    options = declared if isinstance(declared, FieldOptions) else FieldOptions(declared)
    kind = _kind(hint)
    _check_options(kind, options, where)
    return FieldSpec(
        name=name,
        kind=kind,
        stored=options.stored_as or name,
        default=options.default if kind != "value" else _default(options.default, where),
        types=_types(hint) if kind == "value" else None,
        strategy=options.strategy,
        presence=options.presence,
        formerly=options.formerly,
        upcasts=dict(options.upcasts or {}),
        record=_record(hint, where) if kind == "table" else None,
    )


def _check_options(kind: Kind, options: FieldOptions, where: str) -> None:
    if kind != "value" and options.default is not MISSING:
        raise SchemaError(f"{where}: a {kind} always begins empty and takes no default")
    if options.strategy is not None and kind not in {"value", "table"}:
        raise SchemaError(f"{where}: a {kind} merges by itself and takes no strategy")
    if options.presence is not None and kind not in {"table", "set"}:
        raise SchemaError(f"{where}: only tables and sets have a presence strategy")
    if options.upcasts and kind != "value":
        raise SchemaError(f"{where}: only plain fields have values to upcast")
    if options.stored_as is not None and (
        not options.stored_as.isidentifier() or options.stored_as.startswith("_")
    ):
        raise SchemaError(f"{where}: it cannot be stored as {options.stored_as!r}")
    for judge, protocol in ((options.strategy, Strategy), (options.presence, Presence)):
        if judge is None:
            continue
        if isinstance(judge, type) or not isinstance(judge, protocol):
            raise SchemaError(
                f"{where}: {judge!r} is no {protocol.__name__.lower()}; write {_instance(judge)}"
            )
    for judge in (options.strategy, options.presence, *options.formerly):
        if judge is not None:
            rule_of(judge)


def _instance(judge: Any) -> str:
    if isinstance(judge, type):
        return f"{judge.__name__}() instead of {judge.__name__}"
    return "an object with name, version and its deciding method"


def _default(default: Any, where: str) -> Any:
    if default is MISSING:
        return default
    try:
        check_value(default)
    except (TypeError, ValueError) as error:
        raise SchemaError(f"{where}: its default cannot be stored: {error}") from error
    return copy_value(default)


def _record(hint: Any, where: str) -> Schema:
    arguments = typing.get_args(hint)
    record: Schema | None = (
        getattr(arguments[0], "__crdtsync_declared__", None) if arguments else None
    )
    if record is None:
        raise SchemaError(f"{where}: say of which Record class the table is: Table[Task]")
    return record


def _kind(hint: Any) -> Kind:
    origin = typing.get_origin(hint) or hint
    kind: Kind = getattr(origin, "__crdtsync_kind__", "value")
    return kind


def _types(hint: Any) -> tuple[type, ...] | None:
    """Return the classes that an annotation admits, None if it cannot be told by class.

    >>> _types(int | None)
    (<class 'int'>, <class 'NoneType'>)
    >>> _types(list[str])
    (<class 'list'>,)
    """
    origin = typing.get_origin(hint)
    if origin in {typing.Union, types.UnionType}:
        parts = [_types(part) for part in typing.get_args(hint)]
        if any(part is None for part in parts):
            return None
        return tuple(dict.fromkeys(cls for part in parts if part for cls in part))
    if origin is typing.Literal:
        return tuple(dict.fromkeys(type(value) for value in typing.get_args(hint)))
    if typing.is_typeddict(hint):
        return (dict,)
    found = origin or hint
    if not isinstance(found, type) or found is object:
        return None
    if found is float:
        return (float, int)  # as type checkers have it
    return (found,) if found in _STORED_AS_THEMSELVES else None


_STORED_AS_THEMSELVES = frozenset(
    {str, int, bool, bytes, list, dict, type(None)}
    | {datetime.datetime, datetime.date, decimal.Decimal, uuid.UUID}
)
