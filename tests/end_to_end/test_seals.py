"""A server that tampers with what it passes on is found out; one that asks for seals gets them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
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


@pytest.mark.parametrize(
    "tamper", [alter, drop, swap, forge_the_end, strip, spoil_the_seal], ids=lambda t: t.__name__
)
async def test_a_server_that_tampers_is_found_out(
    tmp_path: Path, tamper: Callable[[list[Row]], None]
) -> None:
    backend = MemoryBackend()
    with Replica(user="ann") as ann, Replica(user="bob") as bob:
        async with served(tmp_path, backend) as url:
            hers = ann.document(Board, "b")
            for number in range(4):
                hers.name = f"name {number}"
            await sync(url, ann)
        held = backend._documents["b"]
        tamper(held.rows)
        held.rows[:] = [row._replace(offset=at) for at, row in enumerate(held.rows, 1)]
        last = decode_entry(held.rows[-1].data)
        held.heads[ann.id] = Head(last.seq, last.hash)
        his = bob.document(Board, "b")
        async with served(tmp_path, backend) as url, bob.connect(url) as connection:
            if tamper is strip:  # without a seal nothing is believed, however long one waits
                with anyio.move_on_after(0.5):
                    await connection.synced()
                    pytest.fail("an entry without its author's seal was believed")
            elif tamper is swap:  # the chain puts them in order again
                await connection.synced()
                assert his.to_dict() == hers.to_dict()
            else:
                with pytest.raises(RefusedError):
                    await connection.synced()
        believed = [entry.name for entry in his.log]
        assert "forged" not in believed
        assert all(entry.hash in {e.hash for e in hers.log} for entry in his.log)


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
