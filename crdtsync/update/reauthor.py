"""Gives an update another author: the same structs, at other clocks of another client.

A log that was continued in two places is two logs, and one of them needs another client's id. What
refers to a moved struct refers to where it went: its neighbours', its parents' and its deleters'
ids. All else is left as it is, contents above all, so that each struct stands where it stood.

Where two clients put something into one and the same spot, their ids decide which comes first. So
the new id is one that stands among all others where the old one stood
(`crdtsync.identity.next_replica_id`).
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator

from crdtsync.update.reader import NEIGHBOURS, Reader, Section, Struct
from crdtsync.update.writer import Deletion

__all__ = ["Moves", "read_parts", "reauthor"]


class Moves:
    """Which structs became another client's, and where they went.

    Args:
        client: to whom all of them go.
        clock: where that client's structs end.

    >>> moves = Moves(9, 100)
    >>> moves.add(1, 5, 10)
    >>> moves.of(1, 4), moves.of(1, 5), moves.of(1, 14), moves.of(2, 5)
    ((1, 4), (9, 100), (9, 109), (2, 5))
    >>> list(moves.runs(Deletion(1, 3, 4)))
    [Deletion(client=1, clock=3, length=2), Deletion(client=9, clock=100, length=2)]
    """

    def __init__(self, client: int, clock: int = 0) -> None:
        self.client = client
        self.clock = clock
        # Of each client: where the runs begin, where they end, and where they went.
        self._runs: dict[int, tuple[list[int], list[int], list[int]]] = {}

    def add(self, client: int, clock: int, length: int) -> None:
        """Move a run of structs, behind all others. They lie above those moved before."""
        starts, stops, news = self._runs.setdefault(client, ([], [], []))
        if stops and stops[-1] == clock and news[-1] - starts[-1] == self.clock - clock:
            stops[-1] += length
        else:
            starts.append(clock)
            stops.append(clock + length)
            news.append(self.clock)
        self.clock += length

    def of(self, client: int, clock: int) -> tuple[int, int]:
        """Return a struct's id as it is now."""
        (run,) = self.runs(Deletion(client, clock, 1))
        return run.client, run.clock

    def runs(self, run: Deletion) -> Iterator[Deletion]:
        """Yield a run as it is now, in the pieces in which it went."""
        client, clock, length = run
        starts, stops, news = self._runs.get(client, ((), (), ()))
        stop, at = clock + length, bisect.bisect_right(stops, clock)
        while clock < stop:
            if at == len(starts) or starts[at] >= stop:
                yield Deletion(client, clock, stop - clock)
                return
            if clock < starts[at]:
                yield Deletion(client, clock, starts[at] - clock)
                clock = starts[at]
            end = min(stop, stops[at])
            yield Deletion(self.client, news[at] + clock - starts[at], end - clock)
            clock, at = end, at + 1


def read_parts(update: bytes) -> tuple[Section | None, list[Deletion]]:
    """Read what one client wrote in an update, if anything, and what it deletes."""
    reader = Reader(update)
    section = reader.section() if reader.number() else None
    deletions = [
        Deletion(client, clock, stop - clock)
        for client, runs in reader.deletions().items()
        for clock, stop in runs
    ]
    return section, deletions


def reauthor(
    section: Section | None, deletions: list[Deletion], moves: Moves
) -> tuple[Section | None, list[Deletion]]:
    """Return an update's parts as the new author's, whose structs grow by these.

    Args:
        section: what the old author wrote, if anything.
        deletions: what was deleted.
        moves: of the updates before; this one's are added.
    """
    moved = None
    if section is not None:
        clock = moves.clock
        length = sum(struct.length for struct in section.structs)
        moves.add(section.client, section.clock, length)
        structs = [_moved(struct, moves) for struct in section.structs]
        moved = Section(moves.client, clock, structs)
    return moved, [piece for run in deletions for piece in moves.runs(run)]


def _moved(struct: Struct, moves: Moves) -> Struct:
    place = struct.place
    if struct.info & NEIGHBOURS:
        ids = [moves.of(*one) for one in zip(place[::2], place[1::2], strict=True)]  # type: ignore[arg-type]
        return struct._replace(place=tuple(part for one in ids for part in one))
    if place and place[0] == 0:
        parent = moves.of(place[1], place[2])  # type: ignore[arg-type]
        return struct._replace(place=(0, *parent, *place[3:]))
    return struct
