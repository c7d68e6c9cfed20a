"""Reads CRDT updates without recursion and without trust.

An update is a row of sections, one for each client that wrote, and then a set of deletions::

    sections   how many, then each: structs, client, clock, that many structs
    a struct   a byte (the kind of its content, and flags), where it belongs, its content
    deletions  clients, then each: client, runs, that many (clock, length)

Almost all of it is numbers (seven bits a byte, the low ones first) and bytes after their number.
Each struct takes as many clocks as its content has items; those of a section follow each other.

Where it belongs is told by the ids (client, clock) of its neighbours, to the left with flag 128, to
the right with flag 64. Only where it has neither, its parent follows: 1 and a root's name, or 0 and
an id; and then, with flag 32, its key in that parent. An item with neighbours has the parent and
the key of one of them; flag 32 may be set all the same.

Source: the encoding as implemented by Yjs 13 and its lib0 (`UpdateEncoderV1`, `encoding.writeAny`).
Its port to Rust, with which we apply updates, reads two things otherwise: contents of JSON texts
(a text more than are counted) and XML hooks (without a name). See `Reader.disputed`.
"""

from __future__ import annotations

from typing import NamedTuple

from crdtsync.update.encoding import Source

__all__ = [
    "DELETED",
    "FLAGS",
    "GC",
    "KEY",
    "LEFT",
    "NEIGHBOURS",
    "NESTING_MAX",
    "RIGHT",
    "SKIP",
    "STRING",
    "TYPE",
    "VALUES",
    "Reader",
    "Section",
    "Struct",
]

NESTING_MAX = 200
"""Arrays and objects inside each other that a value in an update may have; and shared types that
one update may put inside each other."""

GC, DELETED, STRING, TYPE, VALUES, SKIP = 0, 1, 4, 7, 8, 10
"""Kinds of structs: a run that is gone for good, one that is only deleted, a text, a shared type,
values, one that is not here."""

LEFT, RIGHT, KEY = 128, 64, 32
NEIGHBOURS = LEFT | RIGHT
FLAGS = NEIGHBOURS | KEY
"""The bits of `Struct.info` that say what `Struct.place` holds."""

_PLAIN_TYPES = frozenset({0, 1, 2, 4, 6, 9, 15})
_XML_ELEMENT, _XML_HOOK = 3, 5

_ARRAY, _OBJECT = 117, 118
_INTEGER, _STRING, _BYTES = 125, 119, 116
_SIZES = {127: 0, 126: 0, 124: 4, 123: 8, 122: 8, 121: 0, 120: 0}


class Struct(NamedTuple):
    """A run of clocks as an update holds it.

    `info` is the kind of its content, with `FLAGS`; `place` where it belongs, as the numbers and
    the bytes that stand there; `length` how many clocks it takes; `content` the bytes that follow.
    In the update it stands from `start` up to `stop`.
    """

    info: int
    place: tuple[int | bytes, ...]
    length: int
    content: bytes
    start: int
    stop: int


class Section(NamedTuple):
    """What one client wrote, from `clock` on."""

    client: int
    clock: int
    structs: list[Struct]


class Reader(Source):
    """Reads an update from front to back: `number` sections, each a `section`, then `deletions`.

    All methods raise ValueError where the bytes are not what they read, or end before. Values that
    nest deeper than `NESTING_MAX` are such a case too.
    """

    disputed = False
    """Whether something was read that the CRDT library takes for something else.

    From there on it may see other structs than we do.
    """

    def section(self) -> Section:
        """Read all that one client wrote."""
        count, client, clock = self.number(), self.number(), self.number()
        return Section(client, clock, [self._struct() for _ in range(count)])

    def deletions(self) -> dict[int, list[tuple[int, int]]]:
        """Read the deletions: for each client, runs of clocks as (first, behind the last)."""
        found: dict[int, list[tuple[int, int]]] = {}
        for _ in range(self.number()):
            runs = found.setdefault(self.number(), [])
            for _ in range(self.number()):
                clock = self.number()
                runs.append((clock, clock + self.number()))
        return found

    def _struct(self) -> Struct:
        start, info = self.at, self.byte()
        place = () if info in {GC, SKIP} else self._place(info)
        at = self.at
        length = self.number() if info in {GC, SKIP} else self._content(info & ~FLAGS)
        return Struct(info, place, length, self._data[at : self.at], start, self.at)

    def _place(self, info: int) -> tuple[int | bytes, ...]:
        place: list[int | bytes] = []
        for neighbour in LEFT, RIGHT:
            if info & neighbour:
                place += self.number(), self.number()
        if not place:
            match self.number():
                case 1:
                    place += 1, self._text()
                case 0:
                    place += 0, self.number(), self.number()
                case other:
                    raise ValueError(f"a CRDT update has no parents of kind {other}")
            if info & KEY:
                place.append(self._text())
        return tuple(place)

    def _content(self, kind: int) -> int:
        """Read over the content of an item. Return how many clocks it takes."""
        match kind:
            case 1:  # deleted
                return self.number()
            case 2:  # JSON texts
                self.disputed = True
                count = self.number()
                for _ in range(count):
                    self.blob()
                return count
            case 3 | 5:  # bytes, an embedded JSON text
                self.blob()
            case 4:  # STRING: a clock for each unit of UTF-16
                return len(self._text().decode().encode("utf-16-le")) // 2
            case 6:  # a format's key and JSON text
                self.blob()
                self.blob()
            case 7:  # TYPE
                self._type()
            case 8:  # VALUES
                count = self.number()
                self.values(count)
                return count
            case 9:  # a subdocument's id and options
                self.blob()
                self.values(1)
            case _:
                raise ValueError(f"a CRDT update has no contents of kind {kind}")
        return 1

    def _type(self) -> None:
        kind = self.byte()
        if kind in {_XML_ELEMENT, _XML_HOOK}:
            self.disputed |= kind == _XML_HOOK
            self.blob()
        elif kind not in _PLAIN_TYPES:
            raise ValueError(f"a CRDT update has no shared types of kind {kind}")

    def values(self, count: int) -> None:
        """Read over so many values. `open_` holds what is left of each array and object."""
        open_: list[list[int]] = [[count, 0]]  # how many values, whether they have keys
        while open_:
            if not open_[-1][0]:
                open_.pop()
                continue
            open_[-1][0] -= 1
            if open_[-1][1]:
                self.blob()
            tag = self.byte()
            if tag in {_ARRAY, _OBJECT}:
                open_.append([self.number(), tag == _OBJECT])
                if len(open_) > NESTING_MAX + 1:
                    raise ValueError(f"a CRDT update nests values deeper than {NESTING_MAX}")
            elif tag == _INTEGER:
                self.number()
            elif tag in {_STRING, _BYTES}:
                self.blob()
            elif tag in _SIZES:
                self.take(_SIZES[tag])
            else:
                raise ValueError(f"a CRDT update has no values of kind {tag}")

    def _text(self) -> bytes:
        """Read bytes that have to be UTF-8."""
        text = self.blob()
        try:
            text.decode()
        except UnicodeDecodeError as error:
            raise ValueError(f"a text in a CRDT update is not UTF-8: {error}") from None
        return text
