"""Real processes on the web: our server, others' applications, a proxy; with and without TLS."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import anyio
import pytest
from websockets.frames import Opcode

from crdtsync import Replica
from crdtsync.errors import RefusedError
from crdtsync.transport import Backoff, Connector, connect, connect_stream
from tests.certificates import authority
from tests.document.boards import Board
from tests.server.web.raw import frame, open_raw, request, status_of
from tests.transport.home import all_synced, assert_same

ROOT = Path(__file__).parents[2]
Start = Callable[..., subprocess.Popen[str]]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals as Unix has them")


@pytest.fixture
def start() -> Iterator[Start]:
    """Start programs of Python's, and leave none behind."""
    started: list[subprocess.Popen[str]] = []

    def run(*command: object, **environment: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, *(str(part) for part in command)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, **{name: str(value) for name, value in environment.items()}},
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    if not line:
        assert process.stderr is not None
        pytest.fail(process.stderr.read())
    return line


def connector(url: str, **options: object) -> Connector:
    return partial(connect_stream, url, ssl_context=authority().client, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("scheme", ["ws", "wss", "tls"])
async def test_a_server_that_is_killed_and_comes_back(
    scheme: str, start: Start, tmp_path: Path
) -> None:
    command: list[object] = ["-m", "crdtsync.cli", "serve", "--data", tmp_path / "server.db"]
    if scheme != "ws":
        command += ["--tls-cert", authority().certificate, "--tls-key", authority().key]
    server = start(*command, "--listen", f"{scheme}://127.0.0.1:0")
    url = line_of(server)
    backoff = Backoff(0.02, 0.05)
    with Replica(user="ann") as ann, Replica(user="bob") as bob:
        boards = [replica.document(Board, "board") for replica in (ann, bob)]
        async with (
            connect(ann, connector(url), backoff=backoff) as one,
            connect(bob, connector(url), backoff=backoff) as other,
        ):
            boards[0].name = "before"
            await all_synced(one, other)
            server.kill()
            server.wait()
            boards[0].name = "meanwhile"
            boards[1].add("something else")
            server = start(*command, "--listen", url)
            assert line_of(server) == url
            await all_synced(one, other)
            assert_same(ann, bob, document="board")
            assert boards[1].name == "meanwhile"
            events = one.events()
            server.terminate()
            with anyio.fail_after(30):
                async for event in events:
                    if event.kind == "waiting":
                        break
            assert "stopping" in event.detail
            assert server.wait(30) == 0


async def test_through_a_proxy(start: Start, tmp_path: Path) -> None:
    server = start(
        *("-m", "crdtsync.cli", "serve", "--data", tmp_path / "server.db"),
        *("--listen", "wss://127.0.0.1:0", "--tls-cert", authority().certificate),
        *("--tls-key", authority().key),
    )
    proxy = start("-m", "tests.end_to_end.proxy")
    url, through = line_of(server), f"http://127.0.0.1:{line_of(proxy)}"
    with Replica(user="ann") as ann, Replica(user="bob") as bob:
        ann.document(Board, "board").name = "through"
        bob.document(Board, "board")
        trusted = authority().client
        async with (
            ann.connect(url, ssl_context=trusted, proxy=through) as one,
            bob.connect(url, ssl_context=trusted) as other,
        ):
            await all_synced(one, other)
            assert_same(ann, bob, document="board")
    assert line_of(proxy) == f"CONNECT {url.removeprefix('wss://').strip('/')}"


def start_mounted(start: Start, which: str, data: Path, port: int) -> str:
    process = start(
        *("-m", "uvicorn", f"tests.end_to_end.mounted:{which}", "--port", port),
        SERVER_DATA=data,
    )
    assert process.stderr is not None
    for line in process.stderr:
        found = re.search(r"running on http://(\S+)", line)
        if found:
            return f"ws://{found[1]}/a/sync"
    pytest.fail("uvicorn did not start")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@pytest.mark.parametrize("which", ["fastapi", "starlette"])
async def test_mounted_in_an_application_of_others(
    which: str, start: Start, tmp_path: Path
) -> None:
    port = free_port()
    url = start_mounted(start, which, tmp_path / "server.db", port)
    with Replica(user="ann") as ann, Replica(user="bob") as bob:
        boards = [replica.document(Board, "board") for replica in (ann, bob)]
        async with ann.connect(url) as one, bob.connect(f"{url}/") as other:
            boards[0].name = "mounted"
            await all_synced(one, other)
            assert_same(ann, bob, document="board")
    here = f"ws://127.0.0.1:{port}"
    assert await status_of(here, request("/a/sync/health", upgrade=False)) == (200, "ok")
    if which == "fastapi":
        assert (await status_of(here, request("/hello", upgrade=False)))[0] == 200
    elsewhere = request("/a/sync/", "Origin: https://evil.example\r\n")
    assert (await status_of(here, elsewhere))[0] == 403


async def test_a_compressed_bomb_where_the_application_lets_clients_compress(
    start: Start, tmp_path: Path
) -> None:
    url = start_mounted(start, "fastapi", tmp_path / "server.db", free_port())
    packer = zlib.compressobj(wbits=-15)
    bomb = packer.compress(bytes(100_000_000)) + packer.flush(zlib.Z_SYNC_FLUSH)
    sent = bytearray(frame(Opcode.BINARY, bomb[:-4]))
    sent[0] |= 0x40
    offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
    async with open_raw(url, "/a/sync/", offer) as client:
        await client.send(bytes(sent))
        assert await client.close_code() == 1009
    with Replica(user="ann") as ann:
        ann.document(Board, "board")
        async with ann.connect(url) as one:
            await all_synced(one)


async def test_what_is_no_server_is_tried_again_and_reported(start: Start, tmp_path: Path) -> None:
    url = start_mounted(start, "starlette", tmp_path / "server.db", free_port())
    with Replica(user="ann") as ann:
        async with connect(ann, connector(f"{url}/nowhere"), backoff=Backoff(0.02, 0.05)) as one:
            events = one.events()
            with anyio.fail_after(30):
                async for event in events:
                    if event.kind == "waiting":
                        break
            assert re.search(r"40[34]", event.detail)
            assert one.state != "refused"


async def test_a_token_goes_in_the_greeting_and_who_has_none_is_refused(
    start: Start, tmp_path: Path
) -> None:
    (tmp_path / "keys.json").write_text(
        '{"keys": [{"kty": "oct", "alg": "HS256", "kid": "1", "k": "' + "A" * 43 + '"}]}'
    )
    server = start(
        *("-m", "crdtsync.cli", "serve", "--data", tmp_path / "server.db"),
        *("--listen", "ws://127.0.0.1:0", "--jwt-keys", tmp_path / "keys.json"),
        *("--audience", "tests"),
    )
    url = line_of(server)
    with Replica(user="ann") as ann:
        ann.document(Board, "board")
        async with ann.connect(url, token="nonsense") as one:
            with anyio.fail_after(30), pytest.raises(RefusedError, match="authentication"):
                await one.synced()
