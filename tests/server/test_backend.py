"""The conformance suite: what every storage engine of the server has to keep.

A new backend joins by a factory in `FACTORIES`: it is given a folder of its own and returns a
backend; called again with the same folder after `aclose`, one that holds the same.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from crdtsync.errors import BrokenChainError, ForkError
from crdtsync.log import EMPTY_UPDATE, Entry, Head, decode_entry, make_entry, with_clamp
from crdtsync.refusal import refuse
from crdtsync.server.backend import EPOCH_BYTES, Added, Backend, State, Stored
from crdtsync.server.backends import MemoryBackend, SqliteBackend
from crdtsync.server.devices import Device
from crdtsync.server.erasures import Erasure
from tests.server.authors import Author

Factory = Callable[[Path], Backend]

FACTORIES: dict[str, Factory] = {
    "memory": lambda _: MemoryBackend(),
    "sqlite": lambda folder: SqliteBackend(folder / "server.db"),
    "sqlite in memory": lambda _: SqliteBackend(":memory:"),
    "sqlite that forgets": lambda folder: SqliteBackend(
        folder / "server.db", documents_remembered_max=1
    ),
}
PERSISTENT = {name: FACTORIES[name] for name in ("sqlite", "sqlite that forgets")}
EVERYTHING = 2**30


@pytest.fixture(params=FACTORIES.values(), ids=list(FACTORIES))
async def backend(request, tmp_path):
    backend = request.param(tmp_path)
    yield backend
    await backend.aclose()


async def datas(backend: Backend, document: str = "board", after: int = 0) -> list[bytes]:
    return [row.data for row in await backend.read(document, after, EVERYTHING)]


async def test_a_new_backend_is_empty(backend):
    assert await backend.documents() == []
    assert await backend.state("board") == State(0, {})
    assert await backend.read("board", 0, EVERYTHING) == []
    assert await backend.covered("board", {1: 5}) == 0
    assert len(backend.epoch) == EPOCH_BYTES


async def test_what_is_appended_is_read_as_it_came(backend):
    ann = Author(1)
    entries = ann.write_many(3)
    appended = await backend.append("board", entries)
    rows = await backend.read("board", 0, EVERYTHING)
    assert [(row.replica, row.seq, row.data) for row in rows] == [
        (1, entry.seq, entry.data) for entry in entries
    ]
    assert appended.stored == {1: Stored(3, rows[-1].offset)}
    assert not appended.gap
    assert await backend.state("board") == State(rows[-1].offset, {1: ann.head})
    assert await backend.documents() == ["board"]


async def test_offsets_rise_and_reading_goes_on_from_any(backend):
    ann, bob = Author(1), Author(2)
    for _ in range(4):
        await backend.append("board", [ann.write(), bob.write()])
    rows = await backend.read("board", 0, EVERYTHING)
    offsets = [row.offset for row in rows]
    assert offsets == sorted(set(offsets))
    assert offsets[0] > 0
    for index, offset in enumerate(offsets):
        assert await backend.read("board", offset, EVERYTHING) == rows[index + 1 :]
        assert await backend.read("board", 0, EVERYTHING, upto=offset) == rows[: index + 1]


async def test_reading_is_bounded_in_bytes_but_never_stands_still(backend):
    entries = Author(1).write_many(5, size=1000)
    await backend.append("board", entries)
    size = len(entries[0].data)
    assert len(await backend.read("board", 0, 1)) == 1
    assert len(await backend.read("board", 0, 3 * size)) == 3
    assert len(await backend.read("board", 0, 4 * size - 1)) == 3


async def test_appending_again_changes_nothing(backend):
    entries = Author(1).write_many(4)
    first = await backend.append("board", entries[:3])
    rows = await backend.read("board", 0, EVERYTHING)
    again = await backend.append("board", entries[:3])
    assert again == first
    assert await backend.read("board", 0, EVERYTHING) == rows
    older = await backend.append("board", entries[:1])
    assert older.stored == {1: Stored(1, rows[0].offset)}
    await backend.append("board", entries)
    assert await datas(backend) == [entry.data for entry in entries]


async def test_a_gap_is_told_and_nothing_behind_it_is_stored(backend):
    ann, bob = Author(1), Author(2)
    entries = ann.write_many(4)
    answer = bob.write((1, ann.head))
    appended = await backend.append("board", [entries[0], entries[2], entries[3], answer])
    assert appended.gap
    assert {replica: stored.seq for replica, stored in appended.stored.items()} == {1: 1}
    assert (await backend.state("board")).heads == {1: Head(1, entries[0].hash)}
    appended = await backend.append("board", [*entries[1:], answer])
    assert not appended.gap
    assert await datas(backend) == [entry.data for entry in [*entries, answer]]


async def test_only_a_gap_stores_nothing_at_all(backend):
    entries = Author(1).write_many(2)
    appended = await backend.append("board", entries[1:])
    assert appended.gap
    assert appended.stored == {}
    assert await backend.documents() == []


async def test_a_fork_is_refused_whole(backend):
    ann = Author(1)
    await backend.append("board", ann.write_many(2))
    twin = ann.copy()
    await backend.append("board", ann.write_many(2))
    bob = Author(2)
    before = await backend.state("board")
    with pytest.raises(ForkError) as caught:
        await backend.append("board", [bob.write(), *twin.write_many(3, size=1)])
    assert (caught.value.document, caught.value.replica, caught.value.seq) == ("board", 1, 3)
    assert await backend.state("board") == before
    await backend.append("board", bob.entries)
    assert await datas(backend) == [entry.data for entry in ann.entries + bob.entries]


async def test_depending_on_another_branch_is_a_fork(backend):
    ann, bob = Author(1), Author(2)
    twin = ann.copy()
    await backend.append("board", ann.write_many(2))
    twin.write(size=1)
    with pytest.raises(ForkError):
        await backend.append("board", [bob.write((1, twin.head))])


async def test_a_log_begins_at_nothing(backend):
    odd = make_entry("board", 1, Head(0, b"\x01" * 32), 1, "write", EMPTY_UPDATE)
    with pytest.raises(BrokenChainError):
        await backend.append("board", [odd])
    assert await backend.documents() == []


async def test_documents_do_not_touch_each_other(backend):
    names = ["a", "board/1", "b\x00c", "ünïcödé 🎈", "A"]
    authors = {name: Author(7, name) for name in names}
    for name, author in authors.items():
        await backend.append(name, author.write_many(2))
    assert await backend.documents() == sorted(names)
    for name, author in authors.items():
        assert await datas(backend, name) == [entry.data for entry in author.entries]
        assert (await backend.state(name)).heads == {7: author.head}


async def test_covered_is_the_end_of_what_a_vector_knows(backend):
    ann, bob = Author(1), Author(2)
    await backend.append("board", ann.write_many(3))
    await backend.append("board", bob.write_many(3))
    await backend.append("board", ann.write_many(3))
    rows = await backend.read("board", 0, EVERYTHING)
    for vector in ({}, {1: 2}, {1: 3}, {1: 3, 2: 2}, {1: 6}, {1: 6, 2: 3}, {1: 99, 2: 99, 3: 1}):
        offset = await backend.covered("board", vector)
        unknown = [row for row in rows if row.seq > vector.get(row.replica, 0)]
        assert all(row.offset > offset for row in unknown)
    assert await backend.covered("board", {1: 6, 2: 3}) == rows[-1].offset


async def test_watchers_see_each_addition_once_before_its_append_returns(backend):
    seen: list[Added] = []
    cancel = backend.watch(seen.append)
    ann = Author(1)
    entries = ann.write_many(3)
    await backend.append("board", entries[:2])
    assert [row.data for added in seen for row in added.rows] == [e.data for e in entries[:2]]
    await backend.append("board", entries)
    await backend.append("board", entries)
    assert [row for added in seen for row in added.rows] == await backend.read(
        "board", 0, EVERYTHING
    )
    assert {added.document for added in seen} == {"board"}
    assert seen[-1].heads == {1: ann.head}
    cancel()
    await backend.append("board", [ann.write()])
    assert len(seen) == 2


async def test_many_at_once_are_kept_in_order(backend):
    """Twenty writers, each entry sent by two of them at once, watched and read alike."""
    seen: dict[str, list[bytes]] = {"board": [], "other": []}
    backend.watch(lambda added: seen[added.document].extend(row.data for row in added.rows))
    authors = [Author(replica, document) for replica in range(1, 11) for document in seen]

    async def push(author: Author, step: int) -> None:
        for start in range(0, 20, step):
            await backend.append(author.document, author.entries[start : start + step])

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            for author in authors:
                author.write_many(20)
                tasks.start_soon(push, author, 1)
                tasks.start_soon(push, author, 4)
    for document, watched in seen.items():
        assert await datas(backend, document) == watched
        assert len(watched) == 200
        heads = {a.replica: a.head for a in authors if a.document == document}
        assert (await backend.state(document)).heads == heads


async def test_a_caller_that_is_cancelled_leaves_the_others_alone(backend):
    authors = [Author(replica) for replica in range(1, 21)]

    async def push(author: Author) -> None:
        await backend.append("board", author.write_many(2))

    with anyio.fail_after(30):
        for odd in (True, False):
            async with anyio.create_task_group() as tasks:
                for author in authors:
                    if author.replica % 2 == odd:
                        tasks.start_soon(push, author)
                if odd:
                    await anyio.lowlevel.checkpoint()
                    tasks.cancel_scope.cancel()
        for author in authors:
            appended = await backend.append("board", author.entries)
            assert not appended.gap
    assert len(await datas(backend)) == sum(len(author.entries) for author in authors)


async def test_closing_twice_is_closing(backend):
    await backend.append("board", [Author(1).write()])
    await backend.aclose()
    await backend.aclose()


@pytest.mark.parametrize("factory", PERSISTENT.values(), ids=list(PERSISTENT))
async def test_everything_is_there_after_a_restart(factory, tmp_path):
    ann, bob = Author(1), Author(2, "other")
    backend = factory(tmp_path)
    epoch = backend.epoch
    await backend.append("board", ann.write_many(3))
    await backend.append("other", bob.write_many(2))
    states = [await backend.state(name) for name in ("board", "other")]
    rows = await backend.read("board", 0, EVERYTHING)
    await backend.aclose()

    backend = factory(tmp_path)
    assert backend.epoch == epoch
    assert [await backend.state(name) for name in ("board", "other")] == states
    assert await backend.read("board", 0, EVERYTHING) == rows
    await backend.append("board", [ann.write()])
    assert len(await datas(backend)) == 4
    await backend.aclose()


async def test_nothing_refused_is_taken_to_be_known(backend):
    author = Author(1)
    entries = author.write_many(4)
    stored = [*entries[:2], refuse(entries[2], "no"), entries[3]]
    await backend.append("board", stored)
    assert [row.is_marked for row in await backend.read("board", 0, EVERYTHING)] == [
        entry.refusal is not None for entry in stored
    ]
    for known in range(5):
        offset = await backend.covered("board", {1: known})
        rest = await backend.read("board", offset, EVERYTHING)
        assert {row.seq for row in rest} >= {3, *range(known + 1, 5)}
    assert (await backend.state("board")).heads == {1: author.head}
    again = await backend.append("board", entries)  # what it was is another form of the same
    assert again.stored[1].seq == 4
    assert [row.data for row in await backend.read("board", 0, EVERYTHING)] == [
        entry.data for entry in stored
    ]


async def test_the_value_kept_first_is_kept(backend):
    assert await backend.keep("door key", b"one") == b"one"
    assert await backend.keep("door key", b"two") == b"one"
    assert await backend.keep("other", b"two") == b"two"


async def test_devices_are_bound_once_and_revoked_for_good(backend):
    first, other = Device(7, bytes(32), "ann"), Device(7, b"x" * 32, "bob")
    assert await backend.device(7) is None
    assert await backend.bind(first) == await backend.bind(other) == first
    assert await backend.revoked() == frozenset()
    assert await backend.revoke(7)
    assert not await backend.revoke(8)
    assert await backend.revoked() == {7}
    assert await backend.bind(first) == first._replace(revoked=True)
    assert await backend.devices() == [first._replace(revoked=True)]


async def test_a_clamped_entry_is_taken_to_be_known_by_nobody(backend):
    author = Author(1)
    entries = author.write_many(4)
    stored = [*entries[:2], with_clamp(entries[2], 1), entries[3]]
    await backend.append("board", stored)
    assert await datas(backend) == [entry.data for entry in stored]
    offset = await backend.covered("board", {1: 4})
    assert {row.seq for row in await backend.read("board", offset, EVERYTHING)} >= {3}
    await backend.append("board", entries)
    assert await datas(backend) == [entry.data for entry in stored]


def erasures(entries: list[Entry], *seqs: int) -> list[Erasure]:
    return [Erasure("board", entries[0].replica, seq, "by order") for seq in seqs]


async def test_what_is_erased_is_told_to_those_who_are_past_it_and_not_held_any_more(backend):
    seen: list[Added] = []
    backend.watch(seen.append)
    ann, bob = Author(1), Author(2)
    entries = ann.write_many(4, size=20)
    await backend.append("board", [*entries, bob.write((1, ann.head))])
    before = await backend.read("board", 0, EVERYTHING)
    (order,) = erasures(entries, 2)
    assert await backend.erase(order)
    rows = await backend.read("board", 0, EVERYTHING)
    changed = decode_entry(rows[1].data)
    assert (changed.erasure, changed.hash, changed.arguments) == ("by order", entries[1].hash, {})
    assert [row for row in rows if row.offset not in {before[1].offset, rows[-1].offset}] == [
        row for row in before if row != before[1]
    ]
    assert (rows[-1].replica, rows[-1].seq, rows[-1].data) == (1, 2, changed.data)
    assert rows[-1].offset > before[-1].offset
    assert await backend.read("board", before[-1].offset, EVERYTHING) == rows[-1:]
    assert await backend.read("board", 0, EVERYTHING, upto=before[-1].offset) == rows[:-1]
    assert await backend.state("board") == State(rows[-1].offset, {1: ann.head, 2: bob.head})
    assert await backend.entry("board", 1, 2) == changed.data
    assert await backend.covered("board", {1: 4, 2: 1}) < rows[1].offset
    assert [(added.rewritten, list(added.rows)) for added in seen[1:]] == [(True, rows[-1:])]
    # It is done once, and for good.
    assert await backend.erase(order._replace(reason="again"))
    appended = await backend.append("board", entries)
    assert appended.stored == {1: Stored(4, before[3].offset)}
    assert await backend.read("board", 0, EVERYTHING) == rows
    assert await backend.erasures_due() == []
    more = await backend.append("board", [ann.write()])
    assert more.stored[1].offset > rows[-1].offset
    assert len(await backend.read("board", 0, EVERYTHING)) == len(rows) + 1


async def test_reading_is_bounded_where_entries_stand_twice(backend):
    entries = Author(1).write_many(6, size=100)
    await backend.append("board", entries)
    for order in erasures(entries, 5, 1, 3):
        assert await backend.erase(order)
    rows = await backend.read("board", 0, EVERYTHING)
    assert [row.seq for row in rows] == [1, 2, 3, 4, 5, 6, 5, 1, 3]
    for index, row in enumerate(rows):
        assert await backend.read("board", row.offset, 1) == rows[index + 1 :][:1]
        assert await backend.read("board", 0, EVERYTHING, upto=row.offset) == rows[: index + 1]


async def test_what_comes_later_is_erased_as_it_comes(backend):
    entries = Author(1).write_many(4, size=20)
    for order in [*erasures(entries, 2, 4), Erasure("other", 1, 1, "no")]:
        assert not await backend.erase(order)
    assert await backend.documents() == []
    await backend.append("board", entries[:2])
    await backend.append("board", entries)
    stored = [decode_entry(data) for data in await datas(backend)]
    assert [entry.erasure for entry in stored] == [None, "by order", None, "by order"]
    assert [entry.hash for entry in stored] == [entry.hash for entry in entries]
    assert await backend.covered("board", {1: 4}) == 1


async def test_a_refused_entry_can_be_erased_and_an_erased_one_comes_from_elsewhere(backend):
    author = Author(1)
    entries = author.write_many(2)
    await backend.append("board", [refuse(entries[0], "no"), entries[1]])
    assert await backend.erase(*erasures(entries, 1))
    (first, _, again) = [decode_entry(data) for data in await datas(backend)]
    assert (first.erasure, first.refusal, again) == ("by order", None, first)
    fresh = MemoryBackend()
    await fresh.append("board", [first, entries[1]])
    assert await fresh.erase(*erasures(entries, 1))
    assert await datas(fresh) == [first.data, entries[1].data]


@pytest.mark.parametrize("factory", PERSISTENT.values(), ids=list(PERSISTENT))
async def test_it_stays_erased_after_a_restart(factory, tmp_path):
    author = Author(1)
    entries = author.write_many(3, size=20)
    backend = factory(tmp_path)
    await backend.append("board", entries[:2])
    for order in erasures(entries, 1, 3):
        await backend.erase(order)
    rows = await backend.read("board", 0, EVERYTHING)
    await backend.aclose()

    backend = factory(tmp_path)
    assert await backend.read("board", 0, EVERYTHING) == rows
    await backend.append("board", entries)
    rows = await backend.read("board", 0, EVERYTHING)
    assert [decode_entry(row.data).erasure for row in rows] == [
        "by order",
        None,
        "by order",
        "by order",
    ]
    assert len({row.offset for row in rows}) == 4
    await backend.aclose()
