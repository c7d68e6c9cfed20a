"""Formatted text as a value: runs of characters with equal attributes.

Pure functions over tuples of runs. Indices count Python characters; an embedded object counts as
one, and is shown as U+FFFC, Unicode's object replacement character.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

from crdtsync.codec import check_value, encode
from crdtsync.document.native import from_native, to_native

__all__ = [
    "OBJECT",
    "Embed",
    "Run",
    "Runs",
    "attributes_before",
    "json_value",
    "json_values",
    "length_of",
    "merged",
    "overlaid",
    "paint",
    "read_runs",
    "same",
    "shown",
    "size_upto",
    "splice",
    "text_of",
]

OBJECT = "\ufffc"
"""What stands for an embedded object where text is shown."""

_NATIVE = (str, int, float, list, dict, bytes, bytearray)


class Embed(NamedTuple):
    """An object inside a text.

    Attributes:
        value: what it is, as plain Python; None where it is a shared type of the CRDT.
    """

    value: Any


class Run(NamedTuple):
    """Characters, or one embedded object, with the attributes that all of it has."""

    content: str | Embed
    attributes: dict[str, Any]

    @property
    def length(self) -> int:
        """How many characters it counts as."""
        return len(self.content) if isinstance(self.content, str) else 1


Runs: TypeAlias = tuple[Run, ...]


def read_runs(diff: Iterable[tuple[Any, Mapping[str, Any] | None]]) -> Runs:
    """Return the runs of what the CRDT library's `diff` gave."""
    return merged(
        Run(content if isinstance(content, str) else Embed(shown(content)), _read(attributes or {}))
        for content, attributes in diff
    )


def shown(value: Any) -> Any:
    """Return the plain Python for what the CRDT holds; None for one of its shared types."""
    return from_native(value) if isinstance(value, _NATIVE) else None


def _read(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: shown(attributes[name]) for name in sorted(attributes)}


def merged(runs: Iterable[Run]) -> Runs:
    """Return runs without empty ones, where no two neighbours could be one.

    >>> merged([Run("a", {}), Run("b", {}), Run("", {}), Run("c", {"bold": True})])
    (Run(content='ab', attributes={}), Run(content='c', attributes={'bold': True}))
    """
    kept: list[Run] = []
    for run in runs:
        content, attributes = run
        if isinstance(content, str) and kept:
            before, common = kept[-1]
            if isinstance(before, str) and same(common, attributes):
                kept[-1] = Run(before + content, common)
                continue
        if content:
            kept.append(run)
    return tuple(kept)


def same(one: Any, other: Any) -> bool:
    """Tell whether two values are equal and of the same types: True is not 1 here."""
    return one is other or bool(one == other and encode(one) == encode(other))


def length_of(runs: Runs) -> int:
    """Return how many characters and objects there are."""
    return sum(run.length for run in runs)


def text_of(runs: Runs) -> str:
    """Return the characters, with U+FFFC for each object."""
    return "".join(run.content if isinstance(run.content, str) else OBJECT for run in runs)


def size_upto(runs: Runs, index: int) -> int:
    """Return the offset that the CRDT counts for a character: UTF-8 bytes, one for an object."""
    size = 0
    for run in runs:
        if index <= 0:
            break
        size += len(run.content[:index].encode()) if isinstance(run.content, str) else 1
        index -= run.length
    return size


def attributes_before(runs: Runs, index: int) -> dict[str, Any]:
    """Return what text typed at an index takes over: the attributes of the character before it."""
    for run in runs:
        if 0 < index <= run.length:
            return run.attributes
        index -= run.length
    return {}


def overlaid(attributes: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes with others laid over them; None takes one away.

    >>> overlaid({"bold": True, "em": {}}, {"bold": None, "code": {}})
    {'code': {}, 'em': {}}
    """
    both = {**attributes, **given}
    return {name: both[name] for name in sorted(both) if both[name] is not None}


def splice(runs: Runs, start: int, stop: int, text: str, attributes: dict[str, Any]) -> Runs:
    """Put text of exactly these attributes in place of the characters [start, stop)."""
    before, rest = _cut(runs, start)
    return merged((*before, Run(text, attributes), *_cut(rest, stop - start)[1]))


def paint(runs: Runs, start: int, stop: int, attributes: Mapping[str, Any]) -> Runs:
    """Lay attributes over the characters [start, stop)."""
    before, rest = _cut(runs, start)
    within, after = _cut(rest, stop - start)
    painted = (Run(content, overlaid(had, attributes)) for content, had in within)
    return merged((*before, *painted, *after))


def json_values(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of attributes as every replica and every front end will read them.

    Raises:
        TypeError, ValueError: JSON does not carry one of them.
    """
    return {name: json_value(value, name) for name, value in attributes.items()}


def json_value(value: Any, name: str) -> Any:
    """Return a copy of one attribute's value. Numbers are JavaScript's: 2.0 comes back as 2.

    Raises:
        TypeError, ValueError: JSON does not carry it.
    """
    check_value({name: value})
    held = {name: from_native(value)}
    if to_native(held) is not held:
        raise ValueError(f"attribute {name!r} has the value {value!r}, which JSON does not carry")
    return json.loads(json.dumps(held))[name]


def _cut(runs: Runs, index: int) -> tuple[Runs, Runs]:
    for at, run in enumerate(runs):
        if index < run.length:
            if index <= 0:
                return runs[:at], runs[at:]
            content, attributes = run
            assert isinstance(content, str)
            left, right = Run(content[:index], attributes), Run(content[index:], attributes)
            return (*runs[:at], left), (right, *runs[at + 1 :])
        index -= run.length
    return runs, ()
