"""Servers that mean harm: what is found out, by whom, and what cannot be.

Elsewhere: servers that break the protocol, `tests/transport/test_hostile.py`; servers that were
restored from a backup, in all honesty, `tests/end_to_end/test_restored.py`.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import TaskStatus

from crdtsync import Replica
from crdtsync.errors import RefusedError
from crdtsync.keys import DeviceKey
from crdtsync.log import EMPTY_HEAD, EMPTY_UPDATE, Head, decode_entry, make_entry, with_seal
from crdtsync.seal import KEY, make_seal
from crdtsync.server import MemoryBackend, serve
from crdtsync.server.backend import Row
from crdtsync.sync import Failed
from crdtsync.transport.url import connect_stream
from tests.adversary.forger import Forger
from tests.document.boards import Board
from tests.server.client import Client


@asynccontextmanager
async def served(folder: Path, backend: MemoryBackend) -> AsyncIterator[str]:
    async with anyio.create_task_group() as tasks:

        async def run(*, task_status: TaskStatus[list[str]]) -> None:
            await serve(backend, [f"unix://{folder}/s"], task_status=task_status)

        (url,) = await tasks.start(run)
        with anyio.fail_after(60):
            yield url
        tasks.cancel_scope.cancel()


async def sync(url: str, *replicas: Replica) -> None:
    for replica in replicas:
        async with replica.connect(url) as connection:
            await connection.synced()


def alter(rows: list[Row]) -> None:
    entry = decode_entry(rows[1].data)
    other = make_entry(
        entry.document,
        entry.replica,
        Head(entry.seq - 1, entry.previous_hash),
        entry.time,
        "forged",
        entry.update,
    )
    rows[1] = rows[1]._replace(data=other.data)


def drop(rows: list[Row]) -> None:
    del rows[1]


def swap(rows: list[Row]) -> None:
    rows[1], rows[2] = (
        rows[1]._replace(seq=rows[2].seq, data=rows[2].data),
        rows[2]._replace(seq=rows[1].seq, data=rows[1].data),
    )


def forge_the_end(rows: list[Row]) -> None:
    last = decode_entry(rows[-1].data)
    thief = DeviceKey.generate()
    more = make_entry(
        last.document,
        last.replica,
        Head(last.seq, last.hash),
        last.time + 1,
        "forged",
        EMPTY_UPDATE,
    )
    sealed = with_seal(more, make_seal(thief, last.document, last.replica, more))
    rows.append(Row(rows[-1].offset + 1, last.replica, more.seq, sealed.data))


def strip(rows: list[Row]) -> None:
    last = decode_entry(rows[-1].data)
    assert last.seal is not None
    rows[-1] = rows[-1]._replace(data=rows[-1].data[1:-66])


def spoil_the_seal(rows: list[Row]) -> None:
    data = rows[-1].data
    rows[-1] = rows[-1]._replace(data=data[:-1] + bytes([data[-1] ^ 1]))


def mix_documents(rows: list[Row]) -> None:
    """Ann's own and genuine entry, but from another document."""
    with Replica(user="ann") as ann:
        ann.document(Board, "elsewhere").name = "secret"
        ledger = ann.ledger("elsewhere")
        (one,) = next(ledger.parts(ledger.missing({}, 10**6), 10))
    rows.append(rows[-1]._replace(replica=one.replica, seq=1, data=one.data))


def write_in_the_reader_s_name(rows: list[Row]) -> None:
    """An entry of the client's own log that it never wrote."""
    thief = Forger(READER, "b", user="bob")
    rows.append(rows[-1]._replace(replica=READER, seq=1, data=thief.write().data))


def write_without_a_key_in_the_reader_s_name(rows: list[Row]) -> None:
    thief = Forger(READER, "b")
    entry = thief.write(extra={"user": "bob"}, seal=False)
    rows.append(rows[-1]._replace(replica=READER, seq=1, data=entry.data))


def write_in_the_name_of_a_device_known_from_elsewhere(rows: list[Row]) -> None:
    thief = Forger(FRIEND, "b", user="cleo")
    rows.append(rows[-1]._replace(replica=FRIEND, seq=1, data=thief.write().data))


def _name(function: Any) -> str:
    return str(function.__name__)


READER, FRIEND = 2**52 + 17, 2**52 + 18
"""The replicas of bob, who reads, and of cleo, whom he knows: those after ann's."""

TAMPERING: dict[Callable[[list[Row]], None], str] = {
    alter: "what follows was not chained to it",
    drop: "what follows was not chained to it",
    forge_the_end: "its seal is false",
    spoil_the_seal: "its seal is false",
    mix_documents: "belongs to document 'elsewhere'",
    write_in_the_reader_s_name: "its seal is false",
    write_in_the_name_of_a_device_known_from_elsewhere: "its seal is false",
}
WITHHOLDING = [strip, write_without_a_key_in_the_reader_s_name]


@pytest.fixture
def people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Replica, Replica]]:
    """Ann, who has written, and bob, who wants to read, and has met cleo in another document."""
    ids = itertools.count(2**52 + 16)
    monkeypatch.setattr("crdtsync.replica.store.new_replica_id", lambda: next(ids))
    with Replica(user="ann") as ann, Replica(user="bob") as bob, Replica(user="cleo") as cleo:
        for number in range(4):
            ann.document(Board, "b").name = f"name {number}"
        cleo.document(Board, "met").name = "hello"
        bob.merge(cleo)
        yield ann, bob


async def tampered(folder: Path, ann: Replica, tamper: Callable[[list[Row]], None]) -> Any:
    """Return the backend of a server that has got ann's work, and has changed it."""
    backend = MemoryBackend()
    async with served(folder, backend) as url:
        await sync(url, ann)
    held = backend._documents["b"]
    tamper(held.rows)
    held.rows[:] = [row._replace(offset=at) for at, row in enumerate(held.rows, 1)]
    for row in held.rows:
        entry = decode_entry(row.data)
        held.heads[row.replica] = Head(entry.seq, entry.hash)
        held.places[row.replica, row.seq] = row.offset, entry.hash
    return backend


async def go_on(folder: Path, ann: Replica, bob: Replica) -> None:
    """Check that with an honest server all is well."""
    hers, his = ann.document(Board, "b"), bob.document(Board, "b")
    async with served(folder, MemoryBackend()) as url:
        hers.total.increment()
        his.total.increment()
        await sync(url, ann, bob, ann)
    assert his.to_dict() == hers.to_dict()
    assert int(his.total) == 2
    assert ann.verify() == bob.verify() == []


@pytest.mark.parametrize("tamper", TAMPERING, ids=_name)
async def test_a_server_that_tampers_is_found_out_by_the_reader(
    tmp_path: Path,
    people: tuple[Replica, Replica],
    tamper: Callable[[list[Row]], None],
) -> None:
    ann, bob = people
    backend = await tampered(tmp_path, ann, tamper)
    his = bob.document(Board, "b")
    async with served(tmp_path, backend) as url, bob.connect(url, documents=["b"]) as connection:
        with pytest.raises(RefusedError, match=TAMPERING[tamper]) as refusal:
            await connection.synced()
        assert refusal.value.code == "entry"
        assert connection.state == "online"  # other documents go on
    genuine = {entry.hash for entry in ann.document(Board, "b").log}
    assert all(entry.hash in genuine for entry in his.log)
    await go_on(tmp_path, ann, bob)


@pytest.mark.parametrize("tamper", WITHHOLDING, ids=_name)
async def test_what_is_not_sealed_is_not_believed_however_long_one_waits(
    tmp_path: Path,
    people: tuple[Replica, Replica],
    tamper: Callable[[list[Row]], None],
) -> None:
    ann, bob = people
    backend = await tampered(tmp_path, ann, tamper)
    his = bob.document(Board, "b")
    async with served(tmp_path, backend) as url, bob.connect(url, documents=["b"]) as connection:
        with anyio.move_on_after(0.5):
            await connection.synced()
            pytest.fail("an entry without its author's seal was believed")
    genuine = {entry.hash for entry in ann.document(Board, "b").log}
    assert all(entry.hash in genuine for entry in his.log)
    await go_on(tmp_path, ann, bob)


async def test_what_one_server_forged_does_not_stand_in_another_s_way(
    tmp_path: Path, people: tuple[Replica, Replica]
) -> None:
    """The forgery waits for a seal when the genuine entry of its number comes."""
    ann, bob = people
    hers, his = ann.document(Board, "b"), bob.document(Board, "b")

    def go_on_without_a_seal(rows: list[Row]) -> None:
        forge_the_end(rows)
        rows[-1] = rows[-1]._replace(data=rows[-1].data[1:-66])

    backend = await tampered(tmp_path, ann, go_on_without_a_seal)
    async with served(tmp_path, backend) as url, bob.connect(url, documents=["b"]) as connection:
        with anyio.move_on_after(0.5):
            await connection.synced()
    hers.name = "genuine"
    async with served(tmp_path, MemoryBackend()) as url:
        await sync(url, ann, bob)
    assert his.to_dict() == hers.to_dict()


async def test_what_waits_for_a_seal_holds_up_nothing_from_another_server(
    tmp_path: Path, people: tuple[Replica, Replica]
) -> None:
    """Nothing genuine of its number ever comes; what others wrote must come all the same."""
    ann, bob = people
    his = bob.document(Board, "b")

    def go_on_without_a_seal(rows: list[Row]) -> None:
        forge_the_end(rows)
        rows[-1] = rows[-1]._replace(data=rows[-1].data[1:-66])

    backend = await tampered(tmp_path, ann, go_on_without_a_seal)
    async with served(tmp_path, backend) as url, bob.connect(url, documents=["b"]) as connection:
        with anyio.move_on_after(0.5):
            await connection.synced()
    with Replica(user="dora") as dora:
        hers = dora.document(Board, "b")
        hers.total.increment(3)
        async with served(tmp_path, MemoryBackend()) as url:
            await sync(url, ann, dora)
            async with bob.connect(url, documents=["b"]) as connection:
                await connection.synced()
        assert his.to_dict() == hers.to_dict()


async def test_the_order_in_which_a_server_sends_a_log_is_no_matter(
    tmp_path: Path, people: tuple[Replica, Replica]
) -> None:
    ann, bob = people
    backend = await tampered(tmp_path, ann, swap)
    async with served(tmp_path, backend) as url, bob.connect(url, documents=["b"]) as connection:
        await connection.synced()
    assert bob.document(Board, "b").to_dict() == ann.document(Board, "b").to_dict()


async def test_a_server_can_show_an_old_state_to_who_knows_no_newer(
    tmp_path: Path, people: tuple[Replica, Replica]
) -> None:
    """That cannot be found out. But it was once so, and who knows better is not deceived."""
    ann, bob = people
    hers, his = ann.document(Board, "b"), bob.document(Board, "b")
    old = MemoryBackend()
    async with served(tmp_path, old) as url:
        await sync(url, ann)
    before = hers.to_dict()
    hers.name = "newest"
    async with served(tmp_path, MemoryBackend()) as url:
        await sync(url, ann)
    async with served(tmp_path, old) as url:
        async with bob.connect(url, documents=["b"]) as connection:
            await connection.synced()
        assert his.to_dict() == before
        await sync(url, ann)  # she has it still, and brings it back
        assert hers.name == "newest"
        async with bob.connect(url, documents=["b"]) as connection:
            await connection.synced()
        assert his.to_dict() == hers.to_dict()


async def test_a_server_cannot_show_an_action_without_those_that_its_author_had_seen(
    tmp_path: Path, people: tuple[Replica, Replica]
) -> None:
    ann, bob = people
    hers, his = ann.document(Board, "b"), bob.document(Board, "b")
    bob.merge(ann)
    his.name = "an answer"
    backend = MemoryBackend()
    async with served(tmp_path, backend) as url, bob.connect(url, documents=["b"]) as connection:
        await connection.synced()
    held = backend._documents["b"]
    held.rows[:] = [row for row in held.rows if (row.replica, row.seq) != (ann.id, 4)]
    held.heads[ann.id] = Head(3, decode_entry(held.rows[2].data).hash)
    with Replica(user="dora") as dora:
        seen = dora.document(Board, "b")
        async with served(tmp_path, backend) as url, dora.connect(url) as connection:
            with anyio.move_on_after(0.5):
                await connection.synced()
                pytest.fail("an action was shown without what it answers")
        assert seen.name != "an answer"
        assert seen.state_vector.get(bob.id) is None
        dora.merge(bob)
        assert seen.to_dict() == his.to_dict() != hers.to_dict()


async def test_entries_prove_themselves_whoever_hands_them_on(tmp_path: Path) -> None:
    """Bob brings to a new server what he got of ann's from an old one, and from her by hand."""
    first, second = MemoryBackend(), MemoryBackend()
    with Replica(user="ann") as ann, Replica(user="bob") as bob, Replica(user="eve") as eve:
        hers, his, seen = (replica.document(Board, "b") for replica in (ann, bob, eve))
        hers.name = "one"
        async with served(tmp_path, first) as url:
            await sync(url, ann, bob)
        hers.name = "two"
        ann.merge(bob)
        hers.total.increment(3)
        hers.total.increment(4)
        bob.merge(ann)
        his.body.append("bob's")
        async with served(tmp_path, second) as url:
            await sync(url, bob, eve)
        assert seen.to_dict() == his.to_dict() == hers.to_dict() | {"body": "bob's"}


async def push(url: str, entries: list[Any]) -> Failed:
    client = Client(await connect_stream(url))
    await client.hello()
    await client.subscribe("b")
    await client.push(entries, "b")
    failed = await client.until(Failed)
    await client.stream.aclose()
    return failed


async def test_the_server_takes_nothing_that_is_not_sealed(tmp_path: Path) -> None:
    backend, key = MemoryBackend(), DeviceKey.generate()
    first = make_entry("b", 7, EMPTY_HEAD, 1, "a", EMPTY_UPDATE, extra={KEY: key.public})
    second = make_entry("b", 7, Head(1, first.hash), 2, "b", EMPTY_UPDATE)
    sealed = with_seal(first, make_seal(key, "b", 7, first))
    false = with_seal(first, make_seal(DeviceKey.generate(), "b", 7, first))
    async with served(tmp_path, backend) as url:
        for entries in ([first], [sealed, second], [false], [first, second]):
            failed = await push(url, entries)
            assert failed.code == "seal"
        assert (await backend.state("b")).offset == 0
