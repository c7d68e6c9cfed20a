"""Who wrote what stands in a document: each field with its writers, each text piece by piece."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from typing import Any

from crdtsync.clock import pack
from crdtsync.document import Document
from crdtsync.document.authors import authors
from crdtsync.document.counter import CounterNode
from crdtsync.document.node import Node
from crdtsync.document.path import Path
from crdtsync.document.record import RecordNode
from crdtsync.document.sets import SetNode
from crdtsync.document.slots import Slot
from crdtsync.document.text import TextNode
from crdtsync.document.value import ValueNode
from crdtsync.notebook.displays import replica_html, replica_places
from crdtsync.notebook.markup import Markup, join, tag
from crdtsync.notebook.theme import STYLE
from crdtsync.notebook.values import chips, clock_time, cut, table, value_html

__all__ = ["authorship"]

_PARTS_MAX = 20


def authorship(
    document: Document,
    *,
    changed: Collection[Path] = (),
    places: Mapping[int, int] | None = None,
) -> Markup:
    """Return a document as a table of its fields, each with who wrote what stands there, and when.

    Args:
        document: any, also one of the past.
        changed: paths that get a mark, with all that is in them.
        places: each replica's place among all: its colour. By default, among those in the document.

    >>> from crdtsync import Document, Replica
    >>> class Light(Document):
    ...     name: str = ""
    >>> light = Replica(user="ann").document(Light, "light")
    >>> light.name = "lamp"
    >>> "ann" in authorship(light)
    True
    """
    writers = _Writers(document, replica_places(document.log) if places is None else places)
    marked = set(changed)
    rows = (_row(node, writers, marked) for node in _leaves(document._node))
    count = sum(1 for _ in _leaves(document._node))
    columns = ("field", "what stands there", "who wrote it, and when (UTC)")
    return tag("div", STYLE, table(columns, rows, count), class_="crdtsync")


def _leaves(record: RecordNode) -> Iterator[Node]:
    """Yield the fields of a record that are not tables, and those of the records in the tables."""
    for spec in record.schema.fields.values():
        node = record.child(spec.name)
        if spec.kind != "table":
            yield node
            continue
        for key in node.members:
            yield from _leaves(node.record(key))


def _row(node: Node, writers: _Writers, changed: Collection[Path]) -> tuple[Markup, ...]:
    path = node.keys
    is_new = any(path[:length] in changed for length in range(len(path) + 1))
    name = tag(
        "span", "● " if is_new else "", " / ".join(path), class_="chosen" if is_new else None
    )
    return name, _value(node), writers.of(node)


def _value(node: Node) -> Markup:
    value = node.plain()
    return chips(value) if isinstance(value, list) else value_html(value)


class _Writers:
    """Tells who wrote what is in a node."""

    def __init__(self, document: Document, places: Mapping[int, int]) -> None:
        self._journal = document._live.journal
        self._doc = document._live.view.doc
        self._places = places

    def of(self, node: Node) -> Markup:
        """Return the writers of a field, one a line."""
        lines = list(islice(self._lines(node), _PARTS_MAX + 1))
        if len(lines) > _PARTS_MAX:
            lines[-1] = tag("span", "… and more", class_="dim")
        return join(lines, tag("br"))

    def _lines(self, node: Node) -> Iterator[Markup]:
        match node:
            case ValueNode():
                slots = node.slots()
                for slot in slots:
                    yield self._line(slot, value_html(slot.value) if len(slots) > 1 else None)
            case CounterNode():
                for slot in node.slots():
                    yield self._line(slot, join([f"{slot.value:+,}"]))
            case SetNode():
                for segment in node.value:
                    for slot in node.element(segment).additions():
                        yield self._line(slot, tag("span", value_html(slot.value), class_="chip"))
            case TextNode():
                for part in authors(self._doc, node.path, self._journal):
                    time = None if part.time is None else pack(round(part.time.timestamp() * 1000))
                    yield self._by(tag("q", cut(part.text, 60)), part.replica, time)
            case _:
                return

    def _line(self, slot: Slot, what: Markup | None) -> Markup:
        return self._by(what, slot.replica, slot.time)

    def _by(self, what: Any, replica: int, time: int | None) -> Markup:
        who = replica_html(replica, self._journal.users.get(replica), self._places.get(replica))
        said = [] if what is None else [what, " "]
        return join([*said, who, *([] if time is None else [" ", clock_time(time)])])
