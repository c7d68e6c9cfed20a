"""A connection: there at once, on line when it can be, and never a reason to stop working."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from crdtsync.document import Document
from crdtsync.errors import LocalProtocolError, RefusedError, StorageError, TransportError
from crdtsync.log import Cursor
from crdtsync.replica import Replica
from crdtsync.sync import WireLimits
from crdtsync.sync.frames import Goodbye, Ping, Push
from crdtsync.transport import Backoff, Connection, ConnectionEvent, connect
from tests.server.authors import Author
from tests.transport.scripted import ScriptedServer, heads_of


class Board(Document):
    name: str = ""


class Impatient(Backoff):
    """Waits for nothing, and counts."""

    def __init__(self) -> None:
        super().__init__(random=lambda: 0.0)
        self.resets = 0

    def reset(self) -> None:
        super().reset()
        self.resets += 1


@pytest.fixture
def replica() -> Iterator[Replica]:
    with Replica(user="ann") as replica:
        replica.document(Board, "board")
        yield replica


@asynccontextmanager
async def connected(
    replica: Replica, server: ScriptedServer, **options: Any
) -> AsyncIterator[Connection]:
    options = {"backoff": Impatient()} | options
    try:
        async with connect(replica, server.connect, **options) as connection:
            yield connection
    finally:
        await server.aclose()


async def event(connection: Connection, events: AsyncIterator[ConnectionEvent], kind: str) -> str:
    """Wait for an event of a kind."""
    with anyio.fail_after(30):
        async for one in events:
            if one.kind == kind:
                return one.detail
    raise AssertionError(f"the events ended without {kind}")


async def meanwhile(*works: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """Run several things at once, each to its end."""
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            for work in works:
                tasks.start_soon(work)


async def test_the_context_is_entered_at_once_and_left_at_once(replica: Replica) -> None:
    async def never() -> Any:
        await anyio.sleep_forever()

    with anyio.fail_after(30):
        async with connect(replica, never) as connection:
            states = [connection.state]
            events = connection.events()
            replica.document(Board, "board").name = "worked"
            status = connection.status
            assert (status.unsent, status.unacknowledged, status.behind) == (1, 1, None)
            assert status.last_proof is None
    assert [*states, connection.state] == ["connecting", "closed"]
    assert [one.kind async for one in events] == ["closed"]
    with pytest.raises(LocalProtocolError, match="context"):
        await connection.synced()


async def test_errors_in_the_body_come_out_as_they_are(replica: Replica) -> None:
    with pytest.raises(KeyError, match="mine"):
        async with connected(replica, ScriptedServer()):
            raise KeyError("mine")


async def test_a_url_that_cannot_be_understood_is_told_at_once(replica: Replica) -> None:
    with pytest.raises(TransportError, match="known are"):
        async with replica.connect("http://localhost:1"):
            pass


async def test_it_tries_until_there_is_a_server(replica: Replica) -> None:
    server = ScriptedServer()
    server.refuse = 5
    async with connected(replica, server) as connection:
        events = connection.events()
        wire = await server.accept()
        assert server.tries == 6
        assert await event(connection, events, "waiting") == "nobody there"
        await wire.welcome()
        await event(connection, events, "online")
        assert connection.state == "online"
        assert connection.status.error is None


async def test_synced_means_ours_there_and_theirs_here(replica: Replica) -> None:
    server, author = ScriptedServer(), Author(5)
    board = replica.document(Board, "board")
    board.name = "mine"
    ledger = replica.ledger("board")
    async with connected(replica, server) as connection:
        done = anyio.Event()

        async def sync() -> None:
            await connection.synced()
            done.set()

        async def serve() -> None:
            wire = await server.accept()
            await wire.welcome()
            await wire.accept()
            await wire.until(Push)
            entry = author.write()
            await wire.answer(heads_of(entry) | dict(ledger.heads))
            await anyio.wait_all_tasks_blocked()
            assert not done.is_set()
            await wire.send("board", 0, [entry])
            await anyio.wait_all_tasks_blocked()
            assert not done.is_set() or ledger.acknowledged == 1
            wire.protocol.receipt("board", replica.id, 1, 2)
            await wire.flush()
            await done.wait()
            assert ledger.vector == {5: 1, replica.id: 1}
            assert ledger.acknowledged == 1

        await meanwhile(sync, serve)
        status = connection.status
        assert (status.unsent, status.unacknowledged, status.behind) == (0, 0, 0)


async def test_synced_goes_on_over_lost_connections(replica: Replica) -> None:
    server, backoff = ScriptedServer(), Impatient()
    board = replica.document(Board, "board")
    board.name = "mine"
    async with connected(replica, server, backoff=backoff) as connection:

        async def serve() -> None:
            for _ in range(3):
                wire = await server.accept()
                await wire.welcome()
                await wire.accept()
                await wire.until(Push)
                await wire.stream.aclose()
            wire = await server.accept()
            await wire.welcome()
            await wire.accept()
            await wire.until(Push)
            wire.protocol.receipt("board", replica.id, 1, 1)
            await wire.answer(dict(replica.ledger("board").heads))

        await meanwhile(connection.synced, serve)
    assert backoff.resets == 3


async def test_synced_waits_while_an_ended_session_is_still_there(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It once asked that session again and again, and nobody else had a turn any more."""
    server = ScriptedServer()
    async with connected(replica, server) as connection:
        wire = await server.accept()
        await wire.welcome()
        await wire.accept()
        await anyio.wait_all_tasks_blocked()
        asked = 0

        async def ended(_: object) -> bool:
            nonlocal asked
            asked += 1
            assert asked < 10
            return False

        monkeypatch.setattr(connection._session, "prove", ended)

        async def serve() -> None:
            await anyio.wait_all_tasks_blocked()
            assert asked == 1
            await wire.stream.aclose()
            again = await server.accept()
            await again.welcome()
            await again.accept()
            await again.answer({})

        await meanwhile(connection.synced, serve)


async def test_two_may_wait_for_synced_and_one_may_give_up(replica: Replica) -> None:
    server = ScriptedServer()
    async with connected(replica, server) as connection:
        wire = await server.accept()
        await wire.welcome()
        await wire.accept()

        async def impatient() -> None:
            with anyio.CancelScope() as scope:
                scope.cancel()
                await connection.synced()

        async def serve() -> None:
            await wire.answer({})

        await meanwhile(impatient, connection.synced, connection.synced, serve)


async def test_synced_covers_documents_that_have_just_begun(replica: Replica) -> None:
    server = ScriptedServer()
    async with connected(replica, server) as connection:
        wire = await server.accept()
        await wire.welcome()
        await wire.accept()
        await anyio.wait_all_tasks_blocked()
        replica.ledger("new")

        async def serve() -> None:
            await wire.accept("new")
            await wire.answer({}, "new")
            await wire.answer({}, "board")

        await meanwhile(connection.synced, serve)
        assert connection.status.last_proof is not None


async def test_local_work_of_one_turn_goes_out_together(replica: Replica) -> None:
    server = ScriptedServer()
    board = replica.document(Board, "board")
    async with connected(replica, server):
        wire = await server.accept()
        await wire.welcome()
        await wire.accept()
        await anyio.wait_all_tasks_blocked()
        for number in range(10):
            board.name = f"{number}"
        push = await wire.until(Push)
        assert len(push.entries) == 10


@pytest.mark.parametrize("code", ["version", "authentication", "protocol", "fork"])
async def test_a_server_that_says_no_for_good_is_left_alone(replica: Replica, code: str) -> None:
    server = ScriptedServer()
    async with connected(replica, server) as connection:
        events = connection.events()

        async def refused() -> None:
            with pytest.raises(RefusedError, match=code):
                await connection.synced()

        async def serve() -> None:
            wire = await server.accept()
            wire.protocol.goodbye(code, "because")
            await wire.flush()
            await wire.until_gone()

        await meanwhile(refused, serve)
        assert "because" in await event(connection, events, "refused")
        assert connection.state == "refused"
        assert "because" in str(connection.status.error)
        with pytest.raises(RefusedError):
            await connection.synced()
    assert server.tries == 1


async def test_a_server_may_send_us_away_for_a_while(replica: Replica) -> None:
    server, backoff = ScriptedServer(), Impatient()
    async with connected(replica, server, backoff=backoff) as connection:
        events = connection.events()
        for code in ("restart", "fenced"):
            wire = await server.accept()
            await wire.welcome()
            wire.protocol.goodbye(code, "later", 1)
            await wire.flush()
            assert code in await event(connection, events, "waiting")
        await server.accept()
        # Two that share one identity would otherwise put each other out without a pause.
        assert backoff.resets == 1


async def test_a_document_that_fails_is_said_by_synced(replica: Replica) -> None:
    server = ScriptedServer()
    async with connected(replica, server) as connection:

        async def serve() -> None:
            wire = await server.accept()
            await wire.welcome()
            await wire.accept()
            await wire.send("board", 0, [b"no entry"])

        async def refused() -> None:
            with pytest.raises(RefusedError, match="board"):
                await connection.synced()

        await meanwhile(serve, refused)
        assert connection.state == "online"
        assert connection.status.behind is None


async def test_hostile_bytes_end_the_session_with_a_reason_and_no_more(replica: Replica) -> None:
    server, backoff = ScriptedServer(), Impatient()
    async with connected(replica, server, backoff=backoff) as connection:
        for bad in (b"\xff" * 10, b"", bytes(300_000), b"\x9f"):
            wire = await server.accept()
            await wire.welcome()
            await wire.accept()
            await wire.stream.send([bad])
            assert (await wire.until(Goodbye)).code == "protocol"
            await wire.until_gone()
        wire = await server.accept()
        await wire.welcome()
        await wire.accept()
        await wire.send("board", 0, [Author(5).write()])
        await anyio.wait_all_tasks_blocked()
        assert replica.ledger("board").vector == {5: 1}
        assert connection.state == "online"
    assert backoff.resets == 0  # what is wrong stays wrong: the waits grow


async def test_a_store_that_fails_ends_the_session_and_is_tried_again(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, backoff, ledger = ScriptedServer(), Impatient(), replica.ledger("board")
    receive, full = ledger.receive, [True]

    def failing(datas: Any, cursor: Cursor | None = None, *, prove: bool = False) -> Any:
        if full.pop() if full else False:
            raise StorageError("the disk is full", path="x.db")
        return receive(datas, cursor, prove=prove)

    monkeypatch.setattr(ledger, "receive", failing)
    entry = Author(5).write()
    async with connected(replica, server, backoff=backoff) as connection:
        events = connection.events()
        for _ in range(2):
            wire = await server.accept()
            await wire.welcome()
            await wire.accept()
            await wire.send("board", 0, [entry])
        assert "disk is full" in await event(connection, events, "waiting")
        await anyio.wait_all_tasks_blocked()
        assert ledger.vector == {5: 1}
    assert backoff.resets == 0


async def test_silence_is_taken_for_death(replica: Replica) -> None:
    server = ScriptedServer()
    limits = WireLimits(silence_timeout_s=0.02, ping_interval_s=0.005)
    async with connected(replica, server, limits=limits) as connection:
        events = connection.events()
        wire = await server.accept()
        await wire.welcome()
        assert "nothing came" in await event(connection, events, "waiting")
        await wire.until(Ping)
        await server.accept()


async def test_who_does_not_let_us_in_in_time_is_left(replica: Replica) -> None:
    server = ScriptedServer()
    limits = WireLimits(handshake_timeout_s=0.01)
    async with connected(replica, server, limits=limits) as connection:
        events = connection.events()
        assert "let us in" in await event(connection, events, "waiting")


async def test_a_replica_is_let_go_of_when_the_context_is_left(replica: Replica) -> None:
    server = ScriptedServer()
    async with connected(replica, server):
        wire = await server.accept()
        await wire.welcome()
        await wire.accept()
        assert len(replica._listeners) == 1
    await wire.until_gone()
    assert not replica._listeners


async def test_our_own_bugs_are_not_hidden(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ScriptedServer()

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(replica.ledger("board"), "receive", broken)
    with pytest.raises(ExceptionGroup) as caught:
        async with connected(replica, server) as connection:
            wire = await server.accept()
            await wire.welcome()
            await wire.accept()
            await wire.send("board", 0, [Author(5).write()])
            await connection.synced()
    assert caught.group_contains(ZeroDivisionError)
