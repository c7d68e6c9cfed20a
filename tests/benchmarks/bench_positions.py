"""A cursor at each keystroke: its position and index after it; floor = the keystroke alone."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest

from crdtsync import Document, Replica, Text
from tests.benchmarks.ratio import RESULTS, Result

KEYSTROKES = 300
INSERT_LENGTH = 50


class Page(Document):
    body: Text


@pytest.mark.parametrize("length", [1_000, 100_000])
def test_cursor(benchmark: Any, length: int) -> None:
    dice = random.Random(length)
    spent = {"keystroke": 0.0, "cursor": 0.0}

    def typing(body: Text) -> None:
        cursor = len(body) // 2
        body.index(body.position(cursor))  # the first one reads all
        for _ in range(KEYSTROKES):
            begun = time.perf_counter()
            body.insert(cursor, "x")
            typed = time.perf_counter()
            cursor += 1
            found = body.index(body.position(cursor))
            spent["cursor"] += time.perf_counter() - typed
            spent["keystroke"] += typed - begun
            assert found == cursor

    with Replica() as replica:
        body = replica.document(Page, "page").body
        for _ in range(length // INSERT_LENGTH):  # as many pieces to the CRDT, and more
            body.insert(dice.randint(0, len(body)), "é" * INSERT_LENGTH)
        benchmark.pedantic(typing, (body,), rounds=1)
    RESULTS.append(
        Result(
            f"position and index, {length:,} characters, against a keystroke",
            spent["keystroke"] / KEYSTROKES,
            spent["cursor"] / KEYSTROKES,
            spent["cursor"] / spent["keystroke"],
            "≤ 3",
        )
    )
