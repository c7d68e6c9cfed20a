"""Whatever replicas do, in whatever order what they did arrives: in the end all views are equal.

And equal to a slow replay of the log, and a view kept up to date step by step is equal to one
materialized at once.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from crdtsync import Replica
from crdtsync.clock import HybridLogicalClock
from tests.document.boards import Board

REPLICAS = st.integers(0, 2)
KEYS = st.sampled_from(["t1", "t2", "ü/1"])
TEXT = st.text("ab é😀", max_size=5)
YEARS_MS = 3 * 365 * 86_400_000


class Convergence(RuleBasedStateMachine):
    """Three replicas on disk, which work, exchange, restart, and never agree on the time."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="crdtsync-"))
        self.wall = [10**12, 10**12, 10**12]
        self.increments = 0
        self.replicas: list[Replica] = []
        self.boards: list[Board] = []
        self.changes: list[int] = [0, 0, 0]

    @initialize()
    def begin(self) -> None:
        for index in range(3):
            self.replicas.append(self.open(index))
            self.boards.append(self.replicas[index].document(Board, "b"))
            self.watch(index)

    def open(self, index: int) -> Replica:
        clock = HybridLogicalClock(lambda: self.wall[index], ahead_max_ms=60_000)
        return Replica(self.folder / f"{index}.db", user=f"user{index}", clock=clock)

    def watch(self, index: int) -> None:
        if index == 1:  # the others are read only at the end
            board = self.boards[index]
            str(board.body)
            board.observe(lambda _: self.changes.__setitem__(index, self.changes[index] + 1))

    @rule(who=REPLICAS, value=st.integers(0, 9))
    def set_field(self, who: int, value: int) -> None:
        self.boards[who].data = value

    @rule(who=REPLICAS, value=TEXT)
    def set_name(self, who: int, value: str) -> None:
        self.boards[who].name = value

    @rule(who=REPLICAS, n=st.integers(-3, 3))
    def count(self, who: int, n: int) -> None:
        self.increments += n
        self.boards[who].total.increment(n)

    @rule(who=REPLICAS, element=st.integers(0, 2), add=st.booleans())
    def change_set(self, who: int, element: int, add: bool) -> None:
        members = self.boards[who].members
        members.add(element) if add else members.discard(element)

    @rule(who=REPLICAS, data=st.data(), new=TEXT)
    def type_text(self, who: int, data: st.DataObject, new: str) -> None:
        body = self.boards[who].body
        start = data.draw(st.integers(0, len(body)))
        body.replace(start, data.draw(st.integers(start, len(body))), new)

    @rule(who=REPLICAS, data=st.data(), new=st.lists(st.integers(), max_size=2))
    def change_list(self, who: int, data: st.DataObject, new: list[int]) -> None:
        items = self.boards[who].items
        start = data.draw(st.integers(0, len(items)))
        items[start : data.draw(st.integers(start, len(items)))] = new

    @rule(who=REPLICAS, key=KEYS, title=TEXT)
    def add_or_delete(self, who: int, key: str, title: str) -> None:
        tasks = self.boards[who].tasks
        if key in tasks:
            del tasks[key]
        else:
            tasks.add(key=key, title=title, notes=title, tags=[title])

    @rule(who=REPLICAS, key=KEYS, text=TEXT, what=st.integers(0, 5))
    def change_record(self, who: int, key: str, text: str, what: int) -> None:
        tasks = self.boards[who].tasks
        if key not in tasks:
            return
        task = tasks[key]
        match what:
            case 0:
                task.title = text
            case 1:
                task.status = ["todo", "doing", "done"][len(text) % 3]
            case 2:
                task.notes.append(text)
            case 3:
                task.tags.add(text)
            case 4:
                task.votes.increment()
            case _:
                if key in task.steps:
                    del task.steps[key]
                else:
                    task.steps.add(key=key, label=text)

    @rule(who=REPLICAS)
    def fail(self, who: int) -> None:
        board = self.boards[who]
        before = board.to_dict()
        try:
            with board.action("doomed"):
                board.data = "doomed"
                board.body.append("doomed")
                board.tasks.add(title="doomed")
                raise ZeroDivisionError
        except ZeroDivisionError:
            assert board.to_dict() == before

    @rule(giver=REPLICAS, taker=REPLICAS, data=st.data())
    def deliver(self, giver: int, taker: int, data: st.DataObject) -> None:
        """Bring over some entries, some of them twice, in any order."""
        if giver == taker:
            return
        ours, theirs = self.replicas[giver].ledger("b"), self.replicas[taker].ledger("b")
        ours.flush()
        missing = [entry.data for entry in ours.missing(theirs.vector, 1 << 20)]
        if missing:
            some = data.draw(st.lists(st.sampled_from(missing), max_size=2 * len(missing)))
            theirs.receive(some)

    @rule(one=REPLICAS, other=REPLICAS)
    def merge(self, one: int, other: int) -> None:
        if one != other:
            self.replicas[one].merge(self.replicas[other])

    @rule(who=REPLICAS)
    def acknowledge(self, who: int) -> None:
        ledger = self.replicas[who].ledger("b")
        ledger.flush()
        ledger.acknowledge(ledger.next_seq - 1)

    @rule(who=REPLICAS, snapshot=st.booleans())
    def restart(self, who: int, snapshot: bool) -> None:
        before = self.boards[who].to_dict()
        if snapshot:
            self.boards[who]._live.take_snapshot()
        self.replicas[who].close()
        self.replicas[who] = self.open(who)
        self.boards[who] = self.replicas[who].document(Board, "b")
        assert self.boards[who].to_dict() == before
        self.watch(who)

    @rule(who=REPLICAS, jump=st.integers(-YEARS_MS, YEARS_MS))
    def set_clock(self, who: int, jump: int) -> None:
        self.wall[who] = max(1, self.wall[who] + jump)

    @invariant()
    def the_view_is_what_a_new_one_would_be(self) -> None:
        for board in self.boards[:1]:
            live = board._live
            shown = live.plain()
            live.view.show(live._doc, live.view.live_slots())
            assert live.plain() == shown

    def teardown(self) -> None:
        try:
            if len(self.boards) == 3:
                self.heal()
        finally:
            for replica in self.replicas:
                replica.close()
            shutil.rmtree(self.folder)

    def heal(self) -> None:
        for _ in range(2):
            for index in range(3):
                self.replicas[index].merge(self.replicas[(index + 1) % 3])
        views: list[dict[str, Any]] = [board.to_dict() for board in self.boards]
        assert views[0] == views[1] == views[2]
        assert views[0]["total"] == self.increments
        assert len({board.view_hash() for board in self.boards}) == 1
        vectors = [board.state_vector for board in self.boards]
        assert vectors[0] == vectors[1] == vectors[2]
        assert self.boards[0].conflicts() == self.boards[1].conflicts()
        for replica in self.replicas:
            assert replica.verify() == []


TestConvergence = Convergence.TestCase
TestConvergence.settings = settings(stateful_step_count=30)
