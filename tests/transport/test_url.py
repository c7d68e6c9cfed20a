"""Addresses, and listening on them."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketListener, SocketStream

from crdtsync.errors import TransportError
from crdtsync.sync import WireLimits
from crdtsync.transport import Address, FrameStream, connect_stream, listen, parse_url
from crdtsync.transport.listener import Listener


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("tcp://localhost:8765", Address("tcp", "localhost", 8765)),
        ("tcp://localhost:8765/", Address("tcp", "localhost", 8765)),
        ("tcp://[::1]:0", Address("tcp", "::1", 0)),
        ("unix:///run/crdtsync.sock", Address("unix", path="/run/crdtsync.sock")),
        ("unix:///a%20b", Address("unix", path="/a b")),
        ("tls://example.org:8765", Address("tls", "example.org", 8765)),
        ("ws://localhost:8765", Address("ws", "localhost", 8765, "/")),
        ("ws://localhost", Address("ws", "localhost", 80, "/")),
        ("wss://example.org/sync", Address("wss", "example.org", 443, "/sync/")),
        ("wss://example.org/a/b%20c/", Address("wss", "example.org", 443, "/a/b%20c/")),
        ("ws+unix:///run/crdtsync.sock", Address("ws+unix", path="/run/crdtsync.sock")),
    ],
)
def test_urls(url: str, address: Address) -> None:
    assert parse_url(url) == address


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://localhost:1", "known are tcp://, tls://, unix://, ws://"),
        ("localhost:8765", "known are"),
        ("", "known are"),
        ("tcp://localhost", "tcp://host:port"),
        ("tcp://:80", "tcp://host:port"),
        ("tcp://localhost:80/path", "tcp://host:port"),
        ("tcp://localhost:99999", "not a URL"),
        ("tcp://localhost:x", "not a URL"),
        ("tcp://[::1:80", "not a URL"),
        ("tcp://ann@localhost:80", "no user"),
        ("tcp://localhost:80?x=1", "no user, query"),
        ("tls://localhost", "tls://host:port"),
        ("ws:///path", "ws://host:port/path"),
        ("ws://localhost/é", "not ASCII"),
        ("wss://localhost?token=x", "no user, query"),
        ("unix://host/path", "unix:///path"),
        ("unix:///", "unix:///path"),
        ("unix:///a%00b", "unix:///path"),
    ],
)
def test_what_is_not_an_address_says_why(url: str, why: str) -> None:
    with pytest.raises(TransportError, match=why):
        parse_url(url)


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("unix:///x", True),
        ("tcp://localhost:1", True),
        ("tcp://127.3.2.1:1", True),
        ("tcp://[::1]:1", True),
        ("tcp://0.0.0.0:1", False),
        ("tcp://[::]:1", False),
        ("tcp://192.168.1.1:1", False),
        ("tcp://example.org:1", False),
        ("ws://localhost:1", True),
        ("ws+unix:///x", True),
        ("wss://example.org", False),
    ],
)
def test_what_only_this_machine_can_reach(url: str, local: bool) -> None:
    assert parse_url(url).is_local is local


def test_an_address_prints_as_its_url() -> None:
    for url in ("tcp://localhost:1", "tcp://[::1]:2", "unix:///run/x", "wss://[::1]:443/a/"):
        assert str(parse_url(url)) == url


async def test_nobody_there(tmp_path: Path) -> None:
    with socket.socket() as taken:  # bound, and not listening
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        for url in (f"tcp://127.0.0.1:{port}", f"unix://{tmp_path}/none", "tcp://a..b:1"):
            with pytest.raises(TransportError, match=url[:7]):
                await connect_stream(url)


async def test_a_connection_that_does_not_come_about_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def never(*_: object) -> SocketStream:
        await anyio.sleep_forever()
        raise AssertionError

    monkeypatch.setattr(anyio, "connect_tcp", never)
    with anyio.fail_after(30):
        with pytest.raises(TransportError, match=r"no connection within 0\.01 s"):
            await connect_stream("tcp://localhost:1", WireLimits(connect_timeout_s=0.01))


async def test_an_address_in_use(tmp_path: Path) -> None:
    for url in ("tcp://127.0.0.1:0", f"unix://{tmp_path}/server"):
        listener = await listen(url)
        with pytest.raises(TransportError, match=r"listens there|in use"):
            await listen(listener.url)
        await listener.aclose()
        again = await listen(listener.url)
        await again.aclose()


async def test_a_socket_left_behind_is_replaced_and_other_files_are_not(tmp_path: Path) -> None:
    path = tmp_path / "server"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    listener = await listen(f"unix://{path}")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    await listener.aclose()
    assert not path.exists()
    path.write_text("precious")
    with pytest.raises(TransportError, match="not a socket"):
        await listen(f"unix://{path}")
    assert path.read_text() == "precious"


async def test_a_listener_outlives_failures_to_accept(caplog: pytest.LogCaptureFixture) -> None:
    class Tired(SocketListener):
        failures = 2

        async def accept(self) -> SocketStream:
            if self.failures:
                self.failures -= 1
                raise OSError(24, "too many open files")
            return await real.accept()

        async def aclose(self) -> None:
            await real.aclose()

        @property
        def _raw_socket(self) -> socket.socket:
            return real._raw_socket

    listener = await listen("tcp://127.0.0.1:0")
    [real] = listener._listeners
    tired = Listener(listener.address, [Tired()], WireLimits())
    came = anyio.Event()

    async def handler(stream: FrameStream) -> None:
        came.set()
        await stream.send([b"hello"])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tired.serve, handler)
        stream = await connect_stream(listener.url)
        with anyio.fail_after(30):
            assert await stream.receive() == [b"hello"]
        await stream.aclose()
        await tired.aclose()
    assert caplog.text.count("too many open files") == 2
