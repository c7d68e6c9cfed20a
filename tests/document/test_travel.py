"""A document of the past is what a slow replay of the log up to there gives."""

from __future__ import annotations

import collections
import datetime
import itertools
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crdtsync import Document, Replica, Text
from crdtsync.cli.recordings import load_text_session
from crdtsync.clock import HybridLogicalClock, pack
from crdtsync.document.past import PastJournal
from crdtsync.errors import ActionError
from crdtsync.log import Entry
from tests.document.boards import Board
from tests.replica.histories import history


def slow_past(entries: list[Entry], replica: int, seq: int) -> dict[int, int]:
    """Walk back from an entry, one by one."""
    by_name = {(entry.replica, entry.seq): entry for entry in entries}
    found: set[tuple[int, int]] = set()
    waiting = [(replica, seq)]
    while waiting:
        name = waiting.pop()
        if name in found or not name[1]:
            continue
        found.add(name)
        waiting.append((name[0], name[1] - 1))
        waiting += [(head.replica, head.seq) for head in by_name[name].dependencies]
    vector: dict[int, int] = {}
    for author, number in found:
        vector[author] = max(number, vector.get(author, 0))
    return vector


def replayed(document: Any, vector: Mapping[int, int]) -> Any:
    """Let a new replica receive nothing but the entries of a state vector."""
    fresh = Replica()
    name = document.document_name
    fresh.ledger(name).receive(
        [entry.data for entry in document.log if entry.seq <= vector.get(entry.replica, 0)]
    )
    return fresh.document(type(document), name)


@settings(max_examples=15)
@given(st.integers(0, 10**6))
def test_every_entry_of_a_concurrent_history(seed: int) -> None:
    board = history(seed)[0]
    entries = list(board.log)
    for entry in entries:
        vector = slow_past(entries, entry.replica, entry.seq)
        past = board.at(entry)
        assert past.state_vector == vector
        assert past.to_dict() == replayed(board, vector).to_dict()
        assert [(e.replica, e.seq) for e in past.log] == [
            (e.replica, e.seq) for e in entries if e.seq <= vector.get(e.replica, 0)
        ]
        assert len(past.log) == sum(vector.values())


class Page(Document):
    body: Text


@pytest.fixture
def session(data: Path) -> Page:
    """Two people typing at once, the first four hundred keystrokes."""
    recording = load_text_session(data / "friendsforever.json.gz").first(400)
    fleet = [Replica(user=f"user {n}") for n in range(recording.agents)]
    pages = [replica.document(Page, "page") for replica in fleet]
    ledgers = [replica.ledger("page") for replica in fleet]
    made: list[bytes] = []
    pasts: list[set[int]] = []
    for number, typed in enumerate(recording.transactions):
        past = {number}.union(*(pasts[parent] for parent in typed.parents))
        pasts.append(past)
        page = pages[typed.agent]
        ledger = ledgers[typed.agent]
        ledger.receive([made[index] for index in sorted(past - {number})])
        with page.action("type"):
            for position, deleted, inserted in typed.patches:
                page.body.replace(position, position + deleted, inserted)
        entry = ledger.at(ledger.replica, ledger.next_seq - 1)
        assert entry is not None
        made.append(entry.data)
    ledgers[0].receive(made)
    return pages[0]


def test_every_entry_of_a_recorded_session(session: Page) -> None:
    """The slow replay keeps one document for each author, and gives it what the author had seen."""
    slow: dict[int, Page] = {}
    replicas: dict[int, Replica] = collections.defaultdict(Replica)
    name = session.document_name
    for entry in session.log:
        page = slow.setdefault(entry.replica, replicas[entry.replica].document(Page, name))
        vector = session.at(entry).state_vector
        replicas[entry.replica].ledger(name).receive(
            [e.data for e in session.log if _between(e, page.state_vector, vector)]
        )
        assert str(session.at(entry).body) == str(page.body)


def _between(entry: Entry, after: Mapping[int, int], upto: Mapping[int, int]) -> bool:
    return after.get(entry.replica, 0) < entry.seq <= upto.get(entry.replica, 0)


def test_a_point_in_time_is_what_was_done_by_then() -> None:
    now = itertools.count(1_700_000_000_000, 1000)
    clocks = [HybridLogicalClock(lambda: next(now)) for _ in range(2)]
    ann, ben = (Replica(clock=clock) for clock in clocks)
    one, two = (replica.document(Board, "b") for replica in (ann, ben))
    for number in range(6):
        (one if number % 2 else two).total.increment()
        if number == 3:
            ann.merge(ben)
    ann.merge(ben)
    times = sorted(entry.time for entry in one.log)
    for count, time in enumerate(times, 1):
        moment = datetime.datetime.fromtimestamp((time >> 16) / 1000, datetime.UTC)
        assert int(one.at(moment).total) == count
        assert int(one.at(moment - datetime.timedelta(milliseconds=1)).total) == count - 1
        assert one.at(moment).to_dict() == two.at(moment).to_dict()


def test_what_builds_on_later_work_is_not_there_yet() -> None:
    """Ben's clock is behind, so he has built on work that is later than his by the clocks."""
    late, early = 1_700_000_000_000, 1_600_000_000_000
    ann = Replica(clock=HybridLogicalClock(lambda: late))
    ben = Replica(clock=HybridLogicalClock(lambda: early))
    one, two = ann.document(Board, "b"), ben.document(Board, "b")
    one.name = "Ann's"
    ben.merge(ann)
    two.name = "Ben's"
    ann.merge(ben)
    assert {entry.time for entry in one.log} == {pack(late), pack(early)}
    moment = datetime.datetime.fromtimestamp(early / 1000 + 1, datetime.UTC)
    assert one.at(moment).name == "Untitled"
    assert one.at(moment).state_vector == {}


def test_it_cannot_be_changed() -> None:
    board = Replica().document(Board, "b")
    key = board.add("milk")
    past = board.at(board.state_vector)
    acts: list[Any] = [
        lambda: setattr(past, "name", "n"),
        lambda: past.add("bread"),
        lambda: past.tasks[key].notes.append("n"),
        lambda: past.tasks.add(title="t"),
        past.total.increment,
        lambda: past.members.add(1),
        lambda: past.items.append(1),
        lambda: past.tasks.__delitem__(key),
        lambda: past.action("a").__enter__(),
    ]
    before = past.to_dict()
    for act in acts:
        with pytest.raises(ActionError, match="what has passed cannot be changed"):
            act()
    assert past.to_dict() == before == board.to_dict()
    assert past.refusals() == []
    assert len(board.log) == 1


def test_later_work_does_not_reach_it() -> None:
    board = Replica().document(Board, "b")
    board.body.append("old")
    past = board.at(board.state_vector)
    board.body.append(" new")
    assert str(past.body) == "old"
    assert past.at({}).to_dict() == Replica().document(Board, "b").to_dict()


@pytest.mark.parametrize(
    ("when", "error"),
    [
        ((1, 1), LookupError),
        ({1: 1}, LookupError),
        (datetime.datetime(2020, 1, 1), ValueError),  # noqa: DTZ001
        ("yesterday", TypeError),
    ],
)
def test_what_is_no_moment(when: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        Replica().document(Board, "b").at(when)


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep a state at every chance."""
    monkeypatch.setattr("crdtsync.document.past._ENTRIES_BETWEEN_MIN", 1)
    monkeypatch.setattr("crdtsync.document.materialize._ENTRIES_PER_TRANSACTION", 3)
    monkeypatch.setattr("crdtsync.document.past._CHECKPOINTS", 10**9)


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("seed", range(4))
def test_kept_states_change_nothing(seed: int) -> None:
    board = history(seed, steps=40)[0]
    entries = list(board.log)
    dice = random.Random(seed)
    for entry in dice.sample(entries, len(entries)):
        vector = slow_past(entries, entry.replica, entry.seq)
        assert board.at(entry).to_dict() == replayed(board, vector).to_dict()
    journal = board._live.journal
    assert PastJournal(journal, board.state_vector).snapshot() is not None


@pytest.mark.usefixtures("often")
def test_a_refusal_reaches_the_past_too() -> None:
    replica = Replica()
    board = replica.document(Board, "b")
    board.name = "one"
    board.name = "two"
    board.body.append("text")
    assert board.at(board.state_vector).name == "two"
    assert board._live.journal.checkpoint(board.state_vector) is not None
    replica.ledger("b").refuse(replica.id, 2, "no")
    assert board._live.journal.checkpoint(board.state_vector) is None
    assert board.at(board.state_vector).name == "one"
