"""The board of `crdtsync demo`: what an application declares, and all that it has to say."""

from __future__ import annotations

from collections.abc import Sequence

from crdtsync import Counter, Document, Record, Set, Table, Text, action, field
from crdtsync.strategies import Candidate, KeepAll, resolver

__all__ = ["Board", "Task"]

STATUSES = ("todo", "doing", "done")


@resolver(version=1)
def furthest(candidates: Sequence[Candidate[str]]) -> str:
    """Of statuses set at the same time, the one that is furthest on holds."""
    return max((candidate.value for candidate in candidates), key=STATUSES.index)


class Task(Record):
    """Something to be done."""

    title: str = ""
    status: str = field(default="todo", strategy=furthest)
    votes: Counter
    tags: Set[str]
    notes: Text


class Board(Document):
    """Tasks that several people plan together."""

    name: str = field(default="Untitled", strategy=KeepAll())
    tasks: Table[Task]

    @action
    def name_board(self, name: str) -> None:
        """Name the whole board."""
        self.name = name

    @action
    def add_task(self, key: str, title: str, notes: str, tags: list[str]) -> None:
        """Put a new task on the board."""
        task = self.tasks.add(key=key, title=title)
        task.notes.append(notes)
        task.tags.update(tags)

    @action
    def retitle(self, task: str, title: str) -> None:
        """Give a task another title."""
        self.tasks[task].title = title

    @action
    def move(self, task: str, status: str) -> None:
        """Move a task on."""
        self.tasks[task].status = status

    @action
    def vote(self, task: str, votes: int) -> None:
        """Vote for a task."""
        self.tasks[task].votes.increment(votes)

    @action
    def tag(self, task: str, tag: str) -> None:
        """Say that a tag holds, whether or not it was there before."""
        self.tasks[task].tags.add(tag)

    @action
    def untag(self, task: str, tag: str) -> None:
        """Take a tag away."""
        self.tasks[task].tags.discard(tag)

    @action
    def note(self, task: str, text: str, after: str) -> None:
        """Write into a task's notes, after a piece of them; at their end if that is empty."""
        notes = self.tasks[task].notes
        notes.insert(str(notes).index(after) + len(after) if after else len(notes), text)

    @action
    def correct(self, task: str, old: str, new: str) -> None:
        """Replace a piece of a task's notes."""
        notes = self.tasks[task].notes
        start = str(notes).index(old)
        notes.replace(start, start + len(old), new)

    @action
    def remove_task(self, task: str) -> None:
        """Take a task off the board."""
        del self.tasks[task]
