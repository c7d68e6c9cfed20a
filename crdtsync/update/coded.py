"""A state in which every character tells which run of ids it belongs to.

The CRDT library shows the characters of a text in order, and not their ids; its state names the
ids, and not their order. So each run of characters in a state is replaced by as many copies of one
character that stands for the run. What the library then shows has both.

All else in the state is deleted content of the same length: it keeps its place (see `neutral`).
Where it is asked for, what is deleted becomes characters as well, so that its place is shown too.
"""

from __future__ import annotations

from typing import NamedTuple

from crdtsync.update.encoding import encoded
from crdtsync.update.reader import DELETED, FLAGS, GC, KEY, SKIP, STRING, Reader, Struct

__all__ = ["CODES", "Run", "code_of", "coded_state"]

_EMBED = 5
_FIRST = 0x100
CODES = 0xD800 - _FIRST
"""How many characters can stand for runs: those of one unit of UTF-16, below the surrogates."""


class Run(NamedTuple):
    """Characters, or one embedded object, that a state holds together.

    Where it is asked for, also what was deleted together, as if it had been characters.
    """

    client: int
    clock: int
    length: int
    is_text: bool


def coded_state(state: bytes, place: int = 0, *, deleted: bool = False) -> tuple[bytes, list[Run]]:
    """Return a state with coded characters, and the runs that they stand for.

    A run is coded by its number in the list, or, where there are more runs than `CODES`, by one
    digit of that number.

    Args:
        state: a Yjs v1 update of a whole document.
        place: which digit, in the number system that has `CODES` digits; 0 is the lowest.
        deleted: whether what is deleted becomes characters too.

    Raises:
        ValueError: the state cannot be read.
    """
    reader, runs = Reader(state), list[Run]()
    count = reader.number()
    parts = [encoded(count)]
    kinds = {STRING, _EMBED, DELETED} if deleted else {STRING, _EMBED}
    for _ in range(count):
        client, clock, structs = reader.section()
        parts.append(encoded(len(structs), client, clock))
        for struct in structs:
            kind = struct.info & ~FLAGS
            if kind in kinds and not struct.info & KEY:
                code = chr(_FIRST + len(runs) // CODES**place % CODES)
                runs.append(Run(client, clock, struct.length, kind != _EMBED))
                parts.append(_as(struct, STRING, (code * struct.length).encode()))
            elif struct.info in {GC, SKIP}:
                parts.append(bytes([struct.info]) + encoded(struct.length))
            else:
                parts.append(_as(struct, DELETED, struct.length))
            clock += struct.length
    return b"".join(parts) + (b"\0" if deleted else reader.rest()), runs


def code_of(character: str) -> int:
    """Return the digit that a coded character stands for."""
    return ord(character) - _FIRST


def _as(struct: Struct, kind: int, content: int | bytes) -> bytes:
    return bytes([struct.info & FLAGS | kind]) + encoded(*struct.place, content)
