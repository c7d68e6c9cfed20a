"""Queries, seen from the wire: what the server names, in which order, and to whom."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise

import anyio
import pytest
from anyio.lowlevel import checkpoint

from crdtsync.errors import StorageError
from crdtsync.pattern import matches
from crdtsync.server import Hub, MemoryBackend, ServerLimits, State
from crdtsync.server.access import Level, PatternPolicy, Rule
from crdtsync.server.tags import tags_of
from crdtsync.sync import Complete, Pong, Select, Selected, WireLimits, encode_frame
from crdtsync.transport.stream import memory_pair
from tests.server.authors import Author
from tests.server.client import Client

READS = PatternPolicy(
    [
        Rule(Level.WRITE, ("board/*", "open"), everybody=True),
        Rule(Level.READ, ("home/{user}/**",), everybody=True),
    ]
)


async def store(backend: MemoryBackend, *names: str) -> None:
    for name in names:
        await backend.append(name, [Author(7, name).write()])


@asynccontextmanager
async def serving(
    backend: MemoryBackend,
    limits: ServerLimits | None = None,
    policy: PatternPolicy | None = None,
) -> AsyncIterator[Callable[[], Awaitable[Client]]]:
    async with Hub(backend, limits, policy=policy) as hub, anyio.create_task_group() as tasks:
        streams = []

        async def connect() -> Client:
            ours, theirs = memory_pair()
            streams.append(ours)
            tasks.start_soon(hub.serve, theirs)
            client = Client(ours)
            await client.hello(secrets.token_bytes(16))
            return client

        yield connect
        for stream in streams:
            await stream.aclose()
        tasks.cancel_scope.cancel()


def _names(id_: int, name: str, frame: Selected) -> bool:
    return frame.id == id_ and list(frame.documents) == [name]


async def select(client: Client, id_: int, selectors: dict[str, int]) -> Selected:
    client.protocol.select(id_, selectors)
    await client.flush()
    return await client.until(Selected, lambda frame: frame.id == id_ and frame.complete)


async def test_only_what_may_be_read_is_named() -> None:
    backend = MemoryBackend()
    await store(backend, "board/1", "open", "closed", "home/ann/a/b", "home/bob/a")
    async with serving(backend, policy=READS) as connect:
        client = await connect()
        told = await select(client, 1, {"**": 3, "open": 0, "{user}/**": 1})
        assert told == Selected(1, {"open": 0, "board/1": 3, "home/ann/a/b": 3}, True, "", "")
        told = await select(client, 2, {"home/{user}/**": 1, "closed": 0})
        assert told.documents == {"home/ann/a/b": 1}
        assert (await select(client, 3, {"nowhere/*": 0})).documents == {}


async def test_what_comes_to_be_is_named_once_to_each_query_that_still_stands() -> None:
    backend = MemoryBackend()
    await store(backend, "board/1")
    async with serving(backend, policy=READS) as connect:
        client = await connect()
        assert (await select(client, 1, {"board/*": 5})).documents == {"board/1": 5}
        await select(client, 2, {"open": 0})
        client.protocol.select(2, {})
        await select(client, 3, {"**": 7})
        author = Author(7, "board/2")
        await backend.append("board/2", [author.write()])
        await backend.append("board/2", [author.write()])
        await store(backend, "closed", "open")
        for id_, name, priority in ((1, "board/2", 5), (3, "board/2", 7), (3, "open", 7)):
            told = await client.until(Selected, partial(_names, id_, name))
            assert told.documents == {name: priority}
        client.protocol.ping()
        await client.flush()
        await client.until(Pong)
        assert len([one for one in client.events if isinstance(one, Selected)]) == 6


async def test_the_most_urgent_are_named_where_there_are_too_many() -> None:
    backend = MemoryBackend()
    await store(backend, *[f"a/{number}" for number in range(5)], "b/1", "b/2")
    limits = ServerLimits(query_documents_max=4)
    async with serving(backend, limits) as connect:
        client = await connect()
        told = await select(client, 1, {"a/*": 5, "b/*": 1})
        assert told.documents == {"b/1": 1, "b/2": 1, "a/0": 5, "a/1": 5}
        assert (told.code, told.reason) == ("limit", "query_documents_max=4: 3 more are left out")
        await store(backend, "b/3")
        client.protocol.ping()
        await client.flush()
        await client.until(Pong)
        assert len([one for one in client.events if isinstance(one, Selected)]) == 1


async def test_so_many_queries_at_once() -> None:
    async with serving(MemoryBackend(), ServerLimits(queries_max=2)) as connect:
        client = await connect()
        codes = [(await select(client, id_, {"a/*": 0})).code for id_ in (1, 2, 3, 1)]
        assert codes == ["", "", "limit", ""]
        client.protocol.select(2, {})
        assert (await select(client, 3, {"a/*": 0})).code == ""


async def test_many_names_come_in_parts_that_fit() -> None:
    backend = MemoryBackend()
    names = [f"board/{number:03}/{'x' * 100}" for number in range(200)]
    await store(backend, *names)
    small = WireLimits(frame_bytes_max=1024, message_bytes_max=4096)
    async with serving(backend, ServerLimits(wire=small)) as connect:
        client = await connect()
        client.protocol.select(1, {"**": 1})
        await client.flush()
        await client.until(Selected, lambda frame: frame.complete)
        parts = [one for one in client.events if isinstance(one, Selected)]
        assert [part.complete for part in parts] == [False] * (len(parts) - 1) + [True]
        assert [name for part in parts for name in part.documents] == names


@pytest.mark.parametrize(
    "selectors",
    [{"a**": 0}, {"{usr}/*": 0}, {f"a{number}*": 0 for number in range(101)}],
    ids=["stars", "braces", "many"],
)
async def test_what_is_no_selection_is_told_so_and_nothing_else_ends(
    selectors: dict[str, int],
) -> None:
    async with serving(MemoryBackend()) as connect:
        client = await connect()
        assert (await select(client, 1, selectors)).code == "selector"
        assert (await select(client, 1, {"a/*": 0})).code == ""


async def test_a_flood_of_questions_waits_for_its_answers() -> None:
    """Who does not take the answers cannot make the server hold more than a few."""
    backend = MemoryBackend()
    await store(backend, *[f"board/{number:03}" for number in range(200)])
    limits = ServerLimits(unsent_bytes_max=10_000)
    async with Hub(backend, limits) as hub, anyio.create_task_group() as tasks:
        ours, theirs = memory_pair()
        tasks.start_soon(hub.serve, theirs)
        client = Client(ours)
        await client.hello()
        for _ in range(300):
            client.protocol.select(1, {"**": 0})
        await client.flush()
        await anyio.wait_all_tasks_blocked()
        assert hub.memory.used < 50_000
        with anyio.fail_after(30):
            while len([one for one in client.events if isinstance(one, Selected)]) < 300:
                await client.receive()
        await ours.aclose()
        tasks.cancel_scope.cancel()


class Uneven(MemoryBackend):
    """It takes longer to find out about some documents than about others."""

    async def state(self, document: str) -> State:
        for _ in range(int(document[-3:]) * 7 % 5 * -3 + 15):
            await checkpoint()
        return await super().state(document)


async def test_documents_go_out_in_the_order_of_their_priorities() -> None:
    """Whatever the order in which they are asked for at one time, and can be read."""
    backend = Uneven()
    names = [f"board/{number:03}" for number in range(150)]
    await store(backend, *names)
    async with serving(backend) as connect:
        client = await connect()
        for number, name in enumerate(names):
            client.protocol.subscribe(name, {}, priority=(number * 7) % 5)
        await client.flush()
        await client.until(Complete, lambda _: len(client.entries) == len(names))
        done = [one.priority for one in client.events if isinstance(one, Complete)]
        assert done == sorted(done)


class Broken(MemoryBackend):
    """Cannot be read now and then."""

    broken = True

    async def documents(self) -> list[str]:
        if self.broken:
            raise StorageError("the disk is gone", path="here")
        return await super().documents()


async def test_a_storage_that_fails_costs_the_connection_and_not_the_answer() -> None:
    backend = Broken()
    async with serving(backend) as connect:
        client = await connect()
        client.protocol.select(1, {"**": 0})
        await client.flush()
        assert (await client.until_goodbye()).code == "unavailable"
        await store(backend, "board")
        backend.broken = False
        client = await connect()
        assert (await select(client, 1, {"**": 0})).documents == {"board": 0}


async def test_nobody_asks_before_the_welcome() -> None:
    async with Hub(MemoryBackend()) as hub, anyio.create_task_group() as tasks:
        ours, theirs = memory_pair()
        tasks.start_soon(hub.serve, theirs)
        await ours.send([encode_frame(Select(1, {"**": 0}))])
        assert (await Client(ours).until_goodbye()).code == "protocol"
        await ours.aclose()
        tasks.cancel_scope.cancel()


async def test_tags_are_what_the_application_says_now() -> None:
    backend = MemoryBackend()
    await store(backend, "board/1", "board/2", "closed")
    urgent = {"board/1", "closed"}
    async with (
        Hub(
            backend,
            policy=READS,
            tags=lambda document: {"urgent"} if document in urgent else (),
        ) as hub,
        anyio.create_task_group() as tasks,
    ):
        ours, theirs = memory_pair()
        tasks.start_soon(hub.serve, theirs)
        client = Client(ours)
        await client.hello()
        told = await select(client, 1, {"tag:urgent": 0})
        assert told.documents == {"board/1": 0}  # a tag opens no door
        told = await select(client, 2, {"tag:urgent": 0, "board/*": 5})
        assert told.documents == {"board/1": 0, "board/2": 5}
        urgent.update({"board/2", "board/3"})
        for document in ("board/1", "board/2"):
            hub.retagged(document)
        told = await client.until(Selected)
        assert told == Selected(1, {"board/2": 0}, True, "", "")
        await store(backend, "board/3")
        assert (await client.until(Selected)).documents == {"board/3": 0}
        await ours.aclose()
        tasks.cancel_scope.cancel()


def test_tags_that_cannot_be_told_are_none(caplog: pytest.LogCaptureFixture) -> None:
    def fails(document: str) -> set[str]:
        raise ValueError(document)

    assert tags_of(fails, "board") == frozenset()
    assert tags_of(lambda document: "urgent", "board") == frozenset()
    assert tags_of(lambda document: [["no"]], "board") == frozenset()  # type: ignore[list-item]
    assert len(caplog.records) == 3


async def test_a_tag_that_is_given_while_the_names_are_looked_through() -> None:
    backend = MemoryBackend()
    await store(backend, "a", "b")
    urgent: set[str] = set()
    hub: Hub

    def tags(document: str) -> set[str]:
        if document == "b" and not urgent:
            urgent.add("a")  # it was looked at already
            hub.retagged("a")
        return {"urgent"} if document in urgent else set()

    async with Hub(backend, tags=tags) as hub, anyio.create_task_group() as tasks:
        ours, theirs = memory_pair()
        tasks.start_soon(hub.serve, theirs)
        client = Client(ours)
        await client.hello()
        assert (await select(client, 1, {"tag:urgent": 0})).documents == {"a": 0}
        await ours.aclose()
        tasks.cancel_scope.cancel()


async def test_heavy_patterns_and_long_names_let_others_have_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backend = MemoryBackend()
    await store(backend, *["a" * 500 + str(number) for number in range(10)])
    looked_at, turns = 0, [0]

    def count(pattern: str, document: str, user: str | None) -> bool:
        nonlocal looked_at
        looked_at += 1
        return matches(pattern, document, user)

    async def turn() -> None:
        turns.append(looked_at)
        await checkpoint()

    monkeypatch.setattr("crdtsync.selection.matches", count)
    monkeypatch.setattr("crdtsync.server.queries.checkpoint", turn)
    monkeypatch.setattr("crdtsync.server.session.checkpoint", turn)
    heavy = {"*" + "a" * 250 + "b": 1}
    async with serving(backend) as connect:
        client = await connect()
        for id_ in range(3):
            await select(client, id_, heavy)
        assert looked_at == 3 * 10
        await store(backend, *["a" * 501 + str(number) for number in range(2)])
        while looked_at < 3 * 12:
            await checkpoint()
    assert max(after - before for before, after in pairwise(turns)) <= 2


async def test_patterns_are_not_longer_than_they_may_be_altogether() -> None:
    async with serving(MemoryBackend()) as connect:
        client = await connect()
        told = await select(client, 1, {f"*{'a' * 200}{number}": 1 for number in range(99)})
        assert told.code == "selector"
