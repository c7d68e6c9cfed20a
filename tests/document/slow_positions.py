"""Positions in a text, found by reading the whole document: the oracle of `Positions`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import pycrdt

from crdtsync.document.formatting import OBJECT
from crdtsync.document.ids import Id, units_of, within
from crdtsync.position import Place, Position, read_place
from crdtsync.update.encoding import encoded
from crdtsync.update.reader import DELETED, FLAGS, GC, KEY, NEIGHBOURS, STRING, TYPE, Reader

EMBED, FORMAT = 5, 6
FIRST = 0x100


class Stretch(NamedTuple):
    """What stands together in a text, or stood there, and whose ids follow each other.

    `text` is one character for an embedded object, and none for what is deleted or has no width.
    """

    client: int
    clock: int
    units: int
    start: int
    text: str


def stretches(doc: pycrdt.Doc[Any], path: str) -> list[Stretch]:
    """Return all of a text in order, with what was deleted from it.

    The library shows order and no ids, its state ids and no order. So a copy is read in which each
    struct's content, deleted or not, is characters of its own.
    """
    text = "".join(
        part if isinstance(part, str) else OBJECT
        for part, _ in doc.get(path, type=pycrdt.Text).diff()
    )
    reader = Reader(doc.get_update())
    structs: list[tuple[int, int, int, int]] = []
    count = reader.number()
    data = encoded(count)
    for _ in range(count):
        client, clock, section = reader.section()
        data += encoded(len(section), client, clock)
        for struct in section:
            kind, flags = struct.info & ~FLAGS, struct.info & FLAGS
            is_nested = not flags & NEIGHBOURS and struct.place[:1] == (0,)
            if struct.info == GC or is_nested:
                data += bytes([GC]) + encoded(struct.length)
            elif kind in {STRING, EMBED, TYPE, DELETED, FORMAT} and not flags & KEY:
                code = chr(FIRST + len(structs)) * struct.length
                structs.append((client, clock, struct.length, kind))
                data += bytes([flags | STRING]) + encoded(*struct.place, code)
            else:
                data += bytes([flags | DELETED]) + encoded(*struct.place, struct.length)
            clock += struct.length
    copy: pycrdt.Doc[Any] = pycrdt.Doc()
    copy.apply_update(data + b"\0")
    codes = str(copy.get(path, type=pycrdt.Text))
    found: list[Stretch] = []
    at = index = 0
    while at < len(codes):
        client, clock, units, kind = structs[ord(codes[at]) - FIRST]
        width = {STRING: within(text, index, units), EMBED: 1, TYPE: 1}.get(kind, 0)
        found.append(Stretch(client, clock, units, index, text[index : index + width]))
        at += units
        index += width
    return found


class SlowPositions:
    """The positions in one state of a text."""

    def __init__(self, doc: pycrdt.Doc[Any], path: str) -> None:
        self.path = path
        self.stretches = stretches(doc, path)
        self.length = sum(len(stretch.text) for stretch in self.stretches)

    @property
    def ids(self) -> list[Id]:
        """All ids that the text ever had."""
        return [(s.client, s.clock + unit) for s in self.stretches for unit in range(s.units)]

    def at(self, index: int) -> Position:
        for client, clock, _, start, text in self.stretches:
            if start <= index < start + len(text):
                id_ = client, clock + units_of(text[: index - start])
                return Position.of(Place(id_, None, is_after=False))
        return Position.of(Place(None, self.path, is_after=False))

    def index(self, position: bytes | Mapping[str, Any]) -> int | None:
        place = read_place(position)
        if place.id is None:
            end = 0 if place.is_after else self.length
            return end if place.root == self.path else None
        for client, clock, units, start, text in self.stretches:
            past = place.id[1] - clock
            if client == place.id[0] and 0 <= past < units:
                return start + within(text, 0, past) + place.is_after if text else start
        return None
