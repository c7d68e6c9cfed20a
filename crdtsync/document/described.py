"""Documents without their classes: what a store remembers of them is enough to read them.

A strategy that is not installed here cannot be asked; where it would have had to decide, the last
write is shown and the conflict says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from crdtsync.document.access import FieldAccess
from crdtsync.document.document import Document
from crdtsync.document.record import Record
from crdtsync.document.schema import FieldSpec, Schema
from crdtsync.errors import SchemaError
from crdtsync.strategy import Candidate, Removal, load_strategy

__all__ = ["described_document"]


class _NotInstalled:
    version = 0

    def __init__(self, name: str) -> None:
        self.name = name

    def resolve(self, candidates: Sequence[Candidate[Any]], /) -> Any:
        raise SchemaError(f"strategy {self.name!r} is not installed here")

    def present(self, writes: Sequence[Candidate[Any]], removals: Sequence[Removal], /) -> bool:
        raise SchemaError(f"strategy {self.name!r} is not installed here")


def described_document(description: Sequence[Mapping[str, Any]] | None) -> type[Document]:
    """Return a document class made from what `Schema.describe` gave.

    Args:
        description: None where the store knows nothing; then slots are shown by their paths.
    """
    if description is None:
        return Document
    cls = type("Document", (Document,), {"__module__": __name__})
    try:
        _declare(cls, description)
    except (KeyError, TypeError, ValueError):  # damaged: then slots are shown by their paths
        return Document
    return cls


def _declare(cls: Any, description: Sequence[Mapping[str, Any]]) -> Schema:
    fields = {told["name"]: _spec(told["name"], told) for told in description}
    cls.__crdtsync_schema__ = schema = Schema(cls, fields)
    for spec in fields.values():
        setattr(cls, spec.name, FieldAccess(spec))
    return schema


def _spec(name: str, told: Mapping[str, Any]) -> FieldSpec:
    judge = _judge(told["strategy"]) if told["strategy"] else None
    kind = told["kind"]
    if kind != "table":
        return FieldSpec(name, kind, told["default"], strategy=judge)
    record_name, description = told["record"]
    record = type(record_name, (Record,), {"__module__": __name__})
    return FieldSpec(name, kind, presence=judge, record=_declare(record, description))


def _judge(name: str) -> Any:
    try:
        return load_strategy(name)
    except SchemaError:
        return _NotInstalled(name)
