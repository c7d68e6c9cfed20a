"""Entries in any order, repeated, cut into any batches: the same logs, and the same documents."""

from __future__ import annotations

import contextlib
import functools
import itertools
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync import Replica
from crdtsync.clock import HybridLogicalClock, pack
from crdtsync.errors import (
    BrokenChainError,
    EntryError,
    ForeignStructsError,
    ForkError,
    MalformedEntryError,
    SequenceGapError,
    StorageError,
)
from crdtsync.limits import Limits
from crdtsync.log import EMPTY_HEAD, Cursor, Dependency, Entry, Head, decode_entry, make_entry
from crdtsync.replica import Ledger, Received
from tests.document.boards import Board
from tests.replica.histories import history
from tests.server.authors import Author

EPOCH = b"e" * 16


def ledger(**options: Any) -> Ledger:
    return Replica(**options).ledger("board")


def datas(entries: Sequence[Entry]) -> list[bytes]:
    return [entry.data for entry in entries]


def stored(found: Ledger) -> list[tuple[int, int]]:
    return [(entry.replica, entry.seq) for entry in found.entries()]


def assert_causal(entries: Sequence[Entry]) -> None:
    """Check that each entry stands after all that its author had seen."""
    heads: dict[int, int] = {}
    for entry in entries:
        assert entry.seq == heads.get(entry.replica, 0) + 1
        for dependency in entry.dependencies:
            assert heads.get(dependency.replica, 0) >= dependency.seq
        heads[entry.replica] = entry.seq


# --- histories of real documents ------------------------------------------------------------------


def batches(items: list[bytes], dice: random.Random) -> list[list[bytes]]:
    found = []
    while items:
        size = dice.randint(1, 9)
        found.append(items[:size])
        items = items[size:]
    return found


@given(st.integers(0, 2**32), st.integers(0, 2**32))
def test_any_order_of_a_real_history_converges(seed: int, order: int) -> None:
    boards = history(seed)
    first = boards[0]
    dice = random.Random(order)
    shuffled = datas(list(first.log))
    shuffled += dice.choices(shuffled, k=len(shuffled) // 3) if shuffled else []
    dice.shuffle(shuffled)

    follower = Replica()
    looking = follower.document(Board, "board") if dice.random() < 0.7 else None
    if looking is not None and dice.random() < 0.5:
        looking.to_dict()  # a view that is built follows; one that is not is built later
    ours = follower.ledger("board")
    new = held = 0
    for batch in batches(shuffled, dice):
        result = ours.receive(batch)
        new += result.new
        held = result.held
    assert (new, held) == (len(first.log), 0)
    assert ours.heads == first._live.journal.heads  # type: ignore[attr-defined]
    found = follower.document(Board, "board")
    assert {board.view_hash() for board in [*boards, found]} == {first.view_hash()}
    assert_causal(list(found.log))
    assert follower.verify() == []


@given(st.integers(0, 2**32), st.integers(0, 2**32))
def test_a_restart_in_the_middle_loses_only_what_was_held(
    tmp_path_factory: pytest.TempPathFactory, seed: int, order: int
) -> None:
    boards = history(seed, steps=16)
    dice = random.Random(order)
    shuffled = datas(list(boards[0].log))
    dice.shuffle(shuffled)
    path = tmp_path_factory.mktemp("restart") / "a.db"
    for batch in batches(shuffled, dice):
        with Replica(path) as replica:
            replica.ledger("board").receive(batch)
            assert_causal(list(replica.ledger("board").entries()))
    with Replica(path) as replica:
        replica.ledger("board").receive(shuffled)  # what was held is sent again
        found = replica.document(Board, "board")
        assert found.view_hash() == boards[0].view_hash()
        assert replica.ledger("board").heads == boards[0]._live.journal.heads  # type: ignore[attr-defined]
        assert replica.verify() == []


@given(st.integers(0, 2**32), st.integers(1, 3000))
def test_what_is_missing_comes_in_causal_order_and_bounded_pieces(seed: int, size: int) -> None:
    board = history(seed)[0]
    source = board._live.journal
    assert isinstance(source, Ledger)
    target = ledger()
    seen: list[Entry] = []
    while found := source.missing(target.vector, size):
        assert len(found) == 1 or sum(len(entry.data) for entry in found) <= size
        decoded = [decode_entry(entry.data) for entry in found]
        assert [(e.replica, e.seq) for e in found] == [(e.replica, e.seq) for e in decoded]
        seen += decoded
        assert target.receive([entry.data for entry in found]) == Received(len(found), 0)
    assert_causal(seen)
    assert target.heads == source.heads
    assert source.missing(source.vector, size) == []


# --- holding back ---------------------------------------------------------------------------------


def test_an_entry_waits_for_the_one_before_it() -> None:
    one, two, three = Author(1).write_many(3)
    ours = ledger()
    assert ours.receive([three.data]) == Received(0, 1)
    assert ours.receive([two.data, three.data]) == Received(0, 2)
    assert ours.vector == {}
    assert ours.receive([one.data]) == Received(3, 0)
    assert ours.vector == {1: 3}


def test_an_entry_waits_for_what_its_author_had_seen() -> None:
    ann, bob = Author(1), Author(2)
    first = ann.write_many(2)
    answer = bob.write((1, ann.head))
    ours = ledger()
    assert ours.receive([answer.data]) == Received(0, 1)
    assert ours.receive([first[0].data]) == Received(1, 1)
    assert ours.receive([first[1].data]) == Received(2, 0)
    assert stored(ours) == [(1, 1), (1, 2), (2, 1)]


def test_a_chain_through_many_logs_is_released_at_once() -> None:
    authors = [Author(number) for number in range(1, 30)]
    entries = [authors[0].write()]
    for before, author in itertools.pairwise(authors):
        entries.append(author.write((before.replica, before.head)))
    ours = ledger()
    assert ours.receive(datas(entries[:0:-1])) == Received(0, 28)
    assert ours.receive([entries[0].data]) == Received(29, 0)
    assert_causal(list(ours.entries()))


@pytest.mark.parametrize("limits", [Limits(held_entries_max=4), Limits(held_bytes_max=700)])
def test_what_is_held_is_bounded(limits: Limits) -> None:
    entries = Author(1).write_many(20)
    ours = ledger(limits=limits)
    with pytest.raises(SequenceGapError, match="ask for all that is missing"):
        for entry in entries[1:]:
            ours.receive([entry.data])
    assert ours.receive([]) == Received(0, 0)
    assert ours.receive(datas(entries)) == Received(20, 0)


def test_repeats_are_held_once() -> None:
    entries = Author(1).write_many(3)
    ours = ledger(limits=Limits(held_entries_max=2))
    for _ in range(5):
        assert ours.receive(datas(entries[1:])) == Received(0, 2)
    assert ours.receive([entries[0].data]) == Received(3, 0)


# --- the cursor -----------------------------------------------------------------------------------


def test_the_cursor_is_kept_with_the_entries(tmp_path: Path) -> None:
    entries = Author(1).write_many(2)
    with Replica(tmp_path / "a.db") as replica:
        replica.ledger("board").receive(datas(entries), Cursor(EPOCH, 7))
        assert replica.ledger("board").cursor == Cursor(EPOCH, 7)
        replica.ledger("board").receive([], Cursor(EPOCH, 9))
    with Replica(tmp_path / "a.db") as replica:
        assert replica.ledger("board").cursor == Cursor(EPOCH, 9)
        assert replica.ledger("board").vector == {1: 2}


def test_no_cursor_is_kept_while_anything_is_held(tmp_path: Path) -> None:
    one, two, three = Author(1).write_many(3)
    other = Author(2).write()
    with Replica(tmp_path / "a.db") as replica:
        ours = replica.ledger("board")
        ours.receive([one.data], Cursor(EPOCH, 1))
        ours.receive([three.data], Cursor(EPOCH, 2))
        ours.receive([other.data], Cursor(EPOCH, 3))
        assert ours.cursor == Cursor(EPOCH, 1)
    with Replica(tmp_path / "a.db") as replica:
        ours = replica.ledger("board")
        assert ours.cursor == Cursor(EPOCH, 1)
        assert ours.receive(datas([two, three]), Cursor(EPOCH, 4)) == Received(2, 0)
        assert ours.cursor == Cursor(EPOCH, 4)


def test_no_cursor_is_kept_past_a_bad_entry() -> None:
    one, two, _ = Author(1).write_many(3)
    ours = ledger()
    with pytest.raises(MalformedEntryError):
        ours.receive([one.data, b"", two.data], Cursor(EPOCH, 3))
    assert ours.cursor is None
    assert ours.vector == {1: 1}


# --- what cannot stand in its log -----------------------------------------------------------------


def forged(author: Author, head: Head, **changes: Any) -> Entry:
    return make_entry("board", author.replica, head, 5, "forged", b"\x00\x00", **changes)


def test_another_entry_of_a_number_held_is_a_fork() -> None:
    author = Author(1)
    entries = author.write_many(3)
    ours = ledger()
    ours.receive(datas(entries))
    for head in (EMPTY_HEAD, Head(1, entries[0].hash), Head(2, entries[1].hash)):
        with pytest.raises(ForkError) as caught:
            ours.receive([forged(author, head).data])
        assert (caught.value.replica, caught.value.seq) == (1, head.seq + 1)
    assert ours.receive(datas(entries)) == Received(0, 0)


def test_an_entry_that_follows_another_one_breaks_the_chain() -> None:
    author = Author(1)
    entries = author.write_many(2)
    ours = ledger()
    ours.receive(datas(entries))
    with pytest.raises(BrokenChainError):
        ours.receive([forged(author, Head(2, entries[0].hash)).data])
    assert ours.vector == {1: 2}
    assert ours.receive([author.write().data]) == Received(1, 0)


def test_an_author_who_saw_another_entry_is_refused() -> None:
    ann, bob = Author(1), Author(2)
    ours = ledger()
    ours.receive([ann.write().data])
    with pytest.raises(ForkError, match="its author saw another entry 1 of replica 1"):
        ours.receive([bob.write((1, Head(1, b"x" * 32))).data])


def test_an_entry_of_another_document_is_refused() -> None:
    with pytest.raises(MalformedEntryError, match="it belongs to document 'other'"):
        ledger().receive([Author(1, "other").write().data])


def test_structs_in_anothers_name_are_refused() -> None:
    board = Replica().document(Board, "board")
    board.name = "mine"
    (entry,) = board.log
    ours = ledger()
    with pytest.raises(ForeignStructsError):
        ours.receive([Author(77).write(update=entry.update).data])
    assert ours.vector == {}


def test_what_comes_before_a_bad_entry_is_kept_and_shown() -> None:
    source = Replica().document(Board, "board")
    source.name = "one"
    source.name = "two"
    good = datas(list(source.log))
    follower = Replica()
    board = follower.document(Board, "board")
    with pytest.raises(EntryError):
        follower.ledger("board").receive([*good, b"bad"])
    assert board.name == "two"
    assert follower.verify() == []


@given(st.binary(max_size=60))
def test_any_bytes_are_an_entry_error(data: bytes) -> None:
    ours = ledger()
    with pytest.raises(EntryError):
        ours.receive([data])
    assert ours.vector == {}


@given(st.integers(0, 2**32), st.data())
def test_changed_entries_do_nothing_worse_than_raise(seed: int, draw: st.DataObject) -> None:
    entries = datas(list(history(seed, replicas=2, steps=10)[0].log))
    if not entries:
        return
    at = draw.draw(st.integers(0, len(entries) - 1))
    changed = bytearray(entries[at])
    for _ in range(draw.draw(st.integers(1, 3))):
        changed[draw.draw(st.integers(0, len(changed) - 1))] ^= draw.draw(st.integers(1, 255))
    follower = Replica()
    board = follower.document(Board, "board")
    board.name = "mine"
    for data in [*entries[:at], bytes(changed), *entries[at + 1 :]]:
        with contextlib.suppress(EntryError):
            follower.ledger("board").receive([data])
    board.body.append("still here")
    assert board.to_dict()["body"].endswith("still here")
    for problem in follower.verify():
        assert "without effect" in problem.message or problem.message == "its seal is false"


# --- our own log ----------------------------------------------------------------------------------


def test_our_entries_are_chained_and_depend_on_what_became_known() -> None:
    replica = Replica(user="ann")
    board = replica.document(Board, "board")
    other = Author(9)
    board.name = "one"
    replica.ledger("board").receive(datas(other.write_many(2)))
    board.name = "two"
    board.name = "three"
    ours = [entry for entry in board.log if entry.replica == replica.id]
    assert [entry.seq for entry in ours] == [1, 2, 3]
    assert [entry.previous_hash for entry in ours] == [bytes(32), ours[0].hash, ours[1].hash]
    assert [entry.dependencies for entry in ours] == [(), (Dependency(9, *other.head),), ()]
    assert [entry.user for entry in ours] == ["ann", None, None]
    assert ours[0].time < ours[1].time < ours[2].time


def test_what_became_known_before_a_restart_is_depended_on_after_it(tmp_path: Path) -> None:
    other = Author(9)
    with Replica(tmp_path / "a.db") as replica:
        replica.document(Board, "board").name = "one"
        replica.ledger("board").receive([other.write().data])
    with Replica(tmp_path / "a.db") as replica:
        board = replica.document(Board, "board")
        board.name = "two"
        assert list(board.log)[-1].dependencies == (Dependency(9, *other.head),)


def test_time_goes_on_after_a_restart_with_a_wall_clock_set_back(tmp_path: Path) -> None:
    times: list[int] = []
    for now_ms in (1_700_000_000_000, 1_000_000_000_000):
        clock = HybridLogicalClock(functools.partial(int, now_ms))
        with Replica(tmp_path / "a.db", clock=clock) as replica:
            board = replica.document(Board, "board")
            board.name = str(now_ms)
            times = [entry.time for entry in board.log]
    assert times == [pack(1_700_000_000_000), pack(1_700_000_000_000) + 1]


def test_a_peer_far_in_the_future_does_not_move_our_time() -> None:
    now_ms = 1_700_000_000_000
    replica = Replica(clock=HybridLogicalClock(lambda: now_ms))
    board = replica.document(Board, "board")
    author = Author(9)
    late = make_entry("board", 9, author.head, pack(now_ms + 10**9), "late", b"\x00\x00")
    replica.ledger("board").receive([late.data])
    board.name = "now"
    assert list(board.log)[-1].time == pack(now_ms)


def test_another_user_of_the_device_is_named(tmp_path: Path) -> None:
    users: list[str | None] = []
    for user in ("ann", "bob", "bob"):
        with Replica(tmp_path / "a.db", user=user) as replica:
            board = replica.document(Board, "board")
            board.name = user
            assert board.log.user_of(replica.id) == user
            users = [entry.user for entry in board.log]
    assert users == ["ann", "bob", None]


def test_what_is_sent_was_made_safe_before(tmp_path: Path) -> None:
    with Replica(tmp_path / "a.db") as replica:
        board = replica.document(Board, "board")
        ours = replica.ledger("board")
        assert (ours.sent, ours.acknowledged, ours.next_seq) == (0, 0, 1)
        board.name = "one"
        board.name = "two"
        ours.flush()
        ours.flush()
        assert (ours.sent, ours.acknowledged) == (2, 0)
        board.name = "three"
        ours.acknowledge({replica.id: 1})
        ours.acknowledge({replica.id: 2})
        ours.acknowledge({replica.id: 1})
        assert (ours.sent, ours.acknowledged, ours.next_seq) == (2, 2, 4)
        ours.acknowledge({replica.id: 100})  # of which 97 are not here: a copy may have made them
        assert ours.acknowledged == 2
        ours.acknowledge({replica.id: 3, 9: 5})
        assert ours.acknowledged == 3
        ours.receive([Author(9).write().data], Cursor(EPOCH, 5))
    with Replica(tmp_path / "a.db") as replica:
        ours = replica.ledger("board")
        assert (ours.sent, ours.acknowledged, ours.cursor) == (2, 3, Cursor(EPOCH, 5))


def lose_the_last(path: Path, replica: int) -> None:
    """Damage a log's newest entry on disk."""
    connection = apsw.Connection(str(path))
    connection.execute(
        "UPDATE entries SET data = x'00' WHERE place = (SELECT max(place) FROM entries "
        "WHERE place >> 40 = (SELECT id FROM logs WHERE replica = ?))",
        (replica,),
    )
    connection.close()


def test_our_own_log_is_pulled_back_after_a_loss(tmp_path: Path) -> None:
    peer = Replica()
    with Replica(tmp_path / "a.db", user="ann") as replica:
        board = replica.document(Board, "board")
        for number in range(4):
            board.name = f"n{number}"
        replica.merge(peer)
        before, heads, name = board.view_hash(), dict(replica.ledger("board").heads), replica.id
    lose_the_last(tmp_path / "a.db", name)
    with Replica(tmp_path / "a.db", user="ann") as replica:
        ours = replica.ledger("board")
        assert ours.vector == {name: 3}
        board = replica.document(Board, "board")
        with pytest.raises(StorageError, match="connect to the server to get them back"):
            board.name = "a fork"
        assert board.name == "n2"
        replica.merge(peer)
        assert ours.heads == heads
        assert board.view_hash() == before
        board.name = "goes on"
        replica.merge(peer)
        assert peer.ledger("board").vector == {name: 5}
        assert peer.document(Board, "board").name == "goes on"
        assert peer.verify() == []
        assert replica.verify() == []
    with Replica(tmp_path / "a.db") as replica:
        assert replica.document(Board, "board").name == "goes on"


def test_a_loss_that_nobody_has_seen_is_no_reason_to_wait(tmp_path: Path) -> None:
    with Replica(tmp_path / "a.db") as replica:
        board = replica.document(Board, "board")
        board.name = "one"
        board.name = "two"
        name = replica.id
    lose_the_last(tmp_path / "a.db", name)
    with Replica(tmp_path / "a.db") as replica:
        board = replica.document(Board, "board")
        assert board.name == "one"
        board.name = "three"
        assert [entry.seq for entry in board.log] == [1, 2]
    with Replica(tmp_path / "a.db") as replica:
        assert replica.document(Board, "board").name == "three"


def test_others_are_told_of_each_entry_of_ours_and_of_new_documents() -> None:
    replica = Replica()
    told: list[str] = []
    cancel = replica.subscribe(told.append)
    board = replica.document(Board, "board")
    board.name = "one"
    with board.action("two"):
        board.name = "two"
        board.total.increment()
    replica.ledger("board").receive([Author(9).write().data])
    assert told == ["board"] * 3
    cancel()
    board.name = "three"
    assert told == ["board"] * 3
