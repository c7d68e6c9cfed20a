"""Maps that many can change at once: a native Yjs map, merged by the CRDT, key by key.

Of two who write one key at once, the CRDT keeps the same one everywhere: the one with the higher
client id. Neither time nor a strategy decides, and the other value is in the log only. Where that
matters, use plain fields, or the fields of a table's records.

Source: Nicolaescu et al., GROUP 2016 (YATA: the writes to a key are a sequence; the last counts).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import pycrdt

from crdtsync.codec import check_value, copy_value
from crdtsync.document.formatting import same
from crdtsync.document.handle import Handle
from crdtsync.document.native import from_native, to_native
from crdtsync.document.root import RootNode

if TYPE_CHECKING:
    from crdtsync.document.record import RecordNode
    from crdtsync.document.writer import Writer

__all__ = ["Map", "MapEdit", "MapNode"]

V = TypeVar("V")


class Held(NamedTuple):
    """A value as Python and as Yjs holds it."""

    value: Any
    native: Any


class MapEdit:
    """Write and delete keys: key to what it is to hold; None: it is to go."""

    __slots__ = ("keys",)

    def __init__(self, keys: dict[str, Held | None] | None = None) -> None:
        self.keys = {} if keys is None else keys

    def put(self, key: str, value: Any) -> None:
        """Write a key.

        Raises:
            TypeError, ValueError: the value cannot be stored.
        """
        new = copy_value(value)
        self.keys[key] = Held(new, to_native(new))

    def copy(self) -> MapEdit:
        return MapEdit(dict(self.keys))


class MapNode(RootNode[pycrdt.Map[Any]]):
    """State of a map: the CRDT root, and its values once somebody has read them."""

    __slots__ = ("_stale", "_values")

    kind = pycrdt.Map

    def __init__(self, path: str, owner: RecordNode) -> None:
        super().__init__(path, owner)
        self._values: dict[str, Any] | None = None
        self._stale: set[str] = set()

    @property
    def values(self) -> dict[str, Any]:
        """The values by key, in any order. Shared: copy before you hand one out."""
        if self._values is None:
            self._values = {key: from_native(item) for key, item in self.root.items()}
            self.heed()
        while self._stale:
            key = self._stale.pop()
            if key in self.root:
                self._values[key] = from_native(self.root[key])
            else:
                self._values.pop(key, None)
        return self._values

    def clear(self) -> None:
        super().clear()
        self._values = None
        self._stale.clear()

    def plain(self) -> dict[str, Any]:
        values = self.values
        return {key: copy_value(values[key]) for key in sorted(values)}

    def follow(self, told: list[Any]) -> None:
        if self._values is not None:  # what has changed is read when somebody looks
            for event in told:
                self._stale.update(event.path[:1] or event.keys)

    def write(self, writer: Writer, edit: MapEdit) -> None:
        values, root = self.values, self.root
        changes = {key: held for key, held in edit.keys.items() if held or key in values}
        if not changes:
            return
        self.pause()
        for key, held in changes.items():
            if held is None:
                del root[key], values[key]
            else:
                root[key], values[key] = held.native, held.value
        writer.touch(self.owner)

    def erasure(self) -> MapEdit | None:
        return MapEdit(dict.fromkeys(self.values)) if self.values else None


class Map(Handle[MapNode], MutableMapping[str, V]):
    """A map from strings to values, which behaves as Python's own dict, in the order of its keys.

    >>> from crdtsync import Document, Replica
    >>> class Board(Document):
    ...     limits: Map[int]
    >>> board = Replica().document(Board, "board")
    >>> board.limits["doing"] = 3
    >>> board.limits |= {"review": 2, "ann/doing": 1}
    >>> del board.limits["review"]
    >>> board.limits
    Map({'ann/doing': 1, 'doing': 3})
    """

    __slots__ = ()

    def _current(self) -> dict[str, Any]:
        edit: MapEdit | None = self._edit()
        if edit is None:
            return self._node.values
        current = dict(self._node.values)
        for key, held in edit.keys.items():
            if held is None:
                current.pop(key, None)
            else:
                current[key] = held.value
        return current

    def _change(self, name: str, values: Mapping[str, V], gone: Iterable[str] = ()) -> None:
        edit = MapEdit(dict.fromkeys(gone))
        for key, value in values.items():
            if not isinstance(key, str):
                raise TypeError(f"a map's keys are str, not {type(key).__name__}")
            check_value(key, where="a map's key")
            edit.put(key, value)
        if edit.keys:
            with self._act(name) as action:
                action.edit(self._node, MapEdit).keys.update(edit.keys)

    def update(  # type: ignore[override]  # keys are strings
        self, values: Mapping[str, V] | Iterable[tuple[str, V]] = (), /, **more: V
    ) -> None:
        """Write several keys, in one action."""
        self._change("update", dict(values, **more))

    def clear(self) -> None:
        """Delete everything, in one action."""
        self._change("delete", {}, list(self))

    def assign(self, values: Mapping[str, V]) -> None:
        """Make the map hold exactly these, writing and deleting only what differs."""
        current, new = self._current(), dict(values)
        gone = [key for key in current if key not in new]
        changed = {k: v for k, v in new.items() if k not in current or not same(current[k], v)}
        self._change("assign", changed, gone)

    def __getitem__(self, key: str) -> V:
        edit: MapEdit | None = self._edit()
        if edit is None or key not in edit.keys:
            found = self._node.values[key]
        elif (held := edit.keys[key]) is None:
            raise KeyError(key)
        else:
            found = held.value
        value: V = copy_value(found)
        return value

    def __setitem__(self, key: str, value: V) -> None:
        self._change("set", {key: value})

    def __delitem__(self, key: str) -> None:
        if key not in self:
            raise KeyError(key)
        self._change("delete", {}, [key])

    def __ior__(self, values: Mapping[str, V] | Iterable[tuple[str, V]]) -> Map[V]:
        self.update(values)
        return self

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._current()))

    def __len__(self) -> int:
        return len(self._current())

    def __repr__(self) -> str:
        return f"Map({dict(self)!r})"
