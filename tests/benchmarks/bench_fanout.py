"""One writer, many receivers on local sockets: what a delivery costs the server's CPU.

The server, the receivers and the writer are processes of their own; the server's CPU time is read
from the system (Linux). Entries are written one action at a time, as fast as one person's program
can, and every receiver gets each of them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from crdtsync import Document, Replica
from tests.benchmarks.ratio import TABLES

ENTRIES = 2_000
ROOT = Path(__file__).parents[2]
TABLE = TABLES.setdefault("fan-out, in this run", [])


class Bench(Document):
    line: str = ""


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def write(url: str, pace_s: float) -> None:
    with Replica(user="ann") as replica:
        bench = replica.document(Bench, "bench")
        async with replica.connect(url) as connection:
            for number in range(ENTRIES):
                bench.line = f"line {number} of a text that somebody writes"
                await anyio.sleep(pace_s)
            await connection.synced()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads CPU times from /proc")
@pytest.mark.parametrize("receivers", [1, 10, 50, 200])
@pytest.mark.parametrize("scheme", ["unix", "tcp"])
def test_fan_out(benchmark: Any, tmp_path: Path, receivers: int, scheme: str) -> None:
    wanted = f"unix://{tmp_path}/s" if scheme == "unix" else "tcp://127.0.0.1:0"
    command = [sys.executable, "-m", "crdtsync.cli", "serve", "--listen", wanted]
    command += ["--data", str(tmp_path / "server.db")]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert server.stdout is not None
    url = server.stdout.readline().strip()
    crowd = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.receivers", url, str(receivers), str(ENTRIES)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert crowd.stdout is not None
    assert crowd.stdout.readline() == "ready\n"

    def run() -> int:
        assert crowd.stdout is not None
        anyio.run(write, url, 0.0005)
        word, frames = crowd.stdout.readline().split()
        assert word == "frames"
        return int(frames)

    begun = cpu_seconds(server.pid)
    frames = benchmark.pedantic(run, rounds=1)
    spent = cpu_seconds(server.pid) - begun
    server.terminate()
    assert server.wait(30) == 0
    assert crowd.wait(30) == 0
    server.stdout.close()
    crowd.stdout.close()
    deliveries = ENTRIES * receivers
    line = (
        f"{scheme:5} {receivers:10} {deliveries:12,} {frames:10,} {spent:12.2f} "
        f"{deliveries / spent:22,.0f} {spent / frames * 1e6:18.1f}"
    )
    if not TABLE:
        TABLE.append(
            "      receivers   deliveries     frames server CPU s deliveries / CPU second "
            "µs CPU per frame"
        )
    TABLE.append(line)
    benchmark.extra_info["deliveries per server CPU second"] = round(deliveries / spent)
