"""Connections that behave badly, or meet bad luck: they end, alone, and everyone else goes on."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise

import anyio
import pytest
from anyio.abc import TaskGroup
from hypothesis import given
from hypothesis import strategies as st

from crdtsync.errors import CorruptLogError, StorageError, TransportError
from crdtsync.log import Cursor, Entry, Head, make_entry
from crdtsync.server import Appended, Hub, MemoryBackend, Row, ServerLimits
from crdtsync.sync import (
    Check,
    Chunk,
    Complete,
    Credit,
    Entries,
    Failed,
    Goodbye,
    Hello,
    Ping,
    Pong,
    Push,
    Receipt,
    Show,
    Subscribe,
    Unsubscribe,
    Welcome,
    WireLimits,
    encode_frame,
)
from crdtsync.transport.stream import FrameStream, memory_pair
from tests.server.authors import Author
from tests.server.client import Client, serving

QUICK = ServerLimits(
    wire=WireLimits(handshake_timeout_s=0.05, silence_timeout_s=0.05), close_timeout_s=0.05
)


class Faulty(MemoryBackend):
    """Raises what it is told to, when it is to append."""

    error: Exception | None = None
    read_error: Exception | None = None
    gate: anyio.Event | None = None

    async def append(self, document: str, entries: Sequence[Entry]) -> Appended:
        if self.error is not None and document == "board":
            raise self.error
        return await super().append(document, entries)

    async def read(
        self, document: str, after: int, bytes_max: int, upto: int | None = None
    ) -> list[Row]:
        if self.gate is not None:
            await self.gate.wait()
        if self.read_error is not None and document == "board":
            raise self.read_error
        return await super().read(document, after, bytes_max, upto)


async def cut(client: Client) -> None:
    """Wait until the server has closed the connection."""
    with anyio.fail_after(30):
        try:
            while True:
                await client.receive()
        except TransportError:
            return


async def _send_until_cut(stream: FrameStream, payload: bytes) -> None:
    try:
        while True:
            await stream.send([payload])
    except TransportError:
        return


def hello(version: int = 1) -> Hello:
    return Hello((version,), bytes(16), 1, None, None, None, "tests", 1000)


ALWAYS_WRONG = {
    "garbage": b"\xff",
    "nothing": b"",
    "too large": b"x" * 300_000,
    "a server's frame": encode_frame(Welcome(1, "active", {}, 0, bytes(16), 1)),
}
TOO_EARLY = {
    "push": encode_frame(Push("board", (b"x",))),
    "check": encode_frame(Check(1, "board")),
    "credit": encode_frame(Credit(5)),
    "subscribe": encode_frame(Subscribe("board", 0, {}, None)),
}


@pytest.mark.parametrize(
    ("payload", "welcomed"),
    [
        *(pytest.param(wrong, False, id=f"{name} first") for name, wrong in TOO_EARLY.items()),
        *(pytest.param(wrong, False, id=f"{name} first") for name, wrong in ALWAYS_WRONG.items()),
        *(pytest.param(wrong, True, id=f"{name} later") for name, wrong in ALWAYS_WRONG.items()),
        pytest.param(encode_frame(hello()), True, id="hello twice"),
    ],
)
async def test_who_breaks_the_protocol_is_told_and_cut_off(payload, welcomed):
    async with serving(MemoryBackend()) as connect:
        good = await connect()
        await good.follow()
        bad = await connect(hello=False)
        if welcomed:
            await bad.hello()
        await bad.stream.send([payload])
        goodbye = await bad.until_goodbye()
        assert goodbye.code == "protocol"
        await cut(bad)
        await good.push_durably([Author(1).write()])


async def test_another_version_is_refused():
    async with serving(MemoryBackend()) as connect:
        client = await connect(hello=False)
        await client.stream.send([encode_frame(hello(version=99))])
        assert (await client.until_goodbye()).code == "version"
        await cut(client)


documents = st.sampled_from(["a", "b", "c"])
numbers = st.integers(0, 2**63 - 1) | st.integers(0, 5)
replicas = st.integers(1, 3)
heads = st.dictionaries(replicas, st.builds(Head, st.integers(1, 5), st.just(bytes(32))))
cursors = st.none() | st.builds(Cursor, st.sampled_from([bytes(16), b"e" * 16]), numbers)
entries = st.lists(
    st.builds(
        lambda document, replica, seq: (
            make_entry(document, replica, Head(seq, bytes(32)), 1, "write", b"\x00\x00").data
        ),
        documents,
        replicas,
        st.integers(0, 3),
    )
    | st.binary(max_size=20),
    min_size=1,
    max_size=4,
)
client_frames = st.one_of(
    st.builds(Subscribe, documents, st.integers(0, 3), heads, cursors),
    st.builds(Push, documents, entries.map(tuple), st.none()),
    st.builds(Check, st.integers(1, 9), documents),
    st.builds(Unsubscribe, documents),
    st.builds(Show, documents, st.none() | st.just('{"a":1}'), st.booleans()),
    st.builds(Ping, numbers),
    st.builds(Pong, numbers, numbers),
    st.builds(Credit, st.integers(1, 1000)),
    st.builds(Chunk, numbers, st.integers(0, 1), st.booleans(), st.binary(min_size=1, max_size=9)),
    st.just(hello()),
    st.just(Goodbye("bye", "", None)),
)
payloads = client_frames.map(encode_frame) | st.binary(min_size=1, max_size=60)


class Bugs(logging.Handler):
    """Collects what is logged as an error."""

    def __init__(self, found: list[str]) -> None:
        super().__init__(logging.ERROR)
        self.found = found

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(f"{record.getMessage()}: {record.exc_info}")


@given(st.lists(st.lists(payloads, min_size=1, max_size=6), min_size=1, max_size=6))
async def test_nothing_a_client_says_makes_the_server_fall_over(turns):
    bugs: list[str] = []
    handler = Bugs(bugs)
    logging.getLogger("crdtsync").addHandler(handler)
    try:
        async with serving(MemoryBackend(epoch=b"e" * 16)) as connect:
            bad, good = await connect(), await connect()
            await good.follow()
            for turn in turns:
                try:
                    await bad.stream.send(turn)
                except TransportError:
                    break
            await good.push_durably([Author(1).write()])
            await (await connect()).follow("a")
    finally:
        logging.getLogger("crdtsync").removeHandler(handler)
    assert not bugs


async def test_who_says_nothing_is_cut_off(caplog):
    async with serving(MemoryBackend(), limits=QUICK) as connect:
        client = await connect(hello=False)
        assert (await client.until_goodbye()).code == "timeout"
        await cut(client)


async def test_who_falls_silent_is_cut_off():
    async with serving(MemoryBackend(), limits=QUICK) as connect:
        client = await connect()
        goodbye = await client.until_goodbye()
        assert (goodbye.code, goodbye.retry_after_ms) == ("timeout", QUICK.retry_after_ms)
        await cut(client)


@asynccontextmanager
async def raw(limits: ServerLimits) -> AsyncIterator[tuple[FrameStream, TaskGroup]]:
    """Connect a bare stream whose peer soon waits for us; gives a task group to use it in."""
    ours, theirs = memory_pair(buffered=1)
    async with Hub(MemoryBackend(), limits) as hub, anyio.create_task_group() as tasks:
        tasks.start_soon(hub.serve, theirs)
        await ours.send([encode_frame(hello())])
        yield ours, tasks
        tasks.cancel_scope.cancel()
    await ours.aclose()


async def test_who_takes_nothing_is_cut_off():
    """The client talks, but never reads: once nothing goes out any more, it has to go."""
    with anyio.fail_after(30):
        async with raw(QUICK) as (stream, _):
            try:
                while True:
                    await stream.send([encode_frame(Subscribe("board", 0, {}, None))])
            except TransportError:
                return


async def test_who_does_not_take_answers_is_not_read_from():
    """The memory that unread answers cost is bounded, however much is asked."""
    asked = 0

    async def ask(stream: FrameStream) -> None:
        nonlocal asked
        while True:
            await stream.send([encode_frame(Check(1 + asked, "b"))] * 100)
            asked += 100

    with anyio.fail_after(30):
        async with raw(ServerLimits(unsent_bytes_max=1000)) as (stream, tasks):
            await stream.send([encode_frame(Subscribe("b", 0, {}, None))])
            tasks.start_soon(ask, stream)
            await anyio.wait_all_tasks_blocked()
            first = asked
            assert first < 10_000
            while asked < 2 * first:  # it goes on as soon as the answers are taken
                await stream.receive()


async def test_small_bounds_slow_a_connection_down_but_never_stop_it():
    backend = MemoryBackend()
    names = [f"board/{number}" for number in range(10)]
    for name in names:
        await backend.append(name, Author(1, name).write_many(20, size=200))
    limits = ServerLimits(unsent_bytes_max=1, turn_bytes_max=1, cache_bytes_max=1)
    async with serving(backend, limits=limits) as connect:
        for _ in range(2):  # the second one finds some of it cached
            client = await connect(wire=WireLimits(credit_bytes=1))
            for name in names:
                client.protocol.subscribe(name, {})
            await client.flush()
            for _ in names:
                await client.until(Complete)
            assert {len(client.entries[name]) for name in names} == {20}


async def test_a_slow_reader_costs_a_cursor_and_holds_nobody_up():
    backend = MemoryBackend()
    async with serving(backend) as connect:
        fast, slow = await connect(), await connect(wire=WireLimits(credit_bytes=1))
        slow.generous = False
        await slow.follow()
        await fast.follow()
        author = Author(1)
        for _ in range(20):
            await fast.push_durably(author.write_many(2))
        assert len(await slow.until_entries(1)) == 2
        sizes = [event.size for event in slow.events if isinstance(event, Entries)]
        assert len(sizes) == 1
        # It goes on from there as soon as it has dealt with that.
        slow.protocol.returned(sizes[0])
        slow.generous = True
        await slow.flush()
        assert await slow.until_entries(40) == [entry.data for entry in author.entries]


async def test_what_has_priority_comes_first_and_equals_take_turns():
    backend = MemoryBackend()
    names = ["late", "first/a", "first/b"]
    for name in names:
        await backend.append(name, Author(1, name).write_many(30, size=100))
    limits = ServerLimits(wire=WireLimits(frame_bytes_max=512))
    async with serving(backend, limits=limits) as connect:
        client = await connect(wire=WireLimits(credit_bytes=1))
        for name in names:
            client.protocol.subscribe(name, {}, priority=int(name == "late"))
        await client.flush()
        for _ in names:
            await client.until(Complete)
        order = [event.document for event in client.events if isinstance(event, Entries)]
        # Subscribing is itself a turn, so the first frame may still be of any document.
        firsts = [name for name in order[1:] if name != "late"]
        assert order[1 : 1 + len(firsts)] == firsts
        changes = sum(one != other for one, other in pairwise(firsts))
        assert changes >= len(firsts) - 3


async def test_a_newer_connection_of_a_client_fences_the_older():
    async with serving(MemoryBackend()) as connect:
        client = secrets.token_bytes(16)
        older, newer = await connect(hello=False), await connect(hello=False)
        await older.hello(client)
        await newer.hello(client)
        assert (await older.until_goodbye()).code == "fenced"
        await cut(older)
        await newer.follow()
        newest = await connect(hello=False)
        await newest.hello(client)
        assert (await newer.until_goodbye()).code == "fenced"


async def test_subscribing_again_begins_again_and_leaves_nothing_behind():
    backend = MemoryBackend()
    author = Author(1)
    await backend.append("board", author.write_many(3))
    async with serving(backend) as connect:
        client = await connect(wire=WireLimits(credit_bytes=1))
        client.generous = False
        for _ in range(500):
            client.protocol.subscribe("board", {})
        await client.flush()
        await client.subscribe("board", {1: author.head})
        client.generous = True
        for event in client.events:
            if isinstance(event, Entries):
                client.protocol.returned(event.size)
        await client.flush()
        await client.until(Complete)
        await backend.append("board", [author.write()])
        await client.until(Entries, lambda frame: frame.entries == (author.entries[-1].data,))


async def test_when_storing_fails_the_client_is_asked_to_come_back(caplog):
    backend = Faulty()
    async with serving(backend) as connect:
        client, other = await connect(), await connect()
        await client.follow()
        await other.follow("other")
        backend.error = StorageError("the disk is full", path="/secret/place")
        author = Author(1)
        await client.push([author.write()])
        goodbye = await client.until_goodbye()
        assert (goodbye.code, goodbye.retry_after_ms) == ("unavailable", 5000)
        assert "secret" not in goodbye.reason
        await cut(client)
        await other.push_durably([Author(1, "other").write()], "other")
        backend.error = None
        again = await connect()
        await again.subscribe()
        await again.push_durably(author.entries)


async def test_when_reading_fails_the_client_is_asked_to_come_back(caplog):
    backend = Faulty()
    await backend.append("board", Author(1).write_many(3))
    backend.read_error = StorageError("a bad sector", path="/secret/place")
    async with serving(backend) as connect:
        client, other = await connect(), await connect()
        await client.subscribe()
        assert (await client.until_goodbye()).code == "unavailable"
        await other.follow("other")


async def test_unsubscribing_while_the_log_is_read():
    backend = Faulty()
    await backend.append("board", Author(1).write_many(3))
    backend.gate = anyio.Event()
    async with serving(backend) as connect:
        client = await connect()
        await client.subscribe("board")
        await anyio.wait_all_tasks_blocked()
        client.protocol.unsubscribe("board")
        await client.flush()
        await anyio.wait_all_tasks_blocked()
        backend.gate.set()
        await client.follow("other")
        assert "board" not in client.entries


async def test_a_damaged_document_fails_and_the_others_go_on(caplog):
    backend = Faulty()
    async with serving(backend) as connect:
        client = await connect()
        await client.follow("board")
        await client.follow("other")
        backend.error = CorruptLogError(
            "damaged", path="/secret", document="board", replica=1, seq=1, position=1
        )
        await client.push([Author(1).write()])
        failed = await client.until(Failed)
        assert (failed.document, failed.code) == ("board", "damaged")
        assert "secret" not in failed.reason
        await client.push_durably([Author(1, "other").write()], "other")


async def test_a_bug_ends_one_connection_only(caplog):
    backend = Faulty()
    async with serving(backend) as connect:
        client, other = await connect(), await connect()
        await client.follow()
        await other.follow("other")
        backend.error = ZeroDivisionError("a bug")
        await client.push([Author(1).write()])
        goodbye = await client.until_goodbye()
        assert (goodbye.code, goodbye.retry_after_ms) == ("internal", 5000)
        await cut(client)
        await other.push_durably([Author(1, "other").write()], "other")
        await anyio.wait_all_tasks_blocked()
        assert "a bug" in caplog.text


async def test_more_connections_than_allowed_are_turned_away():
    async with serving(MemoryBackend(), limits=ServerLimits(connections_max=2)) as connect:
        one, _two = await connect(), await connect()
        three = await connect(hello=False)
        goodbye = await three.until_goodbye()
        assert goodbye.code == "busy"
        assert goodbye.retry_after_ms is not None
        await cut(three)
        await one.stream.aclose()
        await anyio.wait_all_tasks_blocked()
        await (await connect()).follow()


async def test_credit_comes_back_for_every_push_good_or_bad():
    async with serving(MemoryBackend()) as connect:
        client = await connect()
        await client.follow()
        author = Author(1)
        full = client.protocol.credit
        while client.protocol.credit > full // 4:
            await client.push(author.write_many(10, size=10_000))
        await client.until(Receipt, lambda receipt: receipt.seq == author.head.seq)
        while client.protocol.credit <= full // 4:
            await client.receive()
        used = client.protocol.credit
        twin = Author(1)
        await client.push(twin.write_many(10, size=20_000))
        await client.until(Failed)
        assert client.protocol.credit <= used + full
        await client.follow()
        while client.protocol.credit > full // 4:
            await client.push(author.write_many(10, size=10_000))
        await client.until(Receipt, lambda receipt: receipt.seq == author.head.seq)
