"""Through an HTTP proxy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from crdtsync.errors import TransportError
from crdtsync.replica import Replica
from crdtsync.sync import WireLimits
from crdtsync.transport import connect_stream, parse_url
from crdtsync.transport.proxy import find_proxy
from tests.certificates import authority
from tests.document.boards import Board
from tests.transport.home import all_synced
from tests.web import serving_app


class Proxy:
    """Lets through whoever asks, or answers what it is told to."""

    def __init__(self, answer: bytes = b"") -> None:
        self.asked: list[str] = []
        self._answer = answer
        self.url = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, self._handle)
            yield f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
            tasks.cancel_scope.cancel()

    async def _handle(self, client: SocketStream) -> None:
        async with client:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += await client.receive()
            self.asked.append(head.decode())
            if self._answer:
                await client.send(self._answer)
                return
            host, _, port = head.split(b" ")[1].decode().rpartition(":")
            async with await anyio.connect_tcp(host.strip("[]"), int(port)) as server:
                await client.send(b"HTTP/1.1 200 Connection established\r\nVia: tests\r\n\r\n")
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(_pour, client, server)
                    await _pour(server, client)
                    tasks.cancel_scope.cancel()


async def _pour(source: SocketStream, sink: SocketStream) -> None:
    try:
        while True:
            await sink.send(await source.receive())
    except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
        return


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WS", "WSS", "HTTP", "HTTPS", "ALL", "NO"):
        monkeypatch.delenv(f"{name}_PROXY", raising=False)
        monkeypatch.delenv(f"{name.lower()}_proxy", raising=False)


@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_replicas_meet_through_one(scheme: str) -> None:
    proxy = Proxy()
    async with serving_app(url=f"{scheme}://127.0.0.1:0") as url, proxy.running() as through:
        with Replica(user="ann") as ann, Replica(user="bob") as bob:
            ann.document(Board, "board").name = "through"
            bob.document(Board, "board")
            trusted = authority().client
            async with (
                ann.connect(url, proxy=through, ssl_context=trusted) as one,
                bob.connect(url, proxy="", ssl_context=trusted) as other,
            ):
                await all_synced(one, other)
            assert bob.document(Board, "board").name == "through"
    [asked] = proxy.asked
    where = url.removeprefix(f"{scheme}://").strip("/")
    assert asked.startswith(f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n")
    assert "Authorization" not in asked


async def test_a_proxy_that_wants_a_password_gets_it() -> None:
    proxy = Proxy(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
    async with proxy.running() as url:
        through = url.replace("//", "//ann:p%40ss@")
        with pytest.raises(TransportError, match="407 Proxy Authentication Required") as caught:
            await connect_stream("tcp://sync.example:1", proxy=through)
        assert "p@ss" not in str(caught.value)
        assert "ann" not in str(caught.value)
    assert "Proxy-Authorization: Basic YW5uOnBAc3M=\r\n" in proxy.asked[0]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"SSH-2.0\r\n\r\n", "does not let us through: SSH"),
        (b"HTTP/1.1 200 OK\r\n\r\nand more", "says more"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000, "without end"),
        (b"HTTP/1.1 200 OK\r\n", "closed"),
    ],
)
async def test_what_no_proxy_says(answer: bytes, why: str) -> None:
    async with Proxy(answer).running() as through:
        with anyio.fail_after(30), pytest.raises(TransportError, match=why):
            await connect_stream("ws://sync.example", proxy=through)


@pytest.mark.parametrize("proxy", ["socks5://localhost:1", "https://localhost:1", "http://"])
async def test_proxies_that_are_not_known_are_named(proxy: str) -> None:
    with pytest.raises(TransportError, match='proxy=""'):
        await connect_stream("ws://sync.example", proxy=proxy)


async def test_a_proxy_that_is_silent_is_given_up() -> None:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener:
        through = f"127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
        with anyio.fail_after(30), pytest.raises(TransportError, match="no connection within"):
            limits = WireLimits(connect_timeout_s=0.05)
            await connect_stream("ws://sync.example", limits, proxy=through)


@pytest.mark.parametrize(
    ("variables", "url", "found"),
    [
        ({"HTTPS_PROXY": "http://a"}, "wss://sync.example", "http://a"),
        ({"https_proxy": "http://a"}, "ws://sync.example", "http://a"),
        ({"HTTPS_PROXY": "http://a", "WSS_PROXY": "http://b"}, "wss://sync.example", "http://b"),
        ({"http_proxy": "http://a"}, "ws://sync.example", "http://a"),
        ({"http_proxy": "http://a"}, "wss://sync.example", None),
        ({"ALL_PROXY": "http://a"}, "wss://sync.example", "http://a"),
        ({"HTTPS_PROXY": "http://a", "NO_PROXY": "sync.example"}, "wss://sync.example", None),
        ({"HTTPS_PROXY": "http://a", "NO_PROXY": ".example"}, "wss://sync.example", None),
        ({"HTTPS_PROXY": "http://a"}, "wss://localhost", None),
        ({"HTTPS_PROXY": "http://a"}, "wss://127.0.0.1:8765", None),
        ({"HTTPS_PROXY": "http://a", "ALL_PROXY": "http://a"}, "tcp://sync.example:1", None),
        ({"HTTPS_PROXY": "http://a"}, "ws+unix:///run/s", None),
        ({}, "wss://sync.example", None),
    ],
)
def test_what_the_environment_names(
    variables: dict[str, str], url: str, found: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert find_proxy(parse_url(url)) == found


async def test_the_environments_proxy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = Proxy(b"HTTP/1.1 403 Forbidden\r\n\r\n")
    async with proxy.running() as through:
        monkeypatch.setenv("HTTPS_PROXY", through)
        with pytest.raises(TransportError, match="403"):
            await connect_stream("ws://sync.example")
        with pytest.raises(TransportError, match="403"):
            await connect_stream("wss://sync.example/sync")
    assert [asked.split()[1] for asked in proxy.asked] == ["sync.example:80", "sync.example:443"]
