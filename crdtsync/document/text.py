"""Text that many can type into at once: the CRDT merges every insertion and deletion.

Indices are Python string indices. They become the CRDT's UTF-8 offsets in one place, the rope.

Source: Nicolaescu et al., "Near Real-Time Peer-to-Peer Shared Editing on Extensible Data Types",
GROUP 2016 (YATA, the algorithm of Yjs).
"""

from __future__ import annotations

import difflib
import operator
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple, SupportsIndex

import pycrdt

from crdtsync.document.handle import Handle
from crdtsync.document.node import Node
from crdtsync.document.rope import Rope

if TYPE_CHECKING:
    from crdtsync.document.record import RecordNode
    from crdtsync.document.writer import Writer

__all__ = ["Text", "TextEdit", "TextNode"]

_DIFF_LENGTH_MAX = 2000
"""Above this many characters, an assignment replaces the changed middle as a whole."""


class TextStep(NamedTuple):
    """Replace [start, stop) by `text`, or format it where `attributes` are given."""

    start: int
    stop: int
    text: str
    attributes: dict[str, Any] | None


class TextEdit:
    """Steps, one after the other."""

    __slots__ = ("growth", "steps")

    def __init__(self, steps: list[TextStep] | None = None, growth: int = 0) -> None:
        self.steps = [] if steps is None else steps
        self.growth = growth

    def add(self, step: TextStep) -> None:
        """Append a step."""
        self.steps.append(step)
        if step.text or step.attributes is None:
            self.growth += len(step.text) - (step.stop - step.start)

    def extend(self, other: TextEdit) -> None:
        """Append another edit's steps."""
        self.steps += other.steps
        self.growth += other.growth

    def copy(self) -> TextEdit:
        return TextEdit(list(self.steps), self.growth)


class TextNode(Node):
    """State of a text: the CRDT root, and the rope once somebody has read it."""

    __slots__ = ("_root", "_rope", "_subscription")

    def __init__(self, path: str, owner: RecordNode) -> None:
        super().__init__(path, owner)
        self._root: pycrdt.Text | None = None
        self._rope: Rope | None = None
        self._subscription: Any = None

    @property
    def root(self) -> pycrdt.Text:
        """The CRDT text."""
        if self._root is None:
            assert self.owner is not None
            self._root = self.owner.view.doc.get(self.path, type=pycrdt.Text)
        return self._root

    @property
    def rope(self) -> Rope:
        """The text as it is."""
        if self._rope is None:
            self._rope = Rope(str(self.root))
            assert self.owner is not None
            self.owner.view.unheard[self] = None
        return self._rope

    def clear(self) -> None:
        self._root = self._rope = self._subscription = None

    def plain(self) -> str:
        return str(self.rope)

    def listen(self) -> None:
        """Follow changes from elsewhere.

        An observer costs twice a keystroke, so it is dropped while only we are typing.
        """
        if self._subscription is None:
            weak = weakref.ref(self)  # a cycle through the CRDT library is never collected

            def follow(event: Any) -> None:
                node = weak()
                if node is not None:
                    node.follow(event)

            self._subscription = self.root.observe(follow)

    def deafen(self) -> None:
        """Follow nothing any more."""
        if self._subscription is not None:
            self.root.unobserve(self._subscription)
            self._subscription = None

    def follow(self, event: Any) -> None:
        """Take over a change from elsewhere."""
        rope = self._rope
        assert self.owner is not None
        self.owner.view.changed[self] = None
        if rope is None:
            return
        offset = 0
        for delta in event.delta:
            if "retain" in delta:
                offset += delta["retain"]
            elif "delete" in delta:
                rope.delete(rope.index(offset), rope.index(offset + delta["delete"]))
            elif isinstance(delta["insert"], str):
                text = delta["insert"]
                rope.insert(rope.index(offset), text)
                offset += len(text.encode())

    def write(self, writer: Writer, edit: TextEdit) -> None:
        if not edit.steps:
            return
        if self._subscription is not None:
            assert self.owner is not None
            self.deafen()
            self.owner.view.unheard[self] = None
        rope, root = self.rope, self.root
        for start, stop, text, attributes in edit.steps:
            if attributes is not None and not text:
                root.format(rope.offset(start), rope.offset(stop), attributes)
                continue
            if stop > start:
                first, last = rope.delete(start, stop)
                del root[first:last]
            if text:
                root.insert(rope.insert(start, text), text, attributes)
        writer.touch(self.owner)

    def erasure(self) -> TextEdit | None:
        length = len(self.rope)
        return TextEdit([TextStep(0, length, "", None)], -length) if length else None


class Text(Handle[TextNode]):
    """A text. Reads as a `str` where one is wanted: `str(text)`, `text == "…"`, `text[2:5]`.

    >>> from crdtsync import Document, Replica
    >>> class Page(Document):
    ...     body: Text
    >>> page = Replica().document(Page, "page")
    >>> page.body.append("Hello 🌍")
    >>> page.body.insert(5, ",")
    >>> page.body.delete(0, 1)
    >>> str(page.body)
    'ello, 🌍'
    """

    __slots__ = ()

    def insert(self, index: int, text: str, attributes: dict[str, Any] | None = None) -> None:
        """Insert before the character at `index`; negative ones count from the end.

        Raises:
            IndexError: there is no such place.
            ValueError: the text holds a lone surrogate, which UTF-8 cannot carry.
        """
        at = _place(index, len(self))
        if _checked(text):
            self._add("insert", TextStep(at, at, text, attributes))

    def append(self, text: str) -> None:
        """Insert at the end."""
        length = len(self)
        if _checked(text):
            self._add("append", TextStep(length, length, text, None))

    def delete(self, start: int, stop: int) -> None:
        """Delete the characters from `start` up to `stop`."""
        length = len(self)
        start, stop = _place(start, length), _place(stop, length)
        if stop > start:
            self._add("delete", TextStep(start, stop, "", None))

    def replace(self, start: int, stop: int, text: str) -> None:
        """Put `text` in place of the characters from `start` up to `stop`."""
        length = len(self)
        start, stop = _place(start, length), _place(stop, length)
        if _checked(text) or stop > start:
            self._add("replace", TextStep(start, max(start, stop), text, None))

    def format(self, start: int, stop: int, attributes: dict[str, Any]) -> None:
        """Give characters attributes (`{"bold": True}`); None as a value takes one away."""
        length = len(self)
        start, stop = _place(start, length), _place(stop, length)
        if stop > start and attributes:
            self._add("format", TextStep(start, stop, "", dict(attributes)))

    def runs(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the committed text as runs of equal attributes."""
        return [
            (run, dict(attributes or {}))
            for run, attributes in self._node.root.diff()
            if isinstance(run, str)
        ]

    def assign(self, text: str) -> None:
        """Make the text equal `text` by the insertions and deletions that differ."""
        _checked(text)
        steps = _difference(str(self), text)
        if steps:
            with self._live.act("assign", self._node) as action:
                edit = action.edit(self._node, TextEdit)
                for step in steps:
                    edit.add(step)

    def __str__(self) -> str:
        edit: TextEdit | None = self._edit()
        text = str(self._node.rope)
        for step in edit.steps if edit is not None else ():
            if step.text or step.attributes is None:
                text = text[: step.start] + step.text + text[step.stop :]
        return text

    def __len__(self) -> int:
        edit: TextEdit | None = self._edit()
        return len(self._node.rope) + (0 if edit is None else edit.growth)

    def __getitem__(self, index: int | slice) -> str:
        return str(self)[index]

    def __contains__(self, part: str) -> bool:
        return part in str(self)

    def __iadd__(self, text: str) -> Text:
        self.append(text)
        return self

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str | Text):
            return str(self) == str(other)
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]  # mutable, and equal to its str

    def __repr__(self) -> str:
        return f"Text({str(self)!r})"

    def _add(self, name: str, step: TextStep) -> None:
        edit = TextEdit()
        edit.add(step)
        self._live.edit(name, self._node, edit, TextEdit.extend)


def _place(index: SupportsIndex, length: int) -> int:
    at = operator.index(index)
    if at < 0:
        at += length
    if not 0 <= at <= length:
        raise IndexError(f"index {index} in a text of {length} characters")
    return at


def _checked(text: str) -> str:
    if not isinstance(text, str):
        raise TypeError(f"a text is made of str, not {type(text).__name__}")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"text with a lone surrogate cannot be stored: {error}") from error
    return text


def _difference(old: str, new: str) -> list[TextStep]:
    """Return steps that turn one text into the other, from the end to the beginning."""
    if old == new:
        return []
    shorter = min(len(old), len(new))
    start = next((i for i in range(shorter) if old[i] != new[i]), shorter)
    limit = shorter - start
    tail = next((i for i in range(limit) if old[-1 - i] != new[-1 - i]), limit)
    stop, new_stop = len(old) - tail, len(new) - tail
    if max(stop, new_stop) - start > _DIFF_LENGTH_MAX:
        return [TextStep(start, stop, new[start:new_stop], None)]
    matcher = difflib.SequenceMatcher(None, old[start:stop], new[start:new_stop], autojunk=False)
    return [
        TextStep(start + i1, start + i2, new[start + j1 : start + j2], None)
        for tag, i1, i2, j1, j2 in reversed(matcher.get_opcodes())
        if tag != "equal"
    ]
