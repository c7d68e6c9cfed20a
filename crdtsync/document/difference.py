"""What differs between two views of a document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from crdtsync.document.editing import TextStep, difference
from crdtsync.document.formatting import same
from crdtsync.document.path import Path
from crdtsync.document.record import RecordNode
from crdtsync.document.table import TableNode

__all__ = ["Difference", "differences"]


class Difference(NamedTuple):
    """A field, or a whole record, that is not the same.

    Attributes:
        path: where.
        before: what it was; None for a record that was not there.
        after: what it is; None likewise.
        edits: for a text, what turns the one into the other, from the end to the beginning.
    """

    path: Path
    before: Any
    after: Any
    edits: tuple[TextStep, ...] = ()


def differences(before: RecordNode, after: RecordNode) -> Iterator[Difference]:
    """Yield what differs between a record in one view and the same in another.

    Fields are compared as `to_dict` gives them. A record that is in one view only is one
    difference, with all that is in it.
    """
    for spec in after.schema.fields.values():
        old, new = before.child(spec.name), after.child(spec.name)
        if spec.kind == "table":
            yield from _records(old, new)
            continue
        was, now = old.plain(), new.plain()
        if not same(was, now):
            edits = tuple(difference(was, now)) if spec.kind == "text" else ()
            yield Difference(new.keys, was, now, edits)


def _records(before: TableNode, after: TableNode) -> Iterator[Difference]:
    for key in sorted({*before.members, *after.members}):
        old, new = before.record(key), after.record(key)
        if old.exists and new.exists:
            yield from differences(old, new)
        else:
            yield Difference(
                new.keys,
                old.plain() if old.exists else None,
                new.plain() if new.exists else None,
            )
