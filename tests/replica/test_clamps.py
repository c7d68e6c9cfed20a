"""Whatever the clocks say, no write is lost to a wrong one, and all who have synchronized agree."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync import Document, Record, Replica, Set, Table, field
from crdtsync.clock import HybridLogicalClock, millis, to_datetime
from crdtsync.document.live import LiveDocument
from crdtsync.strategies import KeepAll, LastWriterWins, RemoveWins, Unique
from tests.replica.marking import DOCUMENT, Server, Wall

YEARS_MS = 10 * 365 * 86_400_000


class Task(Record):
    title: str = ""
    slug: str | None = field(default=None, strategy=Unique())


class Board(Document):
    name: str = ""
    kept: str = field(default="", strategy=KeepAll())
    tags: Set[str]
    gone: Set[str] = field(presence=RemoveWins())
    latest: Set[str] = field(presence=LastWriterWins())
    tasks: Table[Task]


class Party:
    """Some replicas, of which the first one's clock is off."""

    def __init__(self, off_ms: int = YEARS_MS, count: int = 3, folder: Path | None = None) -> None:
        self.wall = Wall()
        self.server = Server(self.wall)
        self.off_ms = off_ms
        self.folder = folder
        self.replicas = [self.open(number) for number in range(count)]

    def open(self, number: int) -> Replica:
        off = self.wall.off_by(0 if number else self.off_ms)
        path: Any = ":memory:" if self.folder is None else self.folder / f"{number}.db"
        return Replica(path, user=f"user {number}", clock=HybridLogicalClock(off))

    @property
    def boards(self) -> list[Board]:
        return [replica.document(Board, DOCUMENT) for replica in self.replicas]

    def later(self, ms: int = 1000) -> None:
        self.wall.ms += ms

    def sync(self, *numbers: int) -> None:
        self.server.sync(*(self.replicas[n] for n in numbers or range(len(self.replicas))))


@pytest.fixture
def party() -> Iterator[Party]:
    party = Party()
    yield party
    for replica in party.replicas:
        replica.close()


def look(board: Board) -> Any:
    candidates = {
        name: [(c.value, c.time, c.replica) for c in board.candidates(name)]
        for name in ("name", "kept")
    }
    return board.to_dict(), candidates, board.conflicts()


def assert_same(party: Party) -> None:
    boards = party.boards
    for board in boards:
        assert look(board) == look(boards[0])
        # What is kept up to date is what a replay of the log gives.
        live = board._live
        replayed = LiveDocument(live.schema, live.journal, 1)
        assert replayed.plain() == live.plain()
        assert [c.candidates for c in replayed.conflicts()] == [
            c.candidates for c in live.conflicts()
        ]
        replayed.close()
    for replica in party.replicas:
        assert replica.ledger(DOCUMENT).clamps == party.replicas[0].ledger(DOCUMENT).clamps


def test_what_is_written_later_is_not_hidden_whoever_has_seen_what(party: Party) -> None:
    wrong, sound, _ = party.boards
    wrong.name = "from the future"
    party.sync(0, 2)
    party.later()
    sound.name = "later, not having seen it"
    party.sync()
    for board in party.boards:
        assert board.name == "later, not having seen it"
        assert [c.value for c in board.candidates("name")] == [
            "from the future",
            "later, not having seen it",
        ]
    wrong.name = "again"
    party.sync()
    assert {board.name for board in party.boards} == {"again"}
    assert_same(party)


def test_an_earlier_write_still_loses(party: Party) -> None:
    wrong, sound, _ = party.boards
    sound.name = "earlier"
    party.later()
    wrong.name = "from the future"
    party.sync()
    assert {board.name for board in party.boards} == {"from the future"}
    assert_same(party)


def test_who_had_it_from_its_author_comes_to_agree(party: Party) -> None:
    wrong, sound, third = party.boards
    wrong.name = "from the future"
    party.replicas[0].merge(party.replicas[2])
    party.sync(0)
    party.later()
    sound.name = "later"
    party.replicas[2].merge(party.replicas[1])
    assert third.name == sound.name == "from the future"  # they know no better yet
    heard: list[Any] = []
    third.observe(heard.append)
    party.sync()
    assert {board.name for board in party.boards} == {"later"}
    assert any(("name",) in change.paths for change in heard)
    assert_same(party)


def test_a_peer_passes_the_clamp_on(party: Party) -> None:
    party.boards[0].name = "from the future"
    party.sync(0, 1)
    party.replicas[1].merge(party.replicas[2])
    assert [millis(entry.when) for entry in party.boards[2].log] == [party.wall.ms]
    assert_same(party)


def test_records_and_sets_go_by_it_too(party: Party) -> None:
    wrong, sound, _ = party.boards
    wrong.latest.add("x")
    wrong.tasks.add(key="old", slug="the-slug", title="from the future")
    party.sync(0)
    party.later()
    sound.tasks.add(key="new", slug="the-slug", title="later")
    sound.latest.add("x")
    party.sync()
    party.later()
    wrong.latest.add("x")
    sound.latest.discard("x")
    party.sync(0)
    party.later()
    party.sync()
    for board in party.boards:
        # First come, first served: the one from the future came first.
        assert board.tasks["old"].slug == "the-slug"
        assert board.tasks["new"].slug != "the-slug"
    assert_same(party)


def test_the_clock_goes_on_from_now_once_it_is_mended(tmp_path: Path) -> None:
    party = Party(folder=tmp_path)
    party.boards[0].name = "one"
    party.boards[0].name = "two"
    party.off_ms = 0
    party.replicas[0].close()
    party.replicas[0] = party.open(0)
    party.boards[0].name = "not synchronized yet"
    assert to_datetime([*party.boards[0].log][-1].time).year > 2030
    party.sync()
    party.later()
    party.boards[0].name = "mended"
    last = [*party.boards[0].log][-1]
    assert last.clamp is None
    assert millis(last.time) == party.wall.ms
    party.sync()
    assert_same(party)
    for replica in party.replicas:
        assert replica.verify() == []
        replica.close()
    party.replicas = [party.open(number) for number in range(3)]
    assert_same(party)
    party.boards[0].name = "after a restart"
    assert millis([*party.boards[0].log][-1].time) == party.wall.ms
    for replica in party.replicas:
        replica.close()


def test_a_clock_that_is_behind_is_left_alone_and_still_replaces_what_it_has_seen() -> None:
    party = Party(off_ms=-YEARS_MS)
    party.boards[0].name = "from the past"
    party.sync()
    assert [entry.clamp for entry in party.boards[1].log] == [None]
    party.later()
    party.boards[1].name = "now"
    party.sync()
    party.boards[0].name = "having seen now"
    party.sync()
    assert {board.name for board in party.boards} == {"having seen now"}
    assert_same(party)


def test_it_is_not_reloaded_for_it_and_an_open_action_waits(party: Party) -> None:
    wrong = party.boards[0]
    wrong.name = "from the future"
    doc = wrong._live._doc
    party.server.push(party.replicas[0])
    with wrong.action("slow"):
        wrong.kept = "x"
        party.server.pull(party.replicas[0])
        assert wrong.candidates("name")[0].time > wrong.log._journal.clamps[party.replicas[0].id, 1]
    party.sync()
    assert_same(party)
    party.later()
    doc = wrong._live._doc
    wrong.kept = "y"
    party.sync()
    assert wrong._live._doc is doc
    assert [c.time for c in wrong.candidates("kept")] == [[*wrong.log][-1].when]


def test_the_past_is_ordered_alike(party: Party) -> None:
    wrong, sound, _ = party.boards
    wrong.name = "from the future"
    party.sync(0)
    party.later()
    sound.name = "later"
    party.sync()
    vector = dict(sound.state_vector)
    sound.name = "much later"
    assert sound.at(vector).name == "later"


def test_a_server_that_was_restored_keeps_the_place_of_what_it_lost(party: Party) -> None:
    wrong, sound, _ = party.boards
    wrong.name = "from the future"
    party.sync()
    party.later()
    sound.name = "later"  # it has seen the other
    wrong.kept = "also from the future"
    party.sync()
    clamps = dict(party.replicas[1].ledger(DOCUMENT).clamps)
    party.later(10_000)
    party.server = Server(party.wall, b"restored".ljust(16))
    party.sync(2)
    party.sync()
    assert party.replicas[0].ledger(DOCUMENT).clamps == clamps
    assert_same(party)


def acts() -> st.SearchStrategy[list[tuple[str, int, int]]]:
    kinds = ["name", "kept", "add", "discard", "gone", "latest", "task", "slug", "delete"]
    who, what = st.integers(0, 3), st.integers(0, 3)
    return st.lists(
        st.tuples(st.sampled_from([*kinds, "sync", "merge", "later", "look"]), who, what),
        max_size=30,
    )


def act(board: Board, kind: str, what: int) -> None:
    key = f"t{what}"
    match kind:
        case "name" | "kept":
            setattr(board, kind, f"{kind} {what}")
        case "add":
            board.tags.add(str(what))
        case "discard":
            board.tags.discard(str(what))
        case "gone" | "latest":
            chosen: Set[str] = getattr(board, kind)
            (chosen.discard if str(what) in chosen else chosen.add)(str(what))
        case "task":
            if key not in board.tasks:
                board.tasks.add(key=key, title=kind)
        case "slug":
            if key in board.tasks:
                board.tasks[key].slug = "same"
        case "delete":
            if key in board.tasks:
                del board.tasks[key]


@given(
    acts(),
    st.lists(
        st.integers(-YEARS_MS, YEARS_MS) | st.integers(-90_000, 90_000), min_size=4, max_size=4
    ),
)
def test_whatever_clocks_and_histories_all_who_are_synchronized_agree(
    acts: list[tuple[str, int, int]], offs: list[int]
) -> None:
    party = Party(count=0)
    for number, off in enumerate(offs):
        clock = HybridLogicalClock(party.wall.off_by(off))
        party.replicas.append(Replica(user=f"user {number}", clock=clock))
    for kind, who, what in acts:
        match kind:
            case "sync":
                party.sync(who)
            case "merge" if who != what:
                party.replicas[who].merge(party.replicas[what])
            case "later":
                party.later(1 + what * 40_000)
            case "merge":
                pass
            case "look":
                look(party.boards[who])
            case _:
                act(party.boards[who], kind, what)
        party.later(1)
    party.sync()
    assert_same(party)
    party.later(61_000)  # what is a little ahead is believed
    stranger = Replica(clock=HybridLogicalClock(party.wall.off_by(0)))
    party.replicas.append(stranger)
    stranger.document(Board, DOCUMENT).name = "the latest"
    party.sync()
    assert {board.name for board in party.boards} == {"the latest"}
    assert_same(party)
    for row in party.server.rows:
        assert millis(row.when) <= party.wall.ms + 60_000
        assert row.when <= row.time
    for replica in party.replicas:
        replica.close()
