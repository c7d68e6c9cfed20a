"""Text that many can type into at once: the CRDT merges every insertion and deletion.

Indices are Python string indices. They become the CRDT's UTF-8 offsets in one place, the rope.

Source: Nicolaescu et al., "Near Real-Time Peer-to-Peer Shared Editing on Extensible Data Types",
GROUP 2016 (YATA, the algorithm of Yjs).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pycrdt

from crdtsync.document.authors import Authored, authors
from crdtsync.document.editing import EditableText, TextStep, applied, place
from crdtsync.document.formatting import Runs, read_runs
from crdtsync.document.handle import Handle
from crdtsync.document.positions import Positions
from crdtsync.document.root import RootNode
from crdtsync.document.rope import EMBED, Rope
from crdtsync.errors import ActionError
from crdtsync.position import Position

if TYPE_CHECKING:
    from crdtsync.document.record import RecordNode
    from crdtsync.document.writer import Writer

__all__ = ["Text", "TextEdit", "TextNode", "steps_of"]


class TextEdit:
    """Steps, one after the other."""

    __slots__ = ("growth", "steps")

    def __init__(self, steps: list[TextStep] | None = None, growth: int = 0) -> None:
        self.steps = [] if steps is None else steps
        self.growth = growth

    def add(self, step: TextStep) -> None:
        """Append a step."""
        self.steps.append(step)
        self.growth += step.growth

    def extend(self, other: TextEdit) -> None:
        """Append another edit's steps."""
        self.steps += other.steps
        self.growth += other.growth

    def copy(self) -> TextEdit:
        return TextEdit(list(self.steps), self.growth)


class TextNode(RootNode[pycrdt.Text]):
    """State of a text: the CRDT root, and the rope once somebody has read it."""

    __slots__ = ("_foreign", "_positions", "_rope")

    kind = pycrdt.Text
    deep = False

    def __init__(self, path: str, owner: RecordNode) -> None:
        super().__init__(path, owner)
        self._rope: Rope | None = None
        self._foreign = False
        self._positions: Positions | None = None

    @property
    def rope(self) -> Rope:
        """The text as it is."""
        return self._read() if self._rope is None else self._rope

    @property
    def foreign(self) -> bool:
        """Whether other things than text stand among the text, so that no place in it is sure."""
        if self._rope is None:
            self._read()
        return self._foreign

    @property
    def positions(self) -> Positions:
        """The positions in the text as it is."""
        rope = self.rope  # once it is read, changes are followed
        if self._positions is None:
            assert self.owner is not None
            self._positions = Positions(self.owner.view.shadow, self.path, rope)
        return self._positions

    def _read(self) -> Rope:
        self._positions = None
        self._rope, self._foreign = _read(self.root)
        self.heed()
        return self._rope

    def clear(self) -> None:
        super().clear()
        self._rope = self._positions = None

    def plain(self) -> str:
        return str(self.rope)

    def follow(self, told: Any) -> None:
        rope, self._positions = self._rope, None
        if rope is None:
            return
        delta = told.delta
        if self._foreign or rope.size + sum(map(_growth, delta)) != len(self.root):
            self._rope = None  # what came is not all text; it is read anew when somebody looks
            return
        for _ in steps_of(delta, rope):
            pass

    def write(self, writer: Writer, edit: TextEdit) -> None:
        if not edit.steps:
            return
        self._positions = None
        self.pause()
        rope, root = self.rope, self.root
        for start, stop, text, attributes in edit.steps:
            if text is None:
                root.format(rope.offset(start), rope.offset(stop), attributes)
                continue
            if stop > start:
                first, last = rope.delete(start, stop)
                del root[first:last]
            if text:
                offset = rope.insert(start, text)
                root.insert(offset, text)
                if attributes:
                    root.format(offset, offset + len(text.encode()), attributes)
        writer.touch(self.owner)

    def erasure(self) -> TextEdit | None:
        length = len(self.rope)
        if not length or self._foreign:
            return None
        return TextEdit([TextStep(0, length, "", {})], -length)


def _read(root: pycrdt.Text) -> tuple[Rope, bool]:
    """Return a text as a rope, and whether there is more in it than that."""
    rope, size = Rope(str(root)), len(root)
    if rope.size != size:
        rope = Rope("".join(part if isinstance(part, str) else EMBED for part, _ in root.diff()))
    return rope, rope.size != size


def steps_of(delta: Iterable[dict[str, Any]], rope: Rope) -> Iterator[TextStep]:
    """Carry a change out on a rope and yield its steps, in Python's indices.

    Args:
        delta: the change, as the CRDT library reports it.
        rope: the text before it.
    """
    offset = 0
    for part in delta:
        attributes = part.get("attributes") or {}
        if "retain" in part:
            start, offset = offset, offset + part["retain"]
            if attributes:
                yield TextStep(rope.index(start), rope.index(offset), None, attributes)
        elif "delete" in part:
            first, last = rope.index(offset), rope.index(offset + part["delete"])
            rope.delete(first, last)
            yield TextStep(first, last, "", {})
        else:
            text, index = _inserted(part), rope.index(offset)
            rope.insert(index, text)
            offset += _growth(part)
            yield TextStep(index, index, text, attributes)


def _inserted(step: dict[str, Any]) -> str:
    inserted = step["insert"]
    return inserted if isinstance(inserted, str) else EMBED


def _growth(step: dict[str, Any]) -> int:
    """Return how many bytes longer a step of a change makes the text."""
    if "insert" in step:
        return len(_inserted(step).encode(errors="replace"))
    deleted: int = step.get("delete", 0)
    return -deleted


class Text(Handle[TextNode], EditableText):
    """A text. Reads as a `str` where one is wanted: `str(text)`, `text == "…"`, `text[2:5]`.

    Parts of it can be formatted, and front ends can embed objects in it.

    >>> from crdtsync import Document, Replica
    >>> class Page(Document):
    ...     body: Text
    >>> page = Replica().document(Page, "page")
    >>> page.body.append("Hello 🌍")
    >>> page.body.insert(5, ",")
    >>> page.body.delete(0, 1)
    >>> str(page.body)
    'ello, 🌍'
    >>> page.body.format(0, 4, bold=True)
    >>> page.body.runs()
    [('ello', {'bold': True}), (', 🌍', {})]
    """

    __slots__ = ()

    def __str__(self) -> str:
        edit: TextEdit | None = self._edit()
        text = str(self._node.rope)
        for start, stop, new, _ in edit.steps if edit is not None else ():
            if new is not None:
                text = text[:start] + new + text[stop:]
        return text

    def __len__(self) -> int:
        edit: TextEdit | None = self._edit()
        return len(self._node.rope) + (0 if edit is None else edit.growth)

    def __iadd__(self, text: str) -> Text:
        self.append(text)
        return self

    def authors(self) -> list[Authored]:
        """Return who wrote what, from the beginning of the committed text to its end.

        Each item is what one entry put there and still stands together. Together they are the
        text, but for embedded objects.

        >>> from crdtsync import Document, Replica
        >>> class Page(Document):
        ...     body: Text
        >>> page = Replica(user="ann").document(Page, "page")
        >>> page.body.append("Hello")
        >>> page.body.insert(4, "!")
        >>> [(found.text, found.user, found.seq) for found in page.body.authors()]
        [('Hell', 'ann', 1), ('!', 'ann', 2), ('o', 'ann', 1)]
        """
        assert self._node.owner is not None
        return list(authors(self._node.owner.view.doc, self._node.path, self._live.journal))

    def position(self, index: int) -> Position:
        """Return the position before a character, which stays there whatever others type.

        At the length of the text it is the position of its end, which stays the end. It can be
        stored, sent, and shown to the others (`Presence.update`); Yjs front ends read it.

        Args:
            index: of the character; a negative one counts from the end.

        Raises:
            IndexError: there is no such place.
            ActionError: the open action has changed the text, or it holds other things than text.

        >>> from crdtsync import Document, Replica
        >>> class Page(Document):
        ...     body: Text
        >>> page = Replica().document(Page, "page")
        >>> page.body.append("Hello world")
        >>> cursor = page.body.position(6)
        >>> page.body.insert(0, "😀 ")
        >>> page.body.index(cursor)
        8
        """
        self._check_settled()
        return self._node.positions.at(place(index, len(self)))

    def index(self, position: bytes | Mapping[str, Any]) -> int | None:
        """Return where a position is now.

        Where the character at which it stood is deleted, it is where that was.

        Args:
            position: as `position` has returned it, or as it stands in what a client shows, or as
                Yjs encodes relative positions.

        Returns:
            The index; None if the position is none, or of another text, or at a character that has
            not come yet.

        Raises:
            ActionError: the open action has changed the text, or it holds other things than text.
        """
        self._check_settled()
        return self._node.positions.index(position)

    def _check_settled(self) -> None:
        edit: TextEdit | None = self._edit()
        if edit is not None and edit.steps:
            raise ActionError(
                f"text {self._node.path!r} is being changed: ask for positions after the action"
            )
        self._check_native()

    def _runs(self) -> Runs:
        edit: TextEdit | None = self._edit()
        runs = read_runs(self._node.root.diff())
        for step in edit.steps if edit is not None else ():
            runs = applied(runs, step)
        return runs

    def _stage(self, name: str, steps: list[TextStep]) -> None:
        self._check_native()
        edit = TextEdit()
        for step in steps:
            edit.add(step)
        self._live.edit(name, self._node, edit, TextEdit.extend)

    def _check_native(self) -> None:
        if self._node.foreign:
            raise ActionError(
                f"text {self._node.path!r} holds other things than text, so that no place in it "
                "is sure: keep the text in a field of another name"
            )
