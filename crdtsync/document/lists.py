"""Lists that many can change at once: a native Yjs array, merged by the CRDT.

`move` takes an element out and puts it in again; two who move the same element at once see it
twice. Where that matters, keep a position in a field of a record instead.

Source: Nicolaescu et al., GROUP 2016 (YATA).
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, MutableSequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, overload

import pycrdt

from crdtsync.codec import copy_value
from crdtsync.document.handle import Handle
from crdtsync.document.native import from_native, is_shared, to_native
from crdtsync.document.root import RootNode

if TYPE_CHECKING:
    from crdtsync.document.record import RecordNode
    from crdtsync.document.writer import Writer

__all__ = ["List", "ListEdit", "ListNode"]

T = TypeVar("T")

_INSERTS_PER_TRANSACTION = 100


class ListStep(NamedTuple):
    """Replace [start, stop) by values, given as Python and as Yjs holds them."""

    start: int
    stop: int
    values: list[Any]
    natives: list[Any]


class ListEdit:
    """Steps, one after the other."""

    __slots__ = ("steps",)

    def __init__(self, steps: list[ListStep] | None = None) -> None:
        self.steps = [] if steps is None else steps

    def copy(self) -> ListEdit:
        return ListEdit(list(self.steps))


class ListNode(RootNode[pycrdt.Array[Any]]):
    """State of a list: the CRDT root, and its values once somebody has read them."""

    __slots__ = ("_values",)

    kind = pycrdt.Array

    def __init__(self, path: str, owner: RecordNode) -> None:
        super().__init__(path, owner)
        self._values: list[Any] | None = None

    @property
    def values(self) -> list[Any]:
        """The values as they are. Shared: copy before you hand one out."""
        if self._values is None:
            self._values = [from_native(item) for item in self.root]
            self.heed()
        return self._values

    def clear(self) -> None:
        super().clear()
        self._values = None

    def plain(self) -> list[Any]:
        return [copy_value(value) for value in self.values]

    def follow(self, told: list[Any]) -> None:
        for event in told:
            self._follow(event)

    def _follow(self, event: Any) -> None:
        values = self._values
        if values is None:
            return
        if event.path or any(is_shared(i) for d in event.delta for i in d.get("insert", ())):
            self._values = None  # what stands in a shared type is read when somebody looks
            return
        at = 0
        for delta in event.delta:
            if "retain" in delta:
                at += delta["retain"]
            elif "delete" in delta:
                del values[at : at + delta["delete"]]
            else:
                values[at:at] = [from_native(item) for item in delta["insert"]]
                at += len(delta["insert"])

    def write(self, writer: Writer, edit: ListEdit) -> None:
        if not edit.steps:
            return
        self.pause()
        values, root = self.values, self.root
        for start, stop, new, natives in edit.steps:
            if stop > start:
                del root[start:stop]
            for index, native in enumerate(natives):
                if index and index % _INSERTS_PER_TRANSACTION == 0:
                    writer.breathe()
                root.insert(start + index, native)
            values[start:stop] = new
        writer.touch(self.owner)

    def erasure(self) -> ListEdit | None:
        length = len(self.values)
        return ListEdit([ListStep(0, length, [], [])]) if length else None


class List(Handle[ListNode], MutableSequence[T]):
    """A list, which behaves as Python's own.

    >>> from crdtsync import Document, Replica
    >>> class Trip(Document):
    ...     stops: List[str]
    >>> trip = Replica().document(Trip, "trip")
    >>> trip.stops.extend(["Basel", "Olten", "Bern"])
    >>> trip.stops.move(2, 0)
    >>> list(trip.stops)
    ['Bern', 'Basel', 'Olten']
    """

    __slots__ = ()

    def _current(self) -> list[Any]:
        edit: ListEdit | None = self._edit()
        if edit is None or not edit.steps:
            return self._node.values
        current = list(self._node.values)
        for step in edit.steps:
            current[step.start : step.stop] = step.values
        return current

    def _splice(self, name: str, start: int, stop: int, values: Iterable[T]) -> None:
        new = [copy_value(value) for value in values]
        step = ListStep(start, stop, new, [to_native(value) for value in new])
        if new or stop > start:
            with self._act(name) as action:
                action.edit(self._node, ListEdit).steps.append(step)

    def insert(self, index: int, value: T) -> None:
        """Insert before `index`, as Python's lists do."""
        start, _, _ = slice(index, None).indices(len(self))
        self._splice("insert", start, start, [value])

    def extend(self, values: Iterable[T]) -> None:
        """Append several values, in one action."""
        length = len(self)
        self._splice("insert", length, length, values)

    def clear(self) -> None:
        """Delete everything, in one action."""
        self._splice("delete", 0, len(self), ())

    def move(self, source: int, target: int) -> None:
        """Take the value at `source` out and put it in so that its index becomes `target`."""
        length = len(self)
        source, target = _index(source, length), _index(target, length)
        value = self._current()[source]
        with self._act("move"):
            self._splice("move", source, source + 1, ())
            self._splice("move", target, target, [value])

    def assign(self, values: Iterable[T]) -> None:
        """Make the list hold exactly these, replacing only the part that differs."""
        new, old = [copy_value(value) for value in values], self._current()
        shorter = min(len(new), len(old))
        start = next((i for i in range(shorter) if not _same(old[i], new[i])), shorter)
        limit = shorter - start
        tail = next((i for i in range(limit) if not _same(old[-1 - i], new[-1 - i])), limit)
        self._splice("assign", start, len(old) - tail, new[start : len(new) - tail])

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        found = self._current()[index]
        if isinstance(index, slice):
            return [copy_value(value) for value in found]
        value: T = copy_value(found)
        return value

    @overload
    def __setitem__(self, index: int, value: T) -> None: ...
    @overload
    def __setitem__(self, index: slice, value: Iterable[T]) -> None: ...
    def __setitem__(self, index: int | slice, value: Any) -> None:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step != 1:
                raise ValueError("a list can be assigned to by slices without a step only")
            self._splice("assign", start, max(start, stop), value)
        else:
            at = _index(index, len(self))
            self._splice("assign", at, at + 1, [value])

    @overload
    def __delitem__(self, index: int) -> None: ...
    @overload
    def __delitem__(self, index: slice) -> None: ...
    def __delitem__(self, index: int | slice) -> None:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step != 1:
                raise ValueError("a list can be deleted from by slices without a step only")
            self._splice("delete", start, max(start, stop), ())
        else:
            at = _index(index, len(self))
            self._splice("delete", at, at + 1, ())

    def __len__(self) -> int:
        return len(self._current())

    def __iter__(self) -> Iterator[T]:
        return iter([copy_value(value) for value in self._current()])

    def __eq__(self, other: object) -> bool:
        if isinstance(other, list | List):
            return list(self) == list(other)
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]  # mutable, as Python's own lists

    def __repr__(self) -> str:
        return f"List({list(self)!r})"


def _index(index: int, length: int) -> int:
    at = operator.index(index)
    if at < 0:
        at += length
    if not 0 <= at < length:
        raise IndexError(f"index {index} in a list of {length}")
    return at


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)
