"""Recorded editing sessions, acted out by real replicas through a real server.

Beginnings run always; whole sessions that take minutes are marked `slow`.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import anyio
import pytest

from crdtsync.cli.recordings import load_text_session
from crdtsync.cli.replay import replay
from crdtsync.cli.replay_text import TextPerformance

END_HASHES = {
    "automerge-paper": "a489e9022976c14e46627aea174d07797edcb3fd17df42605956d4cf01bf9039",
    "friendsforever": "4720ec330c91e288c00b71cab318f7a1cdde689dfc401f269c353acfd6cb03f6",
    "json-crdt-patch": "9540c169a3b43734e045b140e0ece3dec26e48e5b26795a4b600384f92cf2177",
    "node_nodecc": "c822bf881ad1fb04d1aec80575212131fb45ec33600f84f59e829526c6d8f5f1",
    "rustcode": "2cde7bd1dedbcd198e3f5a66a4135f120571a4349d48d057009f311622a0894c",
}


def act_out(data: Path, folder: Path, name: str, first: int | None = None) -> list[str]:
    """Replay a session and return what does not hold."""
    session = load_text_session(data / f"{name}.json.gz")
    if first is not None:
        session = session.first(first)
    report = anyio.run(replay, TextPerformance(session), folder, lambda *_: None)
    assert len(report.checks) == (4 if session.end is None else 5)
    return [check.claim for check in report.checks if not check.holds]


@pytest.mark.parametrize("name", END_HASHES)
def test_the_recorded_end_is_the_one_we_know(data, name):
    session = load_text_session(data / f"{name}.json.gz")
    assert session.end is not None
    assert hashlib.sha256(session.end.encode()).hexdigest() == END_HASHES[name]


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("automerge-paper", 3000),
        ("json-crdt-patch", 3000),
        ("rustcode", 2000),
        ("friendsforever", 2000),
        ("node_nodecc", 60),
    ],
)
def test_the_beginning(data, tmp_path, name, first):
    assert act_out(data, tmp_path, name, first) == []


def test_two_people_typing_at_once(data, tmp_path):
    assert act_out(data, tmp_path, "friendsforever") == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", ["automerge-paper", "json-crdt-patch", "node_nodecc", "rustcode"])
def test_the_whole(data, tmp_path, name):
    assert act_out(data, tmp_path, name) == []
