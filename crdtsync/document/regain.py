"""Undoing what was done to a text or a list.

Every character and every value has an id that it keeps for good. What an entry put in is deleted
where it stands by now, if it still does; what the entry deleted is put in again where it stood. So
whatever others have done around it stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import groupby
from typing import Any, NamedTuple, TypeAlias

import pycrdt

from crdtsync.codec import copy_value
from crdtsync.document.editing import TextStep
from crdtsync.document.formatting import attributes_before, read_runs, same
from crdtsync.document.ids import Id, Ids, units_of
from crdtsync.document.lists import ListEdit, ListNode, ListStep
from crdtsync.document.native import to_native
from crdtsync.document.text import TextEdit, TextNode

__all__ = ["Copies", "Regained", "Span", "regain_list", "regain_text", "spans_of"]

Span: TypeAlias = list[int]
"""Ids that follow each other: [client, first clock, how many]."""
Copies: TypeAlias = Callable[[Iterable[Id]], Iterable[Id]]
"""Yields ids, and those of what was put in for them again later."""


class Regained(NamedTuple):
    """How to undo what was done to a text or list.

    Attributes:
        edit: what to do.
        again: what it puts in again, in the order in which it does.
    """

    edit: Any
    again: list[Span]


class _Marks(NamedTuple):
    """Where an entry changed a sequence, as [start, stop) of offsets.

    Attributes:
        deleted: counted before it.
        formatted: the same characters, counted before it and after it.
    """

    deleted: list[tuple[int, int]]
    formatted: list[tuple[tuple[int, int], tuple[int, int]]]


def spans_of(ids: Iterable[tuple[Id, int]]) -> list[Span]:
    """Join ids that follow each other.

    >>> spans_of([((7, 0), 1), ((7, 1), 2), ((8, 3), 1)])
    [[7, 0, 3], [8, 3, 1]]
    """
    spans: list[Span] = []
    for (client, clock), units in ids:
        if spans and spans[-1][0] == client and sum(spans[-1][1:]) == clock:
            spans[-1][2] += units
        else:
            spans.append([client, clock, units])
    return spans


def regain_text(
    now: TextNode,
    before: TextNode,
    after: TextNode,
    delta: Sequence[dict[str, Any]],
    put_in: Iterable[Id],
    copies: Copies,
) -> Regained | None:
    """Return how to undo a change of a text; None if nothing is left to undo.

    Args:
        now: the text as it is.
        before: as it was before the change.
        after: as it was after it.
        delta: the change, as the CRDT library reports it.
        put_in: ids of what the entry put into texts and lists, this one among them.
        copies: yields ids with those of what was put in for them again.
    """
    if now.foreign or before.foreign or after.foreign:
        return None
    marks, texts = _marks(delta), _Texts(now, before, after)
    edit, again = TextEdit(), []
    for step in texts.reformatted(marks.formatted, copies):
        edit.add(step)
    gone, back = set(texts.standing(put_in, copies)), texts.back(marks.deleted, copies)
    for at in sorted({*gone, *back}, reverse=True):
        if at in gone:
            edit.add(TextStep(at, at + 1, "", {}))
        start, left = at, attributes_before(texts.runs_now, at)
        for wanted, pieces in groupby(back.get(at, ()), key=lambda piece: piece.attributes):
            group = list(pieces)
            text = "".join(piece.character for piece in group)
            edit.add(TextStep(start, start, text, dict.fromkeys(left) | wanted))
            again += [(piece.id, units_of(piece.character)) for piece in group]
            start, left = start + len(text), wanted
    return Regained(edit, spans_of(again)) if edit.steps else None


class _Piece(NamedTuple):
    """A character that is to be put in again."""

    character: str
    id: Id
    attributes: dict[str, Any]


class _Texts:
    """A text as it is, as it was before a change, and as it was after it."""

    def __init__(self, now: TextNode, before: TextNode, after: TextNode) -> None:
        self._now, self._before, self._after = now, before, after
        self._ids_now = _ids(now)
        self.runs_now = read_runs(now.root.diff())

    @cached_property
    def _ids_before(self) -> Ids:
        return _ids(self._before)

    def back(self, deleted: Iterable[tuple[int, int]], copies: Copies) -> dict[int, list[_Piece]]:
        """Return what was deleted, by the index at which it is to be put in again."""
        text, runs = str(self._before.rope), read_runs(self._before.root.diff())
        rope = self._before.rope

        def place(index: int) -> int | None:
            id_ = self._ids_before.of(index)
            return None if id_ is None else self._now.rope.index(_offset(self._now.root, id_))

        def standing(index: int) -> int | None:
            id_ = self._ids_before.of(index)
            return None if id_ is None else next(self.standing([id_], copies), None)

        found: dict[int, list[_Piece]] = {}
        for first, last in deleted:
            span = range(rope.index(first), rope.index(last))
            for index, at in _places(span, len(rope), place, standing):
                id_ = self._ids_before.of(index)
                assert id_ is not None
                piece = _Piece(text[index], id_, attributes_before(runs, index + 1))
                found.setdefault(at, []).append(piece)
        return found

    def reformatted(
        self, formatted: list[tuple[tuple[int, int], tuple[int, int]]], copies: Copies
    ) -> Iterator[TextStep]:
        """Yield steps that give characters back the formatting they had, where ours stands."""
        if not formatted:
            return
        had = read_runs(self._before.root.diff())
        made = read_runs(self._after.root.diff())
        for first, second in formatted:
            indices = _indices(self._before, [first]), _indices(self._after, [second])
            for index, index_after in zip(*indices, strict=True):
                id_ = self._ids_before.of(index)
                old = attributes_before(had, index + 1)
                new = attributes_before(made, index_after + 1)
                for at in self.standing([] if id_ is None else [id_], copies):
                    back = _given_back(old, new, attributes_before(self.runs_now, at + 1))
                    if back:
                        yield TextStep(at, at + 1, None, back)

    def standing(self, ids: Iterable[Id], copies: Copies) -> Iterator[int]:
        """Yield where characters, or what was put in again for them, still stand."""
        found = map(self._ids_now.index, copies(ids))
        return (index for index in found if index is not None)


def _given_back(old: dict[str, Any], new: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    return {
        name: old.get(name)
        for name in {*old, *new}
        if not same(old.get(name), new.get(name)) and same(now.get(name), new.get(name))
    }


def regain_list(
    now: ListNode,
    before: ListNode,
    delta: Sequence[dict[str, Any]],
    put_in: Iterable[Id],
    copies: Copies,
) -> Regained | None:
    """Return how to undo a change of a list, as `regain_text`."""
    marks = _marks(delta)
    gone = {at for id_ in copies(put_in) if (at := _place(now.root, id_)) is not None}
    ids = [_id_at(before.root, index) for index in range(len(before.values))]

    def standing(index: int) -> int | None:
        found = (_place(now.root, id_) for id_ in copies([ids[index]]))
        return next((at for at in found if at is not None), None)

    back: dict[int, list[tuple[Any, Id]]] = {}
    for start, stop in marks.deleted:
        span = range(start, stop)
        for index, at in _places(
            span, len(ids), lambda index: _offset(now.root, ids[index]), standing
        ):
            back.setdefault(at, []).append((before.values[index], ids[index]))
    edit, again = ListEdit(), []
    for at in sorted({*gone, *back}, reverse=True):
        values = [copy_value(value) for value, _ in back.get(at, ())]
        natives = [to_native(value) for value in values]
        edit.steps.append(ListStep(at, at + (at in gone), values, natives))
        again += [(id_, 1) for _, id_ in back.get(at, ())]
    return Regained(edit, spans_of(again)) if edit.steps else None


def _places(
    span: range,
    length: int,
    place: Callable[[int], int | None],
    standing: Callable[[int], int | None],
) -> Iterator[tuple[int, int]]:
    """Yield (index before, index now) of what is to be put in again.

    Where something deleted stood is known only up to what else is deleted there, and what was put
    in again stands elsewhere in that. So it goes between its neighbours, wherever these are now.

    Args:
        span: indices before.
        length: how much there was before.
        place: tells where something that is deleted stood; None for what cannot be put in again.
        standing: tells where something of before stands, or what was put in again for it.
    """
    lefts = (at for i in range(span.start - 1, -1, -1) if (at := standing(i)) is not None)
    rights = (at for i in range(span.stop, length) if (at := standing(i)) is not None)
    low = next(lefts, -1) + 1
    high = next(rights, None)
    for index in span:
        at = place(index)
        if at is not None:
            low = max(low, at if high is None else min(at, high))
            yield index, low


def _marks(delta: Sequence[dict[str, Any]]) -> _Marks:
    marks = _Marks([], [])
    before = after = 0
    for step in delta:
        if "insert" in step:
            after += _size(step["insert"])
        elif "delete" in step:
            start, before = before, before + step["delete"]
            marks.deleted.append((start, before))
        else:
            length = step["retain"]
            if step.get("attributes"):
                marks.formatted.append(((before, before + length), (after, after + length)))
            before, after = before + length, after + length
    return marks


def _size(inserted: Any) -> int:
    """Return how many offsets something takes that was put into a text or a list."""
    match inserted:
        case str():
            return len(inserted.encode())
        case list():
            return len(inserted)
        case _:
            return 1


def _indices(node: TextNode, offsets: Iterable[tuple[int, int]]) -> Iterator[int]:
    for start, stop in offsets:
        yield from range(node.rope.index(start), node.rope.index(stop))


def _ids(node: TextNode) -> Ids:
    assert node.owner is not None
    return Ids(node.owner.view.doc, node.path)


def _id_at(root: pycrdt.Array[Any], index: int) -> Id:
    """Return the id of a list's value."""
    item = root.sticky_index(index, pycrdt.Assoc.AFTER).to_json()["item"]
    return item["client"], item["clock"]


def _offset(root: Any, id_: Id) -> int:
    """Return where a value stands, or where something deleted stood."""
    data = {"item": {"client": id_[0], "clock": id_[1]}, "assoc": 0}
    offset: int = pycrdt.StickyIndex.from_json(data, root).get_index()
    return offset


def _place(root: pycrdt.Array[Any], id_: Id) -> int | None:
    """Return where a list's value stands; None if it is deleted."""
    index = _offset(root, id_)
    return index if index < len(root) and _id_at(root, index) == id_ else None
