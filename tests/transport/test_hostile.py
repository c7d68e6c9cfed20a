"""Servers that are not what they should be: the client says so, goes on, and nothing is harmed."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteStream, SocketAttribute

from crdtsync.errors import RefusedError
from crdtsync.log import EMPTY_HEAD, Head, make_entry
from crdtsync.replica import Replica
from crdtsync.server import Hub, MemoryBackend
from crdtsync.sync import WireLimits, encode_frame, frame_bytes
from crdtsync.sync.frames import Entries, Goodbye
from crdtsync.transport import Backoff, ByteFrameStream, Connector, connect, connect_stream
from tests.document.boards import Board
from tests.replica.histories import act
from tests.server.authors import Author
from tests.transport.home import entries_of
from tests.transport.scripted import Scripted, ScriptedServer

LIMITS = WireLimits()
Behaviour = Callable[[Scripted, ByteStream], Awaitable[None]]


# Bytes that no server sends. After each of these a good server stands in the hostile one's place.


async def babble(wire: Scripted, raw: ByteStream) -> None:
    await raw.send(b"\x00\x00\x10\x00" + random.Random(4).randbytes(0x1000))
    assert (await wire.until(Goodbye)).code == "protocol"


async def babble_after_welcome(wire: Scripted, raw: ByteStream) -> None:
    await wire.welcome()
    await wire.accept()
    await raw.send(frame_bytes(b"\xff" * 100))
    assert (await wire.until(Goodbye)).code == "protocol"


async def announce_too_much(wire: Scripted, raw: ByteStream) -> None:
    await wire.welcome()
    await raw.send(b"\xff\xff\xff\xff")
    assert "4,294,967,295 bytes" in (await wire.until(Goodbye)).reason


async def send_a_frame_above_the_limit(wire: Scripted, raw: ByteStream) -> None:
    await wire.welcome()
    try:
        await raw.send(frame_bytes(bytes(LIMITS.frame_bytes_max + 1)))
    except anyio.BrokenResourceError:
        return  # the client saw the length and was gone
    await wire.until_gone()


async def cut_a_frame_short(wire: Scripted, raw: ByteStream) -> None:
    await wire.welcome()
    await raw.send(frame_bytes(b"\x82\x0d\x07")[:-1])


async def hang_up(wire: Scripted, raw: ByteStream) -> None:
    pass


async def talk_out_of_order(wire: Scripted, raw: ByteStream) -> None:
    await raw.send(frame_bytes(bytes.fromhex("820d07")))  # a Ping before Welcome
    assert (await wire.until(Goodbye)).code == "protocol"


async def never_welcome(wire: Scripted, raw: ByteStream) -> None:
    await wire.until_gone()


async def fall_silent(wire: Scripted, raw: ByteStream) -> None:
    await wire.welcome()
    await wire.until_gone()


SILENT = [never_welcome, fall_silent]
BEHAVIOURS = [
    babble,
    babble_after_welcome,
    announce_too_much,
    send_a_frame_above_the_limit,
    cut_a_frame_short,
    hang_up,
    talk_out_of_order,
    *SILENT,
]


@asynccontextmanager
async def replaced(kind: str, folder: Path, behaviour: Behaviour) -> AsyncIterator[str]:
    """Run a server that behaves so to the first two clients, and well to the others."""
    listener: anyio.abc.Listener[anyio.abc.SocketStream]
    if kind == "tcp":
        several = await anyio.create_tcp_listener(local_host="127.0.0.1")
        url = f"tcp://127.0.0.1:{several.extra(SocketAttribute.local_port)}"
        listener = several
    else:
        listener = await anyio.create_unix_listener(folder / "socket")
        url = f"unix://{folder}/socket"
    hostile = 2

    async def handle(raw: anyio.abc.SocketStream) -> None:
        nonlocal hostile
        stream = ByteFrameStream(raw, LIMITS.frame_bytes_max)
        if not hostile:
            await hub.serve(stream)
            return
        hostile -= 1
        async with raw:
            await behaviour(Scripted(stream), raw)

    async with Hub(MemoryBackend()) as hub, listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handle)
        yield url
        assert hostile == 0
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("kind", ["tcp", "unix"])
@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda one: one.__name__)
async def test_it_is_reported_tried_again_and_nothing_is_changed(
    kind: str, behaviour: Behaviour, tmp_path: Path
) -> None:
    limits = LIMITS
    if behaviour in SILENT:
        limits = WireLimits(handshake_timeout_s=0.3, silence_timeout_s=0.3, ping_interval_s=0.05)
    with Replica(user="ann") as ann:
        for _ in range(10):
            act(ann.document(Board, "board"), random.Random(1))
        before = entries_of(ann)
        async with replaced(kind, tmp_path, behaviour) as url:
            connector: Connector = partial(connect_stream, url)
            backoff = Backoff(0.01, 0.01)
            async with connect(ann, connector, limits=limits, backoff=backoff) as connection:
                events = connection.events()
                with anyio.fail_after(30):
                    async for event in events:
                        if event.kind == "waiting":
                            break
                    assert event.detail
                    await connection.synced()
                assert connection.state == "online"
        assert entries_of(ann) == before
        assert ann.verify() == []


# Entries that cannot stand in their logs. They come in sound frames, so only their document fails.


def of_another_document() -> bytes:
    return Author(5, "other").write().data


def in_the_name_of_another() -> bytes:
    """Wrap what one replica wrote into an entry of another's log."""
    with Replica() as mallory:
        mallory.document(Board, "board").name = "forged"
        [stolen] = mallory.ledger("board").entries()
    return make_entry("board", 5, EMPTY_HEAD, stolen.time, "set", stolen.update).data


def in_the_name_of_several() -> bytes:
    update = b"\x02" + bytes(10)
    return make_entry("board", 5, EMPTY_HEAD, 1, "set", update).data


def with_an_update_cut_short() -> bytes:
    return make_entry("board", 5, EMPTY_HEAD, 1, "set", b"\x01").data


def on_another_past() -> bytes:
    author = Author(5)
    author.write()
    author.head = Head(1, bytes(32))
    return author.write().data


def no_entry() -> bytes:
    return b"no entry"


FORGERIES = [
    of_another_document,
    in_the_name_of_another,
    in_the_name_of_several,
    with_an_update_cut_short,
    no_entry,
]


@pytest.mark.parametrize("forge", FORGERIES, ids=lambda one: one.__name__)
async def test_a_forged_entry_ends_its_document_for_this_session_only(
    forge: Callable[[], bytes],
) -> None:
    server, forged = ScriptedServer(), forge()
    with Replica(user="ann") as ann:
        board = ann.document(Board, "board")
        board.name = "mine"
        ann.document(Board, "other")
        before, shown = entries_of(ann)["board"], board.to_dict()
        async with connect(ann, server.connect, backoff=Backoff(random=lambda: 0)) as connection:
            events = connection.events()
            wire = await server.accept()
            await wire.welcome()
            await wire.accept("board")
            await wire.accept("other")
            await wire.send("board", 0, [forged])
            with anyio.fail_after(30):
                async for event in events:
                    if event.kind == "failed":
                        break
                assert event.document == "board"
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(wire.answer, {}, "other")
                    with pytest.raises(RefusedError, match="board"):
                        await connection.synced()
            good = Author(6, "other")
            await wire.send("other", 0, [good.write()])
            await anyio.wait_all_tasks_blocked()
            assert ann.ledger("other").vector == {6: 1}
            assert connection.state == "online"
            assert entries_of(ann)["board"] == before
            assert board.to_dict() == shown
            assert ann.ledger("board").cursor is None  # what was bad is asked for again
            board.name = "work goes on"
            assert connection.status.unacknowledged == 2
            await wire.stream.aclose()
            wire = await server.accept()  # by now perhaps an honest one
            await wire.welcome()
            await wire.accept("board")
            await wire.send("board", 0, [Author(7).write()])
            await anyio.wait_all_tasks_blocked()
            assert ann.ledger("board").vector == {7: 1, ann.id: 2}
        await server.aclose()
        assert ann.verify() == []


async def test_a_chain_that_does_not_fit_ends_its_document() -> None:
    server, author = ScriptedServer(), Author(5)
    with Replica(user="ann") as ann:
        ann.document(Board, "board")
        async with connect(ann, server.connect) as connection:
            events = connection.events()
            wire = await server.accept()
            await wire.welcome()
            await wire.accept()
            await wire.send("board", 0, [author.write(), on_another_past()])
            with anyio.fail_after(30):
                async for event in events:
                    if event.kind == "failed":
                        break
            assert ann.ledger("board").heads == {5: author.head}  # what came before it is kept
        await server.aclose()
        assert ann.verify() == []


async def test_a_bad_document_and_a_goodbye_at_once() -> None:
    """The server was stopped right after the bad entry. The client once fell over its answer."""
    server = ScriptedServer()
    with Replica(user="ann") as ann:
        ann.document(Board, "board")
        async with connect(ann, server.connect, backoff=Backoff(random=lambda: 0)) as connection:
            events = connection.events()
            wire = await server.accept()
            await wire.welcome()
            await wire.accept()
            frame = Entries("board", 0, 1, (no_entry(),))
            wire.protocol.send_payload(encode_frame(frame))
            wire.protocol.goodbye("stopping", "the server stops", 1)
            await wire.flush()
            with anyio.fail_after(30):
                kinds = []
                async for event in events:
                    kinds.append(event.kind)
                    if event.kind == "waiting":
                        break
            assert kinds[-2:] == ["failed", "waiting"]
            assert "stopping" in event.detail
            await server.accept()  # it is back
        await server.aclose()
