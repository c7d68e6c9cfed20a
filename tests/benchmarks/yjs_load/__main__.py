"""Load on servers of Yjs documents: python -m tests.benchmarks.yjs_load.

The same stock clients from npm write to `crdtsync serve`, to Hocuspocus and to pycrdt-websocket,
one after the other. We store each change in a SQLite file before anyone hears of it; Hocuspocus
stores documents there, two seconds after a change; pycrdt-websocket keeps them in memory. Told for
each: the time until all clients were equal; the CPU time that the server took, until all was
stored; and the messages that it sent, and how many of them had changes. Clients and server share
the machine, so CPU time is the cleaner figure. Node's npm is needed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
TICKS = os.sysconf("SC_CLK_TCK")
STORED_AFTER_S = 3
LOADS = {
    "1 room x 50 clients x 20 edits, at once": (1, 50, 20, 0),
    "1 room x 50 clients x 20 edits, 50 ms apart": (1, 50, 20, 50),
    "200 rooms x 2 clients x 20 edits, at once": (200, 2, 20, 0),
}


def installed() -> Path:
    """Return a folder with the npm packages."""
    name = hashlib.sha256((HERE / "package.json").read_bytes()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"crdtsync-yjs-load-{os.getuid()}-{name}"
    if not (folder / "installed").exists():
        folder.mkdir(exist_ok=True)
        shutil.copy(HERE / "package.json", folder)
        command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        (folder / "installed").touch()
    for script in HERE.glob("*.mjs"):
        shutil.copy(script, folder)
    return folder


def _node(folder: Path) -> str:
    return str(folder / "node_modules" / ".bin" / "node")


def servers(folder: Path, file: Path) -> dict[str, tuple[str, str, list[str], Path]]:
    """Return what there is to measure: kind of clients, path, command, folder."""
    python = [sys.executable, "-m"]
    ours = [*python, "crdtsync.cli", "serve", "--listen", "ws://localhost:PORT"]
    ours += ["--data", f"{file}.ours"]
    node = [_node(folder), "--no-warnings", "hocuspocus.mjs"]
    return {
        "crdtsync, y-websocket": ("y", "/yjs", ours, ROOT),
        "crdtsync, Hocuspocus": ("hocuspocus", "/hocuspocus", ours, ROOT),
        "Hocuspocus 4, SQLite": (
            "hocuspocus",
            "",
            [*node, "@hocuspocus/server", "@hocuspocus/extension-database", "PORT", f"{file}.4"],
            folder,
        ),
        "Hocuspocus 3, SQLite": (
            "hocuspocus",
            "",
            [*node, "hocuspocus-server-3", "hocuspocus-database-3", "PORT", f"{file}.3"],
            folder,
        ),
        "pycrdt-websocket, memory": (
            "y",
            "",
            [*python, "tests.benchmarks.yjs_load.pycrdt_server", "PORT"],
            ROOT,
        ),
    }


@contextmanager
def running(command: list[str], folder: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run a server on a free port."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    command = [part.replace("PORT", str(port)) for part in command]
    pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=folder, stdout=pipe, stderr=nowhere, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline()  # it says that it is ready
        yield process, port
    finally:
        process.kill()
        process.wait()


def cpu_ms(pid: int) -> float:
    """Return the CPU time that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / TICKS


def measure(folder: Path, kind: str, url: str, load: tuple[int, ...], pid: int) -> dict[str, Any]:
    """Put a load on a server; return what the clients saw, and its CPU time."""
    numbers = [str(number) for number in load]
    command = [_node(folder), "clients.mjs", kind, url, *numbers]
    pipe = subprocess.PIPE
    clients = subprocess.Popen(command, cwd=folder, stdin=pipe, stdout=pipe, text=True)
    assert clients.stdin is not None
    assert clients.stdout is not None
    began = cpu_ms(pid)
    found: dict[str, Any] = json.loads(clients.stdout.readline() or '{"failed": true}')
    before = cpu_ms(pid)
    if "failed" not in found:
        clients.stdin.write("go\n")
        clients.stdin.flush()
        found |= json.loads(clients.stdout.readline() or '{"failed": true}')
        time.sleep(STORED_AFTER_S)
    after = cpu_ms(pid)
    clients.kill()
    clients.wait()
    return {**found, "cpu": after - before, "join_cpu": before - began}


def main() -> None:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2)
    runs = parser.parse_args().runs
    folder = installed()
    for name, load in LOADS.items():
        print(f"\n{name}\n")
        print("| server | converge ms | server CPU ms | messages | with changes | join CPU ms |")
        print("| --- | --- | --- | --- | --- | --- |")
        with tempfile.TemporaryDirectory() as data:
            for label, (kind, path, command, place) in servers(folder, Path(data) / "s.db").items():
                rows = []
                for _ in range(runs):
                    with running(command, place) as (process, port):
                        url = f"ws://localhost:{port}{path}"
                        rows.append(measure(folder, kind, url, load, process.pid))
                cells = [
                    " / ".join("failed" if "failed" in row else f"{row[key]:.0f}" for row in rows)
                    for key in ("took", "cpu", "messages", "updates", "join_cpu")
                ]
                print(f"| {label} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
