"""Rich text that many can edit at once: blocks, attributes and formatted text, merged by the CRDT.

It is what front ends made with ProseMirror, TipTap or BlockNote keep in Yjs, so they and Python
can edit one text together. Read `markup` for the value that stands behind it, `parts` for the
handles of what is in it, `xml_types` for how it is kept in the CRDT.

Two who type into one block both keep what they typed; who deletes a block deletes also what others
were typing in it.

Source: Nicolaescu et al., GROUP 2016 (YATA, the algorithm of Yjs).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pycrdt

from crdtsync.document.forms import plain
from crdtsync.document.handle import Handle
from crdtsync.document.markup import Branch, Splice, Step, after
from crdtsync.document.parts import Container, Spot
from crdtsync.document.root import RootNode
from crdtsync.document.xml_types import follow, read, write

if TYPE_CHECKING:
    from crdtsync.document.record import RecordNode
    from crdtsync.document.writer import Writer

__all__ = ["RichText", "RichTextEdit", "RichTextNode"]


class RichTextEdit:
    """Steps, one after the other, and the tree that they leave."""

    __slots__ = ("steps", "tree")

    def __init__(self, tree: Branch) -> None:
        self.steps: tuple[Step, ...] = ()
        self.tree = tree

    def extend(self, steps: Iterable[Step]) -> RichTextEdit:
        """Append steps: all of them, or none if one cannot be.

        Raises:
            ActionError: as `crdtsync.document.markup.after`.
        """
        steps, tree = tuple(steps), self.tree
        for step in steps:
            tree = after(tree, step)
        self.steps += steps
        self.tree = tree
        return self

    def copy(self) -> RichTextEdit:
        copied = RichTextEdit(self.tree)
        copied.steps = self.steps
        return copied


class RichTextNode(RootNode[pycrdt.XmlFragment]):
    """State of a rich text: the CRDT root, and its tree once somebody has read it."""

    __slots__ = ("_tree",)

    kind = pycrdt.XmlFragment

    def __init__(self, path: str, owner: RecordNode) -> None:
        super().__init__(path, owner)
        self._tree: Branch | None = None

    @property
    def tree(self) -> Branch:
        """The rich text as it is."""
        if self._tree is None:
            self._tree = read(self.root)
            self.heed()
        return self._tree

    def edit(self) -> RichTextEdit:
        """Begin an edit."""
        return RichTextEdit(self.tree)

    def clear(self) -> None:
        super().clear()
        self._tree = None

    def plain(self) -> list[Any]:
        found: list[Any] = plain(self.tree)["children"]
        return found

    def follow(self, told: list[Any]) -> None:
        if self._tree is not None:
            self._tree = follow(self._tree, self.root, told)

    def write(self, writer: Writer, edit: RichTextEdit) -> None:
        if not edit.steps:
            return
        self.pause()
        write(self.root, self.tree, edit.steps)
        self._tree = edit.tree
        writer.touch(self.owner)

    def erasure(self) -> RichTextEdit | None:
        length = len(self.tree.children)
        return self.edit().extend([Splice((), 0, length, ())]) if length else None


class RichText(Handle[RichTextNode], Container):
    r"""A rich text: a sequence of blocks.

    A block is an `Element`: a tag, attributes, and in it passages of text or further elements.
    `append` and `insert` make elements; `assign`, or assignment to the field, takes what `to_dict`
    gives and changes only what differs.

    >>> from crdtsync import Document, Replica
    >>> class Page(Document):
    ...     body: RichText
    >>> page = Replica().document(Page, "page")
    >>> page.body.append("heading", "Title", level=1)
    <heading level="1">Title</heading>
    >>> block = page.body.append("paragraph", "Hello ", ("world", {"bold": True}))
    >>> block.append_text("!", bold=None).format(0, 5, em={})
    >>> print(page.body.to_xml())
    <heading level="1">Title</heading><paragraph><em>Hello</em> <bold>world</bold>!</paragraph>
    >>> str(page.body)
    'Title\nHello world!'
    >>> page.body[0].attributes["level"] = 2
    >>> del page.body[1]
    >>> page.to_dict()["body"]
    [{'tag': 'heading', 'attributes': {'level': 2}, 'children': [{'runs': [['Title', {}]]}]}]
    """

    __slots__ = ()

    def _spot(self) -> Spot:
        return Spot(self._live, self._node)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, RichText):
            return self._identity() == other._identity()
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self._identity())

    def __repr__(self) -> str:
        return f"RichText({str(self)!r})"
