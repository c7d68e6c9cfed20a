"""Conflicts as an app sees them: who wrote what, what was chosen and why, when they come and go."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest

from crdtsync import Change, Document, Record, Replica, Table, field
from crdtsync.clock import HybridLogicalClock
from crdtsync.document.guard import STEPS_MAX
from crdtsync.strategies import Candidate, KeepAll, resolver


class Task(Record):
    title: str = ""
    status: str = "todo"


class Board(Document):
    name: str = field(default="Untitled", strategy=KeepAll())
    tasks: Table[Task]


def at(start: int) -> HybridLogicalClock:
    ticks = itertools.count(start * 1000)
    return HybridLogicalClock(lambda: next(ticks))


def pair(cls: type[Any] = Board) -> tuple[Replica, Replica, Any, Any]:
    one, other = Replica(user="ann", clock=at(1)), Replica(user="bob", clock=at(2))
    return one, other, one.document(cls, "d"), other.document(cls, "d")


def test_a_conflict_says_who_wrote_what_when_and_replacing_what() -> None:
    one, other, here, there = pair()
    here.name = "Plan"
    one.merge(other)
    there.name = "Roadmap"
    here.name = "Draft"
    here.name = "Project"
    one.merge(other)
    (conflict,) = here.conflicts()
    assert conflict.path == ("name",)
    assert {(c.value, c.user, c.replica) for c in conflict.candidates} == {
        ("Project", "ann", one.id),
        ("Roadmap", "bob", other.id),
    }
    assert conflict.strategy == "keep-all"
    assert conflict.chosen == here.name
    assert conflict.error is None
    assert conflict.reason
    assert here.candidates("name") == conflict.candidates
    replaced = {c.user: here.replaced(conflict, c) for c in conflict.candidates}
    assert replaced == {"ann": "Draft", "bob": "Plan"}
    assert there.conflicts() == [conflict]


def test_candidates_of_records_and_of_what_is_no_plain_field() -> None:
    _, _, here, _ = pair()
    task = here.tasks.add(title="a")
    (candidate,) = task.candidates("title")
    assert (candidate.value, candidate.user) == ("a", "ann")
    assert task.candidates("status") == ()
    for document, name in ((here, "tasks"), (here, "nothing"), (task, "nothing")):
        with pytest.raises(KeyError):
            document.candidates(name)


def test_what_was_replaced_needs_the_log() -> None:
    one, other, here, there = pair()
    here.name, there.name = "a", "b"
    one.merge(other)
    (conflict,) = here.conflicts()
    assert [here.replaced(conflict, c) for c in conflict.candidates] == ["Untitled"] * 2
    with pytest.raises(LookupError, match="entry 99"):
        here.replaced(conflict, conflict.candidates[0]._replace(seq=99))


def test_observers_hear_when_a_conflict_arises_grows_and_is_settled() -> None:
    one, other, here, there = pair()
    third = Replica(user="cid", clock=at(3))
    elsewhere = third.document(Board, "d")
    heard: list[Change] = []
    here.observe(heard.append)
    here.name, there.name, elsewhere.name = "a", "b", "c"
    assert heard.pop().arisen == ()
    one.merge(other)
    change = heard.pop()
    assert [(c.path, len(c.candidates)) for c in change.arisen] == [(("name",), 2)]
    assert change.settled == ()
    one.merge(third)
    assert [len(c.candidates) for c in heard.pop().arisen] == [3]
    here.tasks.add(title="unrelated")
    assert (heard[-1].arisen, heard[-1].settled) == ((), ())
    here.name = "d"
    assert (heard[-1].arisen, heard[-1].settled) == ((), (("name",),))
    assert here.conflicts() == []


def test_a_conflict_leaves_and_returns_with_its_record() -> None:
    one, other, here, there = pair()
    key = here.tasks.add(title="a").key
    one.merge(other)
    here.tasks[key].title, there.tasks[key].title = "b", "c"
    one.merge(other)
    heard: list[Change] = []
    here.observe(heard.append)
    there.tasks[key].status = "done"
    del here.tasks[key]
    assert heard.pop().settled == (("tasks", key, "title"),)
    one.merge(other)  # the work that the deletion had not seen brings the record back
    arisen = heard.pop().arisen
    assert [conflict.path for conflict in arisen] == [("tasks", key, "title")]
    assert here.tasks[key].status == "done"


def test_nobody_pays_for_conflicts_of_deleted_records() -> None:
    one, other, here, there = pair()
    key = here.tasks.add(title="a").key
    one.merge(other)
    here.tasks[key].title, there.tasks[key].title = "b", "c"
    one.merge(other)
    assert [conflict.path for conflict in here.conflicts()] == [("tasks", key, "title")]
    del here.tasks[key]
    assert here.conflicts() == []


def faulty(function: Any) -> type[Document]:
    class Faulty(Document):
        names: list[str] = field(default=[], strategy=resolver(version=1, name="faulty")(function))

    return Faulty


def raises(candidates: Sequence[Candidate[Any]]) -> Any:
    raise RuntimeError("no idea")


def returns_the_wrong_type(candidates: Sequence[Candidate[Any]]) -> Any:
    return 7


def returns_what_cannot_be_stored(candidates: Sequence[Candidate[Any]]) -> Any:
    return object()


def mutates(candidates: Sequence[Candidate[Any]]) -> Any:
    candidates[0].value.append("x")
    return candidates[0].value


def spoils(candidates: Sequence[Candidate[Any]]) -> Any:
    candidates[0].value.append(candidates[0].value)
    return ["x"]


def never_ends(candidates: Sequence[Candidate[Any]]) -> Any:
    while True:
        pass


def never_ends_stubbornly(candidates: Sequence[Candidate[Any]]) -> Any:
    while True:
        try:
            candidates[0].value.index("x")
        except Exception:
            continue


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (raises, "RuntimeError: no idea"),
        (returns_the_wrong_type, "it returned a int for a field of list"),
        (returns_what_cannot_be_stored, "what it returned cannot be stored"),
        (mutates, "it changed the candidates that it was given"),
        (spoils, "it changed the candidates that it was given"),
        (never_ends, f"it did not end within {STEPS_MAX:,} steps"),
        (never_ends_stubbornly, f"it did not end within {STEPS_MAX:,} steps"),
    ],
)
def test_a_faulty_resolver_is_contained_and_reported(
    function: Any, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    one, other, here, there = pair(faulty(function))
    here.names, there.names = ["a"], ["b"]
    one.merge(other)
    assert here.names == there.names == ["b"]
    for document in here, there:
        (conflict,) = document.conflicts()
        assert conflict.error is not None
        assert said in conflict.error
        assert "could not decide" in conflict.reason
        assert [c.value for c in conflict.candidates] == [["a"], ["b"]]
    assert said in caplog.text
    here.names = ["c"]
    assert here.conflicts() == []


def test_what_is_not_equal_to_itself_is_not_taken_to_be_changed() -> None:
    one, other, here, there = pair(faulty(lambda candidates: candidates[0].value))
    here.names, there.names = [float("nan")], ["b"]
    one.merge(other)
    (conflict,) = here.conflicts()
    assert conflict.error is None
    assert str(here.names) == str(there.names) == "[nan]"


def test_a_debugger_is_left_alone() -> None:
    import sys

    def tracer(*_: Any) -> Any:
        return None

    one, other, here, there = pair(faulty(lambda candidates: candidates[0].value))
    here.names, there.names = ["a"], ["b"]
    one.merge(other)
    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        assert here.names == ["a"]
        assert sys.gettrace() is tracer
    finally:
        sys.settrace(before)
    assert there.names == ["a"]
    assert sys.gettrace() is before
