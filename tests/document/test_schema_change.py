"""Several versions of one app share a document: nothing is lost, nothing silently misread."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from crdtsync import Counter, Document, PastAction, Record, Replica, Set, Table, Text, field
from crdtsync.clock import HybridLogicalClock
from crdtsync.errors import SchemaError
from crdtsync.strategies import AddWins, Candidate, KeepAll, LastWriterWins, resolver
from crdtsync.strategy import Removal


@resolver(version=1, name="pick")
def smallest(candidates: Sequence[Candidate[int]]) -> int:
    return min(candidate.value for candidate in candidates)


@resolver(version=2, name="pick")
def largest(candidates: Sequence[Candidate[int]]) -> int:
    return max(candidate.value for candidate in candidates)


class First(Document):
    level: int = field(default=0, strategy=smallest)
    name: str = ""


class Second(Document):
    schema_version = 2
    level: int = field(default=0, strategy=largest, formerly=[smallest])
    name: str = ""


class SecondOnly(Document):
    schema_version = 2
    level: int = field(default=0, strategy=largest)
    name: str = ""


def replicas(count: int) -> list[Replica]:
    ticks = itertools.count(1000)
    return [
        Replica(user=f"u{n}", clock=HybridLogicalClock(lambda: next(ticks))) for n in range(count)
    ]


def meet(*devices: Replica) -> None:
    for _ in range(2):
        for one, other in itertools.combinations(devices, 2):
            one.merge(other)


def test_what_was_written_under_an_older_version_is_decided_by_its_rule() -> None:
    a, b, c, d = replicas(4)
    one, other = a.document(First, "d"), b.document(First, "d")
    new, newest = c.document(Second, "d"), d.document(SecondOnly, "d")
    one.level, other.level = 3, 5
    meet(a, b, c, d)
    assert one.level == other.level == new.level == 3
    assert new.conflicts()[0].error is None
    # A class that does not have the rule at hand shows the last write, and says so.
    assert newest.level == 5
    (conflict,) = newest.conflicts()
    assert conflict.error is not None
    assert "schema version 1" in conflict.error
    assert "'pick'" in conflict.error
    assert [caveat.path for caveat in newest.caveats()] == [("level",)]
    assert new.caveats() == []


def test_among_writes_of_several_versions_the_rule_of_the_newest_decides() -> None:
    a, b, c = replicas(3)
    old, new, newer = a.document(First, "d"), b.document(Second, "d"), c.document(Second, "d")
    new.level, newer.level, old.level = 4, 7, 3
    meet(a, b, c)
    assert new.level == newer.level == 7
    assert old.level == 3  # the last write, and it is said that it may be otherwise
    (conflict,) = old.conflicts()
    assert conflict.error is not None
    assert "schema version 2" in conflict.error
    new.level = 1
    meet(a, b, c)
    assert (old.level, new.level, newer.level) == (1, 1, 1)
    assert old.conflicts() == []


def test_a_class_that_kept_its_number_but_not_its_rules_is_found_out() -> None:
    class Careless(Document):
        level: int = field(default=0, strategy=KeepAll())
        name: str = ""

    a, b, c = replicas(3)
    one, other, careless = a.document(First, "d"), b.document(First, "d"), c.document(Careless, "d")
    one.level, other.level = 3, 5
    meet(a, b, c)
    assert careless.level == 5
    (caveat, missing) = careless.caveats()
    assert "raise schema_version" in caveat.reason
    assert "pick 1" in caveat.reason
    assert "keep-all 1" in caveat.reason
    assert missing.path == ("level",)
    careless.name = "x"  # it announces its own rules, but the first ones hold
    meet(a, b, c)
    assert one.level == other.level == 3
    assert one.caveats() == []


def test_rules_are_announced_once_and_only_where_they_are_special() -> None:
    class Plain(Document):
        name: str = ""
        tags: Set[str] = field(presence=AddWins())

    a, b = replicas(2)
    plain, special = a.document(Plain, "p"), a.document(First, "s")
    plain.name = special.name = "x"
    assert not list(plain._live.view.announced_versions())
    assert list(special._live.view.announced_versions()) == [1]
    updates = [len(entry.update) for entry in special.log]
    special.name = "y"
    assert len(list(special.log)[-1].update) < updates[0] - 10
    there = b.document(First, "s")
    meet(a, b)
    there.name = "z"
    assert len(there._live.view.announcement(1).slots()) == 1


def test_rules_survive_a_restart_and_an_announcement_may_come_late(tmp_path: Path) -> None:
    a, b = replicas(2)
    one, other = a.document(First, "d"), b.document(First, "d")
    one.level, other.level = 3, 5
    with Replica(tmp_path / "c.db") as c:
        document = c.document(Second, "d")
        c.merge(a)
        c.merge(b)
        assert document.level == 3
    with Replica(tmp_path / "c.db") as c:
        document = c.document(Second, "d")
        assert document.level == 3
        document._live.take_snapshot()
    with Replica(tmp_path / "c.db") as c:
        assert c.document(Second, "d").level == 3


def test_presence_rules_have_versions_too() -> None:
    class Never:
        name = "never"
        version = 1

        def present(self, writes: Sequence[Candidate[Any]], removals: Sequence[Removal], /) -> bool:
            return False

    class Item(Record):
        title: str = ""

    class Old(Document):
        items: Table[Item] = field(presence=Never())

    class New(Document):
        schema_version = 2
        items: Table[Item] = field(formerly=[Never()])

    a, b, c = replicas(3)
    one, other, new = a.document(Old, "d"), b.document(Old, "d"), c.document(New, "d")
    key = one.items.add(title="x").key
    meet(a, b, c)
    del one.items[key]
    other.items[key].title = "y"
    meet(a, b, c)
    assert [list(document.items) for document in (one, other, new)] == [[], [], []]
    again = new.items.add(title="z", key=key)
    meet(a, b, c)
    del one.items[key]
    again.title = "w"
    meet(a, b, c)
    assert list(new.items) == [key]  # the newest write is under the new rule


def test_renamed_fields_keep_their_stored_names() -> None:
    class Task(Record):
        title: str = ""
        notes: Text

    class Old(Document):
        title: str = field(default="", strategy=KeepAll())
        tasks: Table[Task]

    class NewTask(Record):
        summary: str = field(default="", stored_as="title")
        remarks: Text = field(stored_as="notes")
        title: str = field(default="new", stored_as="caption")

    class New(Document):
        heading: str = field(default="", stored_as="title", strategy=KeepAll())
        jobs: Table[NewTask] = field(stored_as="tasks")

    a, b = replicas(2)
    old, new = a.document(Old, "d"), b.document(New, "d")
    key = old.tasks.add(title="a", notes="n").key
    old.title = "old"
    new.heading = "new"
    meet(a, b)
    job = new.jobs[key]
    assert (job.summary, str(job.remarks), job.title) == ("a", "n", "new")
    (conflict,) = new.conflicts()
    assert conflict.path == ("heading",)
    assert {new.replaced(conflict, c) for c in conflict.candidates} == {""}
    heard: list[Any] = []
    new.observe(lambda change: heard.append(change.paths))
    job.remarks.append("!")
    job.summary = "b"
    old.title = "newer"
    meet(a, b)
    assert heard == [
        (("jobs", key, "remarks"),), (("jobs", key, "summary"),), (("heading",),)
    ]  # fmt: skip
    assert old.tasks[key].title == "b"
    assert str(old.tasks[key].notes) == "n!"
    assert new.caveats() == []
    assert [caveat.path for caveat in old.caveats()] == []


def test_two_fields_cannot_share_a_stored_name() -> None:
    with pytest.raises(SchemaError, match="two fields are stored as 'a'"):

        class Both(Document):
            a: int = 0
            b: int = field(default=0, stored_as="a")

    for name in ("_a", "a b", "slots", "log"):
        with pytest.raises(SchemaError, match=r"cannot be stored as|is taken"):
            type("C", (Document,), {"__annotations__": {"x": int}, "x": field(stored_as=name)})


class Hours(Document):
    effort: int = field(default=0, strategy=largest)


class Minutes(Document):
    schema_version = 2
    effort: int = field(default=0, strategy=largest, upcasts={1: lambda hours: hours * 60})


class Spans(Document):
    schema_version = 3
    effort: str = field(
        default="0 min",
        strategy=LastWriterWins(),
        upcasts={1: lambda hours: hours * 60, 2: lambda minutes: f"{minutes} min"},
    )


def test_values_are_upcast_from_version_to_version() -> None:
    a, b, c = replicas(3)
    hours, minutes, spans = a.document(Hours, "d"), b.document(Minutes, "d"), c.document(Spans, "d")
    hours.effort = 2
    meet(a, b, c)
    assert (minutes.effort, spans.effort) == (120, "120 min")
    hours.effort, minutes.effort = 1, 90
    meet(a, b, c)
    assert minutes.effort == 90
    assert [candidate.value for candidate in minutes.candidates("effort")] == [60, 90]
    assert [candidate.value for candidate in spans.candidates("effort")] == ["60 min", "90 min"]
    # The old app cannot read text; it shows what it can, keeps the rest, and says so.
    spans.effort = "5 h"
    meet(a, b, c)
    assert hours.effort == 0
    (caveat,) = [c for c in hours.caveats() if c.path == ("effort",) and "kept" in c.reason]
    assert "schema version 3 writes a str here" in caveat.reason
    assert spans.effort == "5 h"
    hours.effort = 3
    meet(a, b, c)
    assert spans.effort == "180 min"


def test_an_upcast_that_fails_shows_the_default_and_says_so() -> None:
    class Broken(Document):
        schema_version = 2
        effort: int = field(default=7, upcasts={1: lambda value: 1 // 0})

    a, b = replicas(2)
    hours, broken = a.document(Hours, "d"), b.document(Broken, "d")
    hours.effort = 2
    meet(a, b)
    assert broken.effort == 7
    (caveat,) = [c for c in broken.caveats() if c.path == ("effort",) and "kept" in c.reason]
    assert "ZeroDivisionError" in caveat.reason
    assert hours.effort == 2


def test_what_a_newer_schema_has_is_held_passed_on_and_told(caplog: Any) -> None:
    class Item(Record):
        title: str = ""

    class NewItem(Record):
        title: str = ""
        done: bool = False
        notes: Text

    class Old(Document):
        items: Table[Item]

    class New(Document):
        schema_version = 2
        items: Table[NewItem]
        votes: Counter
        body: Text

    a, b, c = replicas(3)
    new, old = a.document(New, "d"), b.document(Old, "d")
    item = new.items.add(title="x", done=True, notes="long")
    new.votes.increment(3)
    new.body.append("text")
    b.merge(a)
    assert old.to_dict() == {"items": {item.key: {"title": "x"}}}
    assert {caveat.path for caveat in old.caveats()} == {
        ("items", item.key, "done"),
        ("items", item.key, "notes"),
        ("votes",),
        ("body",),
    }
    assert all("kept" in caveat.reason for caveat in old.caveats())
    assert "schema version 2" in caplog.text
    old.items[item.key].title = "y"
    there = c.document(New, "d")
    c.merge(b)
    assert there.to_dict() == {
        "items": {item.key: {"title": "y", "done": True, "notes": "long"}},
        "votes": 3,
        "body": "text",
    }
    assert there.caveats() == []


def test_a_field_cannot_become_one_of_another_kind(tmp_path: Path) -> None:
    class Old(Document):
        votes: int = 0

    class New(Document):
        schema_version = 2
        votes: Counter

    class Better(Document):
        schema_version = 2
        old_votes: int = field(default=0, stored_as="votes")
        votes: Counter = field(stored_as="ballots")

    with Replica(tmp_path / "a.db") as replica:
        replica.document(Old, "d").votes = 3
    with Replica(tmp_path / "a.db") as replica:
        with pytest.raises(SchemaError, match="was a value here and is a counter now"):
            replica.document(New, "d")
        document = replica.document(Better, "d")
        document.votes.increment(document.old_votes)
        assert document.to_dict() == {"old_votes": 3, "votes": 3}


def test_actions_are_brought_up_to_date_for_those_who_read_the_log() -> None:
    class Old(Document):
        name: str = ""

    class New(Document):
        schema_version = 3
        upcasts = {
            1: lambda name, arguments: ("rename", {"to": arguments["name"]}),
            2: lambda name, arguments: (name, {**arguments, "why": None}),
        }
        name: str = ""

    a, b = replicas(2)
    old, new = a.document(Old, "d"), b.document(New, "d")
    with old.action("set_name", name="x"):
        old.name = "x"
    with old.action("odd"):
        old.name = "y"
    meet(a, b)
    with new.action("rename", to="z", why="better"):
        new.name = "z"
    first, odd, last = new.log.actions()
    assert isinstance(first, PastAction)
    assert (first.name, first.arguments) == ("rename", {"to": "x", "why": None})
    assert first.entry.arguments == {"name": "x"}
    assert (odd.name, odd.arguments, odd.problem) == ("odd", {}, "KeyError: 'name'")
    assert (last.name, last.arguments, last.problem) == (
        "rename",
        {"to": "z", "why": "better"},
        None,
    )


def test_strategies_are_chosen_in_the_nearest_place() -> None:
    keep, lww = KeepAll(), LastWriterWins()

    class Step(Record):
        label: str = ""
        weight: int = field(default=0, strategy=largest)

    class Task(Record, strategy=smallest):
        title: str = ""
        own: str = field(default="", strategy=lww)
        steps: Table[Step]

    class Board(Document, strategy=keep):
        name: str = ""
        level: int = field(default=0, strategy=smallest)
        tasks: Table[Task]
        urgent: Table[Task] = field(strategy=largest)
        steps: Table[Step]

    rules = {path: str(rule) for path, rule in Board.__crdtsync_schema__.rules().items()}
    assert rules == {
        "name": "keep-all 1",
        "level": "pick 1",
        "tasks/*/title": "pick 1",
        "tasks/*/steps/*/label": "pick 1",
        "tasks/*/steps/*/weight": "pick 2",
        "urgent/*/title": "pick 2",
        "urgent/*/steps/*/label": "pick 2",
        "urgent/*/steps/*/weight": "pick 2",
        "steps/*/label": "keep-all 1",
        "steps/*/weight": "pick 2",
    }

    class Derived(Board):
        extra: str = ""

    assert str(Derived.__crdtsync_schema__.rules()["extra"]) == "keep-all 1"


def test_what_is_no_strategy_is_refused_where_it_is_declared() -> None:
    for given in (KeepAll, object(), AddWins()):
        with pytest.raises(SchemaError, match="is no strategy"):
            type("C", (Document,), {"__annotations__": {"x": int}, "x": field(strategy=given)})  # type: ignore[arg-type]

    class Odd:
        name, version, parameters = "odd", 1, {"x": object()}

        def resolve(self, candidates: Any, /) -> Any:
            return candidates[0].value

    with pytest.raises(SchemaError, match="parameters of strategy 'odd' cannot be stored"):
        type("C", (Document,), {"__annotations__": {"x": int}, "x": field(strategy=Odd())})
