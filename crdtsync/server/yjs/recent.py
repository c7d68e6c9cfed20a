"""What has changed in a room lately, as it is told to everybody in it.

Each turn's changes are one update, the same bytes for all. A reader remembers how far it was told,
and is given what follows; who is so far behind that this is not kept any more is given the
difference between what it has and what there is. So a slow reader costs a number, or a state
vector, and slows nobody.
"""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

import pycrdt

from crdtsync.document.crdt import panics_as_errors

__all__ = ["Reader", "Recent", "united"]

_MERGED_MAX = 64
"""Merging updates takes the square of their number: more become a difference of states."""


class _Turn(NamedTuple):
    update: bytes
    before: bytes  # state vector
    author: object  # whose changes they are, if it is one connection's alone


class Reader:
    """How far somebody was told. Made by `Recent.join`."""

    __slots__ = ("at", "author", "since")

    def __init__(self, at: int, author: object) -> None:
        self.at = at
        self.author = author
        self.since: bytes | None = None  # the state they have, where their place is not kept


class Recent:
    """The latest turns of one room.

    Args:
        bytes_max: how much of them is kept.

    Attributes:
        kept_bytes: how much it is now.
    """

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._turns: deque[_Turn] = deque()
        self.kept_bytes = 0
        self._first = 0  # number of the first turn that is kept
        self._readers: set[Reader] = set()

    @property
    def end(self) -> int:
        """The number of the next turn."""
        return self._first + len(self._turns)

    def join(self, author: object) -> Reader:
        """Begin to follow; what `author` alone has done is not told to them."""
        reader = Reader(self.end, author)
        self._readers.add(reader)
        return reader

    def leave(self, reader: Reader) -> None:
        """Follow no more."""
        self._readers.discard(reader)

    def put(self, update: bytes, before: bytes, author: object) -> None:
        """Add a turn's changes.

        Args:
            update: the changes.
            before: the state vector that they were made to.
            author: whose they are, if they are one connection's alone.
        """
        self._turns.append(_Turn(update, before, author))
        self.kept_bytes += len(update) + len(before)
        oldest = min((reader.at for reader in self._readers), default=self.end)
        while len(self._turns) > 1 and (self.kept_bytes > self._bytes_max or self._first < oldest):
            turn = self._turns.popleft()
            self.kept_bytes -= len(turn.update) + len(turn.before)
            for reader in self._readers:
                if reader.at == self._first:
                    reader.at += 1
                    reader.since = reader.since or turn.before
            self._first += 1

    def restart(self) -> None:
        """Take note that the document is not what it was: everybody is told all of it."""
        self._first, self.kept_bytes = self.end, 0
        self._turns.clear()
        for reader in self._readers:
            reader.at, reader.since = self._first, b"\0"

    def take(self, reader: Reader, doc: pycrdt.Doc[Any]) -> bytes | None:
        """Return what a reader is to be told now, as an update; None if there is nothing.

        Args:
            reader: who.
            doc: the document as it is, with all turns.
        """
        at, reader.at = reader.at - self._first, self.end
        if reader.since is not None:
            since, reader.since = reader.since, None
            with panics_as_errors():
                return doc.get_update(since)
        if at == len(self._turns) - 1:  # as it is nearly always
            turn = self._turns[at]
            return None if turn.author is reader.author else turn.update
        turns = [turn for turn in list(self._turns)[at:] if turn.author is not reader.author]
        if not turns:
            return None
        return united([turn.update for turn in turns], doc, turns[0].before)


def united(updates: list[bytes], doc: pycrdt.Doc[Any], before: bytes) -> bytes:
    """Return one update for several.

    Args:
        updates: at least one.
        doc: the document, to which they were applied.
        before: the state vector that it had before.
    """
    if len(updates) == 1:
        return updates[0]
    with panics_as_errors():
        if len(updates) > _MERGED_MAX:
            return doc.get_update(before)
        return pycrdt.merge_updates(*updates)
