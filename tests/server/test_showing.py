"""What replicas show of themselves, as the server deals with it: bounded, and each its own."""

from __future__ import annotations

import json

import anyio
import pytest

from crdtsync.server import MemoryBackend, PresenceLimits, ServerLimits
from crdtsync.server.presence import Presence
from crdtsync.server.showing import Showing
from crdtsync.sync import Show, Shown
from tests.server.client import Client, Connect, serving
from tests.sync.helpers import subscribed

pytestmark = pytest.mark.anyio


async def two(connect: Connect, *, replica: int = 2) -> tuple[Client, Client]:
    """Connect two who follow the board: replica 1, and another."""
    one, other = await connect(), await connect(hello=False)
    await other.hello(replica=replica)
    for client in (one, other):
        await client.follow()
    return one, other


async def show(client: Client, state: object, *, watching: bool = True) -> None:
    text = None if state is None else json.dumps({"at": state})
    client.protocol.show("board", text, watching=watching)
    await client.flush()


def last(client: Client) -> object:
    """Return what the client was told last of replica 1."""
    states = [s for e in client.events if isinstance(e, Shown) for s in e.states]
    return next((s.state for s in reversed(states) if s.client == 1), None)


async def test_who_shows_too_much_is_shown_later_and_as_it_is_last():
    _, server = subscribed("d")
    presence = Presence()
    showing = Showing(server, PresenceLimits(states_per_s=10), lambda: (7, "ann"), lambda: None)
    for at in range(100):
        showing.hear(Show("d", json.dumps({"at": at}), True), presence)
    assert 10 <= presence.version < 50
    showing.release(anyio.current_time() + 10)
    [state] = presence.states()
    assert state.state == '{"at": 99}'
    assert presence.version < 50


async def test_the_first_show_is_answered_with_who_is_there():
    async with serving(MemoryBackend()) as connect:
        client = await connect()
        await client.follow()
        await show(client, None)
        assert (await client.until(Shown)).states == ()
        await show(client, 1)
        (seen,) = (await client.until(Shown)).states
        assert (seen.client, seen.state, seen.user) == (1, '{"at": 1}', "ann")


async def test_who_does_not_read_is_told_the_last_of_many_states():
    limits = ServerLimits(presence=PresenceLimits(states_per_s=1_000_000, bytes_per_s=2**30))
    async with serving(MemoryBackend(), limits=limits) as connect:
        one, slow = await two(connect)
        await show(slow, None)
        await slow.until(Shown)
        for at in range(600):
            await show(one, at)
            await one.until(Shown)
        await slow.until(Shown, lambda shown: shown.states[-1].state == '{"at": 599}')
        # No more than the way to it holds was told one by one.
        assert sum(isinstance(event, Shown) for event in slow.events) < 300


async def test_subscribing_again_is_not_being_away():
    async with serving(MemoryBackend()) as connect:
        one, other = await two(connect)
        await show(other, None)
        await other.until(Shown)
        await show(one, 1)
        await other.until(Shown, lambda shown: bool(shown.states))
        await one.follow()
        await show(one, 2)
        await other.until(Shown, lambda shown: last(other) == '{"at": 2}')
        assert all(s.state for e in other.events if isinstance(e, Shown) for s in e.states)


async def test_who_follows_no_more_is_gone_after_a_moment_and_told_nothing():
    limits = ServerLimits(presence=PresenceLimits(grace_s=0.01))
    async with serving(MemoryBackend(), limits=limits) as connect:
        one, other = await two(connect)
        for client in (one, other):
            await show(client, 1)
        await other.until(Shown, lambda shown: last(other) == '{"at": 1}')
        one.protocol.unsubscribe("board")
        await one.flush()
        await other.until(Shown, lambda shown: shown.states[-1].state is None)
        told = len(one.events)
        await show(other, 2)
        await other.until(Shown, lambda shown: shown.states[-1].state == '{"at": 2}')
        await one.follow("elsewhere")
        assert not any(isinstance(event, Shown) for event in one.events[told:])


async def test_who_says_goodbye_is_gone_at_once():
    async with serving(MemoryBackend(), limits=ServerLimits()) as connect:
        one, other = await two(connect)
        for client in (one, other):
            await show(client, 1)
        await other.until(Shown, lambda shown: last(other) == '{"at": 1}')
        await show(one, None, watching=False)
        await show(one, None, watching=False)  # once more does no harm
        await other.until(Shown, lambda shown: shown.states[-1].state is None)


async def test_a_replica_that_connects_twice_is_as_it_was_shown_last():
    async with serving(MemoryBackend()) as connect:
        one, again = await two(connect, replica=1)
        await show(one, 1)
        await one.until(Shown, lambda shown: bool(shown.states))
        await show(again, None)
        await again.until(Shown, lambda shown: last(again) == '{"at": 1}')
        await show(again, 2)
        await again.until(Shown, lambda shown: last(again) == '{"at": 2}')
        await show(one, None, watching=False)
        await one.follow("elsewhere")
        await show(again, 3)
        await again.until(Shown, lambda shown: last(again) == '{"at": 3}')
        assert all(s.state for e in again.events if isinstance(e, Shown) for s in e.states)
