"""Between markup and the CRDT's XML types: reading, following and writing.

A rich text is a Yjs `XmlFragment` of `XmlElement`s and `XmlText`s, as y-prosemirror and its kin
write it. Reading goes past the CRDT library's Python layer to its Rust core, in one transaction:
five times as fast. Nothing of the library is kept between two changes, because what it hands out
outlives a deletion only in name. A part is found again by its place.

Where a root was used for something else before, or by somebody hostile, there can be text or values
among the elements. The library shows no children from there on, and can wait for ever when it is
told to delete across such things; but the places before them are sure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pycrdt

from crdtsync.document.editing import TextStep
from crdtsync.document.formatting import (
    Runs,
    attributes_before,
    length_of,
    overlaid,
    read_runs,
    shown,
    size_upto,
)
from crdtsync.document.markup import (
    DEPTH_MAX,
    Branch,
    Leaf,
    Part,
    Place,
    Retext,
    SetAttribute,
    Splice,
    Step,
    after,
    at,
    put,
)

__all__ = ["follow", "read", "write"]


def read(root: pycrdt.XmlFragment) -> Branch:
    """Return what stands in a fragment."""
    with root.doc.transaction() as transaction:
        return _read_branch(root.integrated, transaction._txn, 0)


def _read_part(item: Any, txn: Any, depth: int) -> Part:
    if not hasattr(item, "diff"):
        return _read_branch(item, txn, depth)
    runs = read_runs(item.diff(txn))
    return Leaf(runs, size_upto(runs, length_of(runs)) != item.len(txn))


def _read_branch(item: Any, txn: Any, depth: int) -> Branch:
    items = item.children(txn) if depth < DEPTH_MAX else ()
    return Branch(
        (item.tag() or "") if hasattr(item, "tag") else "",
        _read_attributes(item, txn),
        tuple(_read_part(child, txn, depth + 1) for child in items),
        len(items) != item.len(txn),
    )


def _read_attributes(item: Any, txn: Any) -> dict[str, Any]:
    if not hasattr(item, "attributes"):  # the root
        return {}
    found: dict[str, Any] = dict(item.attributes(txn))
    return {name: shown(found[name]) for name in sorted(found)}


def follow(tree: Branch, root: pycrdt.XmlFragment, events: Iterable[Any]) -> Branch:
    """Return the tree after changes, as the CRDT library reports them from a deep observer.

    Parts that stay keep their keys.
    """
    with root.doc.transaction() as transaction:
        txn = transaction._txn
        for event in sorted(events, key=lambda event: len(event.path)):
            place = _sure(tree, event.path)
            item, part = _item(root.integrated, place, txn), at(tree, place)
            if isinstance(part, Branch) and len(place) == len(event.path):
                new: Part = _follow_branch(part, item, event.delta, txn, len(place))
            else:
                new = _read_part(item, txn, len(place))
            tree = put(tree, place, replace(new, key=part.key))
    return tree


def _sure(tree: Branch, path: Iterable[Any]) -> Place:
    """Return a path as far as the tree goes with the CRDT on it, index for index."""
    place: Place = ()
    part: Part = tree
    for index in path:
        if isinstance(part, Leaf) or index not in range(len(part.children)):
            break
        place, part = (*place, index), part.children[index]
    return place


def _item(item: Any, place: Place, txn: Any) -> Any:
    for index in place:
        item = item.get(txn, index)
    return item


def _follow_branch(
    part: Branch, item: Any, delta: Iterable[dict[str, Any]], txn: Any, depth: int
) -> Branch:
    items = item.children(txn) if depth < DEPTH_MAX else ()
    children: list[Part] = []
    had = 0
    for step in delta:
        if "retain" in step:
            children += part.children[had : had + step["retain"]]
            had += step["retain"]
        elif "delete" in step:
            had += step["delete"]
        else:
            new = items[len(children) : len(children) + len(step["insert"])]
            children += [_read_part(child, txn, depth + 1) for child in new]
    children += part.children[had:]
    if part.foreign or not len(children) == len(items) == item.len(txn):
        return _read_branch(item, txn, depth)
    return replace(part, attributes=_read_attributes(item, txn), children=tuple(children))


def write(root: pycrdt.XmlFragment, tree: Branch, steps: Iterable[Step]) -> None:
    """Carry steps out on a fragment.

    Args:
        root: the fragment.
        tree: what stands in it.
        steps: one after the other.
    """
    for step in steps:
        _write(_target(root, step.place), at(tree, step.place), step)
        tree = after(tree, step)


def _target(root: pycrdt.XmlFragment, place: Place) -> Any:
    target: Any = root
    for index in place:
        target = target.children[index]
    return target


def _write(target: Any, part: Any, step: Step) -> None:
    match step:
        case Splice(_, start, stop, parts):
            if stop > start:
                del target.children[start:stop]
            for index, new in enumerate(parts, start):
                _insert(target, index, new)
        case SetAttribute(_, name, ()):
            del target.attributes[name]
        case SetAttribute(_, name, (value,)):
            target.attributes[name] = value
        case Retext(_, text_step):
            _retext(target, part.runs, text_step)


def _insert(target: Any, index: int, part: Part) -> None:
    if isinstance(part, Leaf):
        text = target.children.insert(index, "")
        for content, attributes in part.runs:
            assert isinstance(content, str)
            text.insert(len(text), content, attributes)
        return
    element = target.children.insert(index, pycrdt.XmlElement(part.tag))
    for name, value in part.attributes.items():
        element.attributes[name] = value
    for at_, child in enumerate(part.children):
        _insert(element, at_, child)


def _retext(target: pycrdt.XmlText, runs: Runs, step: TextStep) -> None:
    start, stop, text, attributes = step
    first, last = size_upto(runs, start), size_upto(runs, stop)
    if text is None:
        target.format(first, last, attributes)
        return
    if stop > start:
        del target[first:last]
    if text:
        target.insert(first, text, overlaid(attributes_before(runs, start), attributes))
