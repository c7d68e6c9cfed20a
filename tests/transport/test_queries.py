"""Queries, as an application asks them: over memory and sockets, over cuts, and off line."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crdtsync import Document, Replica
from crdtsync.errors import ConfigurationError, RefusedError, TransportError
from crdtsync.selection import Selection
from crdtsync.server import Backend, Hub, MemoryBackend, ServerLimits
from crdtsync.server.access import ALLOWED, AllowAll, Decision, refused
from crdtsync.server.authentication import Identity
from crdtsync.sync import Goodbye, encode_frame
from crdtsync.transport import (
    Backoff,
    Connection,
    FrameStream,
    MemoryFrameStream,
    Query,
    QueryItem,
    connect,
    memory_pair,
)
from tests.transport.home import Home

QUICK = Backoff(0.001, 0.002)


class Board(Document):
    name: str = ""


class Hidden(AllowAll):
    """Nobody may read these; that may change."""

    def __init__(self, *hidden: str) -> None:
        self.hidden = set(hidden)

    def may_read(self, user: Identity, document: str) -> Decision:
        return refused("it is hidden") if document in self.hidden else ALLOWED


class Server:
    """A hub that clients reach over memory; it can be cut off."""

    def __init__(self, hub: Hub, tasks: anyio.abc.TaskGroup) -> None:
        self.hub = hub
        self.down = False
        self._tasks = tasks
        self._streams: list[MemoryFrameStream] = []

    async def connector(self) -> FrameStream:
        if self.down:
            raise TransportError("the server does not run")
        ours, theirs = memory_pair()
        self._streams.append(theirs)
        self._tasks.start_soon(self.hub.serve, theirs)
        return ours

    async def cut(self) -> None:
        for stream in self._streams:
            await stream.aclose()
        self._streams = []

    @asynccontextmanager
    async def connect(self, replica: Replica, **options: object) -> AsyncIterator[Connection]:
        async with connect(replica, self.connector, backoff=QUICK, **options) as connection:  # type: ignore[arg-type]
            yield connection


@asynccontextmanager
async def serving(
    backend: Backend | None = None,
    limits: ServerLimits | None = None,
    policy: AllowAll | None = None,
) -> AsyncIterator[Server]:
    async with (
        Hub(backend or MemoryBackend(), limits, policy=policy) as hub,
        anyio.create_task_group() as tasks,
    ):
        yield Server(hub, tasks)
        tasks.cancel_scope.cancel()


async def fill(server: Server, *names: str) -> None:
    """Have somebody else write documents."""
    with Replica(user="bob") as bob:
        for name in names:
            bob.document(Board, name).name = f"bob's {name}"
        async with server.connect(bob) as connection:
            with anyio.fail_after(30):
                await connection.synced()


async def take(
    query: Query, until: Callable[[QueryItem], bool] = lambda item: item.kind == "complete"
) -> list[QueryItem]:
    items = []
    with anyio.fail_after(30):
        async for item in query:
            items.append(item)
            if until(item):
                return items
    raise AssertionError("the query ended")


def told(items: list[QueryItem]) -> list[tuple[str, str | None]]:
    return [(item.kind, item.document) for item in items]


async def test_what_a_pattern_selects_arrives(home: Home) -> None:
    async with home.running():
        with Replica(user="ann") as ann, Replica(user="bob") as bob:
            for name in ("board/1", "board/2", "board/1/notes", "diary"):
                bob.document(Board, name).name = f"bob's {name}"
            async with home.connect(bob) as other:
                with anyio.fail_after(30):
                    await other.synced()
            async with home.connect(ann, documents=[]) as connection:
                items = await take(connection.query("board/*"))
                assert sorted(told(items[:-1])) == [("arrived", "board/1"), ("arrived", "board/2")]
                assert (items[-1].done, items[-1].total) == (2, 2)
                assert ann.document(Board, "board/2").name == "bob's board/2"
                assert ann.names() == ["board/1", "board/2"]


async def test_what_comes_to_be_later_arrives_as_well() -> None:
    async with serving() as server:
        with Replica(user="ann") as ann:
            async with server.connect(ann) as connection:
                query = connection.query("board/*")
                assert told(await take(query)) == [("complete", None)]
                await fill(server, "diary", "board/1")
                items = await take(query, lambda item: item.kind == "arrived")
                assert told(items) == [("arrived", "board/1")]
                assert (query.done, query.total) == (1, 1)
                ann.document(Board, "board/mine").name = "ours"  # made here is selected, too
                items = await take(query, lambda item: item.kind == "arrived")
                assert told(items) == [("arrived", "board/mine")]


async def test_what_is_held_comes_first_even_where_no_server_is() -> None:
    async with serving() as server:
        await fill(server, "board/3")
        with Replica(user="ann") as ann:
            ann.document(Board, "board/1").name = "one"
            ann.document(Board, "board/2").name = "two"
            ann.document(Board, "board/empty")
            server.down = True
            async with server.connect(ann) as connection:
                query = connection.query({"board/*": 5, "board/2": 0})
                items = [await anext(query), await anext(query)]
                assert told(items) == [("cached", "board/2"), ("cached", "board/1")]
                assert [(item.done, item.total) for item in items] == [(0, None)] * 2
                with anyio.move_on_after(0.05) as waited:
                    await anext(query)
                assert waited.cancelled_caught
                server.down = False
                items = await take(query)
                assert told(items)[0] == ("arrived", "board/2")
                assert {item.document for item in items[1:-1]} >= {"board/1", "board/3"}


async def test_a_document_that_is_forbidden_is_an_item() -> None:
    async with serving(policy=Hidden("board/secret", "secret")) as server:
        await fill(server, "board/1")
        with Replica(user="ann") as ann:
            ann.document(Board, "board/secret").name = "it was not always"
            async with server.connect(ann) as connection:
                items = await take(connection.query({"secret": 0, "board/*": 1}))
                assert told(items)[:2] == [("cached", "board/secret"), ("failed", "secret")]
                assert (items[1].code, items[1].reason) == ("forbidden", "it is hidden")
                assert sorted(told(items)[2:4]) == [
                    ("arrived", "board/1"),
                    ("failed", "board/secret"),
                ]
                assert (items[-1].kind, items[-1].done, items[-1].total) == ("complete", 3, 3)


async def test_what_was_asked_for_in_vain_does_not_stand_in_the_way_later() -> None:
    async with serving(policy=Hidden("secret")) as server:
        with Replica(user="ann") as ann:
            async with server.connect(ann) as connection:
                assert told(await take(connection.query("secret")))[0] == ("failed", "secret")
            async with server.connect(ann) as connection:
                with anyio.fail_after(30):
                    await connection.synced()
            ann.document(Board, "secret")  # whoever has it open is told
            async with server.connect(ann) as connection:
                with anyio.fail_after(30), pytest.raises(RefusedError, match="secret"):
                    await connection.synced()


async def test_what_failed_may_arrive_after_all() -> None:
    policy = Hidden()
    async with serving(policy=policy) as server:
        await fill(server, "board")
        policy.hidden.add("board")
        with Replica(user="ann") as ann:
            async with server.connect(ann) as connection:
                query = connection.query("board")
                assert told(await take(query)) == [("failed", "board"), ("complete", None)]
                with anyio.fail_after(30):
                    await connection.synced()  # it is the query that tells
                policy.hidden.clear()
                await server.cut()
                items = await take(query, lambda item: item.kind == "arrived")
                assert (items[-1].done, items[-1].total) == (1, 1)


async def test_a_query_goes_on_over_a_cut_and_repeats_nothing() -> None:
    async with serving() as server:
        await fill(server, "board/1", "board/2")
        with Replica(user="ann") as ann:
            async with server.connect(ann) as connection:
                query = connection.query("board/*")
                await take(query)
                for number in range(3, 6):
                    server.down = True
                    await server.cut()
                    server.down = False
                    await fill(server, f"board/{number}")
                    items = await take(query, lambda item: item.kind == "arrived")
                    assert told(items) == [("arrived", f"board/{number}")]
                    assert (query.done, query.total) == (number, number)


async def test_a_cut_amid_the_answer() -> None:
    async with serving() as server:
        names = [f"board/{number}" for number in range(30)]
        await fill(server, *names)
        with Replica(user="ann") as ann:
            async with server.connect(ann) as connection:
                query = connection.query("board/*")
                first = await anext(query)
                await server.cut()
                items = [first, *await take(query)]
                assert sorted(told(items)[:-1]) == sorted(("arrived", name) for name in names)


async def test_bounded_by_the_server() -> None:
    async with serving(limits=ServerLimits(query_documents_max=3, queries_max=1)) as server:
        await fill(server, *[f"a/{number}" for number in range(4)], "b/1")
        with Replica(user="ann") as ann:
            async with server.connect(ann) as connection:
                query = connection.query({"a/*": 9, "b/*": 0})
                items = await take(query)
                assert told(items)[-4] == ("arrived", "b/1")
                assert sorted(told(items)[-3:-1]) == [("arrived", "a/0"), ("arrived", "a/1")]
                assert (items[0].document, items[0].code) == (None, "limit")
                assert "query_documents_max=3: 2 more are left out" in items[0].reason
                other = await take(connection.query("c/*"))
                assert [(item.kind, item.code) for item in other] == [
                    ("failed", "limit"),
                    ("complete", ""),
                ]
                # Whoever lets go of a query makes room for another.
                await query.aclose()
                assert [item async for item in query] == []
                await anyio.wait_all_tasks_blocked()
                assert told(await take(connection.query("d/*"))) == [("complete", None)]


async def test_a_connection_may_follow_patterns() -> None:
    async with serving() as server:
        await fill(server, "board/1", "diary", "home/ann/x", "home/bob/x")
        with Replica(user="ann") as ann:
            ann.document(Board, "board/mine").name = "ours"
            ann.document(Board, "private").name = "mine alone"
            documents = {"board/*": 0, "home/{user}/*": 1}
            async with server.connect(ann, documents=documents) as connection:
                with anyio.fail_after(30):
                    await connection.synced()
                assert ann.document(Board, "board/1").name == "bob's board/1"
                assert ann.document(Board, "home/ann/x").name == "bob's home/ann/x"
                assert ann.ledger("diary").vector == {}
                ann.document(Board, "board/later").name = "ours as well"
                with anyio.fail_after(30):
                    await connection.synced()
                known = await server.hub.channels.backend.documents()
                assert {"board/mine", "board/later"} <= set(known)
                assert "private" not in known


async def test_what_a_query_has_brought_stays_in_synchronization() -> None:
    async with serving() as server:
        await fill(server, "board/1")
        with Replica(user="ann") as ann:
            async with server.connect(ann, documents=["diary"]) as connection:
                async with aclosing(connection.query("board/1")) as query:
                    await take(query)
                ann.document(Board, "board/1").name = "ann was here"
                with anyio.fail_after(30):
                    await connection.synced()
                assert connection.status.unacknowledged == 0


async def test_what_is_asked_more_urgently_comes_sooner_than_what_comes_anyway() -> None:
    """All documents of the replica are on their way when one of them is asked for."""
    async with serving() as server:
        names = [f"board/{number:03}" for number in range(200)]
        await fill(server, *names)
        with Replica(user="ann") as ann:
            for name in names:
                ann.ledger(name)
            async with server.connect(ann, documents=names) as connection:
                query = connection.query({"board/199": 0, "board/*": 100})
                items = await take(query)
                arrived = [item.document for item in items if item.kind == "arrived"]
                assert arrived[0] == "board/199"
                assert sorted(filter(None, arrived)) == names


async def test_the_end_of_the_connection_is_the_end_of_the_query() -> None:
    async with serving() as server:
        with Replica(user="ann") as ann:
            async with server.connect(ann) as connection:
                query = connection.query("board/*")
            assert [item async for item in query] == []


async def test_a_server_that_says_no_for_good_ends_the_query() -> None:
    with Replica(user="ann") as ann:
        ann.document(Board, "board").name = "here"

        streams: list[FrameStream] = []

        async def connector() -> FrameStream:
            ours, theirs = memory_pair()
            await theirs.send([encode_frame(Goodbye("authentication", "who are you", None))])
            streams.append(theirs)
            return ours

        async with connect(ann, connector, backoff=QUICK) as connection:
            query = connection.query("board")
            assert (await anext(query)).kind == "cached"
            with anyio.fail_after(30), pytest.raises(RefusedError):
                await anext(query)
        for stream in streams:
            await stream.aclose()


async def test_what_is_no_pattern_is_told_at_once() -> None:
    async with serving() as server:
        with Replica(user="ann") as ann:
            async with server.connect(ann) as connection:
                with pytest.raises(ConfigurationError):
                    connection.query("board/**x")
                with pytest.raises(ConfigurationError):
                    connection.query("board", priority=-1)
            with pytest.raises(ConfigurationError):
                async with server.connect(ann, documents="board/**x"):
                    pass


_universe = st.dictionaries(
    st.builds("{}/{}".format, st.sampled_from("abc"), st.integers(0, 4)),
    st.tuples(st.booleans(), st.booleans()),  # may be read; is held here
    max_size=10,
)
_asked = st.dictionaries(
    st.sampled_from(["a/*", "b/?", "**", "c/1", "a/0", "new"]), st.integers(0, 3), max_size=4
)


@given(_universe, _asked, st.integers(0, 3))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_whatever_there_is_and_may_be_read_the_answer_is_whole_and_in_order(
    universe: dict[str, tuple[bool, bool]], asked: dict[str, int], cuts: int
) -> None:
    hidden = [name for name, (readable, _) in universe.items() if not readable]
    held = {name for name, (_, here) in universe.items() if here}
    policy = Hidden()
    async with serving(policy=policy) as server:
        await fill(server, *universe)
        policy.hidden.update(hidden)
        with Replica(user="ann") as ann:
            for name in held:
                ann.document(Board, name).name = "ann's"
            async with server.connect(ann, documents=[]) as connection:
                query = connection.query(asked)
                for _ in range(cuts):
                    await anyio.lowlevel.checkpoint()
                    await server.cut()
                items = await take(query)
    selection = Selection(asked)
    expected = {}
    for name in {*universe, *selection.names}:
        priority = selection.priority(name)
        visible = name not in hidden or name in held or name in selection.names
        if priority is not None and visible:
            expected[name] = ("failed" if name in hidden else "arrived", priority)
    cached = sorted((expected[name][1], name) for name in held if name in expected)
    assert told(items)[: len(cached)] == [("cached", name) for _, name in cached]
    rest = items[len(cached) : -1]
    assert {item.document: (item.kind, item.priority) for item in rest} == expected
    assert len(rest) == len(expected)
    assert [item.priority for item in rest] == sorted(item.priority for item in rest)
    assert (items[-1].kind, items[-1].done, items[-1].total) == (
        "complete",
        len(expected),
        len(expected),
    )
