"""Channels: the same bytes for all at one cursor, and nothing kept for nobody."""

from __future__ import annotations

from collections.abc import Mapping

import anyio
import pytest

from crdtsync.errors import StorageError
from crdtsync.server import MemoryBackend, Row, ServerLimits, State
from crdtsync.server.batch import Batch
from crdtsync.server.channel import Channel, Channels
from crdtsync.server.erasures import Erasure
from crdtsync.sync import Entries, WireLimits, decode_frame
from tests.server.authors import Author


class Watched(MemoryBackend):
    """Counts what is asked of it, and fails or waits on demand."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        self.states = 0
        self.failing = False
        self.gate: anyio.Event | None = None
        self.reading: anyio.Event | None = None

    async def read(
        self, document: str, after: int, bytes_max: int, upto: int | None = None
    ) -> list[Row]:
        self.reads += 1
        rows = await super().read(document, after, bytes_max, upto)
        if self.reading is not None:
            await self.reading.wait()
        return rows

    async def state(self, document: str) -> State:
        self.states += 1
        if self.failing:
            raise StorageError("cannot be read", path="test")
        state = await super().state(document)
        if self.gate is not None:
            await self.gate.wait()
        return state

    async def covered(self, document: str, vector: Mapping[int, int]) -> int:
        return await super().covered(document, vector)


class Listener:
    """A follower that counts how often it was told."""

    cursor = 0
    honoured = False

    def __init__(self, channel: Channel) -> None:
        self.told = 0
        channel.follow(self)
        channel.rest(self)

    def behind(self) -> None:
        self.told += 1


SMALL = ServerLimits(wire=WireLimits(frame_bytes_max=512))


@pytest.fixture
def backend():
    return Watched()


@pytest.fixture
def channels(backend):
    channels = Channels(backend, ServerLimits())
    cancel = channels.watch()
    yield channels
    cancel()


async def test_additions_gather_into_one_batch_that_all_share(backend, channels):
    channel = await channels.join("board")
    listener = Listener(channel)
    author = Author(1)
    for _ in range(5):
        await backend.append("board", [author.write()])
    assert listener.told == 1
    batch = channel.cached(0)
    assert batch is not None
    assert batch.upto == channel.offset
    assert decode_frame(batch.payload) == Entries(
        "board", 0, channel.offset, tuple(entry.data for entry in author.entries)
    )
    assert channel.cached(0) is batch
    assert await channel.batch(0) is batch
    assert backend.reads == 0
    assert channel.heads == {1: author.head}


async def test_a_follower_is_told_again_only_after_it_has_rested(backend, channels):
    channel = await channels.join("board")
    listener = Listener(channel)
    author = Author(1)
    await backend.append("board", [author.write()])
    await backend.append("board", [author.write()])
    assert listener.told == 1
    channel.rest(listener)
    await backend.append("board", [author.write()])
    assert listener.told == 2
    channel.rest(listener)
    channel.unfollow(listener)
    await backend.append("board", [author.write()])
    assert listener.told == 2


async def test_what_nobody_follows_is_not_kept(backend, channels):
    channel = await channels.join("board")
    author = Author(1)
    await backend.append("board", [author.write()])
    assert channel.cached(0) is None
    listener = Listener(channel)
    await backend.append("board", [author.write()])
    channel.unfollow(listener)
    assert channel.cached(1) is None
    Listener(channel)
    await backend.append("board", [author.write()])
    batch = channel.cached(2)
    assert batch is not None
    assert batch.upto == 3


async def test_who_misses_the_same_batch_reads_it_once(backend, channels):
    author = Author(1)
    await backend.append("board", author.write_many(10))
    channel = await channels.join("board")
    batches = []

    async def ask() -> None:
        batches.append(await channel.batch(0))

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(ask)
    assert len(set(map(id, batches))) == 1
    assert backend.reads == 1


async def test_batches_fit_into_frames_and_join_without_a_seam(backend):
    channels = Channels(backend, SMALL)
    channels.watch()
    live = await channels.join("board")
    Listener(live)
    author = Author(1)
    await backend.append("board", author.write_many(40))
    for channel in (live, await Channels(backend, SMALL).join("board")):
        datas: list[bytes] = []
        cursor = 0
        while cursor < channel.offset:
            batch = await channel.batch(cursor)
            frame = decode_frame(batch.payload)
            assert isinstance(frame, Entries)
            assert frame.after == cursor
            assert len(batch.payload) <= 512
            datas += frame.entries
            cursor = batch.upto
        assert datas == [entry.data for entry in author.entries]


async def test_what_is_added_while_a_channel_opens_is_not_lost(backend, channels):
    author = Author(1)
    await backend.append("board", [author.write()])
    backend.gate = anyio.Event()
    joined: list[Channel] = []

    async def join() -> None:
        joined.append(await channels.join("board"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(join)
        tasks.start_soon(join)
        await anyio.wait_all_tasks_blocked()
        await backend.append("board", author.write_many(2))
        backend.gate.set()
    assert joined[0] is joined[1]
    assert backend.states == 1
    assert joined[0].offset == 3
    assert joined[0].heads == {1: author.head}


async def test_what_was_added_before_the_state_was_read_counts_once(backend, channels):
    author = Author(1)
    backend.gate = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(channels.join, "board")
        # Registered, but its state is not read yet.
        await backend.append("board", [author.write()])
        await anyio.wait_all_tasks_blocked()
        backend.gate.set()
    channel = await channels.join("board")
    assert channel.offset == 1


async def test_a_document_that_cannot_be_read_is_not_joined(backend, channels):
    backend.failing = True
    with pytest.raises(StorageError):
        await channels.join("board")
    assert len(channels) == 0
    backend.failing = False
    assert (await channels.join("board")).offset == 0


async def test_the_last_to_leave_closes_the_channel(backend, channels):
    channel = await channels.join("board")
    assert await channels.join("board") is channel
    channels.leave(channel)
    assert len(channels) == 1
    channels.leave(channel)
    assert len(channels) == 0
    await backend.append("board", [Author(1).write()])
    assert (await channels.join("board")).offset == 1


def frame(batch: Batch) -> tuple[bytes, ...]:
    entries = decode_frame(batch.payload)
    assert isinstance(entries, Entries)
    return entries.entries


async def test_what_was_erased_is_not_handed_on_from_memory(backend, channels):
    author = Author(1)
    entries = author.write_many(3, size=20)
    channel = await channels.join("board")
    listener = Listener(channel)
    await backend.append("board", entries)
    assert frame(await channel.batch(0)) == tuple(entry.data for entry in entries)
    await backend.append("board", [author.write(size=20)])  # gathered, in no batch yet
    channel.rest(listener)
    told = listener.told
    for seq in (2, 4):
        await backend.erase(Erasure("board", 1, seq, "by order"))
    assert listener.told == told + 1
    held = [row.data for row in await backend.read("board", 0, 2**30)]
    batch = await channel.batch(0)
    assert frame(batch) == tuple(held)
    assert batch.marked
    assert entries[1].data not in held
    assert (await channel.batch(4)).upto == channel.offset == 6
    channels.leave(channel)
    again = await channels.join("board")
    again.follow(listener)
    assert frame(await again.batch(0)) == tuple(held)


async def test_what_is_erased_while_it_is_read_is_not_kept_in_memory(backend, channels):
    entries = Author(1).write_many(3, size=20)
    await backend.append("board", entries)
    channel = await channels.join("board")
    Listener(channel)
    backend.reading = anyio.Event()
    found: list[Batch] = []

    async def read() -> None:
        found.append(await channel.batch(0))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        await backend.erase(Erasure("board", 1, 2, "by order"))
        backend.reading.set()
    assert entries[1].data not in frame(found[0])
    assert await channel.batch(0) is found[0]
