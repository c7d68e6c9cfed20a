"""The ASGI application: its paths, its guard, its context."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from websockets.frames import Opcode

from crdtsync.errors import RemoteProtocolError, TransportError
from crdtsync.server import MemoryBackend, ServerLimits, WebApp, web_app
from crdtsync.server.authentication import DevelopmentAuthenticator, Identity
from crdtsync.server.web import WebRequest
from crdtsync.sync import Goodbye, WireLimits
from crdtsync.transport import MessageStream, connect_stream
from tests.server.authors import Author
from tests.server.client import Client
from tests.server.web.raw import frame, open_raw, request, status_of
from tests.web import serving_app


class Authenticating(DevelopmentAuthenticator):
    """Not in development mode."""

    requires_loopback = False

    async def authenticate(self, token: str | None, *, user: str | None) -> Identity:
        return Identity("ann")


class Recording:
    """A door that keeps what it was given, and echoes."""

    message_bytes_max = 10

    def __init__(self) -> None:
        self.requests: list[WebRequest] = []
        self.errors: list[Exception] = []
        self.cancelled = 0
        self.ended = anyio.Event()

    async def serve(self, stream: MessageStream, request: WebRequest) -> None:
        self.requests.append(request)
        try:
            while (data := await stream.receive()) is not None:
                await stream.send(data)
        except (TransportError, RemoteProtocolError) as error:
            self.errors.append(error)
        except anyio.get_cancelled_exc_class():
            self.cancelled += 1
            await stream.close(1001, "the server stops")
            raise
        self.ended.set()


def app_with_door() -> tuple[WebApp, Recording]:
    app, door = web_app(MemoryBackend()), Recording()
    app.doors |= {"/rooms/": door, "/rooms/inner/": Recording(), "/hall": door}
    return app, door


@pytest.mark.parametrize(
    ("asked", "status", "text"),
    [
        (request("/health", upgrade=False), 200, "ok"),
        (request("/health?x=1", upgrade=False), 200, "ok"),
        (request("/health", upgrade=False).replace(b"GET", b"POST"), 405, "GET only"),
        (request("/", upgrade=False), 426, "a WebSocket is here"),
        (request("/elsewhere", upgrade=False), 404, "nothing of this path"),
        (request("/elsewhere"), 404, "no WebSocket of this path"),
        (request("/health"), 404, "no WebSocket"),
        (request("/hall/"), 404, "no WebSocket"),
        (request("/"), 101, ""),
        (request("/hall"), 101, ""),
        (request("/rooms/one"), 101, ""),
    ],
)
async def test_what_is_where(asked: bytes, status: int, text: str) -> None:
    app, _ = app_with_door()
    async with serving_app(app) as url:
        got, said = await status_of(url, asked)
        assert got == status
        assert text in said


async def test_a_door_is_told_what_was_asked_for() -> None:
    app, door = app_with_door()
    async with serving_app(app) as url:
        headers = "X-Token: abc\r\nSec-WebSocket-Protocol: one, two\r\n"
        async with open_raw(url, "/rooms/a/b%20c?token=x&y=%20", headers) as socket:
            await socket.send(frame(Opcode.BINARY, b"hello"))
            assert (await socket.until(lambda one: one.opcode is Opcode.BINARY)).data == b"hello"
            await socket.send(frame(Opcode.CLOSE, (1000).to_bytes(2, "big")))
            await socket.until_gone()
    [asked] = door.requests
    assert (asked.path, asked.query) == ("a/b c", "token=x&y=%20")
    assert asked.headers["x-token"] == "abc"
    assert asked.client == "127.0.0.1"


@pytest.mark.parametrize(
    ("sent", "code", "why"),
    [
        (frame(Opcode.BINARY, bytes(11)), 1009, "11 bytes"),
        (frame(Opcode.TEXT, b"text"), 1003, "text message"),
    ],
    ids=["too large", "text"],
)
async def test_a_door_gets_nothing_but_binary_messages_of_its_size(
    sent: bytes, code: int, why: str
) -> None:
    app, door = app_with_door()
    async with serving_app(app) as url, open_raw(url, "/hall") as socket:
        await socket.send(frame(Opcode.BINARY, bytes(10)))
        await socket.send(sent)
        assert await socket.close_code() == code
        await socket.send(frame(Opcode.CLOSE, code.to_bytes(2, "big")))
        await socket.until_gone()
    [error] = door.errors
    assert isinstance(error, RemoteProtocolError)
    assert why in str(error)


async def test_who_hangs_up_without_a_word_is_gone() -> None:
    app, door = app_with_door()
    async with serving_app(app) as url:
        async with open_raw(url, "/hall"):
            pass
        with anyio.fail_after(30):
            await door.ended.wait()
    assert all(isinstance(error, TransportError) for error in door.errors)


async def test_stopping_hangs_up_in_good_order() -> None:
    app, door = app_with_door()
    async with anyio.create_task_group() as tasks:
        stop, up = anyio.Event(), anyio.Event()
        urls = []

        async def serve() -> None:
            async with serving_app(app) as url:
                urls.append(url)
                up.set()
                await stop.wait()

        tasks.start_soon(serve)
        await up.wait()
        client = Client(await connect_stream(urls[0]))
        await client.hello()
        await client.follow()
        receipt = await client.push_durably([Author(1).write()])
        async with open_raw(urls[0], "/hall") as socket:
            stop.set()
            assert await socket.close_code() == 1001
        goodbye = await client.until(Goodbye)
        assert goodbye.code == "stopping"
        assert receipt.offset > 0
        await client.stream.aclose()
    assert door.cancelled == 1


async def test_what_arrives_in_one_turn_goes_out_as_one_message() -> None:
    async with serving_app() as url:
        ann = Client(await connect_stream(url))
        await ann.hello()
        await ann.follow()
        received: list[int] = []
        bob = Client(await connect_stream(url))
        await bob.hello()
        await bob.follow()
        inner = bob.stream._messages  # type: ignore[attr-defined]
        take, author = inner.receive, Author(1)

        async def counting() -> bytes | None:
            data: bytes | None = await take()
            received.append(len(data or b""))
            return data

        inner.receive = counting
        for entry in author.write_many(100):
            ann.protocol.push("board", [entry.data])
        await ann.flush()
        await bob.until_entries(100)
        assert len(received) < 10
        for client in (ann, bob):
            await client.stream.aclose()


def scope(path: str = "/health", **changes: Any) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "GET",
        "path": path,
        "headers": [(b"host", b"localhost:8765")],
        "client": ("127.0.0.1", 1),
        **changes,
    }


async def ask(app: WebApp, asked: dict[str, Any]) -> int:
    """Return the status of the answer, as the ASGI server sees it; 0 for a closed WebSocket."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(event: Any) -> None:
        sent.append(event)

    await app(asked, receive, send)
    status: int = sent[0].get("status", 0)
    return status


@pytest.mark.parametrize(
    ("root", "path", "status"),
    [
        ("", "/health", 200),
        ("/sync", "/sync/health", 200),
        ("/sync/", "/sync/health", 200),
        ("/sync", "/health", 200),  # as servers of the old kind say it
        ("/sync", "/sync", 426),
        ("/sync", "/synchronous/health", 404),
        ("/a/b", "/a/b/", 426),
    ],
)
async def test_where_it_is_mounted_does_not_matter(root: str, path: str, status: int) -> None:
    async with web_app(MemoryBackend()) as app:
        assert await ask(app, scope(path, root_path=root)) == status


HERE = (b"host", b"localhost:8765")
OTHER_HOST = {"headers": [(b"host", b"evil.example:8765")]}


def origin(name: bytes) -> dict[str, Any]:
    return {"headers": [HERE, (b"origin", name)]}


@pytest.mark.parametrize(
    ("origins", "changes", "served"),
    [
        (None, {}, True),
        (None, {"client": None}, True),  # by a Unix socket
        (None, {"client": ("::1", 1)}, True),
        (None, {"client": ("192.168.1.5", 1)}, False),
        (None, OTHER_HOST, False),
        (None, {"headers": []}, False),
        (None, {"headers": [(b"host", b"[::1]:8765")]}, True),
        (None, {"headers": [(b"host", b"[")]}, False),
        (None, origin(b"http://localhost:3000"), True),
        (None, origin(b"http://127.0.0.1"), True),
        (None, origin(b"https://evil.example"), False),
        (None, origin(b"http://localhost.evil.example"), False),
        (None, origin(b"null"), False),
        (None, origin(b"http://["), False),
        (["https://Good.example/"], origin(b"https://good.example"), True),
        (["https://good.example"], origin(b"http://good.example"), False),
        (["https://good.example"], origin(b"http://localhost:3000"), True),
    ],
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_in_development_mode_no_other_site_and_no_other_machine_is_served(
    kind: str, origins: list[str] | None, changes: dict[str, Any], served: bool
) -> None:
    async with web_app(MemoryBackend(), origins=origins) as app:
        extensions: dict[str, Any] = {"websocket.http.response": {}}
        asked = scope(**changes, type=kind, extensions=extensions)
        expected = {"http": 200, "websocket": 404}[kind] if served else 403
        assert await ask(app, asked) == expected
        if kind == "websocket" and not served:
            assert await ask(app, {**asked, "path": "/", "extensions": {}}) == 0


@pytest.mark.parametrize(
    ("origins", "changes", "served"),
    [
        (None, {"client": ("192.168.1.5", 1), **OTHER_HOST}, True),
        (None, origin(b"https://anywhere.example"), True),
        (None, origin(b"null"), True),
        (["https://good.example"], {"client": ("192.168.1.5", 1), **OTHER_HOST}, True),
        (["https://good.example"], origin(b"https://good.example"), True),
        (["https://good.example"], origin(b"https://evil.example"), False),
        (["https://good.example"], origin(b"null"), False),
    ],
)
async def test_with_tokens_every_site_is_served_or_those_that_are_listed(
    origins: list[str] | None, changes: dict[str, Any], served: bool
) -> None:
    app = web_app(MemoryBackend(), origins=origins, authenticator=Authenticating())
    async with app:
        assert await ask(app, scope(**changes)) == (200 if served else 403)


async def test_nothing_is_served_outside_of_its_context() -> None:
    app = web_app(MemoryBackend())
    assert await ask(app, scope()) == 503
    async with app:
        assert await ask(app, scope()) == 200
        with pytest.raises(RuntimeError, match="once"):
            async with app:
                raise AssertionError
        assert await ask(app, scope()) == 200
    assert await ask(app, scope()) == 503
    async with app:  # and again
        assert await ask(app, scope()) == 200


@pytest.mark.parametrize("entered", [False, True])
async def test_lifespan_events_open_its_context_unless_it_is_open(entered: bool) -> None:
    app = web_app(MemoryBackend())
    events = iter(["lifespan.startup", "lifespan.shutdown"])
    sent: list[str] = []
    seen: list[int] = []

    async def receive() -> dict[str, Any]:
        if sent:
            seen.append(await ask(app, scope()))
        return {"type": next(events)}

    async def send(event: Any) -> None:
        sent.append(event["type"])

    if entered:
        async with app:
            await app({"type": "lifespan"}, receive, send)
            assert await ask(app, scope()) == 200
    else:
        await app({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert seen == [200]
    assert await ask(app, scope()) == 503


async def test_the_hubs_limits_hold_on_the_web() -> None:
    limits = ServerLimits(connections_max=1, wire=WireLimits(handshake_timeout_s=0.2))
    async with serving_app(web_app(MemoryBackend(), limits=limits)) as url:
        ann = Client(await connect_stream(url))
        await ann.hello()
        bob = Client(await connect_stream(url))
        assert (await bob.until_goodbye()).code == "busy"
        for client in (ann, bob):
            await client.stream.aclose()


async def test_all_who_hang_up_at_once_come_to_an_end() -> None:
    app, _ = app_with_door()
    async with serving_app(app) as url, open_raw(url, "/hall") as socket:
        await socket.send(frame(Opcode.BINARY, b"hello"))
        await socket.until(lambda one: one.opcode is Opcode.BINARY)
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(app.hang_up)
