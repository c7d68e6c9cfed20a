"""Presence between replicas: seen by the others, gone with who goes, never stored."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import TaskGroup
from hypothesis import given
from hypothesis import strategies as st

from crdtsync.errors import LimitError, LocalProtocolError, TransportError
from crdtsync.replica import Replica
from crdtsync.server import Hub, MemoryBackend, PresenceLimits, ServerLimits
from crdtsync.server.access import Level, PatternPolicy, Rule
from crdtsync.sync import Shown
from crdtsync.sync.awareness import STATE_LENGTH_MAX, Sighting
from crdtsync.transport import Backoff, Connection, FrameStream, Peer, connect, memory_pair
from crdtsync.transport.presence import Presence, PresenceChange, Presences
from tests.document.boards import Board
from tests.server.yjs.harness import until
from tests.transport.home import DOCUMENT, Home


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def sure(presences: Presences, *states: tuple[int, str | None]) -> None:
    presences.hear(Shown("d", tuple(Sighting(client, state, "ann") for client, state in states)))


def shows(presence: Presence, others: dict[int, Peer]) -> bool:
    return presence.others == others


# The state alone.


async def test_a_server_that_tells_of_people_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crdtsync.transport.presence.PEERS_MAX", 3)
    presences = Presences(lambda client: False)
    presence = presences.of("d")
    changes = presence.changes()
    sure(presences, *[(client, "{}") for client in range(10)])
    assert set(presence.others) == {0, 1, 2}
    for client in range(3, 50):
        sure(presences, (client - 1, None), (client, "{}"))
    presence.close()
    assert len([change async for change in changes]) <= 6


def test_what_is_shown_adds_up_until_it_is_cleared() -> None:
    presences = Presences(lambda client: False)
    presence = presences.of("d")
    assert list(presences.take()) == [("d", None, True)]
    presence.update(name="Ann", at=1)
    presence.update(at=[2])
    assert presence.state == {"name": "Ann", "at": [2]}
    assert list(presences.take()) == [("d", '{"name":"Ann","at":[2]}', True)]
    assert list(presences.take()) == []
    presence.clear()
    assert presence.state is None
    presence.update(name="Bob")
    assert list(presences.take()) == [("d", '{"name":"Bob"}', True)]
    assert presences.of("d") is presence
    presence.close()
    presence.close()
    assert presences.of("d") is not presence
    assert list(presences.take()) == [("d", None, False), ("d", None, True)]
    with pytest.raises(LocalProtocolError, match="closed"):
        presence.update(name="Ann")


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (b"bytes", TypeError),
        ({1, 2}, TypeError),
        (math.nan, ValueError),
        ("\ud800", ValueError),
        ({"a": "\ud800"}, ValueError),
        ("x" * STATE_LENGTH_MAX, LimitError),
    ],
)
def test_what_cannot_be_shown_changes_nothing(value: object, error: type[Exception]) -> None:
    presence = Presences(lambda client: False).of("d")
    presence.update(name="Ann")
    with pytest.raises(error):
        presence.update(at=value)
    deep: list[Any] = []
    for _ in range(100):
        deep = [deep]
    with pytest.raises(ValueError, match="nest"):
        presence.update(at=deep)
    assert presence.state == {"name": "Ann"}


def test_who_is_silent_for_half_a_minute_is_gone() -> None:
    clock = Clock()
    presences = Presences(lambda client: client == 1, clock)
    presence = presences.of("d")
    presence.update(name="Ann")
    sure(presences, (1, "{}"), (7, "{}"), (8, "[]"))
    assert presence.others == {7: Peer("ann", {}), 8: Peer("ann", {})}
    list(presences.take())
    clock.now += 14
    presences.check()
    assert not list(presences.take())
    sure(presences, (7, "{}"))
    clock.now += 16
    presences.check()
    assert list(presences.take()) == [("d", '{"name":"Ann"}', True)]
    assert list(presence.others) == [7]
    clock.now += 30
    presences.check()
    assert not presence.others


@given(st.lists(st.tuples(st.integers(2, 4), st.none() | st.sampled_from(["{}", '{"a":1}']))))
def test_others_are_what_was_said_last(said: list[tuple[int, str | None]]) -> None:
    presences = Presences(lambda client: False)
    presence = presences.of("d")
    for one in said:
        sure(presences, one)
    expected = {client: state for client, state in said if state is not None}
    last = dict(said)
    assert set(presence.others) == {c for c in expected if last[c] is not None}
    presences.lose_all()
    assert not presence.others


async def test_a_slow_reader_hears_of_each_once_and_of_the_end() -> None:
    presences = Presences(lambda client: False)
    presence = presences.of("d")
    changes = presence.changes()
    sure(presences, (7, '{"a":1}'), (8, "{}"))
    sure(presences, (7, '{"a":2}'), (8, None), (9, "{}"))
    sure(presences, (9, "{}"))
    presences.lose("other")
    heard = [await anext(changes) for _ in range(3)]
    assert sorted(heard, key=lambda change: change.client) == [
        PresenceChange(7, Peer("ann", {"a": 2})),
        PresenceChange(8, None),
        PresenceChange(9, Peer("ann", {})),
    ]
    presence.close()
    rest = [change async for change in changes]
    assert rest == [PresenceChange(7, None), PresenceChange(9, None)]


# Between replicas.


async def test_replicas_see_one_another_and_who_comes_late_sees_all(home: Home) -> None:
    with Replica(user="ann") as ann, Replica(user="bob") as bob, Replica(user="cy") as cy:
        for replica in (ann, bob):
            replica.document(Board, DOCUMENT)
        async with home.running():
            async with home.connect(ann) as one, home.connect(bob) as other:
                anns, bobs = one.presence(DOCUMENT), other.presence(DOCUMENT)
                anns.update(user={"name": "Ann 😀"}, cursor=None)
                bobs.update(at=1)
                seen = {"user": {"name": "Ann 😀"}, "cursor": None}
                await until(lambda: bobs.others == {ann.id: Peer("ann", seen)})
                await until(lambda: anns.others == {bob.id: Peer("bob", {"at": 1})})
                changes = anns.changes()
                async with home.connect(cy) as late:
                    presence = late.presence(cy.document(Board, DOCUMENT))
                    await until(lambda: set(presence.others) == {ann.id, bob.id})
                    assert cy.id not in anns.others  # who only watches is not seen
                    bobs.update(at=2)
                    assert await anext(changes) == PresenceChange(bob.id, Peer("bob", {"at": 2}))
                    await until(lambda: presence.others[bob.id].state == {"at": 2})
                    bobs.clear()
                    await until(lambda: set(presence.others) == {ann.id})
                    presence.update(at=3)
                    await until(lambda: cy.id in anns.others)
                # Who says goodbye is gone at once; the context was left, and so it ends.
                await until(lambda: not anns.others)
                assert not presence.others
                with pytest.raises(LocalProtocolError, match="closed"):
                    presence.update(at=4)
            assert [change async for change in changes][-1].peer is None
            assert len(ann.ledger(DOCUMENT).heads) == 0  # nothing of it is logged


async def test_what_is_shown_is_shown_again_after_an_outage(home: Home) -> None:
    with Replica(user="ann") as ann, Replica(user="bob") as bob:
        async with home.connect(ann) as one, home.connect(bob) as other:
            anns, bobs = one.presence(DOCUMENT), other.presence(DOCUMENT)
            anns.update(at=1)  # before there is a connection at all
            for at in range(1, 4):
                async with home.running():
                    await until(partial(shows, bobs, {ann.id: Peer("ann", {"at": at})}))
                await until(lambda: not bobs.others)
                anns.update(at=at + 1)


class Reach:
    """A server in memory, to which the way of each replica can be cut."""

    def __init__(self, hub: Hub, tasks: TaskGroup) -> None:
        self._hub = hub
        self._tasks = tasks
        self._ends: dict[int, FrameStream] = {}
        self._cut: set[int] = set()

    def __call__(self, replica: Replica, **options: Any) -> AbstractAsyncContextManager[Connection]:
        async def connector() -> FrameStream:
            if replica.id in self._cut:
                raise TransportError("cut")
            ours, theirs = memory_pair()
            self._ends[replica.id] = theirs
            self._tasks.start_soon(self._hub.serve, theirs)
            return ours

        return connect(replica, connector, backoff=Backoff(0.02, 0.05), **options)

    async def cut(self, replica: Replica) -> None:
        """Cut a replica off."""
        self._cut.add(replica.id)
        await self._ends[replica.id].aclose()

    def mend(self, replica: Replica) -> None:
        """Let it connect again."""
        self._cut.discard(replica.id)


@asynccontextmanager
async def serving(limits: ServerLimits | None = None, **options: Any) -> AsyncIterator[Reach]:
    async with (
        Hub(MemoryBackend(), limits, **options) as hub,
        anyio.create_task_group() as tasks,
    ):
        yield Reach(hub, tasks)
        tasks.cancel_scope.cancel()


async def test_who_is_cut_off_is_gone_after_a_moment() -> None:
    limits = ServerLimits(presence=PresenceLimits(grace_s=0.01))
    async with serving(limits) as reach:
        with Replica(user="ann") as ann, Replica(user="bob") as bob:
            async with reach(ann) as one, reach(bob) as other:
                one.presence(DOCUMENT).update(at=1)
                bobs = other.presence(DOCUMENT)
                await until(lambda: ann.id in bobs.others)
                changes = bobs.changes()
                await reach.cut(ann)
                assert await anext(changes) == PresenceChange(ann.id, None)
                reach.mend(ann)
                assert (await anext(changes)).peer == Peer("ann", {"at": 1})


async def test_only_who_may_read_sees_and_is_seen() -> None:
    rules = [
        Rule(Level.READ, ("open/**",), everybody=True),
        Rule(Level.WRITE, ("secret/**",), users=frozenset({"ann", "bob"})),
    ]
    async with serving(policy=PatternPolicy(rules)) as reach:
        with Replica(user="ann") as ann, Replica(user="bob") as bob, Replica(user="eve") as eve:
            async with reach(ann) as one, reach(bob) as other, reach(eve) as third:
                every = [each.presence("open/1") for each in (one, other, third)]
                secret = [each.presence("secret/1") for each in (one, other, third)]
                for presence in (*every, *secret):
                    presence.update(here=True)
                await until(lambda: all(len(each.others) == 2 for each in every))
                await until(lambda: len(secret[0].others) == len(secret[1].others) == 1)
                secret[0].update(at=1)
                await until(lambda: secret[1].others[ann.id].state == {"here": True, "at": 1})
                assert not secret[2].others


async def test_the_last_of_many_states_arrives() -> None:
    limits = ServerLimits(presence=PresenceLimits(states_per_s=20))
    async with serving(limits) as reach:
        with Replica(user="ann") as ann, Replica(user="bob") as bob:
            async with reach(ann) as one, reach(bob) as other:
                anns, bobs = one.presence(DOCUMENT), other.presence(DOCUMENT)
                for at in range(200):
                    anns.update(at=at)
                    await anyio.lowlevel.checkpoint()
                await until(lambda: bobs.others == {ann.id: Peer("ann", {"at": 199})})


async def test_there_are_bounds_on_documents_and_states() -> None:
    limits = ServerLimits(presence=PresenceLimits(documents_max=2, states_max=2))
    async with serving(limits) as reach:
        replicas = [Replica(user=f"u{n}") for n in range(3)]
        async with reach(replicas[0]) as one, reach(replicas[1]) as other:
            for n in range(4):
                one.presence(f"d{n}").update(n=n)
            others = [other.presence(f"d{n}") for n in (3, 2, 1, 0)]
            await one.synced()
            others[0].close()
            others[1].close()
            others[2].update(n=1)
            await other.synced()
            assert sum(len(one.presence(f"d{n}").others) for n in range(4)) <= 1
        for replica in replicas:
            replica.close()


async def test_closing_a_presence_is_leaving_and_opening_it_again_is_coming_back() -> None:
    async with serving() as reach:
        with Replica(user="ann") as ann, Replica(user="bob") as bob:
            async with reach(ann) as one, reach(bob) as other:
                anns, bobs = one.presence(DOCUMENT), other.presence(DOCUMENT)
                anns.update(at=1)
                bobs.update(at=2)
                await until(lambda: anns.others and bobs.others)
                anns.close()
                await until(lambda: not bobs.others)
                again = one.presence(DOCUMENT)
                await until(lambda: again.others)
                assert not bobs.others
                again.update(at=3)
                await until(lambda: bobs.others)


async def test_a_document_that_is_not_synchronized_has_no_presence() -> None:
    async with serving() as reach:
        with Replica(user="ann") as ann:
            async with reach(ann, documents=["a"]) as one:
                with pytest.raises(LocalProtocolError, match="'b'"):
                    one.presence("b")
                one.presence("a")
            with pytest.raises(LocalProtocolError, match="closed"):
                one.presence("a")
