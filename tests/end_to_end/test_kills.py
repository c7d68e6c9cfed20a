"""A server and two users' programs, each killed at any moment: nothing that was done is lost."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from crdtsync import Replica
from tests.end_to_end.worker import Shared

ROUNDS = 9
DEADLINE_S = 120


class Program:
    """A process that can be killed and started again; its output is kept in a file."""

    def __init__(self, log: Path, *command: str) -> None:
        self.log = log
        self.command = [sys.executable, *command]
        self.start()

    def start(self) -> None:
        with self.log.open("a") as output:
            self.process = subprocess.Popen(
                self.command,
                cwd=Path(__file__).parents[2],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def lines(self, word: str) -> list[list[str]]:
        """Return what it said, line by line, of one kind."""
        whole = self.log.read_text().rpartition("\n")[0]
        return [parts for line in whole.splitlines() if (parts := line.split())[:1] == [word]]


def wait_until(what: str, condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.02)


@pytest.mark.parametrize(
    "seed", [1, 2, 3, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(4, 40))]
)
def test_nothing_done_is_lost_whoever_is_killed_and_when(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    url = f"unix://{tmp_path}/s"
    data = str(tmp_path / "server.db")
    server = Program(
        tmp_path / "server.log", "-m", "crdtsync.cli", "serve", "--listen", url, "--data", data
    )
    workers = [
        Program(
            tmp_path / f"{name}.log",
            "-m",
            "tests.end_to_end.worker",
            str(tmp_path / f"{name}.db"),
            name,
            url,
            "60",
        )
        for name in ("ann", "bob")
    ]
    programs = [server, *workers]
    try:
        wait_until("work", lambda: all(worker.lines("did") for worker in workers))
        for _ in range(ROUNDS):
            victim = rng.choice(programs)
            time.sleep(rng.random() / 5)
            victim.kill()
            time.sleep(rng.random() / 5)
            victim.start()
        done = {parts[1] for worker in workers for parts in worker.lines("did")}
        told = [len(worker.lines("synced")) for worker in workers]

        def in_step() -> bool:
            last = [worker.lines("synced") for worker in workers]
            done.update(parts[1] for worker in workers for parts in worker.lines("did"))
            fresh = all(len(lines) > before for lines, before in zip(last, told, strict=True))
            return (
                fresh
                and last[0][-1][1:] == last[1][-1][1:]
                and int(last[0][-1][2]) >= len(done)
                and all(program.process.poll() is None for program in programs)
            )

        wait_until("convergence", in_step)
    finally:
        for program in programs:
            program.kill()
    views = []
    for name in ("ann", "bob"):
        with Replica(tmp_path / f"{name}.db") as replica:
            assert replica.verify() == []
            shared = replica.document(Shared, "shared")
            views.append(shared.to_dict())
            assert done <= set(shared.marks)
            assert int(shared.total) == len(shared.marks)
            assert sorted(str(shared.text).split()) == sorted(shared.marks)
    assert views[0] == views[1]
