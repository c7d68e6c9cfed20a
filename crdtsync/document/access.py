"""Field access: what stands in a class where a field was declared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crdtsync.codec import copy_value
from crdtsync.document.counter import Counter
from crdtsync.document.handle import Handle
from crdtsync.document.lists import List
from crdtsync.document.maps import Map
from crdtsync.document.rich_text import RichText
from crdtsync.document.schema import FieldSpec
from crdtsync.document.sets import Set
from crdtsync.document.text import Text
from crdtsync.document.value import ValueEdit
from crdtsync.errors import ActionError

if TYPE_CHECKING:
    from crdtsync.document.action import Action

__all__ = ["FieldAccess", "register_handle"]

_HANDLES: dict[str, Any] = {
    "counter": Counter,
    "set": Set,
    "text": Text,
    "list": List,
    "map": Map,
    "rich-text": RichText,
}
_IMMUTABLE = frozenset({str, int, float, bool, bytes, type(None)})

# Kinds are known to the schema by the handle that an annotation names.
for _kind, _handle in _HANDLES.items():
    _handle.__crdtsync_kind__ = _kind


def register_handle(kind: str, handle: type[Handle[Any]]) -> None:
    """Make a kind of field known, with the handle that stands for it in annotations."""
    _HANDLES[kind] = handle
    handle.__crdtsync_kind__ = kind  # type: ignore[attr-defined]


class FieldAccess:
    """Reads and writes one declared field of a record or document."""

    __slots__ = ("_where", "name", "spec")

    def __init__(self, spec: FieldSpec) -> None:
        self.spec = spec
        self.name = spec.name
        self._where = f"field {spec.name!r}"

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        node = instance._node.child(self.name)
        if self.spec.kind != "value":
            return _HANDLES[self.spec.kind](instance._live, node)
        action: Action | None = instance._live.visible_action()
        edit = None if action is None else action.edits.get(node)
        value = node.value if edit is None else edit.value
        return value if type(value) in _IMMUTABLE else copy_value(value)

    def __set__(self, instance: Any, value: Any) -> None:
        node = instance._node.child(self.name)
        if self.spec.kind != "value":
            self._assign(instance, node, value)
            return
        edit = ValueEdit(copy_value(value, self._where))
        instance._live.edit("set", node, edit, ValueEdit.replace)

    def _assign(self, instance: Any, node: Any, value: Any) -> None:
        handle = self.__get__(instance)
        if isinstance(value, Handle) and value._node is node:
            return  # the end of `record.field += …`, which has done its work already
        if self.spec.kind == "counter":
            raise ActionError(
                f"counter {self.name!r} cannot be set, only counted on: use increment(), "
                "decrement() or +="
            )
        if self.spec.kind == "table":
            raise ActionError(f"table {self.name!r} cannot be set: add and delete its records")
        handle.assign(value)
