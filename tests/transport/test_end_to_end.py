"""Real replicas, the real server, real connections: everyone ends up with the same."""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from crdtsync.errors import StorageError
from crdtsync.log import Cursor
from crdtsync.replica import Replica
from crdtsync.replica.ledger import Received
from crdtsync.server import SqliteBackend, serve
from crdtsync.sync import WireLimits
from tests.document.boards import Board
from tests.replica.histories import act
from tests.transport.home import DOCUMENT, Home, all_synced, assert_same


async def test_two_replicas_converge(home: Home) -> None:
    dice = random.Random(1)
    async with home.running():
        with Replica(user="ann") as ann, Replica(user="bob") as bob:
            boards = [replica.document(Board, DOCUMENT) for replica in (ann, bob)]
            async with home.connect(ann) as one, home.connect(bob) as other:
                for _ in range(4):
                    for _ in range(10):
                        act(dice.choice(boards), dice)
                        await anyio.lowlevel.checkpoint()
                    await all_synced(one, other)
                    assert_same(ann, bob)
                status = one.status
                assert (status.unsent, status.unacknowledged, status.behind) == (0, 0, 0)
                assert status.last_proof is not None


async def test_work_off_line_is_carried_over(home: Home) -> None:
    with Replica(user="ann") as ann, Replica(user="bob") as bob:
        async with home.connect(ann) as one, home.connect(bob) as other:
            for replica in (ann, bob):
                dice = random.Random(replica.id)
                for _ in range(30):
                    act(replica.document(Board, DOCUMENT), dice)
            assert one.status.unacknowledged == ann.ledger(DOCUMENT).next_seq - 1 > 0
            async with home.running():
                await all_synced(one, other)
                assert_same(ann, bob)
                assert one.status.unacknowledged == 0


async def test_a_server_that_is_started_again_finds_everyone_where_they_were(
    home: Home, tmp_path: Path
) -> None:
    dice = random.Random(2)
    with Replica(tmp_path / "ann.db", user="ann") as ann, Replica(user="bob") as bob:
        boards = [replica.document(Board, DOCUMENT) for replica in (ann, bob)]
        async with home.connect(ann) as one, home.connect(bob) as other:
            for _ in range(3):
                for _ in range(5):
                    act(dice.choice(boards), dice)
                async with home.running():
                    for _ in range(5):
                        act(dice.choice(boards), dice)
                    await all_synced(one, other)
                    assert_same(ann, bob)
        known = ann.ledger(DOCUMENT).cursor
    with Replica(tmp_path / "ann.db", user="ann") as ann:
        assert ann.ledger(DOCUMENT).cursor == known
        async with home.running(), home.connect(ann) as one:
            await all_synced(one)


async def test_a_server_that_lost_everything_gets_it_back_from_anyone(home: Home) -> None:
    with Replica(user="ann") as ann, Replica(user="bob") as bob, Replica(user="carl") as carl:
        for replica in (ann, bob):
            replica.document(Board, DOCUMENT).add(f"{replica.user}'s task")
        async with home.connect(ann) as one:
            async with home.running(), home.connect(bob) as other:
                await all_synced(one, other)
            home.lose_everything()
            async with home.running(), home.connect(carl) as third:
                await all_synced(one, third)
                carl.document(Board, DOCUMENT)
                await all_synced(third)
                assert_same(ann, bob, carl)


async def test_repeats_are_harmless(home: Home) -> None:
    dice = random.Random(3)
    async with home.running():
        with Replica(user="ann") as ann, Replica(user="bob") as bob:
            for replica in (ann, bob):
                for _ in range(20):
                    act(replica.document(Board, DOCUMENT), dice)
            # Both hold all of it, and neither knows that the other and the server do.
            ann.merge(bob)
            async with home.connect(ann) as one, home.connect(bob) as other:
                await all_synced(one, other)
                assert_same(ann, bob)
            assert len(ann.verify()) == 0


async def test_large_entries_travel_in_pieces(home: Home) -> None:
    async with home.running():
        with Replica(user="ann") as ann, Replica(user="bob") as bob:
            text = "añ😀" * 40_000
            ann.document(Board, DOCUMENT).body.append(text)
            bob.document(Board, DOCUMENT)
            async with home.connect(ann) as one, home.connect(bob) as other:
                await all_synced(one)
                await all_synced(other)
                assert str(bob.document(Board, DOCUMENT).body) == text


async def test_many_entries_and_little_credit(home: Home) -> None:
    async with home.running():
        with Replica(user="ann") as ann, Replica(user="bob") as bob:
            board = ann.document(Board, DOCUMENT)
            for number in range(1500):
                board.name = f"{number}"
            bob.document(Board, DOCUMENT)
            small = WireLimits(credit_bytes=1000)
            async with home.connect(ann) as one, home.connect(bob, limits=small) as other:
                await all_synced(one)
                await all_synced(other)
                assert_same(ann, bob)


async def test_documents_are_synchronized_side_by_side_and_only_those_wanted(home: Home) -> None:
    async with home.running():
        with Replica(user="ann") as ann, Replica(user="bob") as bob:
            for number in range(30):
                ann.document(Board, f"board {number}").name = f"{number}"
            ann.document(Board, "private").name = "mine"
            wanted = [f"board {number}" for number in range(30)]
            async with (
                home.connect(ann, documents=wanted) as one,
                home.connect(bob, documents=[*wanted, "private"]) as other,
            ):
                await all_synced(one)
                await all_synced(other)
                for name in wanted:
                    assert_same(ann, bob, document=name)
                assert bob.ledger("private").vector == {}


async def test_changes_arrive_while_the_other_waits(home: Home) -> None:
    async with home.running():
        with Replica(user="ann") as ann, Replica(user="bob") as bob:
            ours, theirs = (replica.document(Board, DOCUMENT) for replica in (ann, bob))
            came = anyio.Event()
            theirs.observe(lambda change: came.set())
            async with home.connect(ann) as one, home.connect(bob) as other:
                await all_synced(one, other)
                ours.name = "hello"
                with anyio.fail_after(30):
                    await came.wait()
                assert theirs.name == "hello"


async def test_the_replicas_own_door(tmp_path: Path) -> None:
    async with SqliteBackend(tmp_path / "server.db") as backend, anyio.create_task_group() as tasks:
        [url] = await tasks.start(partial(serve, backend, ["tcp://127.0.0.1:0"]))
        with Replica(user="ann") as ann:
            ann.document(Board, DOCUMENT).name = "here"
            async with ann.connect(url) as connection:
                await all_synced(connection)
                assert connection.state == "online"
        tasks.cancel_scope.cancel()


async def test_documents_that_nobody_has_opened_are_synchronized_too(
    home: Home, tmp_path: Path
) -> None:
    names = ["one", "two", "three"]
    with Replica(tmp_path / "ann.db", user="ann") as ann:
        for name in names:
            ann.document(Board, name).name = f"ann's {name}"
    async with home.running():
        with Replica(tmp_path / "ann.db", user="ann") as ann, Replica(user="bob") as bob:
            for name in names:
                bob.document(Board, name).add(f"bob's {name}")
            async with home.connect(ann) as one, home.connect(bob) as other:
                await all_synced(one, other)
            assert ann.documents() == []
            for name in names:
                assert_same(ann, bob, document=name)
                assert ann.document(Board, name).name == f"ann's {name}"


async def test_synced_outlives_the_server(home: Home) -> None:
    with Replica(user="ann") as ann, Replica(user="bob") as bob:
        ann.document(Board, DOCUMENT).name = "carried over"
        bob.document(Board, DOCUMENT)
        async with home.connect(ann) as one:
            events = one.events()
            done = anyio.Event()

            async def sync() -> None:
                await one.synced()
                done.set()

            with anyio.fail_after(30):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(sync)
                    for _ in range(3):  # each ends as soon as the client is in
                        async with home.running():
                            async for event in events:
                                if event.kind == "online":
                                    break
                    async with home.running(), home.connect(bob) as other:
                        await done.wait()
                        await all_synced(other)
                        assert_same(ann, bob)


@pytest.mark.parametrize(("original", "copied"), [(1, 1), (2, 1), (1, 2)])
async def test_copies_of_a_store_that_both_went_on_converge(
    home: Home, tmp_path: Path, original: int, copied: int
) -> None:
    names = ["one", "forked", "also forked", "three"]
    first, second = tmp_path / "first.db", tmp_path / "second.db"
    with Replica(first, user="ann") as ann:
        for name in names:
            ann.document(Board, name).total.increment(100)
    shutil.copy(first, second)
    async with home.running():
        with Replica(first, user="ann") as ann:
            for name in names[:3]:
                for number in range(original):
                    ann.document(Board, name).body.append(f"original {number};")
                    ann.document(Board, name).total.increment(10)
            async with home.connect(ann) as one:
                await all_synced(one)
        with Replica(second, user="ann") as copy, Replica(user="bob") as bob:
            old, events = copy.id, []
            for name in names[1:]:
                for number in range(copied):
                    copy.document(Board, name).body.append(f"copy {number};")
                    copy.document(Board, name).total.increment(1)
            async with home.connect(copy) as one, home.connect(bob) as other:
                heard = one.events()
                for name in names:
                    bob.document(Board, name)
                await all_synced(one, other)
                copy.document(Board, "one").name = "still works"
                await all_synced(one, other)
                assert (one.status.unsent, one.status.unacknowledged, one.status.behind) == (0,) * 3
                async for event in heard:
                    events.append((event.kind, event.document))
                    if len([kind for kind, _ in events if kind in {"mended", "rotated"}]) == 3:
                        break
            assert sorted((e for e in events if e[0] in {"mended", "rotated"}), key=str) == [
                ("mended", "also forked"),
                ("mended", "forked"),
                ("rotated", None),
            ]
            assert copy.id != old == ann.id
            for name in names:
                assert_same(copy, bob, document=name)
                board = copy.document(Board, name)
                ours, theirs = name in names[:3], name in names[1:]
                assert int(board.total) == 100 + 10 * original * ours + copied * theirs
                assert str(board.body).count("original") == original * ours
                assert str(board.body).count("copy") == copied * theirs
            assert copy.verify() == []
            with Replica(first, user="ann") as ann:
                async with home.connect(ann) as one:
                    await all_synced(one)
                    for name in names:
                        assert_same(ann, bob, document=name)
                assert ann.id == old


async def test_a_store_that_fails_for_a_while_stops_nothing_else(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Replica(user="ann") as ann, Replica(user="bob") as bob:
        for name in ("one", "two"):
            ann.document(Board, name).name = f"ann's {name}"
            bob.document(Board, name)
        ledger, failures = bob.ledger("one"), 3
        receive = ledger.receive

        def failing(
            datas: Sequence[bytes], cursor: Cursor | None = None, *, prove: bool = False
        ) -> Received:
            nonlocal failures
            if failures:
                failures -= 1
                raise StorageError("the disk is full", path="bob.db")
            return receive(datas, cursor, prove=prove)

        async with home.running(), home.connect(ann) as one:
            await all_synced(one)
            monkeypatch.setattr(ledger, "receive", failing)
            async with home.connect(bob) as other:
                events = other.events()
                bob.document(Board, "two").add("works all the same")
                await all_synced(one, other)
                assert failures == 0
                for name in ("one", "two"):
                    assert_same(ann, bob, document=name)
        told = [event.detail async for event in events if event.kind == "waiting"]
        assert len(told) == 3
        assert all("disk is full" in detail for detail in told)


@pytest.mark.parametrize("home", ["memory", "tcp", "unix"], indirect=True)
async def test_the_application_has_its_turns_while_much_is_received(home: Home) -> None:
    count, most = 20_000, 0
    with Replica(user="ann") as ann, Replica(user="bob") as bob:
        board = ann.document(Board, DOCUMENT)
        for number in range(count):
            board.name = f"{number}"
        ledger = bob.ledger(DOCUMENT)
        bob.document(Board, DOCUMENT)
        async with home.running():
            async with home.connect(ann) as one:
                await all_synced(one)
            async with home.connect(bob):
                seen = 0
                with anyio.fail_after(60):
                    while seen < count:
                        await anyio.lowlevel.checkpoint()
                        most = max(most, ledger.count - seen)
                        seen = ledger.count
                assert_same(ann, bob)
    # Between two turns of the application some blocks are stored, and never all of it.
    assert most < count / 2


@pytest.mark.parametrize("home", ["memory", "tcp", "unix"], indirect=True)
async def test_leaving_ends_it_at_once_also_in_the_middle_of_much(home: Home) -> None:
    with Replica(user="ann") as ann, Replica(user="bob") as bob:
        board = ann.document(Board, DOCUMENT)
        for number in range(10_000):
            board.name = f"{number}"
        ledger = bob.ledger(DOCUMENT)
        async with home.running():
            with anyio.fail_after(30):
                async with home.connect(ann):  # in the middle of sending
                    while ann.ledger(DOCUMENT).acknowledged == 0:
                        await anyio.lowlevel.checkpoint()
                async with home.connect(ann) as one:
                    await one.synced()
                async with home.connect(bob):  # in the middle of receiving
                    while ledger.count == 0:
                        await anyio.lowlevel.checkpoint()
            count = ledger.count
            await anyio.wait_all_tasks_blocked()
            assert ledger.count == count < 10_000
            async with home.connect(bob) as one:
                await all_synced(one)
            assert_same(ann, bob)
