"""Divides an update that several clients wrote into parts that each hold one client's structs.

A Yjs client sends what it has and we lack in one update: its own structs, those of other tabs that
it has met off line, and all deletions that it knows of. A log holds its own replica's structs only.
So an update is taken apart struct by struct, in an order in which each finds what it builds on:

- what is held already is trimmed off, within a struct too;
- what is built on structs that are neither held nor in the update is left out, and so is what
  follows it: `Division.complete` is False then;
- a part ends where another client's structs have to come first, or where it would be too large.

Source: what a struct builds on are its neighbours and its parent (Nicolaescu et al., GROUP 2016);
the splitting of items is that of Yjs 13 (`ContentString.splice`: half of a surrogate pair becomes
U+FFFD).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from crdtsync.update.encoding import Source, encoded
from crdtsync.update.reader import (
    DELETED,
    FLAGS,
    GC,
    LEFT,
    NEIGHBOURS,
    RIGHT,
    SKIP,
    STRING,
    VALUES,
    Reader,
    Section,
    Struct,
)

__all__ = ["Division", "Part", "deleting", "divide"]

_UNIT_BYTES = 2  # of UTF-16
_CLOCK_MAX = 2**31  # CRDT libraries count with 32 bits


class Part(NamedTuple):
    """Structs of one client that follow each other.

    Attributes:
        client: whose.
        clock: of the first one.
        end: the clock behind the last one.
        update: an update that holds them, and no deletions.
        references: other clients whose structs they build on.
    """

    client: int
    clock: int
    end: int
    update: bytes
    references: frozenset[int]


class Division(NamedTuple):
    """An update, taken apart.

    Attributes:
        parts: in an order in which they can be applied.
        deletions: what the update deletes, as runs of clocks by client. Held or not, new or not.
        complete: nothing was left out because something before it is missing.
    """

    parts: list[Part]
    deletions: dict[int, list[tuple[int, int]]]
    complete: bool


def divide(update: bytes, held: Mapping[int, int], bytes_max: int) -> Division:
    """Take an update apart.

    Args:
        update: in encoding v1.
        held: the CRDT clock of every client: how many structs of each are held.
        bytes_max: of a part; a single struct may have more if it cannot be split.

    Raises:
        ValueError: the update cannot be read, or is read in more than one way.

    >>> import pycrdt
    >>> ann, bob = pycrdt.Doc(client_id=1), pycrdt.Doc(client_id=2)
    >>> ann["text"] = pycrdt.Text("ab")
    >>> bob.apply_update(ann.get_update())
    >>> text = bob.get("text", type=pycrdt.Text)
    >>> text += "c"
    >>> [(part.client, part.clock, part.end) for part in divide(bob.get_update(), {}, 1000).parts]
    [(1, 0, 2), (2, 0, 1)]
    >>> [part.client for part in divide(bob.get_update(), {1: 2}, 1000).parts]
    [2]
    """
    reader = Reader(update)
    sections = [reader.section() for _ in range(reader.number())]
    deletions = reader.deletions()
    if reader.disputed or not reader.ended:
        raise ValueError("a CRDT update that is not read alike by everybody")
    queues: dict[int, deque[_Piece]] = {}
    for section in sections:
        if section.client in queues:
            raise ValueError(f"a CRDT update has two sections of client {section.client}")
        queues[section.client] = deque(_pieces(update, section, held, bytes_max))
    weaver = _Weaver(queues, held, bytes_max)
    weaver.run()
    return Division(weaver.parts(), deletions, not any(queues.values()))


def deleting(deletions: Mapping[int, list[tuple[int, int]]], update: bytes = b"\0\0") -> bytes:
    r"""Return an update with these deletions in place of none.

    Args:
        deletions: runs of clocks (first, behind the last), by client.
        update: without deletions.

    >>> deleting({5: [(1, 3)]})
    b'\x00\x01\x05\x01\x01\x02'
    """
    data = encoded(len(deletions))
    for client, runs in deletions.items():
        data += encoded(client, len(runs))
        data += encoded(*(part for first, behind in runs for part in (first, behind - first)))
    return update[:-1] + data


class _Piece(NamedTuple):
    clock: int
    length: int
    needs: tuple[tuple[int, int], ...]  # ids that have to be there before
    data: bytes


class _Run:
    """A part in the making."""

    def __init__(self, client: int, clock: int) -> None:
        self.client = client
        self.clock = self.end = clock
        self.pieces: list[bytes] = []
        self.size = 0
        self.references: set[int] = set()

    def part(self) -> Part:
        head = encoded(1, len(self.pieces), self.client, self.clock)
        update = head + b"".join(self.pieces) + b"\0"
        return Part(self.client, self.clock, self.end, update, frozenset(self.references))


class _Weaver:
    """Takes pieces from the queues, each after what it needs."""

    def __init__(
        self, queues: dict[int, deque[_Piece]], held: Mapping[int, int], bytes_max: int
    ) -> None:
        self._queues = queues
        self._held = held
        self._bytes_max = bytes_max
        self._reached: dict[int, int] = {}
        self._runs: list[_Run] = []
        # Those who wait for a client's structs: up to which clock, and who.
        self._waiting: dict[int, list[tuple[int, int]]] = {}

    def run(self) -> None:
        ready = deque(self._queues)
        while ready:
            client = ready.popleft()
            self._advance(client, self._queues[client])
            waiting = self._waiting.pop(client, [])
            reached = self._clock(client)
            ready += [waiter for clock, waiter in waiting if clock < reached]
            still = [(clock, waiter) for clock, waiter in waiting if clock >= reached]
            if still:
                self._waiting[client] = still

    def parts(self) -> list[Part]:
        return [run.part() for run in self._runs]

    def _clock(self, client: int) -> int:
        return self._reached.get(client) or self._held.get(client, 0)

    def _advance(self, client: int, queue: deque[_Piece]) -> None:
        while queue:
            piece = queue[0]
            if piece.clock != self._clock(client):
                return  # behind a gap
            for other, clock in piece.needs:
                if clock >= self._clock(other):
                    self._waiting.setdefault(other, []).append((clock, client))
                    return
            self._take(client, queue.popleft())

    def _take(self, client: int, piece: _Piece) -> None:
        run = self._runs[-1] if self._runs else None
        if run is None or run.client != client or run.size + len(piece.data) > self._bytes_max:
            run = _Run(client, piece.clock)
            self._runs.append(run)
        run.pieces.append(piece.data)
        run.size += len(piece.data)
        run.references.update(other for other, _ in piece.needs if other != client)
        run.end = self._reached[client] = piece.clock + piece.length


def _pieces(
    update: bytes, section: Section, held: Mapping[int, int], bytes_max: int
) -> Iterator[_Piece]:
    """Yield what is not held of a section."""
    client, clock = section.client, section.clock
    known = held.get(client, 0)
    for struct in section.structs:
        behind = clock + struct.length
        if behind > _CLOCK_MAX:
            raise ValueError(f"a CRDT update has no clocks above {_CLOCK_MAX:,}")
        if struct.length and behind > known and struct.info != SKIP:
            skipped = max(known - clock, 0)
            yield from _cut(update, struct, client, clock, skipped, bytes_max)
        clock = behind


def _cut(
    update: bytes, struct: Struct, client: int, clock: int, skipped: int, bytes_max: int
) -> Iterator[_Piece]:
    """Yield a struct from a clock of its on, in pieces that are not too large."""
    size = struct.stop - struct.start
    if not skipped and (size <= bytes_max or struct.info & ~FLAGS not in {STRING, VALUES}):
        data = update[struct.start : struct.stop]
        yield _Piece(clock, struct.length, _needs(struct), data)
        return
    for first, length, content in _contents(update, struct, skipped, bytes_max):
        at = clock + first
        if struct.info == GC:
            yield _Piece(at, length, (), bytes([GC]) + content)
        elif first == 0:
            head = bytes([struct.info]) + encoded(*struct.place)
            yield _Piece(at, length, _needs(struct), head + content)
        else:
            right = struct.place[-2:] if struct.info & RIGHT else ()
            info = struct.info | LEFT
            head = bytes([info]) + encoded(client, at - 1, *right)
            beside = _needs(struct)[-1:] if right else ()
            yield _Piece(at, length, ((client, at - 1), *beside), head + content)


def _needs(struct: Struct) -> tuple[tuple[int, int], ...]:
    place = struct.place
    if struct.info & NEIGHBOURS and struct.info != GC:
        return tuple(zip(place[::2], place[1::2], strict=True))  # type: ignore[arg-type]
    if place and place[0] == 0:
        return ((place[1], place[2]),)  # type: ignore[return-value]
    return ()


def _contents(
    update: bytes, struct: Struct, skipped: int, bytes_max: int
) -> Iterator[tuple[int, int, bytes]]:
    """Yield contents of a struct from a clock of its on: at which clock, how many, encoded."""
    kind = struct.info & ~FLAGS
    content = struct.content
    if kind == STRING:
        units = Source(content).text().encode("utf-16-le")
        step = max(bytes_max // 3, 2)  # a unit takes three bytes at the most
        at = skipped
        while at < struct.length:
            behind = min(at + step, struct.length)
            if behind < struct.length and _is_low_half(units, behind):
                behind -= 1
            text = units[_UNIT_BYTES * at : _UNIT_BYTES * behind].decode("utf-16-le", "replace")
            yield at, behind - at, encoded(text)
            at = behind
    elif kind == VALUES:
        yield from _values(content, skipped, bytes_max)
    elif kind in {GC, DELETED}:
        yield skipped, struct.length - skipped, encoded(struct.length - skipped)
    else:
        raise AssertionError(f"a struct of kind {kind} takes one clock")


def _is_low_half(units: bytes, at: int) -> bool:
    return 0xDC <= units[_UNIT_BYTES * at + 1] <= 0xDF  # noqa: PLR2004 - U+DC00 to U+DFFF


def _values(content: bytes, skipped: int, bytes_max: int) -> Iterator[tuple[int, int, bytes]]:
    reader = Reader(content)
    count = reader.number()
    reader.values(skipped)
    first, start = skipped, reader.at
    for index in range(skipped, count):
        before = reader.at
        reader.values(1)
        if reader.at - start > bytes_max and index > first:
            yield first, index - first, encoded(index - first) + content[start:before]
            first, start = index, before
    yield first, count - first, encoded(count - first) + content[start:]
