"""The history of a field, record or text: what it has been, and who made it so.

It is read off the log: the entries are materialized one after the other, in the order of arrival,
and each that touches the path gives a version. So it holds what was deleted since, and what was
written beside other writes. It costs a replay of the whole log: for people to look at.
"""

from __future__ import annotations

import datetime
import operator
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, TypeAlias

import pycrdt

from crdtsync.clock import to_datetime
from crdtsync.document.editing import TextStep
from crdtsync.document.formatting import OBJECT, same
from crdtsync.document.handle import Handle
from crdtsync.document.history import Log, PastAction
from crdtsync.document.live import LiveDocument
from crdtsync.document.materialize import apply_entries, slot_events
from crdtsync.document.node import Node
from crdtsync.document.path import Path, split
from crdtsync.document.record import Record, RecordNode
from crdtsync.document.rope import EMBED, Rope
from crdtsync.document.text import TextNode, steps_of
from crdtsync.document.value import ValueNode
from crdtsync.document.view import View
from crdtsync.errors import SchemaError
from crdtsync.log import Entry

__all__ = ["Place", "Version", "path_of_place", "versions"]

Place: TypeAlias = str | Path | Record | Handle[Any]
"""A path as text (`tasks/t1/title`), a path in parts, a record, or what a field gives."""


class Version(NamedTuple):
    """What an action made of a field, record or text.

    Attributes:
        kind: `created`, `deleted` or `revived` for what that did to a record; else `changed`.
        value: what it has been from then on, in the order of arrival here; None for a record that
            is not there.
        before: what it was until then.
        written: what the action itself wrote to a plain field. It is not the value where others
            have written beside it and the field's strategy chose theirs.
        edits: what it did to a text, one after the other: each counts in what the one before left.
        action: which action it was, with its entry.
        user: who did it, where known.
        time: when, by the clock of who did it.
        replica: where.
    """

    kind: Literal["created", "deleted", "revived", "changed"]
    value: Any
    before: Any
    written: Any
    edits: tuple[TextStep, ...]
    action: PastAction
    user: str | None
    time: datetime.datetime
    replica: int


def path_of_place(place: Place) -> Path:
    """Return the path that an app names somehow.

    >>> path_of_place("tasks/t%2F1/title")
    ('tasks', 't/1', 'title')
    """
    match place:
        case str():
            return split(place) if place else ()
        case Record() | Handle():
            path: Path = place._node.keys
            return path
        case _:
            return place


def versions(live: LiveDocument, log: Log, path: Path) -> Iterator[Version]:
    """Yield what the log made of a path, in the order of arrival.

    Raises:
        SchemaError: nothing is declared there.
    """
    view = View(live.schema, live.journal.users, live.schema_version, live.journal.clamps)
    doc: pycrdt.Doc[Any] = pycrdt.Doc()
    base = live.journal.base()
    if base is not None:
        doc.apply_update(base.state)
    view.show(doc, {} if base is None else dict(base.slots))
    view.watch_all()
    try:
        node = view.at(path)
    except KeyError as error:
        raise SchemaError(
            f"nothing is declared at {'/'.join(path)!r} in document {live.journal.name!r}"
        ) from error
    watched = _Watched(node, path)
    for entry in live.journal.entries():
        if (entry.replica, entry.seq) not in live.without_effect:
            yield from watched.take(view, log, entry)


class _Watched:
    """A node of a view that the log is played to."""

    def __init__(self, node: Node, path: Path) -> None:
        self._node = node
        self._path = path
        self._value = _value(node)
        self._existed = isinstance(node, RecordNode) and node.exists
        self._rope = Rope()
        self._deltas: list[list[dict[str, Any]]] = []
        if isinstance(node, TextNode):
            self._rope = Rope(str(self._value).replace(OBJECT, EMBED))
            deltas = self._deltas

            def follow(event: Any) -> None:
                deltas.append(event.delta)

            self._subscription = node.root.observe(follow)

    def take(self, view: View, log: Log, entry: Entry) -> Iterator[Version]:
        """Play an entry; yield a version if it touches the node."""
        self._deltas.clear()
        view.listen()
        with slot_events(view.doc) as events:
            apply_entries(view.doc, [entry])
        paths = view.take(events, tell=True).paths
        if not any(map(self._concerns, paths)):
            return
        before, self._value = self._value, _value(self._node)
        steps = (step for delta in self._deltas for step in steps_of(delta, self._rope))
        edits = tuple(_shown(step) for step in steps)
        written = self._written(entry)
        if edits or written or not same(before, self._value):
            yield Version(
                self._kind(before),
                self._value,
                before,
                next(iter(written), None),
                edits,
                log.action(entry),
                log.user_of(entry.replica),
                to_datetime(entry.when),
                entry.replica,
            )

    def _concerns(self, path: Path) -> bool:
        """Tell whether a path is ours, or is in it, or has it in it."""
        return all(map(operator.eq, path, self._path))

    def _written(self, entry: Entry) -> list[Any]:
        """Return what an entry wrote to a plain field, if it did."""
        if not isinstance(self._node, ValueNode):
            return []
        name = (entry.replica, entry.seq)
        return [c.value for c in self._node.candidates() if (c.replica, c.seq) == name]

    def _kind(self, before: Any) -> Literal["created", "deleted", "revived", "changed"]:
        if not isinstance(self._node, RecordNode) or (before is None) == (self._value is None):
            return "changed"
        if self._value is None:
            return "deleted"
        existed, self._existed = self._existed, True
        return "revived" if existed else "created"


def _value(node: Node) -> Any:
    return None if isinstance(node, RecordNode) and not node.exists else node.plain()


def _shown(step: TextStep) -> TextStep:
    return step if step.text is None else step._replace(text=step.text.replace(EMBED, OBJECT))
