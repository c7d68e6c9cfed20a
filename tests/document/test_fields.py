"""Plain fields, counters, sets and tables: what an app sees, alone and in conflict."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync import Counter, Document, Record, Replica, Set, Table, Text, field
from crdtsync.clock import HybridLogicalClock
from crdtsync.errors import SchemaError
from crdtsync.strategies import Candidate, resolver
from tests.document.boards import Board, Task
from tests.generators import exactly, scalars, values


def at(ms: int) -> HybridLogicalClock:
    return HybridLogicalClock(lambda: ms)


def pair(*times: int) -> tuple[Replica, Replica, Board, Board]:
    one, other = (
        Replica(user=user, clock=at(ms))
        for user, ms in zip(["ann", "bob"], times or (1000, 1000), strict=True)
    )
    return one, other, one.document(Board, "b"), other.document(Board, "b")


@given(values())
def test_a_field_holds_any_value_exactly(value: Any) -> None:
    one, other, board, copy = pair()
    board.data = value
    assert exactly(board.data, value)
    one.merge(other)
    assert exactly(copy.data, value)


def test_what_is_read_can_be_changed_without_changing_the_document() -> None:
    board = Replica().document(Board, "b")
    given: dict[str, list[int]] = {"a": [1]}
    board.data = given
    given["a"].append(2)
    cast("Any", board.data)["a"].append(3)
    board.to_dict()["data"]["a"].append(4)
    assert board.data == {"a": [1]}


def test_of_concurrent_writes_the_later_one_holds() -> None:
    one, other, board, copy = pair(2000, 1000)
    copy.data, board.data = "early", "late"
    one.merge(other)
    assert board.data == copy.data == "late"


def test_a_write_that_has_seen_another_replaces_it_whatever_the_clocks_say() -> None:
    one, other, board, copy = pair(10**12, 1000)
    board.data = "first, by a clock thirty years ahead"
    one.merge(other)
    copy.data = "second"
    one.merge(other)
    assert board.data == copy.data == "second"
    assert board.conflicts() == []


def test_a_conflict_tells_who_wrote_what_and_is_settled_by_writing() -> None:
    one, other, board, copy = pair(1000, 2000)
    board.name, copy.name = "ann's", "bob's"
    one.merge(other)
    (conflict,) = board.conflicts()
    assert conflict == copy.conflicts()[0]
    assert conflict.path == ("name",)
    assert [(c.value, c.user, c.replica) for c in conflict.candidates] == [
        ("ann's", "ann", one.id),
        ("bob's", "bob", other.id),
    ]
    assert (conflict.chosen, conflict.strategy, conflict.error) == ("bob's", "keep-all", None)
    board.name = "agreed"
    one.merge(other)
    assert board.conflicts() == copy.conflicts() == []
    assert copy.name == "agreed"


def test_a_resolver_decides_and_one_that_raises_does_no_harm() -> None:
    one, other, board, copy = pair(1000, 2000)
    key = board.add("task")
    one.merge(other)
    board.tasks[key].status, copy.tasks[key].status = "done", "doing"
    one.merge(other)
    assert board.tasks[key].status == copy.tasks[key].status == "done"
    board.tasks[key].status, copy.tasks[key].status = "unheard of", "doing"
    one.merge(other)
    (conflict,) = board.conflicts()
    last = conflict.candidates[-1].value
    assert board.tasks[key].status == copy.tasks[key].status == conflict.chosen == last
    assert conflict.error == "ValueError: 'unheard of' is not in list"


def test_a_resolver_gets_candidates_it_cannot_spoil() -> None:
    @resolver(version=1)
    def merge(candidates: Any) -> Any:
        result = candidates[0].value
        result.extend(candidates[-1].value)
        return result

    class Shared(Document):
        names: list[str] = field(default=[], strategy=merge)

    one, other = Replica(clock=at(1)), Replica(clock=at(2))
    here, there = one.document(Shared, "s"), other.document(Shared, "s")
    here.names, there.names = ["a"], ["b"]
    one.merge(other)
    assert here.names == there.names == ["b"]
    (conflict,) = here.conflicts()
    assert conflict.error == "it changed the candidates that it was given"
    for document in here, there:
        document._live.load()
        assert document.names == ["b"]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(-5, 5), st.booleans()), max_size=20))
def test_counters_are_exact(steps: list[tuple[int, int, bool]]) -> None:
    replicas = [Replica() for _ in range(3)]
    boards = [replica.document(Board, "b") for replica in replicas]
    for who, n, sync in steps:
        boards[who].total.increment(n)
        if sync:
            replicas[who].merge(replicas[(who + 1) % 3])
    for _ in range(2):
        for index in range(3):
            replicas[index].merge(replicas[(index + 1) % 3])
    assert {int(board.total) for board in boards} == {sum(n for _, n, _ in steps)}


def test_counters_read_like_numbers() -> None:
    board = Replica().document(Board, "b")
    board.total += 3
    board.total -= 1
    assert board.total == 2
    assert board.total > 1
    assert 1 < board.total <= 2
    assert [0, 1, 2][board.total] == 2
    assert bool(board.total)
    assert f"{board.total!r}" == "Counter(2)"


@given(st.lists(scalars(), max_size=8), st.lists(scalars(), max_size=8))
def test_sets_behave_as_pythons_own(first: list[Any], second: list[Any]) -> None:
    one, other, board, copy = pair()
    board.members.update(first)
    for item in second:
        board.members.discard(item)
    one.merge(other)
    kept = [item for item in first if not any(exactly(item, gone) for gone in second)]
    assert len(copy.members) == len(board.members)
    for item in kept:
        assert item in copy.members
    for item in second:
        assert item not in copy.members


def test_an_element_added_again_elsewhere_survives_its_removal() -> None:
    one, other, board, copy = pair()
    board.members |= {"x", "y"}
    one.merge(other)
    board.members.discard("x")
    copy.members.add("x")
    board.members.remove("y")
    one.merge(other)
    assert set(board.members) == set(copy.members) == {"x"}
    with pytest.raises(KeyError):
        board.members.remove("y")


def test_set_operators_give_plain_sets() -> None:
    board = Replica().document(Board, "b")
    board.members = {1, 2, 3}  # type: ignore[assignment]
    assert board.members & {2, 9} == {2}
    assert board.members | {9} == {1, 2, 3, 9}
    assert board.members == {1, 2, 3}
    assert "Set" in repr(board.members)


def test_a_table_is_a_mapping_in_the_order_of_keys() -> None:
    board = Replica().document(Board, "b")
    keys = [board.tasks.add(title=title).key for title in "cab"]
    assert list(board.tasks) == keys == sorted(keys)
    assert [task.title for task in board.tasks.order_by("title")] == ["a", "b", "c"]
    assert board.tasks.order_by("title", reverse=True)[0].title == "c"
    assert keys[0] in board.tasks
    assert "nobody" not in board.tasks
    assert cast("Any", 3) not in board.tasks
    assert len(board.tasks) == 3
    assert board.tasks.get("nobody") is None
    assert board.tasks[keys[0]] == board.tasks[keys[0]]
    del board.tasks[keys[1]]
    assert list(board.tasks) == [keys[0], keys[2]]
    with pytest.raises(KeyError):
        del board.tasks[keys[1]]
    with pytest.raises(ValueError, match="already"):
        board.tasks.add(key=keys[0])


@pytest.mark.parametrize("key", ["", "/", "a/b", "x@1.2", "%2F", "~0", "é 😀", "=", "slots"])
def test_any_string_is_a_key(key: str) -> None:
    one, other, board, copy = pair()
    board.tasks.add(key=key, title="t", notes="n", tags={key})
    one.merge(other)
    assert copy.tasks[key].to_dict() == board.tasks[key].to_dict()
    assert list(copy.tasks) == [key]
    assert set(copy.tasks[key].tags) == {key}


def test_the_same_record_made_twice_off_line_is_one_record_that_loses_nothing() -> None:
    one, other, board, copy = pair()
    board.tasks.add(key="t", title="here", notes="left ", tags={"a"}, votes=1)
    copy.tasks.add(key="t", title="there", notes="right", tags={"b"}, votes=2)
    one.merge(other)
    (task,) = board.tasks.values()
    assert task.to_dict() == copy.tasks["t"].to_dict()
    assert set(task.tags) == {"a", "b"}
    assert int(task.votes) == 3
    assert sorted(str(task.notes).replace("left ", "L").replace("right", "R")) == ["L", "R"]


@pytest.mark.parametrize(
    "work",
    [
        lambda task: setattr(task, "title", "changed"),
        lambda task: task.votes.increment(),
        lambda task: task.tags.add("x"),
        lambda task: task.notes.append("typed"),
        lambda task: task.links.append("x"),
        lambda task: task.steps.add(label="s"),
    ],
    ids=["value", "counter", "set", "text", "list", "nested record"],
)
def test_a_record_worked_on_while_it_is_deleted_elsewhere_is_there_whole(work: Any) -> None:
    one, other, board, copy = pair()
    board.tasks.add(key="t", title="t", notes="notes ", tags={"a"})
    one.merge(other)
    copy.tasks["t"].notes.append("seen ")
    one.merge(other)
    del board.tasks["t"]
    work(copy.tasks["t"])
    one.merge(other)
    assert board.to_dict() == copy.to_dict()
    assert str(board.tasks["t"].notes).startswith("notes seen ")
    assert "a" in board.tasks["t"].tags
    del copy.tasks["t"]
    one.merge(other)
    assert len(board.tasks) == len(copy.tasks) == 0


def test_work_that_the_deletion_has_seen_does_not_keep_the_record() -> None:
    one, other, board, copy = pair()
    board.tasks.add(key="t", title="t")
    one.merge(other)
    copy.tasks["t"].notes.append("typed")
    copy.tasks["t"].title = "changed"
    one.merge(other)
    del board.tasks["t"]
    one.merge(other)
    assert len(copy.tasks) == 0


def test_a_record_added_again_begins_anew() -> None:
    one, other, board, copy = pair()
    board.tasks.add(
        key="t", title="old", notes="old", tags={"old"}, votes=5, links=[1], marks={"a": 1}
    )
    one.merge(other)
    del copy.tasks["t"]
    copy.tasks.add(key="t", status="doing")
    one.merge(other)
    for side in board, copy:
        assert side.tasks["t"].to_dict() == {
            "title": "",
            "status": "doing",
            "votes": 0,
            "tags": [],
            "notes": "",
            "links": [],
            "marks": {},
            "steps": {},
        }


def test_records_nest() -> None:
    one, other, board, copy = pair()
    task = board.tasks.add(title="t")
    step = task.steps.add(label="s")
    one.merge(other)
    copy.tasks[task.key].steps[step.key].label = "changed"
    one.merge(other)
    assert step.label == "changed"
    assert board.to_dict()["tasks"][task.key]["steps"] == {step.key: {"label": "changed"}}


def test_only_tables_make_records_and_only_replicas_documents() -> None:
    record, document = cast("Any", Task), cast("Any", Board)
    with pytest.raises(TypeError, match="made by its table"):
        record(title="x")
    with pytest.raises(TypeError, match="opened by its replica"):
        document()
    board = Replica().document(Board, "b")
    with pytest.raises(TypeError, match="declares no field 'titel'"):
        board.tasks.add(titel="x")


def test_a_value_that_cannot_be_stored_is_told_with_its_field() -> None:
    board: Any = Replica().document(Board, "b")
    with pytest.raises(TypeError, match=r"field 'name' is a set, .*use a Set field"):
        board.name = {"x"}
    with pytest.raises(TypeError, match="field 'title' is an object, which cannot be stored"):
        board.tasks.add(title=object())
    assert len(board.log) == 0


def test_a_name_that_is_not_declared_is_told_with_those_that_are() -> None:
    board: Any = Replica().document(Board, "b")
    task: Any = board.tasks.add(title="x")
    with pytest.raises(AttributeError, match=r"Board declares no field 'nmae'; its fields: .*name"):
        board.nmae = "x"
    with pytest.raises(AttributeError, match="Task declares no field 'titel'; its fields: title"):
        task.titel = "x"


def test_a_field_without_default_must_be_given() -> None:
    class Item(Record):
        title: str
        note: Text

    class Shelf(Document):
        items: Table[Item]

    shelf = Replica().document(Shelf, "s")
    with pytest.raises(TypeError, match="needs a value for field 'title'"):
        shelf.items.add(note="x")
    assert len(shelf.log) == 0


def test_fields_are_inherited() -> None:
    class Base(Record):
        title: str = "base"

    class More(Base):
        tags: Set[str]

    class Shelf(Document):
        items: Table[More]

    item = Replica().document(Shelf, "s").items.add(tags={"x"})
    assert item.to_dict() == {"title": "base", "tags": ["x"]}


def test_what_cannot_be_stored_is_refused_when_the_class_is_declared() -> None:
    with pytest.raises(SchemaError, match="its default cannot be stored"):
        type("A", (Document,), {"__annotations__": {"x": tuple}, "x": (1,)})
    with pytest.raises(SchemaError, match="is taken by crdtsync"):
        type("B", (Document,), {"__annotations__": {"log": str}})
    with pytest.raises(SchemaError, match="is taken by crdtsync"):
        type("C", (Document,), {"__annotations__": {"slots": str}})
    with pytest.raises(SchemaError, match="is taken by crdtsync"):
        type("D", (Record,), {"__annotations__": {"key": str}})
    with pytest.raises(SchemaError, match="begins empty"):
        type("E", (Document,), {"__annotations__": {"n": Counter}, "n": 3})
    with pytest.raises(SchemaError, match="say of which Record"):
        type("F", (Document,), {"__annotations__": {"t": Table}})
    with pytest.raises(SchemaError, match="define the classes"):
        type("G", (Document,), {"__annotations__": {"t": "Nowhere"}})


def test_candidates_are_the_last_word_of_each_replica() -> None:
    seen: list[tuple[Candidate[Any], ...]] = []

    @resolver(version=1)
    def spy(candidates: Any) -> Any:
        seen.append(tuple(candidates))
        return candidates[0].value

    class One(Document):
        x: int = field(default=0, strategy=spy)

    replicas = [Replica(user=name, clock=at(ms)) for name, ms in (("c", 3), ("a", 1), ("b", 2))]
    documents = [replica.document(One, "o") for replica in replicas]
    for number, document in enumerate(documents):
        document.x = -1
        document.x = number
    for replica in replicas[1:]:
        replicas[0].merge(replica)
    assert documents[0].x == 1
    assert [(c.user, c.value, c.seq) for c in seen[-1]] == [("a", 1, 2), ("b", 2, 2), ("c", 0, 2)]
