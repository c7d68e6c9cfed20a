"""Which id each character of a text has, and each value of a map.

A character keeps its id for good: the CRDT client that wrote it, and a clock of that client for
each unit of UTF-16. The CRDT library does not tell them (its sticky indices count the units of a
character wrongly where it is not ASCII). So a copy of the document is read in which the characters
stand for their ids (see `crdtsync.update.coded`), or the values do (`crdtsync.update.keyed`).
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any, NamedTuple, TypeAlias

import pycrdt

from crdtsync.document.formatting import OBJECT
from crdtsync.update import CODES, Run, code_of, coded_state, keyed_state

__all__ = [
    "Id",
    "IdRun",
    "Ids",
    "ids_of_keys",
    "units_of",
    "within",
]

Id: TypeAlias = tuple[int, int]
"""Client and clock."""


class IdRun(NamedTuple):
    """Characters that follow each other, and whose ids do.

    Attributes:
        client: who wrote them.
        clock: of the first one.
        start: its index in the text.
        text: they themselves.
    """

    client: int
    clock: int
    start: int
    text: str


def units_of(text: str) -> int:
    """Return how many clocks characters take: one for each unit of UTF-16.

    >>> units_of("a\N{GRINNING FACE}")
    3
    """
    return len(text) + sum(character > "\uffff" for character in text)


class Ids:
    """The ids of the characters that a text has.

    Args:
        doc: the CRDT document. It is left as it is.
        path: name of the text in it.
    """

    def __init__(self, doc: pycrdt.Doc[Any], path: str) -> None:
        self.runs = tuple(_runs(doc, path))
        self._starts = [run.start for run in self.runs]
        self._by_id = sorted(self.runs)

    def of(self, index: int) -> Id | None:
        """Return the id of a character; None of an embedded object."""
        at = bisect.bisect_right(self._starts, index) - 1
        if at < 0:
            return None
        client, clock, start, text = self.runs[at]
        if index >= start + len(text):
            return None
        return client, clock + units_of(text[: index - start])

    def index(self, id_: Id) -> int | None:
        """Return where a character stands; None if it is deleted."""
        client, clock = id_
        at = bisect.bisect_right(self._by_id, (client, clock + 1)) - 1
        if at < 0:
            return None
        run = self._by_id[at]
        units = clock - run.clock
        if run.client != client or units >= units_of(run.text):
            return None
        return run.start + within(run.text, 0, units)


def ids_of_keys(doc: pycrdt.Doc[Any], path: str) -> dict[str, Id]:
    """Return the id of what stands at each key of a map; shared types are left out.

    Args:
        doc: the CRDT document. It is left as it is.
        path: name of the map in it.
    """
    copy: pycrdt.Doc[Any] = pycrdt.Doc()
    copy.apply_update(keyed_state(doc.get_update()))
    found: dict[str, Id] = {}
    for key, told in copy.get(path, type=pycrdt.Map).items():
        client, clock = map(int, told.split())
        found[key] = client, clock
    return found


def _characters(doc: pycrdt.Doc[Any], path: str) -> str:
    """Return a text, with one character for each embedded object."""
    return "".join(
        part if isinstance(part, str) else OBJECT
        for part, _ in doc.get(path, type=pycrdt.Text).diff()
    )


def _runs(doc: pycrdt.Doc[Any], path: str) -> Iterator[IdRun]:
    text = _characters(doc, path)
    numbers, runs = _numbers(doc.get_update(), path)
    at = index = 0
    while at < len(numbers):
        client, clock, units, is_text = runs[numbers[at]]
        stop = index + (within(text, index, units) if is_text else 1)
        if is_text:
            yield IdRun(client, clock, index, text[index:stop])
        at += units
        index = stop


def _numbers(state: bytes, path: str) -> tuple[list[int], list[Run]]:
    """Return the number of its run for each unit of a text, and the runs."""
    numbers: list[int] = []
    place = 0
    while True:
        coded, runs = coded_state(state, place)
        copy: pycrdt.Doc[Any] = pycrdt.Doc()
        copy.apply_update(coded)
        digits = map(code_of, str(copy.get(path, type=pycrdt.Text)))
        scale = CODES**place
        numbers = [digit * scale + n for digit, n in zip_longest(digits, numbers, fillvalue=0)]
        place += 1
        if len(runs) <= CODES**place:
            return numbers, runs


def within(text: str, start: int, units: int) -> int:
    """Return how many characters from a place on take so many clocks.

    >>> within("a\N{GRINNING FACE}b", 0, 3)
    2
    """
    part = text[start : start + units]
    if part.isascii():
        return len(part)
    return len(part.encode("utf-16-le")[: 2 * units].decode("utf-16-le", "ignore"))
