"""Presence through the doors: shown, told to who comes later, gone with who goes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from crdtsync.replica import Replica
from crdtsync.server import PresenceLimits, ServerLimits
from crdtsync.server.yjs import YjsLimits, messages
from crdtsync.sync.awareness import Awareness, encode_awareness
from crdtsync.transport import FrameStream, Peer, Presence, connect, memory_pair
from tests.server.yjs.harness import Served, doors_of, until

pytestmark = pytest.mark.anyio


async def test_presence_is_shown_across_the_doors_and_goes_with_a_cut():
    async with doors_of(hub_limits=ServerLimits(presence=PresenceLimits(grace_s=0.01))) as served:
        ann, bob = served.y(), served.hocuspocus()
        ann.show('{"name":"ann"}')
        bob.show('{"name":"bob"}')
        shown = {ann.client_id: '{"name":"ann"}', bob.client_id: '{"name":"bob"}'}
        await until(lambda: ann.others == bob.others == shown)
        late = served.y()
        await until(lambda: late.others == shown)
        late.others.clear()
        late.put(b"\x03")
        await until(lambda: late.others == shown)
        bob.show('{"name":"bob","cursor":3}')
        await until(lambda: "cursor" in ann.others[bob.client_id])
        await bob.end.close(1006, "")
        await until(lambda: list(ann.others) == [ann.client_id])
        ann.show(None)
        await until(lambda: late.others == {})


async def test_who_comes_back_at_once_was_never_away():
    async with doors_of() as served:
        ann, bob = served.y(client_id=7), served.y()
        ann.show('"ann"')
        await until(lambda: 7 in bob.others)
        await ann.end.close(1006, "")
        again = served.y(client_id=7)
        again.show('"ann"')  # with the clock that it had
        await until(lambda: 7 in again.others)
        assert 7 in bob.others
        (room,) = served.doors.rooms.open()
        assert not room.presence.expire(1e9)


async def test_nobody_shows_or_removes_another():
    async with doors_of() as served:
        ann, eve = served.y(user="ann"), served.y(user="eve")
        ann.show('"ann"')
        await until(lambda: ann.client_id in eve.others)
        for state in '"eve"', None:
            forged = encode_awareness([Awareness(ann.client_id, 50, state)])
            eve.put(messages.awareness(forged))
        eve.show('"eve"')
        await until(lambda: eve.client_id in ann.others)
        assert ann.others[ann.client_id] == '"ann"'


@pytest.mark.parametrize("dialect", ["y", "hocuspocus"])
async def test_who_shows_too_much_is_shown_later_and_as_it_is_last(dialect: str) -> None:
    limits = ServerLimits(presence=PresenceLimits(states_per_s=5))
    async with doors_of(hub_limits=limits) as served:
        ann = served.y() if dialect == "y" else served.hocuspocus()
        bob = served.y()
        ann.show("0")
        await until(lambda: bob.others.get(ann.client_id) == "0")
        (room,) = served.doors.rooms.open()
        before = room.presence.version
        for at in range(1, 201):
            ann.show(f"{at}")
        await until(lambda: bob.others[ann.client_id] == "200")
        assert room.presence.version < before + 150
        ann.show(None)
        await until(lambda: ann.client_id not in bob.others)


async def test_what_is_no_presence_ends_the_connection():
    async with doors_of() as served:
        eve = served.y()
        eve.put(messages.awareness(b"\x01\x07\x01\x01{"))
        await until(lambda: eve.end.closed)
        assert eve.end.code == 4400


@asynccontextmanager
async def replica_at(served: Served, user: str) -> AsyncIterator[tuple[Replica, Presence]]:
    """Connect a replica; return it, and its presence in the board."""

    async def connector() -> FrameStream:
        ours, theirs = memory_pair()
        served.tasks.start_soon(served.hub.serve, theirs)
        return ours

    with Replica(user=user) as replica:
        async with connect(replica, connector) as connection:
            yield replica, connection.presence("board")


async def test_replicas_and_yjs_clients_see_one_another():
    async with doors_of() as served, replica_at(served, "py") as (replica, presence):
        presence.update(user={"name": "Py 😀"})
        ann = served.y(user="ann")
        ann.show('{"user":{"name":"root"}}')
        await until(lambda: json.loads(ann.others.get(replica.id, "0")) != 0)
        assert json.loads(ann.others[replica.id]) == {"user": {"name": "Py 😀"}}
        # Whose it is, is what the server knows, whatever the client says.
        seen = Peer("ann", {"user": {"name": "root"}})
        await until(lambda: presence.others == {ann.client_id: seen})
        presence.update(at=1)
        await until(lambda: json.loads(ann.others[replica.id]).get("at") == 1)
        ann.show("[1]")
        await until(lambda: presence.others[ann.client_id].state == {})
        ann.show(None)
        await until(lambda: not presence.others)
        presence.clear()
        await until(lambda: replica.id not in ann.others)
        presence.update(at=2)
        await until(lambda: replica.id in ann.others)
        late = served.hocuspocus(user="late")
        await until(lambda: replica.id in late.others)
    assert not presence.others


async def test_nobody_stands_in_for_a_replica():
    async with doors_of() as served:
        eve = served.y(user="eve")
        async with replica_at(served, "py") as (replica, presence):
            squatted = Awareness(replica.id, 50, '"eve"')
            eve.put(messages.awareness(encode_awareness([squatted])))
            await until(lambda: replica.id in eve.others)
            presence.update(at=1)
            await until(lambda: eve.others[replica.id] == '{"at":1}')
            (room,) = served.doors.rooms.open()
            for state in '"eve"', None:
                forged = Awareness(replica.id, 2**53 - 1, state)
                eve.put(messages.awareness(encode_awareness([forged])))
            eve.show('"eve"')
            await until(lambda: presence.others)
            assert [s.state for s in room.presence.states() if s.client == replica.id] == [
                '{"at":1}'
            ]


async def test_a_state_that_is_too_large_for_replicas_stays_among_yjs_clients():
    limits = YjsLimits(presence_state_bytes_max=200_000)
    async with doors_of(limits=limits) as served, replica_at(served, "py") as (_, presence):
        ann, bob = served.y(), served.y()
        ann.show(json.dumps("x" * 150_000))
        bob.show("{}")
        await until(lambda: ann.client_id in bob.others)
        await until(lambda: list(presence.others) == [bob.client_id])


async def test_much_is_told_in_parts():
    async with doors_of() as served, replica_at(served, "py") as (_, presence):
        ann, large = served.y(), json.dumps({"x": "x" * 30_000})
        states = [Awareness(client, 1, large) for client in range(1, 21)]
        ann.put(messages.awareness(encode_awareness(states)))
        await until(lambda: len(presence.others) == 20)
        late = served.y()
        await until(lambda: len(late.others) == 20)
        late.others.clear()
        late.put(b"\x03")
        await until(lambda: len(late.others) == 20)
