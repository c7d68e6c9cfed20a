"""Sets: an element is in if some replica added it and no removal has seen that.

Each element is a path of its own below the set's. Adding writes a slot there, removing deletes the
slots seen there, so an element added again elsewhere meanwhile stays. Where another presence
strategy is to decide between the two, a removal leaves a slot as well: the writes that it has seen.
Without one, too, it leaves a slot where others' additions, or additions of ours that may still be
refused, are taken away: that slot hides them, should they come back, and nothing else.

Source: Bieniusa et al., "An Optimized Conflict-free Replicated Set", INRIA RR-8083, 2012.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, MutableSet
from typing import TYPE_CHECKING, Any, TypeVar

from crdtsync.codec import check_value, encode
from crdtsync.document.handle import Handle
from crdtsync.document.node import Node, Pairs
from crdtsync.document.path import Path, escape
from crdtsync.document.presence import MemberNode, is_present
from crdtsync.document.schema import FieldSpec
from crdtsync.document.slots import Slot

if TYPE_CHECKING:
    from crdtsync.document.record import RecordNode
    from crdtsync.document.writer import Writer

__all__ = ["ElementNode", "Set", "SetEdit", "SetNode"]

T = TypeVar("T")


def element_segment(element: Any) -> str:
    """Return the path segment of an element: itself if it is text, else its CBOR.

    Raises:
        TypeError, ValueError: it cannot be stored.
    """
    check_value(element, where="a set's element")
    if type(element) is str:
        return "=" + escape(element)
    if isinstance(element, list | dict):
        raise TypeError(f"a set's element must be hashable, not a {type(element).__name__}")
    return "~" + base64.urlsafe_b64encode(encode(element)).decode().rstrip("=")


class ElementNode(MemberNode):
    """State of one possible element of a set."""

    __slots__ = ("parent",)

    def __init__(self, path: str, parent: SetNode) -> None:
        super().__init__(path, parent.owner)
        self.parent = parent

    @property
    def keys(self) -> Path:
        return self.parent.keys

    def install(self, pairs: Pairs, slots: tuple[Slot, ...] | None = None) -> None:
        self.parent.value_cache = None
        super().install(pairs, slots)

    def additions(self) -> list[Slot]:
        """Return the live slots that hold the element itself: it is never a list."""
        return [slot for slot in self.slots() if type(slot.value) is not list]

    def is_in(self) -> bool:
        """Tell whether the element is in the set."""
        additions, removals = self.additions(), self.removals()
        if not removals:
            return bool(additions)
        spec, owner = self.parent.spec, self.owner
        assert owner is not None
        return is_present(owner.view, spec, self.path, additions, removals)


class SetEdit:
    """Add and remove elements: segment to (element, whether it is to be in)."""

    __slots__ = ("elements",)

    def __init__(self, elements: dict[str, tuple[Any, bool]] | None = None) -> None:
        self.elements = {} if elements is None else elements

    def copy(self) -> SetEdit:
        return SetEdit(dict(self.elements))


class SetNode(Node):
    """State of a set."""

    __slots__ = ("elements", "spec", "value_cache")

    def __init__(self, path: str, owner: RecordNode, spec: FieldSpec) -> None:
        super().__init__(path, owner)
        self.spec = spec
        self.elements: dict[str, ElementNode] = {}
        self.value_cache: dict[str, Any] | None = None

    def element(self, segment: str) -> ElementNode:
        """Return the node of a possible element."""
        node = self.elements.get(segment)
        if node is None:
            node = self.elements[segment] = ElementNode(f"{self.path}/{segment}", self)
        return node

    @property
    def value(self) -> dict[str, Any]:
        """The elements that are in, by segment."""
        if self.value_cache is None:
            self.value_cache = {
                segment: node.additions()[-1].value
                for segment, node in sorted(self.elements.items())
                if node.pairs and node.additions() and node.is_in()
            }
        return self.value_cache

    def rejudge(self) -> None:
        self.value_cache = None

    def clear(self) -> None:
        self.value_cache = None
        for node in self.elements.values():
            node.clear()

    def plain(self) -> list[Any]:
        return list(self.value.values())

    def write(self, writer: Writer, edit: SetEdit) -> None:
        for segment, (element, present) in edit.elements.items():
            node = self.element(segment)
            if present:
                writer.put(node, element)
            elif self.spec.presence is not None:
                writer.bury(node, {})
            elif node.pairs:
                writer.remove(node)

    def erasure(self) -> SetEdit | None:
        if not self.value:
            return None
        return SetEdit({segment: (element, False) for segment, element in self.value.items()})


class Set(Handle[SetNode], MutableSet[T]):
    """A set of values, which behaves as Python's own.

    >>> from crdtsync import Document, Replica
    >>> class Note(Document):
    ...     tags: Set[str]
    >>> note = Replica().document(Note, "note")
    >>> note.tags |= {"home", "urgent"}
    >>> note.tags.discard("home")
    >>> sorted(note.tags)
    ['urgent']
    """

    __slots__ = ()

    @classmethod
    def _from_iterable(cls, it: Iterable[Any]) -> set[Any]:
        """Let `&`, `|`, `-` and `^` give plain Python sets."""
        return set(it)

    def _current(self) -> dict[str, Any]:
        edit: SetEdit | None = self._edit()
        if edit is None:
            return self._node.value
        current = dict(self._node.value)
        for segment, (element, present) in edit.elements.items():
            if present:
                current[segment] = element
            else:
                current.pop(segment, None)
        return current

    def add(self, value: T) -> None:
        """Put an element in."""
        segment = element_segment(value)
        with self._act("add") as action:
            action.edit(self._node, SetEdit).elements[segment] = (value, True)

    def discard(self, value: T) -> None:
        """Take an element out; one that is not in is left out."""
        segment = element_segment(value)
        if segment in self._current():
            with self._act("discard") as action:
                action.edit(self._node, SetEdit).elements[segment] = (value, False)

    def update(self, values: Iterable[T]) -> None:
        """Put several elements in, in one action."""
        elements = {element_segment(value): (value, True) for value in values}
        if elements:
            with self._act("add") as action:
                action.edit(self._node, SetEdit).elements.update(elements)

    def clear(self) -> None:
        """Take all elements out, in one action."""
        self.assign(())

    def assign(self, values: Iterable[T]) -> None:
        """Make the set hold exactly these, adding and removing only what differs."""
        wanted = {element_segment(value): value for value in values}
        current = self._current()
        changes = {s: (v, True) for s, v in wanted.items() if s not in current}
        changes |= {s: (v, False) for s, v in current.items() if s not in wanted}
        if changes:
            with self._act("assign") as action:
                action.edit(self._node, SetEdit).elements.update(changes)

    def __ior__(self, it: Iterable[Any]) -> Set[T]:  # type: ignore[misc]
        self.update(it)
        return self

    def __contains__(self, value: object) -> bool:
        try:
            return element_segment(value) in self._current()
        except (TypeError, ValueError):
            return False

    def __iter__(self) -> Iterator[T]:
        return iter(list(self._current().values()))

    def __len__(self) -> int:
        return len(self._current())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Set):
            return set(self) == set(other)
        if isinstance(other, set | frozenset):
            return set(self) == other
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]  # mutable, as Python's own sets

    def __repr__(self) -> str:
        return f"Set({set(self)!r})" if self else "Set()"
