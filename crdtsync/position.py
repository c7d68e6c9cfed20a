"""Positions in texts that stay where they are while others type: Yjs's relative positions.

A position names the character before which it stands, by the id that the character keeps for good:
the CRDT client that wrote it, and that client's clock. A position at an end of a text names the
text. Nothing else is in it, so it can be stored, sent and shown, and a Yjs front end reads it:
`Y.decodeRelativePosition`, or `Y.createRelativePositionFromJSON` of what `to_json` returns.

Source: Yjs's `RelativePosition` (`writeRelativePosition`, `relativePositionToJSON`).
Read next: `crdtsync.document.positions`, which finds them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from crdtsync.identity import REPLICA_ID_MAX
from crdtsync.update.encoding import Source, encoded

__all__ = ["Place", "Position", "read_place"]

_ITEM, _ROOT, _TYPE = 0, 1, 2
_NEGATIVE = 0x40
_CLOCK_MAX = 2**53 - 1


class Place(NamedTuple):
    """What a position says.

    Attributes:
        id: client and clock of a character; None at an end of the text.
        root: name of the text, where there is no character.
        is_after: it stands behind that character, or at the beginning of the text; else before the
            character, or at the end of the text.
    """

    id: tuple[int, int] | None
    root: str | None
    is_after: bool


class Position(bytes):
    """A position in a text, as bytes.

    >>> position = Position.of(Place((7, 3), None, is_after=False))
    >>> bytes(position).hex()
    '00070300'
    >>> position.to_json()
    {'item': {'client': 7, 'clock': 3}, 'assoc': 0}
    """

    __slots__ = ()

    @classmethod
    def of(cls, place: Place) -> Position:
        """Return the position that says this."""
        if place.id is not None:
            data = encoded(_ITEM, *place.id)
        else:
            data = encoded(_ROOT, place.root or "")
        return cls(data + (bytes([_NEGATIVE | 1]) if place.is_after else b"\0"))

    def to_json(self) -> dict[str, Any]:
        """Return it as Yjs clients show it: what goes into their JSON.

        Raises:
            ValueError: these bytes are no position.
        """
        place = read_place(self)
        found: dict[str, Any] = {"tname": place.root}
        if place.id is not None:
            found = {"item": {"client": place.id[0], "clock": place.id[1]}}
        return found | {"assoc": -1 if place.is_after else 0}


def read_place(position: bytes | Mapping[str, Any]) -> Place:
    """Return what a position says, as bytes or as it stands in JSON.

    Raises:
        ValueError: it is none.

    >>> read_place({"type": None, "tname": "notes", "item": None, "assoc": 0})
    Place(id=None, root='notes', is_after=False)
    """
    return _read(position) if isinstance(position, bytes) else _read_json(position)


def _read(data: bytes) -> Place:
    source = Source(data)
    kind = source.number()
    if kind == _ROOT:
        root, id_ = source.text(), None
    elif kind in {_ITEM, _TYPE}:
        root, id_ = None, _id(source.number(), source.number())
    else:
        raise ValueError(f"there is no position of kind {kind}")
    is_after = False
    if not source.ended:  # old versions of Yjs do not say
        is_after = bool(source.byte() & _NEGATIVE)
    if not source.ended:
        raise ValueError("a position with something behind it")
    return Place(None if kind == _TYPE else id_, root, is_after)


def _read_json(value: Any) -> Place:
    if not isinstance(value, Mapping):
        raise ValueError("a position is an object")
    item, root, assoc = value.get("item"), value.get("tname"), value.get("assoc", 0)
    if type(assoc) is not int or not (root is None or type(root) is str):
        raise ValueError("that is no position")
    if item is None:
        return Place(None, root, assoc < 0)
    if not isinstance(item, Mapping):
        raise ValueError("that is no position")
    return Place(_id(item.get("client"), item.get("clock")), None, assoc < 0)


def _id(client: Any, clock: Any) -> tuple[int, int]:
    if type(client) is not int or type(clock) is not int:
        raise ValueError("an id is a client and a clock")
    if not 0 <= client <= REPLICA_ID_MAX or not 0 <= clock <= _CLOCK_MAX:
        raise ValueError("an id with a number that is too large")
    return client, clock
