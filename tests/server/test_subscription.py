"""Whatever a client holds: it is sent all that it lacks, and no more than it has to be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crdtsync.log import Cursor, Head
from crdtsync.server import MemoryBackend, ServerLimits
from crdtsync.server.channel import Channels
from crdtsync.server.subscription import Subscription, subscribe
from crdtsync.sync import Entries, Subscribe, WireLimits, decode_frame
from tests.server.authors import Author

SMALL = ServerLimits(wire=WireLimits(frame_bytes_max=512))


async def follow(subscription: Subscription, backend: MemoryBackend) -> list[bytes]:
    """Take everything up to the end of the log."""
    datas: list[bytes] = []
    while subscription.cursor < subscription.channel.offset:
        frame = subscription.cached() or await subscription.read(backend, 512)
        upto, payload = frame
        entries = decode_frame(payload)
        assert isinstance(entries, Entries)
        assert (entries.after, entries.upto) == (subscription.cursor, upto)
        assert len(payload) <= 512
        subscription.cursor = upto
        datas += entries.entries
    return datas


@given(st.data())
async def test_everything_that_is_lacked_comes_once(data):
    backend = MemoryBackend()
    authors = [Author(replica) for replica in (1, 2, 3)]
    for author in data.draw(st.lists(st.sampled_from(authors), max_size=12)):
        await backend.append("board", author.write_many(data.draw(st.integers(1, 3))))
    channels = Channels(backend, SMALL)
    channels.watch()
    channel = await channels.join("board")
    rows = await backend.read("board", 0, 2**30)

    held = {author.replica: data.draw(st.integers(0, author.head.seq)) for author in authors}
    heads = {
        author.replica: Head(seq, author.entries[seq - 1].hash)
        for author in authors
        if (seq := held[author.replica])
    }
    cursor = None
    if data.draw(st.booleans()):
        cursor = Cursor(backend.epoch, data.draw(st.integers(0, channel.offset)))
    asked = Subscribe("board", 0, heads, cursor)
    subscription = await subscribe(asked, channel, backend, lambda _: None)
    channel.follow(subscription)
    if cursor is not None:
        expected = [row.data for row in rows if row.offset > cursor.offset]
    else:
        expected = [row.data for row in rows if row.seq > held.get(row.replica, 0)]
    assert await follow(subscription, backend) == expected

    author = data.draw(st.sampled_from(authors))
    new = author.write_many(2)
    await backend.append("board", new)
    assert await follow(subscription, backend) == [entry.data for entry in new]


async def test_own_entries_are_not_sent_back_unless_others_are_among_them():
    backend = MemoryBackend()
    channels = Channels(backend, ServerLimits())
    channels.watch()
    channel = await channels.join("board")
    subscription = await subscribe(
        Subscribe("board", 0, {}, None), channel, backend, lambda _: None
    )
    channel.follow(subscription)
    ann, bob = Author(1), Author(2)
    own = ann.write_many(2)
    subscription.offered(own)
    await backend.append("board", own)
    assert await follow(subscription, backend) == []
    more = ann.write_many(2)
    subscription.offered(more)
    await backend.append("board", [*more, bob.write()])
    assert await follow(subscription, backend) == [e.data for e in [*more, *bob.entries]]


async def test_only_so_many_logs_are_remembered_for_a_connection():
    backend = MemoryBackend()
    channel = await Channels(backend, ServerLimits()).join("board")
    subscription = await subscribe(
        Subscribe("board", 0, {}, None), channel, backend, lambda _: None
    )
    for replica in range(1, 1000):
        subscription.offered([Author(replica).write()])
    assert len(subscription._pushed) < 100
