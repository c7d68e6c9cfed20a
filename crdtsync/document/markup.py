"""Rich text as a value: a tree of elements, with formatted text as its leaves.

Trees are never changed. An edit is a *step*, which names by its path what it changes, and
`after` gives the tree that it leaves; all that it does not touch is shared with the tree before.
Every part has a key of its own, which it keeps whatever happens around it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeAlias

from crdtsync.document.editing import TextStep, applied, difference
from crdtsync.document.formatting import Run, Runs, same, text_of
from crdtsync.errors import ActionError

__all__ = [
    "DEPTH_MAX",
    "Branch",
    "Leaf",
    "Part",
    "Place",
    "Retext",
    "SetAttribute",
    "Splice",
    "Step",
    "after",
    "at",
    "differences",
    "equal",
    "find",
    "put",
]

DEPTH_MAX = 64
"""Elements inside each other: more can neither be made nor are they shown."""

Place: TypeAlias = tuple[int, ...]
"""Where a part stands: which child of the root, which child of that, and so on."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A passage of formatted text.

    Attributes:
        runs: the text.
        foreign: whether other things than text stand in it, so that it cannot be edited.
        key: its identity.
    """

    runs: Runs = ()
    foreign: bool = False
    key: object = field(default_factory=object, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Branch:
    """An element, or the root, which has no tag.

    Attributes:
        tag: what it is, such as "paragraph".
        attributes: by name, in the order of names.
        children: what is in it, up to what is no rich text.
        foreign: whether there is such a thing in it.
        key: its identity.
    """

    tag: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)
    children: tuple[Part, ...] = ()
    foreign: bool = False
    key: object = field(default_factory=object, compare=False, repr=False)


Part: TypeAlias = Branch | Leaf


class Splice(NamedTuple):
    """Put parts in place of the children [start, stop) of a branch."""

    place: Place
    start: int
    stop: int
    parts: tuple[Part, ...]


class SetAttribute(NamedTuple):
    """Set an attribute of a branch; delete it where there is no value."""

    place: Place
    name: str
    value: tuple[Any] | tuple[()]


class Retext(NamedTuple):
    """Edit the text of a leaf."""

    place: Place
    step: TextStep


Step: TypeAlias = Splice | SetAttribute | Retext


def at(tree: Branch, place: Place) -> Part:
    """Return the part at a place."""
    part: Part = tree
    for index in place:
        assert isinstance(part, Branch)
        part = part.children[index]
    return part


def find(tree: Branch, key: object, guess: Place) -> Place | None:
    """Return where the part of a key stands; None if it is gone.

    Args:
        tree: where to look.
        key: the part's key.
        guess: where it stood before; looked at first.
    """
    part: Part = tree
    for index in guess:
        if isinstance(part, Leaf) or index >= len(part.children):
            break
        part = part.children[index]
    else:
        if part.key is key:
            return guess
    return next((place for part, place in _walk(tree, ()) if part.key is key), None)


def _walk(part: Part, place: Place) -> Iterator[tuple[Part, Place]]:
    yield part, place
    if isinstance(part, Branch):
        for index, child in enumerate(part.children):
            yield from _walk(child, (*place, index))


def put(tree: Branch, place: Place, part: Part) -> Branch:
    """Return a tree with another part at a place."""
    new = _put(tree, place, part)
    assert isinstance(new, Branch)
    return new


def _put(within: Part, place: Place, part: Part) -> Part:
    if not place:
        return part
    assert isinstance(within, Branch)
    index, children = place[0], within.children
    child = _put(children[index], place[1:], part)
    return replace(within, children=(*children[:index], child, *children[index + 1 :]))


def after(tree: Branch, step: Step) -> Branch:
    """Return the tree that a step leaves.

    Raises:
        ActionError: it edits a passage that cannot be edited.
    """
    return put(tree, step.place, _after(at(tree, step.place), step))


def _after(part: Any, step: Step) -> Part:
    new: Part
    match step:
        case Splice(_, start, stop, parts):
            new = replace(part, children=(*part.children[:start], *parts, *part.children[stop:]))
        case SetAttribute(_, name, value):
            attributes = {key: had for key, had in part.attributes.items() if key != name}
            if value:
                attributes[name] = value[0]
            new = replace(part, attributes=dict(sorted(attributes.items())))
        case Retext(_, text_step):
            if part.foreign:
                raise ActionError(
                    "this passage of a rich text holds other things than text, so that no place "
                    "in it is sure: remove it and make another"
                )
            new = replace(part, runs=applied(part.runs, text_step))
    return new


def differences(old: Branch, new: tuple[Part, ...], place: Place = ()) -> Iterator[Step]:
    """Yield steps that give a branch new children, and leave alone what is equal.

    Args:
        old: the branch.
        new: its children to be.
        place: where it stands.
    """
    had = old.children
    shorter = min(len(had), len(new))
    start = next((i for i in range(shorter) if not equal(had[i], new[i])), shorter)
    limit = shorter - start
    tail = next((i for i in range(limit) if not equal(had[-1 - i], new[-1 - i])), limit)
    stop, new_stop = len(had) - tail, len(new) - tail
    pairs = list(zip(had[start:stop], new[start:new_stop], strict=False))
    if stop == new_stop and all(_alike(*pair) for pair in pairs):
        for index, (before, then) in enumerate(pairs, start):
            yield from _inner_differences(before, then, (*place, index))
    else:
        yield Splice(place, start, stop, new[start:new_stop])


def equal(one: Part, other: Part) -> bool:
    """Tell whether two parts hold the same."""
    if isinstance(one, Leaf) or isinstance(other, Leaf):
        return (
            isinstance(one, Leaf)
            and isinstance(other, Leaf)
            and len(one.runs) == len(other.runs)
            and all(map(_same_run, one.runs, other.runs))
        )
    return (
        one.tag == other.tag
        and same(one.attributes, other.attributes)
        and len(one.children) == len(other.children)
        and all(map(equal, one.children, other.children))
    )


def _same_run(one: Run, other: Run) -> bool:
    return same(one.content, other.content) and same(one.attributes, other.attributes)


def _alike(one: Part, other: Part) -> bool:
    if isinstance(one, Leaf) or isinstance(other, Leaf):
        return isinstance(one, Leaf) and isinstance(other, Leaf) and not one.foreign
    return one.tag == other.tag


def _inner_differences(old: Part, new: Part, place: Place) -> Iterator[Step]:
    if isinstance(old, Leaf):
        assert isinstance(new, Leaf)
        for step in _text_differences(old.runs, new.runs):
            yield Retext(place, step)
        return
    assert isinstance(new, Branch)
    for name in sorted(old.attributes.keys() - new.attributes.keys()):
        yield SetAttribute(place, name, ())
    for name, value in new.attributes.items():
        if name not in old.attributes or not same(old.attributes[name], value):
            yield SetAttribute(place, name, (value,))
    yield from differences(old, new.children, place)


def _text_differences(old: Runs, new: Runs) -> Iterator[TextStep]:
    for step in difference(text_of(old), text_of(new)):
        old = applied(old, step)
        yield step
    start = 0
    for run in new:
        stop = start + run.length
        for first, last, had in _spans(old, start, stop):
            if not same(had, run.attributes):
                yield TextStep(first, last, None, {**dict.fromkeys(had), **run.attributes})
        start = stop


def _spans(runs: Runs, start: int, stop: int) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Yield (start, stop, attributes) of each run as far as it lies within [start, stop)."""
    begin = 0
    for run in runs:
        end = begin + run.length
        first, last = max(begin, start), min(end, stop)
        if first < last:
            yield first, last, run.attributes
        begin = end
