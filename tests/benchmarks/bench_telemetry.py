"""One action with telemetry, against the same without: each in a process of its own, in turn."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.ratio import measure

_ACTIONS = 500

_WORKER = f"""
import sys
{{setup}}
from crdtsync import Document, Replica

class Note(Document):
    name: str = ""

with Replica(sys.argv[1], user="ann") as replica:
    note = replica.document(Note, "board/1")
    for line in sys.stdin:
        for _ in range({_ACTIONS}):
            note.name = "twenty characters   "
        print(flush=True)
"""

_WITHOUT = "sys.modules['opentelemetry'] = None"

_SDK = """
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
metrics.set_meter_provider(MeterProvider([InMemoryMetricReader()]))
"""


class Worker:
    """A process that acts when it is told."""

    def __init__(self, setup: str, path: Path) -> None:
        command = [sys.executable, "-c", _WORKER.format(setup=setup), str(path)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def act(self) -> None:
        """Do so many actions, and return when they are done."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self._process.stdout.readline()


@pytest.mark.parametrize(
    ("name", "setup", "goal"),
    [
        ("an action, with the API alone", "", "≤ 1.05 times the same without"),
        ("an action, with an SDK", _SDK, "≤ 1.1 times the same without"),
    ],
)
def test_an_action_with_telemetry(
    benchmark: Any, tmp_path: Path, name: str, setup: str, goal: str
) -> None:
    with Worker(setup, tmp_path / "a.db") as ours, Worker(_WITHOUT, tmp_path / "b.db") as without:
        for worker in (ours, without):
            worker.act()
        measure(
            benchmark,
            name,
            ours=ours.act,
            floor=without.act,
            operations=_ACTIONS,
            rounds=60,
            goal=goal,
        )
