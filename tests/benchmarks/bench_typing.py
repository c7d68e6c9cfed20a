"""Typing a recorded session, an action for each keystroke: floor = the CRDT alone + log work."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path
from typing import Any

import pycrdt

from crdtsync import Document, Replica, Text
from tests.benchmarks.floors import BareLog
from tests.benchmarks.ratio import RESULTS, Result

CHUNK = 5_000
TYPICAL_UPDATE = bytes(28)


class Page(Document):
    body: Text


def test_typing(benchmark: Any, data: Path, tmp_path: Path) -> None:
    session = json.loads(gzip.decompress((data / "automerge-paper.json.gz").read_bytes()))
    steps = [patch for txn in session["txns"] for patch in txn["patches"]]
    chunks = [steps[start : start + CHUNK] for start in range(0, len(steps), CHUNK)]
    doc: pycrdt.Doc[Any] = pycrdt.Doc()
    text = doc.get("body", type=pycrdt.Text)
    log = BareLog(tmp_path / "bare.db")
    spent = {"crdt": 0.0, "log": 0.0, "ours": 0.0}

    def timed(what: str, begun: float) -> None:
        spent[what] += time.perf_counter() - begun

    def session_in_turns() -> None:
        with Replica(tmp_path / "ours.db", user="ann") as replica:
            body = replica.document(Page, "p").body
            for chunk in chunks:
                begun = time.perf_counter()
                for start, deleted, inserted in chunk:
                    if deleted:
                        del text[start : start + deleted]
                    if inserted:
                        text.insert(start, inserted)
                timed("crdt", begun)
                begun = time.perf_counter()
                for _ in chunk:
                    log.append(TYPICAL_UPDATE)
                timed("log", begun)
                begun = time.perf_counter()
                for start, deleted, inserted in chunk:
                    body.replace(start, start + deleted, inserted)
                timed("ours", begun)
            assert str(body) == str(text) == session["endContent"]

    benchmark.pedantic(session_in_turns, rounds=1)
    floor = spent["crdt"] + spent["log"]
    per_key = {name: seconds / len(steps) for name, seconds in spent.items()}
    for name, bare in (("CRDT + log work", floor), ("CRDT alone", spent["crdt"])):
        RESULTS.append(
            Result(
                f"typing {len(steps):,} keystrokes against {name}",
                bare / len(steps),
                per_key["ours"],
                spent["ours"] / bare,
                "≤ 1.5" if "log" in name else "",
            )
        )
