"""Root nodes: the state of a field that is a native Yjs type, a root of the CRDT document.

Its content is read when somebody looks, and from then on changes from elsewhere are followed. An
observer costs twice a keystroke, so there is none while only we are writing.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import pycrdt

from crdtsync.document.node import Node

if TYPE_CHECKING:
    from crdtsync.document.record import RecordNode

__all__ = ["RootNode"]

R = TypeVar("R", pycrdt.Text, pycrdt.Array[Any], pycrdt.Map[Any], pycrdt.XmlFragment)


class RootNode(Node, Generic[R]):
    """A node whose state is a native Yjs type.

    Attributes:
        kind: the type.
        deep: what happens inside shared types that are in it is followed too.
    """

    __slots__ = ("_root", "_subscription")

    kind: ClassVar[type[Any]]
    deep: ClassVar[bool] = True

    def __init__(self, path: str, owner: RecordNode) -> None:
        super().__init__(path, owner)
        self._root: R | None = None
        self._subscription: Any = None

    @property
    def root(self) -> R:
        """The CRDT type."""
        if self._root is None:
            assert self.owner is not None
            self._root = self.owner.view.doc.get(self.path, type=self.kind)
        return self._root

    def clear(self) -> None:
        self._root = self._subscription = None

    def heed(self) -> None:
        """See to it that it is followed from the next change from elsewhere on: it was read."""
        assert self.owner is not None
        self.owner.view.unheard[self] = None

    def listen(self) -> None:
        """Follow changes from elsewhere."""
        if self._subscription is None:
            weak = weakref.ref(self)  # a cycle through the CRDT library is never collected

            def hear(told: Any) -> None:
                node = weak()
                if node is not None:
                    assert node.owner is not None
                    node.owner.view.changed[node] = None
                    node.follow(told)

            root: Any = self.root
            self._subscription = (root.observe_deep if self.deep else root.observe)(hear)

    def deafen(self) -> None:
        """Follow nothing any more."""
        if self._subscription is not None:
            root: Any = self.root
            root.unobserve(self._subscription)
            self._subscription = None

    def pause(self) -> None:
        """Do not follow what we are about to write ourselves."""
        if self._subscription is not None:
            self.deafen()
            self.heed()

    def follow(self, told: Any) -> None:
        """Take over a change from elsewhere.

        Args:
            told: the CRDT library's event; a list of them where it is followed deeply.
        """
        raise NotImplementedError
