"""The conformance suite, second part: snapshots, trimming, and the records of connections."""

from __future__ import annotations

from dataclasses import replace

import pytest

from crdtsync.clone import id_of
from crdtsync.errors import ForkError
from crdtsync.log import Head
from crdtsync.server.lifecycle import State
from crdtsync.server.records import ConnectionRecord, Crowd, Followed, Lag, Move
from tests.server.authors import Author
from tests.server.test_backend import EVERYTHING, FACTORIES, PERSISTENT, datas

ANN, BOB = bytes(16), b"b" * 16
RECORD = ConnectionRecord(ANN, "ann", 7, State.ACTIVE, "the first", 1, 2)


@pytest.fixture(params=FACTORIES.values(), ids=list(FACTORIES))
async def backend(request, tmp_path):
    backend = request.param(tmp_path)
    yield backend
    await backend.aclose()


async def test_a_snapshot_is_read_in_parts_until_another_takes_its_place(backend):
    await backend.append("board", Author(1).write_many(3))
    assert (await backend.state("board")).snapshot is None
    first = bytes(range(256)) * 1000
    info = await backend.keep_snapshot("board", 2, first)
    assert info == (id_of(first), 2, len(first))
    assert (await backend.state("board")).snapshot == info
    for step in (1000, 65536, 10**9):
        read = b""
        while len(read) < info.size:
            part = await backend.read_snapshot("board", info.id, len(read), step)
            assert 0 < len(part) <= step
            read += part
        assert read == first
    later = await backend.keep_snapshot("board", 3, b"later")
    assert await backend.read_snapshot("board", info.id, 0, 10) is None
    assert await backend.read_snapshot("board", later.id, 0, 10) == b"later"
    assert await backend.read_snapshot("other", later.id, 0, 10) is None


async def test_nothing_is_trimmed_that_no_snapshot_covers(backend):
    await backend.append("board", Author(1).write_many(5))
    assert await backend.trim("board", 4, drop=True) == 0
    assert await backend.trim("other", 4, drop=True) == 0
    await backend.keep_snapshot("board", 3, b"snapshot")
    assert await backend.trim("board", 4, drop=True) == 3
    assert await backend.trim("board", 1, drop=True) == 3
    assert (await backend.state("board")).base == 3
    rows = await backend.read("board", 3, EVERYTHING)
    assert [row.seq for row in rows] == [4, 5]


async def test_what_is_kept_is_still_read(backend):
    author = Author(1)
    await backend.append("board", author.write_many(5))
    await backend.keep_snapshot("board", 4, b"snapshot")
    assert await backend.trim("board", 4, drop=False) == 4
    assert await datas(backend) == [entry.data for entry in author.entries]
    assert await backend.entry("board", 1, 2) == author.entries[1].data


async def test_what_is_dropped_is_gone_and_still_known(backend):
    ann, bob = Author(1), Author(2)
    await backend.append("board", [*ann.write_many(4), *bob.write_many(2)])
    twin = ann.copy()
    before = await backend.state("board")
    info = await backend.keep_snapshot("board", before.offset, b"snapshot")
    assert await backend.trim("board", before.offset, drop=True) == before.offset
    assert await backend.state("board") == before._replace(base=before.offset, snapshot=info)
    # The first entries stay: they say whose the logs are.
    assert await datas(backend) == [ann.entries[0].data, bob.entries[0].data]
    assert await backend.entry("board", 1, 4) is None
    assert await backend.entry("board", 1, 1) == ann.entries[0].data
    again = await backend.append("board", [*ann.entries, *bob.entries])
    assert {replica: stored.seq for replica, stored in again.stored.items()} == {1: 4, 2: 2}
    await backend.append("board", [ann.write((2, bob.head))])
    assert (await backend.state("board")).heads == {1: ann.head, 2: bob.head}
    forged = Author(3)
    with pytest.raises(ForkError):
        await backend.append("board", [forged.write((1, Head(2, bytes(32))))])
    twin.head, twin.entries = Head(1, twin.entries[0].hash), twin.entries[:1]
    with pytest.raises(ForkError):
        await backend.append("board", [twin.write(size=1)])


async def test_a_record_is_changed_by_who_knows_it(backend):
    assert await backend.connection(ANN) is None
    assert not await backend.put_connection(replace(RECORD, version=1))
    assert await backend.put_connection(RECORD)
    held = await backend.connection(ANN)
    assert held == replace(RECORD, version=1)
    assert not await backend.put_connection(replace(RECORD, reason="another"))
    assert await backend.put_connection(replace(held, state=State.INACTIVE))
    assert await backend.connection(ANN) == replace(held, state=State.INACTIVE, version=2)


async def test_records_are_found_by_their_user(backend):
    other = ConnectionRecord(BOB, None, 8, State.INACTIVE, "", 3, 4)
    for record in (other, RECORD):
        await backend.put_connection(record)
    assert await backend.connections() == [replace(one, version=1) for one in (RECORD, other)]
    assert await backend.connections("ann") == [replace(RECORD, version=1)]
    assert await backend.connections("eve") == []


async def test_the_floor_is_the_lowest_cursor_of_those_that_are_active(backend):
    assert await backend.floor("board") is None
    await backend.put_connection(RECORD)
    await backend.put_connection(replace(RECORD, client=BOB))
    moves = [Move(ANN, "board", Followed(0, 7)), Move(BOB, "board", Followed(1, 5))]
    await backend.note([*moves, Move(ANN, "other", Followed(2, 1))], {BOB: 9})
    assert await backend.followed(ANN) == {"board": Followed(0, 7), "other": Followed(2, 1)}
    assert (await backend.connection(BOB)).last_seen == 9
    assert await backend.floor("board") == 5
    bob = await backend.connection(BOB)
    await backend.put_connection(replace(bob, state=State.INACTIVE))
    assert await backend.floor("board") == 7
    assert await backend.followed(BOB) == {"board": Followed(1, None)}
    await backend.note([Move(BOB, "board", Followed(1, 6))], {})
    assert await backend.floor("board") == 7
    assert await backend.followed(BOB) == {"board": Followed(1, None)}
    await backend.note([Move(ANN, "board", None)], {})
    assert await backend.floor("board") is None
    assert await backend.floor("other") == 1


async def test_lags_are_counted(backend):
    ann = Author(1)
    await backend.append("board", ann.write_many(5, size=100))
    await backend.append("other", Author(1, "other").write_many(2))
    sizes = [len(entry.data) for entry in ann.entries]
    carl = b"c" * 16
    for client in (ANN, BOB, carl):
        await backend.put_connection(replace(RECORD, client=client))
    offsets = {ANN: 5, BOB: 2, carl: 0}
    moves = [Move(client, "board", Followed(0, offset)) for client, offset in offsets.items()]
    new = Move(ANN, "new", Followed(0, 0))
    await backend.note([*moves, Move(BOB, "other", Followed(0, 2)), new], {})
    assert await backend.crowds() == [
        Crowd("board", 3, 0, 5),
        Crowd("new", 1, 0, 0),
        Crowd("other", 1, 2, 2),
    ]
    assert await backend.lags("board") == {
        ANN: Lag(0, 0),
        BOB: Lag(3, sum(sizes[2:])),
        carl: Lag(5, sum(sizes)),
    }
    assert await backend.lags("other") == {BOB: Lag(0, 0)}
    assert await backend.lags("nothing") == {}


async def test_a_retired_connection_follows_nothing(backend):
    await backend.put_connection(RECORD)
    await backend.note([Move(ANN, "board", Followed(0, 7))], {})
    await backend.put_connection(replace(RECORD, state=State.RETIRED, version=1))
    assert await backend.retired() == {ANN}
    await backend.note([Move(ANN, "board", Followed(0, 8)), Move(BOB, "board", Followed(0, 8))], {})
    assert await backend.followed(ANN) == {}
    assert await backend.followed(BOB) == {}
    assert await backend.floor("board") is None


@pytest.mark.parametrize("factory", PERSISTENT.values(), ids=list(PERSISTENT))
async def test_all_of_it_is_there_after_a_restart(factory, tmp_path):
    backend = factory(tmp_path)
    ann = Author(1)
    await backend.append("board", ann.write_many(4))
    info = await backend.keep_snapshot("board", 3, b"snapshot")
    await backend.trim("board", 2, drop=True)
    await backend.put_connection(RECORD)
    await backend.note([Move(ANN, "board", Followed(0, 2))], {})
    state = await backend.state("board")
    await backend.aclose()

    backend = factory(tmp_path)
    assert await backend.state("board") == state
    assert (state.base, state.snapshot) == (2, info)
    assert await backend.read_snapshot("board", info.id, 4, 100) == b"shot"
    assert await backend.connection(ANN) == replace(RECORD, version=1)
    assert await backend.followed(ANN) == {"board": Followed(0, 2)}
    await backend.keep_snapshot("board", 4, b"all")
    await backend.trim("board", 4, drop=True)
    await backend.aclose()

    backend = factory(tmp_path)  # the newest entry is gone, and its hash is not
    await backend.append("board", [ann.write()])
    assert (await backend.state("board")).heads == {1: ann.head}
    await backend.aclose()
