"""The same application and the same clients, in each ASGI server: what it costs the server.

The bare server on TCP is the floor. Processor time and memory are read from the system (Linux).

- *µs per entry*: processor time for each entry delivered to one of 50 receivers; *µs per frame*
  for each frame that they came in;
- *KiB idle*: memory for each connection that follows a document and waits, beside 300 like it;
- *unread*: what the server holds for one client that does not read, after it was sent as much as
  the server would take (`send` is to wait);
- *pinged*: the same for a client that sends pings for three seconds and does not read the pongs.
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from crdtsync.errors import TransportError
from crdtsync.sync import ClientProtocol, Subscribed
from crdtsync.transport import FrameStream, connect_stream
from tests.benchmarks.bench_fanout import ENTRIES, ROOT, cpu_seconds, write
from tests.benchmarks.ratio import TABLES
from tests.benchmarks.web_servers import SERVERS

RECEIVERS = 50
IDLE = 300
TABLE = TABLES.setdefault("the application in ASGI servers, in this run", [])


def memory_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


async def until_up(url: str) -> None:
    with anyio.fail_after(30):
        while True:
            try:
                await (await connect_stream(url)).aclose()
                return
            except TransportError:
                await anyio.sleep(0.05)


async def follow(url: str, opened: list[FrameStream]) -> None:
    stream = await connect_stream(url)
    protocol = ClientProtocol()
    protocol.hello(client=os.urandom(16), replica=2**52, software="bench")
    await stream.send(protocol.data_to_send())
    while True:
        for payload in await stream.receive():
            for event in protocol.receive(payload):
                if isinstance(event, Subscribed):
                    opened.append(stream)
                    return
                protocol.subscribe("bench", {})
        await stream.send(protocol.data_to_send())


async def idle_bytes(url: str, pid: int) -> float:
    opened: list[FrameStream] = []
    for _ in range(20):
        await follow(url, opened)
    before = memory_bytes(pid)
    for _ in range(IDLE):
        await follow(url, opened)
    grown = memory_bytes(pid) - before
    for stream in opened:
        await stream.aclose()
    return grown / IDLE


def upgraded(port: int, path: str) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), timeout=30)
    client.sendall(
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    assert client.recv(12) == b"HTTP/1.1 101"
    return client


def held_for_one_who_does_not_read(port: int, pid: int) -> int:
    before = memory_bytes(pid)
    with upgraded(port, "/flood"):
        time.sleep(3)
        return memory_bytes(pid) - before


def held_for_one_who_pings(port: int, pid: int) -> int:
    ping = struct.pack("!BBI", 0x89, 0x80 | 125, 0) + bytes(125)
    before = most = memory_bytes(pid)
    with upgraded(port, "/watch") as client:
        client.settimeout(0.2)
        until = time.monotonic() + 3
        while time.monotonic() < until:
            try:
                client.sendall(ping * 500)
            except TimeoutError:
                pass
            except OSError:
                break
            most = max(most, memory_bytes(pid))
    return most - before


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads CPU times from /proc")
@pytest.mark.parametrize("kind", SERVERS)
def test_asgi_server(benchmark: Any, kind: str) -> None:
    if kind == "granian":
        pytest.importorskip("granian")
    command = [sys.executable, "-m", "tests.benchmarks.web_servers", kind, str(free_port())]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert server.stdout is not None
    url = server.stdout.readline().strip()
    port = int(url.rpartition(":")[2])
    anyio.run(until_up, url)
    per_idle = anyio.run(idle_bytes, url, server.pid)
    crowd = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.receivers", url, str(RECEIVERS), str(ENTRIES)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert crowd.stdout is not None
    assert crowd.stdout.readline() == "ready\n"
    begun = cpu_seconds(server.pid)
    benchmark.pedantic(partial(anyio.run, write, url, 0.0005), rounds=1)
    frames = int(crowd.stdout.readline().split()[1])
    spent = cpu_seconds(server.pid) - begun
    delivered = RECEIVERS * ENTRIES
    assert crowd.wait(30) == 0
    crowd.stdout.close()
    unread = pinged = float("nan")
    if url.startswith("ws"):
        unread = held_for_one_who_does_not_read(port, server.pid) / 2**20
        pinged = held_for_one_who_pings(port, server.pid) / 2**20
    server.kill()
    server.wait()
    server.stdout.close()
    if not TABLE:
        head = f"{'':20} {'µs per entry':>12} {'µs per frame':>12} {'KiB idle':>9}"
        TABLE.append(f"{head} {'MiB unread':>11} {'MiB pinged':>11}")
    TABLE.append(
        f"{kind:20} {spent / delivered * 1e6:12.1f} {spent / frames * 1e6:12.1f} "
        f"{per_idle / 1024:9.1f} "
        f"{unread:11.1f} {pinged:11.1f}"
    )
    benchmark.extra_info["server CPU µs per entry"] = round(spent / delivered * 1e6, 1)
