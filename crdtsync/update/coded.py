"""A state in which every character tells which run of ids it belongs to.

The CRDT library shows the characters of a text in order, and not their ids; its state names the
ids, and not their order. So each run of characters in a state is replaced by as many copies of one
character that stands for the run. What the library then shows has both.

All else in the state is deleted content of the same length: it keeps its place (see `neutral`).
What is in a shared type inside another has no place in the latter's text, so it is given up.
"""

from __future__ import annotations

from typing import NamedTuple

from crdtsync.update.encoding import encoded
from crdtsync.update.reader import (
    DELETED,
    FLAGS,
    GC,
    KEY,
    NEIGHBOURS,
    SKIP,
    STRING,
    TYPE,
    Reader,
    Section,
    Struct,
)

__all__ = ["CODES", "Run", "code_of", "coded_state", "even_update"]

_EMBED = 5
_FIRST = 0x100
CODES = 0xD800 - _FIRST
"""How many characters can stand for runs: those of one unit of UTF-16, below the surrogates."""


class Run(NamedTuple):
    """Characters, or one embedded object, that a state holds together."""

    client: int
    clock: int
    length: int
    is_text: bool


def coded_state(state: bytes, place: int = 0) -> tuple[bytes, list[Run]]:
    """Return a state with coded characters, and the runs that they stand for.

    A run is coded by its number in the list, or, where there are more runs than `CODES`, by one
    digit of that number.

    Args:
        state: a Yjs v1 update of a whole document.
        place: which digit, in the number system that has `CODES` digits; 0 is the lowest.

    Raises:
        ValueError: the state cannot be read.
    """
    reader, runs = Reader(state), list[Run]()
    count = reader.number()
    parts = [encoded(count)]
    for _ in range(count):
        client, clock, structs = reader.section()
        parts.append(encoded(len(structs), client, clock))
        for struct in structs:
            code = ""
            if _is_in_text(struct):
                code = chr(_FIRST + len(runs) // CODES**place % CODES)
                is_text = struct.info & ~FLAGS == STRING
                runs.append(Run(client, clock, struct.length, is_text))
            parts.append(_coded(struct, code))
            clock += struct.length
    return b"".join(parts) + reader.rest(), runs


def even_update(update: bytes) -> tuple[bytes, list[Section], bytes]:
    """Return an update in which each unit of UTF-16 is one byte, so that both are counted alike.

    Returns:
        Its structs, encoded; the sections as they were; and the deletions, encoded.

    Raises:
        ValueError: the update cannot be read.
    """
    reader = Reader(update)
    sections = [reader.section() for _ in range(reader.number())]
    parts = [encoded(len(sections))]
    for client, clock, structs in sections:
        parts.append(encoded(len(structs), client, clock))
        parts += [_coded(struct, "x" if _is_in_text(struct) else "") for struct in structs]
    return b"".join(parts), sections, reader.rest()


def code_of(character: str) -> int:
    """Return the digit that a coded character stands for."""
    return ord(character) - _FIRST


def _is_in_text(struct: Struct) -> bool:
    is_shown = struct.info & ~FLAGS in {STRING, _EMBED, TYPE}
    return is_shown and not struct.info & KEY and not _is_within(struct)


def _is_within(struct: Struct) -> bool:
    """Tell whether a struct says that it is in a shared type which is inside another."""
    return not struct.info & NEIGHBOURS and struct.place[:1] == (0,)


def _coded(struct: Struct, code: str) -> bytes:
    """Return a struct with copies of a character in it; deleted if there is none."""
    if struct.info in {GC, SKIP}:
        return bytes([struct.info]) + encoded(struct.length)
    if _is_within(struct):
        return bytes([GC]) + encoded(struct.length)
    kind, content = (STRING, code * struct.length) if code else (DELETED, struct.length)
    return bytes([struct.info & FLAGS | kind]) + encoded(*struct.place, content)
