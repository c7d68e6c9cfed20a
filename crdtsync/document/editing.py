"""What all editable texts have in common, whatever they stand in: indices, slices, assignment."""

from __future__ import annotations

import difflib
import operator
from copy import deepcopy
from typing import Any, NamedTuple, SupportsIndex

from crdtsync.document.formatting import (
    Runs,
    attributes_before,
    json_values,
    overlaid,
    paint,
    splice,
)

__all__ = ["EditableText", "TextStep", "applied", "check_text", "difference", "place"]

_DIFF_LENGTH_MAX = 2000
"""Above this many characters, an assignment replaces the changed middle as a whole."""


class TextStep(NamedTuple):
    """Replace [start, stop) by `text`; or, where that is None, format it.

    Attributes:
        attributes: laid over those that the text has, or that inserted text takes over.
    """

    start: int
    stop: int
    text: str | None
    attributes: dict[str, Any]

    @property
    def growth(self) -> int:
        """How many characters longer the text becomes."""
        return 0 if self.text is None else len(self.text) - (self.stop - self.start)


def applied(runs: Runs, step: TextStep) -> Runs:
    """Return runs after a step."""
    start, stop, text, attributes = step
    if text is None:
        return paint(runs, start, stop, attributes)
    return splice(runs, start, stop, text, overlaid(attributes_before(runs, start), attributes))


class EditableText:
    """Edits of a text by Python indices; negative ones count from the end."""

    __slots__ = ()

    def _stage(self, name: str, steps: list[TextStep]) -> None:
        """Make steps a part of the open action, or an action of that name."""
        raise NotImplementedError

    def _runs(self) -> Runs:
        raise NotImplementedError

    def __str__(self) -> str:
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError

    def insert(self, index: int, text: str, /, **attributes: Any) -> None:
        """Insert before the character at `index`.

        The text continues the formatting of the character before it, with `attributes` laid over:
        `bold=True` makes it bold, `bold=None` makes it not bold.

        Raises:
            IndexError: there is no such place.
            ValueError: the text holds a lone surrogate, which UTF-8 cannot carry; or an attribute
                is nothing that JSON carries.
        """
        at = place(index, len(self))
        if check_text(text):
            self._stage("insert", [TextStep(at, at, text, json_values(attributes))])

    def append(self, text: str, /, **attributes: Any) -> None:
        """Insert at the end."""
        length = len(self)
        if check_text(text):
            self._stage("append", [TextStep(length, length, text, json_values(attributes))])

    def delete(self, start: int, stop: int) -> None:
        """Delete the characters from `start` up to `stop`."""
        length = len(self)
        start, stop = place(start, length), place(stop, length)
        if stop > start:
            self._stage("delete", [TextStep(start, stop, "", {})])

    def replace(self, start: int, stop: int, text: str) -> None:
        """Put `text` in place of the characters from `start` up to `stop`."""
        length = len(self)
        start, stop = place(start, length), place(stop, length)
        if check_text(text) or stop > start:
            self._stage("replace", [TextStep(start, max(start, stop), text, {})])

    def format(self, start: int, stop: int, /, **attributes: Any) -> None:
        """Give characters attributes, such as `bold=True`; None takes one away.

        Raises:
            IndexError: there is no such place.
            TypeError, ValueError: an attribute is nothing that JSON carries.
        """
        length = len(self)
        start, stop = place(start, length), place(stop, length)
        if stop > start and attributes:
            self._stage("format", [TextStep(start, stop, None, json_values(attributes))])

    def runs(self) -> list[tuple[Any, dict[str, Any]]]:
        """Return runs of equal attributes: (characters, attributes).

        An embedded object is a run of its own, with its value in place of the characters.
        """
        return [
            (content if isinstance(content, str) else deepcopy(content.value), deepcopy(attributes))
            for content, attributes in self._runs()
        ]

    def assign(self, text: str) -> None:
        """Make the text equal `text` by the insertions and deletions that differ."""
        check_text(text)
        steps = difference(str(self), text)
        if steps:
            self._stage("assign", steps)

    def __getitem__(self, index: int | slice) -> str:
        return str(self)[index]

    def __contains__(self, part: str) -> bool:
        return part in str(self)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str | EditableText):
            return str(self) == str(other)
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]  # mutable, and equal to its str

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"


def place(index: SupportsIndex, length: int) -> int:
    """Return an index that does not count from the end.

    Raises:
        IndexError: there is no such place.
    """
    at = operator.index(index)
    if at < 0:
        at += length
    if not 0 <= at <= length:
        raise IndexError(f"index {index} in a text of {length} characters")
    return at


def check_text(text: str) -> str:
    """Return a text that can be stored.

    Raises:
        TypeError: it is no str.
        ValueError: it holds a lone surrogate.
    """
    if not isinstance(text, str):
        raise TypeError(f"a text is made of str, not {type(text).__name__}")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"text with a lone surrogate cannot be stored: {error}") from error
    return text


def difference(old: str, new: str) -> list[TextStep]:
    """Return steps that turn one text into the other, from the end to the beginning."""
    if old == new:
        return []
    shorter = min(len(old), len(new))
    start = next((i for i in range(shorter) if old[i] != new[i]), shorter)
    limit = shorter - start
    tail = next((i for i in range(limit) if old[-1 - i] != new[-1 - i]), limit)
    stop, new_stop = len(old) - tail, len(new) - tail
    if max(stop, new_stop) - start > _DIFF_LENGTH_MAX:
        return [TextStep(start, stop, new[start:new_stop], {})]
    matcher = difflib.SequenceMatcher(None, old[start:stop], new[start:new_stop], autojunk=False)
    return [
        TextStep(start + i1, start + i2, new[start + j1 : start + j2], {})
        for tag, i1, i2, j1, j2 in reversed(matcher.get_opcodes())
        if tag != "equal"
    ]
