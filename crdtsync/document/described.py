"""Documents without their classes: what a store remembers of them is enough to read them.

A strategy that is not installed here cannot be asked; where it would have had to decide, the last
write is shown and the conflict says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from crdtsync.document.access import FieldAccess
from crdtsync.document.document import Document
from crdtsync.document.record import Record
from crdtsync.document.rule import Rule, find_judge, read_rule
from crdtsync.document.schema import FieldSpec, Kind, Schema
from crdtsync.errors import SchemaError
from crdtsync.strategy import Candidate, Removal

__all__ = ["check_kinds", "described_document", "is_description"]


class _NotInstalled:
    def __init__(self, rule: Rule, reason: str) -> None:
        self.name, self.version, self.parameters = rule
        self._reason = reason

    def resolve(self, candidates: Sequence[Candidate[Any]], /) -> Any:
        raise SchemaError(self._reason)

    def present(self, writes: Sequence[Candidate[Any]], removals: Sequence[Removal], /) -> bool:
        raise SchemaError(self._reason)


def described_document(description: Sequence[Mapping[str, Any]] | None) -> type[Document]:
    """Return a document class made from what `Schema.describe` gave.

    Args:
        description: None where the store knows nothing; then slots are shown by their paths.
    """
    if description is None:
        return Document
    cls: type[Document] = type("Document", (Document,), {"__module__": __name__})
    try:
        cls.__crdtsync_schema__ = _declare(cls, description).bind()
    except (KeyError, TypeError, ValueError):  # damaged: then slots are shown by their paths
        return Document
    return cls


def is_description(told: Any) -> bool:
    """Tell whether data from elsewhere is what `Schema.describe` gives, and can be read as such."""
    if not _may_be_declared(told, Document):
        return False
    cls = described_document(told)
    return cls is not Document and bool(cls.__crdtsync_schema__.describe() == told)


def _may_be_declared(told: Any, base: type) -> bool:
    return type(told) is list and all(_may_be_field(spec, base) for spec in told)


def _may_be_field(told: Any, base: type) -> bool:
    """Tell whether a field is of a known kind, and hides nothing that its class needs."""
    match told:
        case {"name": str(name), "stored": str(stored), "kind": kind, "record": record}:
            names = name.isidentifier() and stored.isidentifier() and not name.startswith("_")
            if not names or hasattr(base, name) or kind not in get_args(Kind):
                return False
            if kind != "table":
                return True
            match record:
                case [str(), nested]:
                    return _may_be_declared(nested, Record)
    return False


def check_kinds(description: Sequence[Mapping[str, Any]] | None, schema: Schema) -> None:
    """See that no field became one of another kind under its old name.

    Args:
        description: what `Schema.describe` gave when the document was opened last; None if never.
        schema: of the class by which it is opened now.

    Raises:
        SchemaError: what was stored could not be read any more.
    """
    before = described_document(description).__crdtsync_schema__.specs()
    for path, spec in schema.specs().items():
        if path in before and before[path].kind != spec.kind:
            raise SchemaError(
                f"field {spec.name!r} of {schema.cls.__name__} was a {before[path].kind} here and "
                f"is a {spec.kind} now ({path}): what is stored as one cannot be read as the "
                "other; give the new field another name, or stored_as="
            )


def _declare(cls: Any, description: Sequence[Mapping[str, Any]]) -> Schema:
    fields = {told["name"]: _spec(told["name"], told) for told in description}
    cls.__crdtsync_declared__ = schema = Schema(cls, fields)
    for spec in fields.values():
        setattr(cls, spec.name, FieldAccess(spec))
    return schema


def _spec(name: str, told: Mapping[str, Any]) -> FieldSpec:
    rule = read_rule(told["rule"])
    judge = None if rule is None else _judge(rule)
    kind = told["kind"]
    if kind not in get_args(Kind):
        raise ValueError(f"there are no fields of kind {kind!r}")
    if kind == "value":
        return FieldSpec(
            name=name, kind=kind, stored=told["stored"], default=told["default"], strategy=judge
        )
    record: Schema | None = None
    if kind == "table":
        record_name, description = told["record"]
        record_class = type(record_name, (Record,), {"__module__": __name__})
        record = _declare(record_class, description)
    return FieldSpec(name=name, kind=kind, stored=told["stored"], presence=judge, record=record)


def _judge(rule: Rule) -> Any:
    try:
        return find_judge(rule)
    except SchemaError as error:
        return _NotInstalled(rule, str(error))
