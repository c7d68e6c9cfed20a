"""Recorded changes to structured files, acted out by real replicas through a real server."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import anyio
import pytest

from crdtsync.cli.recordings import load_structured_session, state_hash
from crdtsync.cli.replay import replay
from crdtsync.cli.replay_structured import StructuredPerformance

NAMES = ["ember-package-json", "linguist-languages", "symfony-framework-bundle-composer"]


def act_out(data: Path, folder: Path, name: str, first: int | None = None) -> list[str]:
    """Replay a session and return what does not hold."""
    session = load_structured_session(data / "structured" / f"{name}.jsonl.gz")
    if first is not None:
        session = session.first(first)
    report = anyio.run(replay, StructuredPerformance(session), folder, lambda *_: None)
    assert len(report.checks) == (5 if session.end_hash is None else 6)
    return [check.claim for check in report.checks if not check.holds]


@pytest.mark.parametrize("name", NAMES)
def test_the_recorded_end_has_the_recorded_hash(data, name):
    path = data / "structured" / f"{name}.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        *_, last = file
    state = json.loads(last)["end_state"]
    members = {
        path: [json.dumps(member, ensure_ascii=False) for member in found]
        for path, found in state["set"].items()
    }
    assert state_hash(state["reg"], members) == load_structured_session(path).end_hash


@pytest.mark.parametrize("name", NAMES)
def test_the_beginning(data, tmp_path, name):
    assert act_out(data, tmp_path, name, first=120) == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", NAMES)
def test_the_whole(data, tmp_path, name):
    assert act_out(data, tmp_path, name) == []
