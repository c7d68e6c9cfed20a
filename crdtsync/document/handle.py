"""Handles: what an app holds of a document's fields. Thin, cheap, and never out of date."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from crdtsync.display import repr_html
from crdtsync.document.node import Node

if TYPE_CHECKING:
    from crdtsync.document.action import Action
    from crdtsync.document.live import LiveDocument

__all__ = ["Handle"]

N = TypeVar("N", bound=Node)


class Handle(Generic[N]):
    """Access to one node of a document, reading through the open action."""

    __slots__ = ("_live", "_node")
    _repr_html_ = repr_html

    def __init__(self, live: LiveDocument, node: N) -> None:
        self._live = live
        self._node = node

    def _act(self, name: str) -> AbstractContextManager[Action]:
        """Join the open action, or make this one call an action of its own."""
        return self._live.act(name, self._node)

    def _edit(self) -> Any:
        """Return what the open action means to do here, if anything."""
        action = self._live.visible_action()
        return None if action is None else action.edits.get(self._node)

    def _identity(self) -> tuple[int, str]:
        return id(self._live), self._node.path
