"""A copy of a document in which the CRDT library can be asked for ids, and for where they are.

The library finds the id at an index, and the index of an id, about as fast as it inserts a
character (sticky indices). But it counts bytes of UTF-8 there, where ids count units of UTF-16. So
it is asked in a copy in which each character is as many ASCII characters as it has units. Only what
has changed since is copied before it is asked again.

What no sticky index tells is noted as it is copied: which text an id is in. An id that is in none
makes the library panic.

Read next: `crdtsync.update.coded` (how the copy is made), `crdtsync.document.positions`.
"""

from __future__ import annotations

import bisect
from typing import Any, TypeAlias

import pycrdt

from crdtsync.document.crdt import panics_as_errors
from crdtsync.document.ids import Id
from crdtsync.position import Place, Position, read_place
from crdtsync.update import even_update
from crdtsync.update.reader import GC, KEY, NEIGHBOURS, SKIP, Section, Struct

__all__ = ["Owners", "Shadow"]

_NOTHING = b"\0"

_Owner: TypeAlias = bytes | Id | None
"""The name of a text; an id that is in the same text; or that it is in none."""


class Shadow:
    """The copy of a document.

    Args:
        doc: the document. It is left as it is.
    """

    def __init__(self, doc: pycrdt.Doc[Any]) -> None:
        self._doc = doc
        self.renew()

    def renew(self) -> None:
        """Copy the document from its beginning."""
        self._copy: pycrdt.Doc[Any] = pycrdt.Doc()
        self._owners = Owners()
        self._state = self._deletions = _NOTHING
        self.follow()

    def follow(self) -> None:
        """Copy what has changed since."""
        structs, sections, deletions = even_update(self._doc.get_update(self._state))
        self._state = self._doc.get_state()
        for section in sections:
            self._owners.add(section)
        is_new = deletions != self._deletions  # the library tells all of them each time
        if sections or is_new:
            self._copy.apply_update(structs + (deletions if is_new else _NOTHING))
        self._deletions = deletions

    def units(self, path: str) -> int:
        """Return how many units of UTF-16 a text has."""
        return len(self._text(path))

    def id(self, path: str, unit: int) -> Id:
        """Return the id of a unit of a text."""
        with panics_as_errors():
            found = self._text(path).sticky_index(unit, pycrdt.Assoc.AFTER)
        id_ = read_place(found.encode()).id
        assert id_ is not None
        return id_

    def unit(self, path: str, id_: Id) -> int | None:
        """Return where an id is in a text, or was; None if it never was there."""
        if self._owners.of(id_) != path.encode():
            return None
        place = Position.of(Place(id_, None, is_after=False))
        with panics_as_errors():
            return pycrdt.StickyIndex.decode(bytes(place), self._text(path)).get_index()

    def _text(self, path: str) -> pycrdt.Text:
        text: pycrdt.Text = self._copy.get(path, type=pycrdt.Text)
        return text


class Owners:
    """Which text each id is in.

    >>> import pycrdt
    >>> doc = pycrdt.Doc(client_id=5)
    >>> doc["text"], doc["map"] = pycrdt.Text("ab"), pycrdt.Map({"key": "value"})
    >>> owners = Owners()
    >>> owners.add(even_update(doc.get_update())[1][0])
    >>> owners.of((5, 1)), owners.of((5, 2)), owners.of((5, 3))
    (b'text', None, None)
    """

    def __init__(self) -> None:
        # By client: where runs of one owner begin, their owners, and where the last one ends.
        self._runs: dict[int, tuple[list[int], list[_Owner]]] = {}
        self._ends: dict[int, int] = {}

    def add(self, section: Section) -> None:
        """Note what a client wrote next."""
        client, clock = section.client, section.clock
        starts, owners = self._runs.setdefault(client, ([], []))
        for struct in section.structs:
            self._ends[client] = clock
            owner = self._noted(_owner(struct))
            if not owners or owner != owners[-1]:
                starts.append(clock)
                owners.append(owner)
            clock += struct.length
        self._ends[client] = clock

    def of(self, id_: Id) -> bytes | None:
        """Return the name of the text that an id is in; None if it is in none, or not known."""
        owner: _Owner = id_
        trail: list[Id] = []
        while isinstance(owner, tuple):
            trail.append(owner)
            further = self._noted(owner)
            owner = None if further == owner else further
        for one in trail:
            self._note(one, owner)
        return owner

    def _noted(self, owner: _Owner) -> _Owner:
        """Return what is noted of an id; itself if that is nothing yet, or it is none."""
        if not isinstance(owner, tuple) or owner[1] >= self._ends.get(owner[0], 0):
            return owner
        starts, owners = self._runs[owner[0]]
        return owners[bisect.bisect_right(starts, owner[1]) - 1]

    def _note(self, id_: Id, owner: _Owner) -> None:
        client, clock = id_
        if clock < self._ends.get(client, 0):
            starts, owners = self._runs[client]
            owners[bisect.bisect_right(starts, clock) - 1] = owner


def _owner(struct: Struct) -> _Owner:
    """Return what a struct tells of the text that it is in."""
    place: Any = struct.place
    if struct.info in {GC, SKIP} or not place:
        return None
    if struct.info & NEIGHBOURS:
        return place[0], place[1]
    is_named = place[0] == 1 and not struct.info & KEY
    return place[1] if is_named else None
