"""What an app developer's type checker sees. mypy checks it; running it is a bonus."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_type

from crdtsync import Counter, Document, List, Map, Record, Replica, Set, Table, Text, action, field
from crdtsync.strategies import Candidate, resolver


@resolver(version=1)
def highest(candidates: Sequence[Candidate[int]]) -> int:
    return max(candidate.value for candidate in candidates)


class Item(Record):
    title: str = ""
    best: int = field(default=0, strategy=highest)
    votes: Counter
    tags: Set[str]
    notes: Text
    numbers: List[int]
    limits: Map[int]


class Shelf(Document):
    items: Table[Item]

    @action
    def put(self, title: str) -> str:
        return self.items.add(title=title).key


def test_types_are_what_was_declared() -> None:
    shelf = assert_type(Replica().document(Shelf, "s"), Shelf)
    key = assert_type(shelf.put("x"), str)
    item = assert_type(shelf.items[key], Item)
    assert_type(item.title, str)
    assert_type(item.best, int)
    item.numbers.append(1)
    assert_type(item.numbers[0], int)
    assert_type(item.numbers[:], list[int])
    item.limits["a"] = 1
    item.limits |= {"b": 2}
    item.limits.update(c=3)
    assert_type(item.limits["a"], int)
    assert_type(item.limits.get("z"), int | None)
    assert_type(dict(item.limits), dict[str, int])
    assert_type(list(item.tags), list[str])
    item.votes += 1
    item.tags |= {"a"}
    item.notes += "n"
    for each in shelf.items.values():
        assert_type(each, Item)
    shelf.put(3)  # type: ignore[arg-type]  # a checker must see this
    assert int(item.votes) == 1
