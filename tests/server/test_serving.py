"""What clients are promised, over every transport: the server seen from outside."""

from __future__ import annotations

import anyio
import pytest

from crdtsync.log import Cursor, Head
from crdtsync.server import MemoryBackend, SqliteBackend
from crdtsync.sync import Complete, Entries, Failed, Heads, Pong, Receipt, Subscribed
from tests.server.authors import Author
from tests.server.client import TRANSPORTS, serving


@pytest.fixture(params=TRANSPORTS)
async def connect(request, tmp_path):
    async with (
        SqliteBackend(tmp_path / "server.db") as backend,
        serving(backend, request.param, tmp_path) as connect,
    ):
        yield connect


async def test_a_welcome_names_the_log_and_the_limits(connect):
    client = await connect(hello=False)
    welcome = await client.hello()
    assert welcome.state == "active"
    assert len(welcome.epoch) == 16
    assert welcome.limits["frame_bytes_max"] > 0
    assert (await (await connect(hello=False)).hello()).epoch == welcome.epoch


async def test_what_one_pushes_the_other_gets_as_it_was(connect):
    ann, bob = await connect(), await connect()
    await ann.subscribe()
    assert (await bob.follow()).offset == 0
    author = Author(1)
    receipt = await ann.push_durably(author.write_many(3))
    assert (receipt.replica, receipt.seq, receipt.refused) == (1, 3, ())
    assert await bob.until_entries(3) == [entry.data for entry in author.entries]
    last = [event for event in bob.events if isinstance(event, Entries)][-1]
    assert last.upto == receipt.offset


async def test_a_receipt_says_what_is_durable(tmp_path):
    async with SqliteBackend(tmp_path / "server.db") as backend:
        author = Author(1)
        async with serving(backend) as connect:
            client = await connect()
            await client.subscribe()
            for _ in range(3):
                await client.push_durably([author.write()])
    async with SqliteBackend(tmp_path / "server.db") as backend:
        assert (await backend.state("board")).heads == {1: author.head}


async def test_one_who_comes_later_gets_everything_and_is_told_so(connect):
    ann = await connect()
    await ann.subscribe()
    authors = [Author(replica) for replica in (1, 2)]
    for author in authors:
        await ann.push_durably(author.write_many(50))
    bob = await connect()
    complete = await bob.follow()
    assert complete.heads == {author.replica: author.head for author in authors}
    assert bob.entries["board"] == [e.data for author in authors for e in author.entries]


async def test_a_cursor_is_gone_on_from(connect):
    ann = await connect()
    await ann.subscribe()
    author = Author(1)
    await ann.push_durably(author.write_many(5))
    bob = await connect(hello=False)
    epoch = (await bob.hello()).epoch
    complete = await bob.follow()
    heads = complete.heads
    await ann.push_durably(author.write_many(5))
    carl = await connect()
    subscribed = await carl.subscribe("board", heads, Cursor(epoch, complete.offset))
    assert subscribed.mode == "cursor"
    assert subscribed.heads == {1: author.head}
    await carl.until(Complete)
    assert carl.entries["board"] == [entry.data for entry in author.entries[5:]]


@pytest.mark.parametrize("wrong", ["epoch", "offset"])
async def test_a_cursor_of_elsewhere_is_not_honoured(connect, wrong):
    ann = await connect(hello=False)
    epoch = (await ann.hello()).epoch
    await ann.subscribe()
    author = Author(1)
    await ann.push_durably(author.write_many(3))
    cursor = Cursor(bytes(16), 3) if wrong == "epoch" else Cursor(epoch, 2**40)
    bob = await connect()
    assert (await bob.subscribe("board", {}, cursor)).mode == "vector"
    assert await bob.until_entries(3) == [entry.data for entry in author.entries]


async def test_without_a_cursor_only_what_the_heads_lack_is_sent(connect):
    ann = await connect()
    await ann.subscribe()
    one, two = Author(1), Author(2)
    heads: dict[int, Head] = {}
    for step in range(4):
        await ann.push_durably(one.write_many(3))
        await ann.push_durably(two.write_many(3))
        if step == 1:
            heads = {1: one.head}
    bob = await connect()
    complete = await bob.follow("board", heads)
    lacked = {entry.data for entry in one.entries[6:] + two.entries}
    assert set(bob.entries["board"]) == lacked
    assert len(bob.entries["board"]) == len(lacked)
    assert complete.heads == {1: one.head, 2: two.head}
    await ann.push_durably([one.write()])
    await bob.until_entries(len(lacked) + 1)


async def test_nobody_gets_back_what_they_pushed_but_their_cursor_moves(connect):
    ann = await connect()
    await ann.follow()
    author = Author(1)
    receipt = await ann.push_durably(author.write_many(3))
    await ann.until(Entries, lambda frame: frame.upto == receipt.offset)
    assert ann.entries["board"] == []


async def test_repeats_are_harmless(connect):
    ann, bob = await connect(), await connect()
    await ann.subscribe()
    await bob.subscribe()
    author = Author(1)
    first = await ann.push_durably(author.write_many(3))
    again = await bob.push_durably(author.entries)
    assert again == first
    await ann.push_durably([author.write()])
    await bob.until(Entries, lambda frame: frame.upto > first.offset)
    assert sorted(set(bob.entries["board"])) == sorted(entry.data for entry in author.entries)


async def test_a_push_behind_a_gap_is_answered_with_the_heads(connect):
    ann = await connect()
    await ann.subscribe()
    author = Author(1)
    entries = author.write_many(4)
    await ann.push([entries[0], entries[2], entries[3]])
    assert (await ann.until(Receipt)).seq == 1
    heads = await ann.until(Heads)
    assert (heads.nonce, heads.heads) == (0, {1: Head(1, entries[0].hash)})
    assert (await ann.push_durably(entries)).seq == 4


async def test_a_check_speaks_for_every_push_before_it(connect):
    ann = await connect()
    await ann.subscribe()
    author = Author(1)
    for _ in range(5):
        await ann.push([author.write()])
    nonce = ann.protocol.check("board")
    await ann.flush()
    answer = await ann.until(Heads)
    assert (answer.nonce, answer.heads) == (nonce, {1: author.head})


async def test_a_ping_is_answered(connect):
    client = await connect()
    nonce = client.protocol.ping()
    await client.flush()
    assert (await client.until(Pong)).nonce == nonce


async def test_a_fork_ends_its_document_only(connect):
    client = await connect()
    await client.subscribe("board")
    await client.subscribe("other")
    ann = Author(1)
    await client.push_durably(ann.write_many(2))
    twin = ann.copy()
    await client.push_durably(ann.write_many(1))
    await client.push(twin.write_many(1, size=1))
    failed = await client.until(Failed)
    assert (failed.document, failed.code) == ("board", "fork")
    await client.push_durably([Author(1, "other").write()], "other")
    await client.follow("board")


async def test_documents_of_one_connection_are_worked_on_side_by_side(connect):
    client = await connect()
    names = [f"board/{number}" for number in range(200)]
    for name in names:
        client.protocol.subscribe(name, {})
    await client.flush()
    for _ in names:
        await client.until(Subscribed)
    authors = {name: Author(1, name) for name in names}
    for name, author in authors.items():
        client.protocol.push(name, [author.write().data])
    await client.flush()
    receipts = {(await client.until(Receipt)).document for _ in names}
    assert receipts == set(names)


async def test_unsubscribing_is_final(connect):
    ann, bob = await connect(), await connect()
    for client in (ann, bob):
        await client.follow("board")
        await client.follow("other")
    bob.protocol.unsubscribe("board")
    nonce = bob.protocol.check("other")
    await bob.flush()
    await bob.until(Heads, lambda heads: heads.nonce == nonce)
    await ann.push_durably([Author(1).write()])
    await ann.push_durably([Author(1, "other").write()], "other")
    await bob.until_entries(1, "other")
    assert "board" not in bob.entries


async def test_an_entry_larger_than_a_frame_comes_in_pieces(connect):
    ann, bob = await connect(), await connect()
    await ann.subscribe()
    await bob.subscribe()
    author = Author(1)
    author.write(update=b"\x00" * 400_000)
    await ann.push_durably(author.entries)
    assert await bob.until_entries(1) == [author.entries[0].data]
    assert (await (await connect()).follow()).heads == {1: author.head}


async def test_many_writers_and_readers_end_up_with_the_same(connect):
    clients = [await connect() for _ in range(6)]
    authors = [Author(replica) for replica in range(1, 7)]

    async def play(client, author):
        await client.subscribe()
        for _ in range(10):
            await client.push(author.write_many(2))
        await client.until(
            Receipt, lambda receipt: (receipt.replica, receipt.seq) == (author.replica, 20)
        )
        while True:
            client.protocol.check("board")
            await client.flush()
            heads = await client.until(Heads)
            if sum(head.seq for head in heads.heads.values()) == 120:
                break
        own = {entry.data for entry in author.entries}
        while len(set(client.entries.get("board", [])) - own) < 100:
            await client.receive()

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            for client, author in zip(clients, authors, strict=True):
                tasks.start_soon(play, client, author)
    late = await connect()
    await late.follow()
    everything = {entry.data for author in authors for entry in author.entries}
    assert len(late.entries["board"]) == 120
    assert set(late.entries["board"]) == everything
    for client, author in zip(clients, authors, strict=True):
        own = {entry.data for entry in author.entries}
        assert set(client.entries["board"]) | own == everything


async def test_the_memory_backend_serves_as_well():
    async with serving(MemoryBackend()) as connect:
        ann, bob = await connect(), await connect()
        await ann.subscribe()
        await bob.subscribe()
        author = Author(1)
        await ann.push_durably(author.write_many(3))
        assert await bob.until_entries(3) == [entry.data for entry in author.entries]
