"""A refused action leaves no trace.

What replicas show is held against a model that has never heard of slots: it knows of every action
what it did and what its author knew, leaves the refused ones out, and asks which writes are left
that no other one had seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from crdtsync import Counter, Document, Record, Set, Table, Text, field
from crdtsync.document.journal import Snapshot
from crdtsync.document.live import LiveDocument
from crdtsync.log import EMPTY_HEAD, Entry, Head, make_entry
from crdtsync.strategies import AddWins, KeepAll, RemoveWins
from crdtsync.update import neutralize


class Step(Record):
    label: str = ""


class Task(Record):
    title: str = ""
    tags: Set[str]
    notes: Text
    steps: Table[Step]


class Board(Document):
    name: str = field(default="", strategy=KeepAll())
    data: int = 0
    total: Counter
    tags: Set[str]
    added: Set[str] = field(presence=AddWins())
    gone: Set[str] = field(presence=RemoveWins())
    body: Text
    tasks: Table[Task]
    lost: Table[Task] = field(presence=RemoveWins())


SETS = ["tags", "added", "gone"]
TABLES = ["tasks", "lost"]


class Shelf:
    """A journal in memory, with one clock for all of them."""

    now = 0

    def __init__(self, replica: int) -> None:
        self.name = "b"
        self.replica = replica
        self.users: dict[int, str] = {}
        self.sent = self.acknowledged = 0
        self.clamps: dict[tuple[int, int], int] = {}
        self.held: list[Entry] = []
        self.kept: Snapshot | None = None

    @property
    def own(self) -> list[Entry]:
        return [entry for entry in self.held if entry.replica == self.replica]

    @property
    def next_seq(self) -> int:
        return len(self.own) + 1

    @property
    def vector(self) -> dict[int, int]:
        return {entry.replica: entry.seq for entry in self.held}

    @property
    def count(self) -> int:
        return len(self.held)

    def tick(self) -> int:
        Shelf.now += 1
        return Shelf.now

    def snapshot(self) -> Snapshot | None:
        kept = self.kept
        return None if kept is None else kept._replace(slots=dict(kept.slots))

    def save_snapshot(self, snapshot: Snapshot) -> None:
        self.kept = snapshot

    below: dict[int, int] = {}
    begun_at = 0

    def base(self) -> None:
        return None

    def entries(
        self, after: Mapping[int, int] | None = None, upto: Mapping[int, int] | None = None
    ) -> Iterator[Entry]:
        after, upto = after or {}, self.vector if upto is None else upto
        return (
            e for e in list(self.held) if after.get(e.replica, 0) < e.seq <= upto.get(e.replica, 0)
        )

    def at(self, replica: int, seq: int) -> Entry | None:
        return next((e for e in self.held if (e.replica, e.seq) == (replica, seq)), None)

    def own_logs(self) -> dict[int, int]:
        raise NotImplementedError

    def held_before(self, replica: int, seq: int) -> dict[int, int]:
        raise NotImplementedError

    def checkpoint(self, vector: Mapping[int, int]) -> Snapshot | None:
        return None

    def save_checkpoint(self, state: Snapshot) -> None:
        raise NotImplementedError

    def set_damage_aside(self) -> None:
        raise NotImplementedError

    def refused(self) -> list[tuple[Entry, str]]:
        return []

    def forget_refused(self, entry: Entry) -> None:
        raise NotImplementedError

    def record(
        self, time: int, name: str, arguments: dict[str, Any], update: bytes, schema_version: int
    ) -> Entry:
        own = self.own
        head = Head(own[-1].seq, own[-1].hash) if own else EMPTY_HEAD
        entry = make_entry("b", self.replica, head, time, name, update)
        self.held.append(entry)
        return entry

    def without(self, refused: set[tuple[int, int]]) -> Shelf:
        """Return a journal of the same entries, some of them without effect."""
        other = Shelf(self.replica)
        other.sent, other.acknowledged = self.sent, self.acknowledged
        other.held = [
            entry._replace(update=neutralize(entry.update))
            if (entry.replica, entry.seq) in refused
            else entry
            for entry in self.held
        ]
        return other


def opened(shelf: Shelf) -> Board:
    board: Board = Board._of(LiveDocument(Board.__crdtsync_schema__, shelf, 1))
    return board


def look(board: Board) -> dict[str, Any]:
    """Return what a document shows."""
    shown: dict[str, Any] = {
        "name": [c.value for c in board.candidates("name")],
        "data": [c.value for c in board.candidates("data")],
        "total": int(board.total),
        "body": sorted(str(board.body)),
        "contested": sorted(conflict.path for conflict in board.conflicts()),
    }
    shown |= {name: sorted(getattr(board, name)) for name in SETS}
    for name in TABLES:
        shown[name] = {
            task.key: {
                "title": [c.value for c in task.candidates("title")],
                "tags": sorted(task.tags),
                "notes": sorted(str(task.notes)),
                "steps": {
                    step.key: [c.value for c in step.candidates("label")]
                    for step in task.steps.values()
                },
            }
            for task in getattr(board, name).values()
        }
    return shown


# --- the model -------------------------------------------------------------------------------


class Write(NamedTuple):
    """What an action did to one path. Its kinds:

    `put` replaces all that its author knew, `erase` too, without leaving a value; `own` replaces
    the author's own only; `bury` is the removal that a presence strategy weighs; `count` adds up;
    `type` (characters typed, characters deleted) replaces nothing. `past` is what its author knew.
    """

    path: tuple[str, ...]
    kind: str
    value: Any
    time: int
    replica: int
    seq: int
    past: Mapping[int, int]

    def knew(self, other: Write) -> bool:
        return other.seq <= self.past.get(other.replica, 0)


class Model:
    """What is to be seen after some writes."""

    def __init__(self, writes: Iterable[Write]) -> None:
        self.writes = sorted(writes, key=lambda write: (write.time, write.replica))

    def live(self, path: tuple[str, ...]) -> list[Write]:
        """Return the writes to a path that no other one has replaced."""
        here = [write for write in self.writes if write.path == path and write.kind != "type"]
        return [
            write
            for write in here
            if write.kind != "erase" and not any(_replaces(other, write) for other in here)
        ]

    def values(self, path: tuple[str, ...]) -> list[Any]:
        return [write.value for write in self.live(path)]

    def text(self, path: tuple[str, ...]) -> list[str]:
        typed = [write.value for write in self.writes if (write.path, write.kind) == (path, "type")]
        gone = {char for _, deleted in typed for char in deleted}
        return sorted(char for inserted, _ in typed for char in inserted if char not in gone)

    def below(self, path: tuple[str, ...]) -> list[str]:
        """Return the names of what was ever written right below a path."""
        depth = len(path)
        found = {
            write.path[depth] for write in self.writes if write.path[:depth] == path != write.path
        }
        return sorted(found)

    def is_there(self, path: tuple[str, ...], rule: str) -> bool:
        """Tell whether a record or element exists, as the rule of its table or set says."""
        here = self.live(path)
        removals = [write for write in here if write.kind == "bury"]
        below = {write.path for write in self.writes if write.path[: len(path)] == path}
        work = [w for at in below for w in self.live(at) if w.kind != "bury"]
        if rule == "remove" and removals:
            return False
        return any(
            not any(removal.knew(write) or _same(removal, write) for removal in removals)
            for write in work
        )

    def elements(self, path: tuple[str, ...], rule: str = "add") -> list[str]:
        return [name for name in self.below(path) if self.is_there((*path, name), rule)]

    def look(self) -> dict[str, Any]:
        contested: list[tuple[str, ...]] = [("name",)] if len(self.values(("name",))) > 1 else []
        contested += [("data",)] if len(self.values(("data",))) > 1 else []
        shown: dict[str, Any] = {
            "name": self.values(("name",)),
            "data": self.values(("data",)),
            "total": sum(write.value for write in self.writes if write.kind == "count"),
            "body": self.text(("body",)),
            "tags": self.elements(("tags",)),
            "added": self.elements(("added",)),
            "gone": self.elements(("gone",), "remove"),
        }
        for table, rules in (("tasks", "add"), ("lost", "remove")):
            shown[table] = {}
            for key in self.elements((table,), rules):
                task = (table, key)
                steps = {
                    step: self.values((*task, "steps", step, "label"))
                    for step in self.elements((*task, "steps"))
                }
                shown[table][key] = {
                    "title": self.values((*task, "title")),
                    "tags": self.elements((*task, "tags")),
                    "notes": self.text((*task, "notes")),
                    "steps": steps,
                }
                contested += [(*task, "title")] if len(shown[table][key]["title"]) > 1 else []
                contested += [
                    (*task, "steps", step, "label")
                    for step, labels in steps.items()
                    if len(labels) > 1
                ]
        return shown | {"contested": sorted(contested)}


def _same(one: Write, other: Write) -> bool:
    return (one.replica, one.seq) == (other.replica, other.seq)


def _replaces(later: Write, write: Write) -> bool:
    if later.replica == write.replica and later.seq > write.seq:
        return True
    return later.kind in {"put", "erase", "bury"} and later.knew(write)


# --- what is done ----------------------------------------------------------------------------

Effects = dict[tuple[str, ...], tuple[str, Any]]


class Hand:
    """Edits a board, and tells what that does."""

    def __init__(self, board: Board, number: int) -> None:
        self.board = board
        self.number = number

    def put(self, name: str) -> Effects:
        value: Any = str(self.number) if name == "name" else self.number
        setattr(self.board, name, value)
        return {(name,): ("put", value)}

    def count(self) -> Effects:
        self.board.total += self.number
        return {("total",): ("count", self.number)}

    def member(self, tags: Any, path: tuple[str, ...], element: str, *, present: bool) -> Effects:
        if present:
            tags.add(element)
            return {(*path, element): ("put", element)}
        if element not in tags:
            return {}
        tags.remove(element)
        return {(*path, element): ("erase" if path[-1] == "tags" else "bury", None)}

    def toggle(self, name: str, element: str) -> Effects:
        tags = getattr(self.board, name)
        return self.member(tags, (name,), element, present=element not in tags)

    def type(self, text: Text, path: tuple[str, ...], place: int) -> Effects:
        """Delete a character and type another one there."""
        deleted = str(text)[place : place + 1] if place % 2 else ""
        typed = chr(0x4E00 + self.number)
        text.replace(place % (len(text) + 1), place % (len(text) + 1), typed)
        if deleted:
            at = str(text).index(deleted)
            text.delete(at, at + 1)
        return {path: ("type", (typed, deleted))}

    def add(self, table: str, key: str) -> Effects:
        if key in getattr(self.board, table):
            return {}
        node = self.board._node.child(table).record(key)
        path = (table, key)
        effects: Effects = {path: ("put", True), (*path, "title"): ("put", str(self.number))}
        if any(slots.pairs for slots in node.slot_nodes()):
            effects |= {(*path, "tags", e): ("erase", None) for e in node.child("tags").plain()}
            effects |= {(*path, "steps", s): ("bury", None) for s in node.child("steps").members}
            effects[*path, "notes"] = "type", ("", node.child("notes").plain())
        getattr(self.board, table).add(key=key, title=str(self.number))
        return effects

    def delete(self, table: Any, path: tuple[str, ...], key: str) -> Effects:
        if key not in table:
            return {}
        del table[key]
        return {(*path, key): ("bury", None)}

    def step(self, task: Task, path: tuple[str, ...], key: str, *, present: bool) -> Effects:
        path = (*path, "steps")
        if not present:
            return self.delete(task.steps, path, key)
        if key in task.steps:
            task.steps[key].label = str(self.number)
            return {(*path, key, "label"): ("put", str(self.number))}
        task.steps.add(key=key, label=str(self.number))
        return {
            (*path, key): ("put", True),
            (*path, key, "label"): ("put", str(self.number)),
        }

    def task(self, table: str, key: str, what: int, element: str) -> Effects:
        if key not in getattr(self.board, table):
            return self.add(table, key)
        task, path = getattr(self.board, table)[key], (table, key)
        match what:
            case 0 | 1:
                return self.delete(getattr(self.board, table), (table,), key)
            case 2:
                task.title = str(self.number)
                return {(*path, "title"): ("put", str(self.number))}
            case 3 | 4:
                present = element not in task.tags
                return self.member(task.tags, (*path, "tags"), element, present=present)
            case 5 | 6:
                return self.type(task.notes, (*path, "notes"), what)
            case _:
                return self.step(task, path, element, present=what != 9)


REPLICAS = st.sampled_from([1, 1, 2, 2, 3])
ELEMENTS = st.sampled_from("xxxy")
AREAS = ["name", "data", "total", "body", *SETS, *TABLES]


class Refusals(RuleBasedStateMachine):
    """Three replicas and a server that takes what it is sent, or refuses it.

    What others get of a replica's entries is what the server has decided on.
    """

    def __init__(self) -> None:
        super().__init__()
        self.shelves = {replica: Shelf(replica) for replica in (1, 2, 3)}
        self.boards = {replica: opened(shelf) for replica, shelf in self.shelves.items()}
        self.writes: dict[tuple[int, int], list[Write]] = {}
        self.served: list[Entry] = []
        self.decided = dict.fromkeys(self.shelves, 0)
        self.refused: set[tuple[int, int]] = set()
        self.number = 0

    @initialize(area=st.sampled_from(AREAS))
    def begin(self, area: str) -> None:
        """Let all know the rules; whoever says them may not be refused later."""
        self.area = area
        self.act(1, lambda hand: hand.put("data"))
        self.meet()

    def act(self, who: int, edit: Callable[[Hand], Effects]) -> None:
        shelf, board = self.shelves[who], self.boards[who]
        self.number += 1
        past, seq = shelf.vector, shelf.next_seq
        before = {node.path: node.presence.pairs for node in _records(board)}
        with board.action("act"):
            effects = edit(Hand(board, self.number))
        for node in _records(board):
            if node.presence.pairs != before.get(node.path, ()):
                effects.setdefault(tuple(node.path.split("/")), ("own", True))
        if effects:
            assert shelf.next_seq == seq + 1
            time = shelf.held[-1].time
            self.writes[who, seq] = [
                Write(path, kind, value, time, who, seq, past)
                for path, (kind, value) in effects.items()
            ]
        self.check(who)

    @rule(who=REPLICAS, what=st.integers(0, 9), element=ELEMENTS)
    def edit(self, who: int, what: int, element: str) -> None:
        """Edit what this history is about."""
        self.edit_area(who, self.area, what, element)

    @rule(who=REPLICAS, area=st.sampled_from(AREAS), what=st.integers(0, 9), element=ELEMENTS)
    def edit_area(self, who: int, area: str, what: int, element: str) -> None:
        match area:
            case "name" | "data":
                self.act(who, lambda hand: hand.put(area))
            case "total":
                self.act(who, lambda hand: hand.count())
            case "body":
                self.act(who, lambda hand: hand.type(hand.board.body, (area,), what))
            case "tasks" | "lost":
                key = "l" if element == "y" else "k"
                self.act(who, lambda hand: hand.task(area, key, what, element))
            case _:
                self.act(who, lambda hand: hand.toggle(area, element))

    @rule()
    def meet(self) -> None:
        """Let the server take all there is, and all have it."""
        for replica, shelf in self.shelves.items():
            self.decide(replica, [False] * shelf.next_seq)
        for replica in self.shelves:
            self.learn(replica)
            self.pull(replica)

    @rule(who=REPLICAS, verdicts=st.lists(st.booleans(), min_size=1, max_size=5))
    def decide(self, who: int, verdicts: Sequence[bool]) -> None:
        """Let the server take or refuse a replica's next entries. It does not know of that yet."""
        shelf = self.shelves[who]
        shelf.sent = shelf.next_seq - 1
        for entry, refuse in zip(shelf.own[self.decided[who] :], verdicts, strict=False):
            self.decided[who] = entry.seq
            if refuse:
                self.refused.add((who, entry.seq))
                entry = entry._replace(update=neutralize(entry.update))  # noqa: PLW2901
            self.served.append(entry)

    @rule(who=REPLICAS)
    def learn(self, who: int) -> None:
        """Let a replica know what was decided on its entries."""
        shelf, board = self.shelves[who], self.boards[who]
        shelf.acknowledged = self.decided[who]
        shelf.held, shelf.kept = shelf.without(self.refused).held, None
        board._live.load()
        self.check(who)

    @rule(who=REPLICAS)
    def pull(self, who: int) -> None:
        """Let a replica have what the server took from others."""
        shelf, board = self.shelves[who], self.boards[who]
        vector = shelf.vector
        new = [e for e in self.served if e.replica != who and e.seq > vector.get(e.replica, 0)]
        shelf.held += new
        board._live.apply(new)
        self.check(who)

    @rule(who=REPLICAS, snapshot=st.booleans())
    def restart(self, who: int, snapshot: bool) -> None:
        if snapshot:
            self.boards[who]._live.take_snapshot()
        self.boards[who]._live.load()
        self.check(who)

    @rule(who=REPLICAS, verdicts=st.lists(st.booleans(), min_size=1))
    def suppose(self, who: int, verdicts: Sequence[bool]) -> None:
        """Look at what it would be if some entries that are not decided on were refused."""
        shelf = self.shelves[who]
        pending = shelf.own[self.decided[who] :]
        refused = {(who, e.seq) for e, no in zip(pending, verdicts, strict=False) if no}
        supposed = shelf.without(refused)
        assert look(opened(supposed)) == self.expected(shelf, refused)

    def expected(self, shelf: Shelf, refused: Iterable[tuple[int, int]] = ()) -> dict[str, Any]:
        """Return what a replica is to show. Of its own, it knows only what it was told."""
        unheard = range(shelf.acknowledged + 1, shelf.next_seq)
        out = self.refused - {(shelf.replica, seq) for seq in unheard} | set(refused)
        names = [(entry.replica, entry.seq) for entry in shelf.held]
        return Model(w for name in names if name not in out for w in self.writes[name]).look()

    def check(self, who: int) -> None:
        assert look(self.boards[who]) == self.expected(self.shelves[who])

    def teardown(self) -> None:
        self.meet()
        assert look(self.boards[1]) == look(self.boards[2]) == look(self.boards[3])


def _records(board: Board) -> list[Any]:
    return [node for node in board._live.view.records.values() if node.presence is not None]


TestRefusals = Refusals.TestCase
TestRefusals.settings = settings(stateful_step_count=30)


class Poll(Record):
    title: str = ""
    votes: Counter


class Polls(Document):
    polls: Table[Poll]
    total: Counter


def polls_of(shelf: Shelf) -> Polls:
    polls: Polls = Polls._of(LiveDocument(Polls.__crdtsync_schema__, shelf, 1))
    return polls


def test_one_increment_is_refused_and_not_those_after_it() -> None:
    shelf = Shelf(1)
    polls = polls_of(shelf)
    for n in (1, 10, 100):
        polls.total += n
    assert int(polls_of(shelf.without({(1, 2)})).total) == 101


def test_what_is_acknowledged_becomes_one_slot_which_may_come_back() -> None:
    shelf = Shelf(1)
    polls = polls_of(shelf)
    for n in (1, 10, 100):
        polls.total += n
    node = polls._live.view.node("total")
    assert len(node.pairs) == 3
    shelf.acknowledged = 2
    polls.total += 1000
    assert len(node.pairs) == 2
    assert int(polls.total) == 1111
    assert int(polls_of(shelf.without({(1, 4)})).total) == 111
    assert int(polls_of(shelf.without({(1, 3)})).total) == 1011
    shelf.acknowledged = 4
    polls.total += 10000
    assert len(node.pairs) == 1
    assert int(polls.total) == int(polls_of(shelf).total) == 11111


def test_a_counter_begins_anew_whatever_is_refused() -> None:
    """A record is deleted and added again, and what it counted until then is gone with it."""
    shelf = Shelf(1)
    polls = polls_of(shelf)
    polls.polls.add(key="k", title="old", votes=5)  # entry 1
    polls.polls["k"].votes += 7  # entry 2
    shelf.acknowledged = 1
    del polls.polls["k"]
    polls.polls.add(key="k", title="new")  # entry 4
    polls.polls["k"].votes += 1
    assert int(polls.polls["k"].votes) == 1
    assert int(polls_of(shelf.without({(1, 2)})).polls["k"].votes) == 1
    assert int(polls_of(shelf.without({(1, 3), (1, 4)})).polls["k"].votes) == 13
    assert int(polls_of(shelf.without({(1, 5)})).polls["k"].votes) == 0


def test_a_refused_deletion_leaves_what_others_wrote_meanwhile() -> None:
    ann, bob = Shelf(1), Shelf(2)
    mine = polls_of(ann)
    mine.polls.add(key="k", title="old")
    bob.held = list(ann.held)
    theirs = polls_of(bob)
    theirs.polls["k"].title = "new"
    del mine.polls["k"]
    ann.held.append(bob.held[-1])
    mine._live.apply(ann.held[-1:])
    assert mine.polls["k"].title == "new"
    restored = polls_of(ann.without({(1, 2)}))
    assert restored.polls["k"].title == "new"
    assert [slot.value for slot in restored._live.view.node("polls/k").slots()] == [True]


def test_what_was_seen_does_not_come_back_beside_what_followed() -> None:
    """Ann writes over Bob's writes, then over her own; the first of hers is refused."""
    bob, ann = Shelf(2), Shelf(1)
    theirs = opened(bob)
    theirs.data = 1
    theirs.tags.add("x")
    theirs.gone.add("x")
    theirs.tasks.add(key="k", title="bob")
    ann.held = list(bob.held)
    mine = opened(ann)
    with mine.action("refused"):
        mine.data = 2
        mine.tags.add("x")
        mine.gone.add("x")
        mine.tasks["k"].title = "ann"
    mine.data = 3
    mine.tags.remove("x")
    mine.gone.remove("x")
    del mine.tasks["k"]
    shown = opened(ann.without({(1, 1)}))
    assert look(shown) == look(mine)
    assert (shown.data, list(shown.tags), list(shown.gone), list(shown.tasks)) == (3, [], [], [])
    back = opened(ann.without({(1, seq) for seq in range(1, 6)}))
    assert look(back) == look(theirs)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("steps", ["add remove", "remove add remove", "add remove add remove"])
@pytest.mark.parametrize("others", [False, True])
def test_a_removal_holds_whichever_action_before_it_is_refused(
    name: str, steps: str, others: bool
) -> None:
    ann, bob = Shelf(1), Shelf(2)
    if others:
        getattr(opened(bob), name).add("x")
    ann.held = list(bob.held)
    mine = opened(ann)
    if not others:
        getattr(mine, name).add("x")
    for step in steps.split():
        getattr(getattr(mine, name), step)("x")
    last = ann.own[-1].seq
    for choice in range(2 ** (last - 1)):
        refused = {(1, seq) for seq in range(1, last) if choice >> (seq - 1) & 1}
        assert not getattr(opened(ann.without(refused)), name)


def test_a_deletion_holds_if_a_write_to_a_field_before_it_is_refused() -> None:
    ann, bob = Shelf(1), Shelf(2)
    theirs = opened(bob)
    theirs.tasks.add(key="k", title="bob")
    theirs.tasks["k"].title = "later"
    ann.held = list(bob.held)
    mine = opened(ann)
    mine.tasks["k"].title = "ann"
    del mine.tasks["k"]
    assert "k" not in opened(ann.without({(1, 1)})).tasks
    assert opened(ann.without({(1, 1), (1, 2)})).tasks["k"].title == "later"
