"""Document classes that the tests share."""

from __future__ import annotations

from collections.abc import Sequence

from crdtsync import Counter, Document, List, Map, Record, Set, Table, Text, action, field
from crdtsync.strategies import Candidate, KeepAll, resolver

ORDER = ["todo", "doing", "done"]


@resolver(version=1)
def furthest(candidates: Sequence[Candidate[str]]) -> str:
    """Return the status that is furthest along."""
    return max((candidate.value for candidate in candidates), key=ORDER.index)


class Step(Record):
    label: str = ""


class Task(Record):
    title: str = ""
    status: str = field(default="todo", strategy=furthest)
    votes: Counter
    tags: Set[str]
    notes: Text
    links: List[object]
    marks: Map[object]
    steps: Table[Step]


class Board(Document):
    name: str = field(default="Untitled", strategy=KeepAll())
    data: object = None
    total: Counter
    members: Set[object]
    body: Text
    items: List[object]
    options: Map[object]
    tasks: Table[Task]

    @action
    def add(self, title: str, tags: list[str] | None = None) -> str:
        return self.tasks.add(title=title, tags=tags or []).key
