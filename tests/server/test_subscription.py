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
        assert frame is not None
        upto, payload, count = frame
        entries = decode_frame(payload)
        assert isinstance(entries, Entries)
        assert (entries.after, entries.upto) == (subscription.cursor, upto)
        assert count == len(entries.entries)
        assert len(payload) <= 512
        subscription.cursor = upto
        datas += entries.entries
    return datas


replicas = st.integers(1, 3)


@given(
    appends=st.lists(st.tuples(replicas, st.integers(1, 3)), max_size=12),
    holding=st.dictionaries(replicas, st.integers(1, 36)),
    offset=st.none() | st.integers(0, 36),
    last=replicas,
)
async def test_everything_that_is_lacked_comes_once(appends, holding, offset, last):
    backend = MemoryBackend()
    authors = {replica: Author(replica) for replica in (1, 2, 3)}
    for replica, count in appends:
        await backend.append("board", authors[replica].write_many(count))
    channels = Channels(backend, SMALL)
    channels.watch()
    channel = await channels.join("board")
    rows = await backend.read("board", 0, 2**30)

    heads: dict[int, Head] = {}
    for replica, seq in holding.items():
        entries = authors[replica].entries[:seq]
        if entries:
            heads[replica] = Head(entries[-1].seq, entries[-1].hash)
    cursor = None if offset is None else Cursor(backend.epoch, min(offset, channel.offset))
    asked = Subscribe("board", 0, heads, cursor)
    subscription = await subscribe(asked, channel, backend, lambda _: None)
    channel.follow(subscription)
    if cursor is not None:
        expected = [row.data for row in rows if row.offset > cursor.offset]
    else:
        held = {replica: head.seq for replica, head in heads.items()}
        expected = [row.data for row in rows if row.seq > held.get(row.replica, 0)]
    assert await follow(subscription, backend) == expected

    new = authors[last].write_many(2)
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
