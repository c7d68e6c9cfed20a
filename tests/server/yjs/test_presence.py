"""Presence through the doors: shown, told to who comes later, gone with who goes."""

from __future__ import annotations

import pytest

from crdtsync.server.yjs import YjsLimits, messages
from crdtsync.sync.awareness import Awareness, encode_awareness
from tests.server.yjs.harness import doors_of, until

pytestmark = pytest.mark.anyio


async def test_presence_is_shown_across_the_doors_and_goes_with_a_cut():
    async with doors_of(limits=YjsLimits(presence_grace_s=0.01)) as served:
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


async def test_what_is_no_presence_ends_the_connection():
    async with doors_of() as served:
        eve = served.y()
        eve.put(messages.awareness(b"\x01\x07\x01\x01{"))
        await until(lambda: eve.end.closed)
        assert eve.end.code == 4400
