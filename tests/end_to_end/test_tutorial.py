"""The tutorial, as somebody follows it: files are written, commands run, lines typed."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text("utf-8")
LIST, FIRST, APP = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
SCREENS = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = "\n".join(re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)).splitlines()
DEADLINE_S = 60


class Terminal:
    """A process that somebody types to and looks at."""

    def __init__(self, folder: Path, port: int, command: str) -> None:
        told = [part.replace("8765", str(port)) for part in shlex.split(command, comments=True)]
        runs = {"crdtsync": [sys.executable, "-m", "crdtsync.cli"], "python": [sys.executable]}
        self.process = subprocess.Popen(
            [*runs[told[0]], *told[1:]],
            cwd=folder,
            env=os.environ | {"PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )
        self.seen = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.seen += line

    def type(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def shows(self, screen: str) -> None:
        self.wait_for(lambda: self.seen.endswith(screen), screen)

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        until = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < until, f"never came: {what}\nbut: {self.seen}"
            time.sleep(0.02)

    def end(self) -> None:
        self.process.wait(DEADLINE_S)
        self._reader.join()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.end()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[[str], Terminal]]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for name, text in ("shopping.py", LIST), ("first.py", FIRST), ("app.py", APP):
        (tmp_path / name).write_text(text.replace("8765", str(port)), "utf-8")
    opened: list[Terminal] = []

    def run(command: str) -> Terminal:
        opened.append(Terminal(tmp_path, port, command))
        return opened[-1]

    yield run
    for one in opened:
        one.close()


def quoted(words: str) -> list[str]:
    """Return what a line of the tutorial says that somebody types."""
    (line,) = [line for line in PAGE.splitlines() if line.startswith(words)]
    return re.findall(r"`([^`]*)`", line)


def test_a_newcomer_gets_what_the_tutorial_says(terminal: Callable[[str], Terminal]) -> None:
    printed, milk, bread, met, settled = SCREENS
    first = terminal("python first.py")
    first.end()
    assert first.seen == printed

    serve, *devices = [
        line for line in COMMANDS if line.startswith(("crdtsync serve", "python app.py"))
    ]
    server = terminal(serve)
    server.wait_for(lambda: "tcp://" in server.seen, "the server's address")
    ann, bob = map(terminal, devices)
    ann.shows("--- Shopping\n")
    ann.type("add milk")
    ann.shows(milk)
    bob.shows(milk)
    bob.type("add bread")
    ann.wait_for(lambda: "1 bread" in ann.seen, "bread")
    ann.type("buy milk")
    ann.shows(bread)
    bob.shows(bread)

    server.process.send_signal(signal.SIGINT)
    server.end()
    assert server.process.returncode == 0
    for who, name in (ann, "- Ann"), (bob, "- Bob"):
        lines = quoted(f"{name} types")
        shown = who.seen.count("---") + len(lines)
        who.type("\n".join(lines))
        who.wait_for(lambda: who.seen.count("---") == shown, name)  # noqa: B023 - at once

    server = terminal(serve)
    ann.shows(met)
    bob.shows(met)
    (title,) = quoted("A person decides")
    ann.type(title)
    ann.shows(settled)
    bob.shows(settled)

    for who in (ann, bob):
        who.type("quit")
        who.end()
        assert who.process.returncode == 0
    looks = [line for line in COMMANDS if line.startswith("crdtsync") and line != serve]
    assert len(looks) == 3
    for looked in [terminal(line) for line in looks]:
        looked.end()
        assert looked.process.returncode == 0, looked.seen
