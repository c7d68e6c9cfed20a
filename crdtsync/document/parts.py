"""Handles of what is in a rich text: elements, passages of text, attributes.

A handle stays with its part while others insert and delete around it, and is of no use any more
once the part is deleted.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any, overload

from crdtsync.document.editing import EditableText, TextStep
from crdtsync.document.formatting import Runs, json_value, length_of, text_of
from crdtsync.document.forms import element_of, parts_of, plain, text, xml
from crdtsync.document.markup import (
    DEPTH_MAX,
    Branch,
    Leaf,
    Part,
    Place,
    Retext,
    SetAttribute,
    Splice,
    Step,
    at,
    differences,
    find,
)
from crdtsync.errors import ActionError

if TYPE_CHECKING:
    from crdtsync.document.live import LiveDocument
    from crdtsync.document.rich_text import RichTextNode

__all__ = ["Attributes", "Container", "Element", "Passage", "Spot"]


class Spot:
    """A part of a rich text, wherever it stands by now.

    Args:
        live: the document.
        node: the rich text.
        key: of the part; None for the root.
        guess: where it stood when last seen.
    """

    __slots__ = ("_guess", "_key", "_live", "_node")

    def __init__(
        self, live: LiveDocument, node: RichTextNode, key: object = None, guess: Place = ()
    ) -> None:
        self._live = live
        self._node = node
        self._key = key
        self._guess = guess

    def find(self) -> tuple[Place, Any]:
        """Return where the part stands in the open action's eyes, and its value.

        Raises:
            ActionError: it is gone.
        """
        action = self._live.visible_action()
        edit = None if action is None else action.edits.get(self._node)
        tree: Branch = self._node.tree if edit is None else edit.tree
        if self._key is None:
            return (), tree
        place = find(tree, self._key, self._guess)
        if place is None:
            raise ActionError(
                f"this part of rich text {self._node.path!r} is not in it any more: it was "
                "deleted, or the document was loaded anew; get it from the rich text again"
            )
        self._guess = place
        return place, at(tree, place)

    def child(self, part: Part, place: Place) -> Element | Passage:
        """Return the handle of a part elsewhere in the same rich text."""
        spot = Spot(self._live, self._node, part.key, place)
        return Element(spot) if isinstance(part, Branch) else Passage(spot)

    def stage(self, name: str, steps: Iterable[Step]) -> None:
        """Make steps a part of the open action, or an action of that name."""
        with self._live.act(name, self._node) as action:
            action.edit(self._node, self._node.edit).extend(steps)

    def remove(self) -> None:
        """Delete the part from what it stands in."""
        place, _ = self.find()
        self.stage("delete", [Splice(place[:-1], place[-1], place[-1] + 1, ())])

    def identity(self) -> tuple[int, int, int]:
        """Return what is equal for handles of the same part only."""
        return id(self._live), id(self._node), id(self._key)


class Container(Sequence["Element | Passage"]):
    """What has children: a rich text, or an element in it."""

    __slots__ = ()

    def _spot(self) -> Spot:
        raise NotImplementedError

    def append(self, tag: str, /, *content: Any, **attributes: Any) -> Element:
        """Add an element at the end and return it.

        Args:
            tag: what it is, such as "paragraph"; front ends know which tags they show.
            content: what is in it: strings, (string, attributes) pairs for formatted text, and
                elements as `to_dict` gives them.
            attributes: of the element.

        Raises:
            TypeError, ValueError: something cannot be stored, or is nested too deeply.
        """
        return self._insert("append", len(self), tag, content, attributes)

    def insert(self, index: int, tag: str, /, *content: Any, **attributes: Any) -> Element:
        """Add an element before the child at `index`, where lists would, and return it."""
        return self._insert("insert", index, tag, content, attributes)

    def append_text(self, text: str, /, **attributes: Any) -> Passage:
        """Add text at the end, to the passage that stands there if one does, and return that.

        What is added to a passage continues the formatting of its last character.
        """
        if len(self):
            last = self[-1]
            if isinstance(last, Passage):
                last.append(text, **attributes)
                return last
        return self.insert_text(len(self), text, **attributes)

    def insert_text(self, index: int, text: str, /, **attributes: Any) -> Passage:
        """Add a new passage of text before the child at `index` and return it."""
        place, branch = self._spot().find()
        (leaf,) = parts_of([(text, attributes)], DEPTH_MAX - len(place))
        passage = self._put("insert", index, place, branch, leaf)
        assert isinstance(passage, Passage)
        return passage

    def clear(self) -> None:
        """Delete everything in it."""
        self.assign(())

    def assign(self, content: Iterable[Any]) -> None:
        """Make it hold exactly this, changing only what differs.

        Args:
            content: strings, (string, attributes) pairs and elements; or another rich text.
        """
        place, branch = self._spot().find()
        if isinstance(content, Container):
            content = plain(content._spot().find()[1])["children"]
        parts = parts_of(content, DEPTH_MAX - len(place))
        steps = list(differences(branch, parts, place))
        if steps:
            self._spot().stage("assign", steps)

    def to_xml(self) -> str:
        """Return it as XML, formatting as elements around the characters."""
        return xml(self._spot().find()[1])

    def _insert(
        self, name: str, index: int, tag: str, content: Iterable[Any], attributes: dict[str, Any]
    ) -> Element:
        place, branch = self._spot().find()
        new = element_of(tag, attributes, content, DEPTH_MAX - len(place))
        element = self._put(name, index, place, branch, new)
        assert isinstance(element, Element)
        return element

    def _put(
        self, name: str, index: int, place: Place, branch: Branch, part: Part
    ) -> Element | Passage:
        start, _, _ = slice(index, None).indices(len(branch.children))
        self._spot().stage(name, [Splice(place, start, start, (part,))])
        return self._spot().child(part, (*place, start))

    @overload
    def __getitem__(self, index: int) -> Element | Passage: ...
    @overload
    def __getitem__(self, index: slice) -> list[Element | Passage]: ...
    def __getitem__(self, index: int | slice) -> Any:
        children = list(self)
        if not isinstance(index, slice) and not -len(children) <= index < len(children):
            raise IndexError(f"index {index} among {len(children)} children")
        return children[index]

    def __delitem__(self, index: int | slice) -> None:
        place, branch = self._spot().find()
        length = len(branch.children)
        if isinstance(index, slice):
            start, stop, step = index.indices(length)
            if step != 1:
                raise ValueError("children can be deleted by slices without a step only")
        else:
            start = range(length)[operator.index(index)]
            stop = start + 1
        if stop > start:
            self._spot().stage("delete", [Splice(place, start, stop, ())])

    def __iter__(self) -> Iterator[Element | Passage]:
        place, branch = self._spot().find()
        children = enumerate(branch.children)
        return iter([self._spot().child(part, (*place, at_)) for at_, part in children])

    def __len__(self) -> int:
        return len(self._spot().find()[1].children)

    def __str__(self) -> str:
        return text(self._spot().find()[1])


class Element(Container):
    """An element of a rich text: a tag, attributes, and a sequence of what is in it."""

    __slots__ = ("_held",)

    def __init__(self, spot: Spot) -> None:
        self._held = spot

    def _spot(self) -> Spot:
        return self._held

    @property
    def tag(self) -> str:
        """What it is, such as "paragraph"."""
        tag: str = self._held.find()[1].tag
        return tag

    @property
    def attributes(self) -> Attributes:
        """Its attributes: a mapping that can be changed."""
        return Attributes(self._held)

    def remove(self) -> None:
        """Delete it, and all that is in it, from what it stands in."""
        self._held.remove()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Element):
            return self._held.identity() == other._held.identity()
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self._held.identity())

    def __repr__(self) -> str:
        return self.to_xml()


class Attributes(MutableMapping[str, Any]):
    """The attributes of an element: names and values that JSON carries.

    Of two who set one attribute at once, the CRDT keeps the same one everywhere.
    """

    __slots__ = ("_spot",)

    def __init__(self, spot: Spot) -> None:
        self._spot = spot

    def _current(self) -> dict[str, Any]:
        attributes: dict[str, Any] = self._spot.find()[1].attributes
        return attributes

    def __getitem__(self, name: str) -> Any:
        return deepcopy(self._current()[name])

    def __setitem__(self, name: str, value: Any) -> None:
        place, _ = self._spot.find()
        self._spot.stage("set", [SetAttribute(place, name, (json_value(value, name),))])

    def __delitem__(self, name: str) -> None:
        place, branch = self._spot.find()
        if name not in branch.attributes:
            raise KeyError(name)
        self._spot.stage("delete", [SetAttribute(place, name, ())])

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._current()))

    def __len__(self) -> int:
        return len(self._current())

    def __repr__(self) -> str:
        return repr(dict(self))


class Passage(EditableText):
    """A passage of formatted text in a rich text. It has the methods of `Text`."""

    __slots__ = ("_spot",)

    def __init__(self, spot: Spot) -> None:
        self._spot = spot

    def remove(self) -> None:
        """Delete it from the element it stands in."""
        self._spot.remove()

    def __str__(self) -> str:
        return text_of(self._runs())

    def __len__(self) -> int:
        return length_of(self._runs())

    def _runs(self) -> Runs:
        leaf: Leaf = self._spot.find()[1]
        return leaf.runs

    def _stage(self, name: str, steps: list[TextStep]) -> None:
        place, _ = self._spot.find()
        self._spot.stage(name, [Retext(place, step) for step in steps])
