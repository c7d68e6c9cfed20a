"""What can be undone and redone: read off our own log, so that it outlives the program.

Undoing an action is an action, named `undo`, which says in its arguments what it undid. Redoing is
one as well, named `redo`: it undoes an undoing. So the log is never turned back, and what we could
undo and redo is known from it:

- the newest action that is not undone can be undone, whether it did something or redid it;
- the newest undoing that is not redone can be redone, until something else is done.

Refused actions have no effect, so they count for nothing. What we did under an id that we had
before is ours still; what was written anew names what it undid as that is called now (`renamed`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from crdtsync.document.journal import Journal
from crdtsync.log import Entry

__all__ = ["REDO", "UNDO", "later_undoings", "renamed", "to_redo", "to_undo"]

UNDO, REDO = "undo", "redo"

Name: TypeAlias = tuple[int, int]
"""What names an entry: a replica and a number."""


def to_undo(journal: Journal) -> Entry | None:
    """Return our entry that is to be undone next."""
    own, undone = journal.own_logs(), set[Name]()
    for entry in _newest_first(journal, own):
        if entry.name == UNDO and (of := _undone(entry, own)) is not None:
            undone.add(of)
        elif (entry.replica, entry.seq) not in undone:
            return entry
    return None


def to_redo(journal: Journal) -> Entry | None:
    """Return our undoing that is to be undone next."""
    own, redone = journal.own_logs(), set[Name]()
    for entry in _newest_first(journal, own):
        of = _undone(entry, own)
        if entry.name == REDO and of is not None:
            redone.add(of)
        elif entry.name != UNDO or of is None:
            return None
        elif (entry.replica, entry.seq) not in redone:
            return entry
    return None


def later_undoings(journal: Journal, entry: Entry) -> list[Entry]:
    """Return our undoings and redoings after an entry of ours, oldest first."""
    own, found = journal.own_logs(), list[Entry]()
    for later in _newest_first(journal, own):
        if (later.replica, later.seq) == (entry.replica, entry.seq):
            break
        if later.name in {UNDO, REDO} and _undone(later, own) is not None:
            found.append(later)
    return found[::-1]


def renamed(
    arguments: Mapping[str, Any],
    name: Callable[[int, int], Name],
    ids: Callable[[int, int, int], Iterable[tuple[int, int, int]]],
) -> dict[str, Any]:
    """Return the arguments of an undoing, where what it names has other names now.

    Args:
        arguments: as they were.
        name: tells what an entry is called now.
        ids: tells which runs of ids (client, clock, length) a run is now.
    """
    new = dict(arguments)
    match arguments.get("of"):
        case [int(replica), int(seq)]:
            new["of"] = list(name(replica, seq))
    match arguments.get("restores"):
        case dict(restores):
            new["restores"] = {
                path: [list(name(*pair)) for pair in pairs] for path, pairs in restores.items()
            }
    match arguments.get("again"):
        case list(spans):
            new["again"] = [list(run) for span in spans for run in ids(*span)]
    return new


def _newest_first(journal: Journal, own: Mapping[int, int]) -> Iterator[Entry]:
    for replica in reversed(own):
        for seq in range(own[replica], 0, -1):
            entry = journal.at(replica, seq)
            if entry is None:
                return
            if entry.refusal is None:
                yield entry


def _undone(entry: Entry, own: Mapping[int, int]) -> Name | None:
    """Return the entry of ours that this one undid, if it says so."""
    match entry.arguments.get("of"):
        case [int(replica), int(seq)] if replica in own:
            return replica, seq
        case _:
            return None
