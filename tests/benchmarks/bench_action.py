"""One action on one field: floor = CRDT transaction + CBOR + SHA-256 + insert."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from crdtsync import Document, Replica
from tests.benchmarks.floors import BareLog, BareSlots, bare_database
from tests.benchmarks.ratio import measure


class Note(Document):
    name: str = ""


def test_local_action(benchmark: Any, tmp_path: Path) -> None:
    log, slots, numbers = BareLog(tmp_path / "bare.db"), BareSlots(), itertools.count()
    with Replica(tmp_path / "ours.db", user="ann") as replica:
        note = replica.document(Note, "board/1")

        def floor() -> None:
            for _ in range(500):
                log.append(slots.write(next(numbers)))

        def ours() -> None:
            for _ in range(500):
                note.name = "twenty characters   "

        measure(
            benchmark,
            "local action on one field",
            ours=ours,
            floor=floor,
            operations=500,
            rounds=40,
            goal="≤ 2 times CRDT + CBOR + SHA-256 + insert",
        )


def test_local_action_that_survives_the_loss_of_power(benchmark: Any, tmp_path: Path) -> None:
    connection = bare_database(tmp_path / "bare.db", full=True)
    data = bytes(180)
    with Replica(tmp_path / "ours.db", user="ann", durability="power") as replica:
        note = replica.document(Note, "board/1")

        def floor() -> None:
            for _ in range(50):
                connection.execute("INSERT INTO entries(data) VALUES(?)", (data,))

        def ours() -> None:
            for _ in range(50):
                note.name = "twenty characters   "

        measure(
            benchmark,
            'local action, durability="power"',
            ours=ours,
            floor=floor,
            operations=50,
            rounds=40,
            goal="≤ 1.3 times FULL insert",
        )


def test_the_same_against_all_that_it_must_do(benchmark: Any, tmp_path: Path) -> None:
    """After the sleep in a flush the CRDT and the encoding cost three times as much.

    So the work that no action can do without is itself beyond 1.3 times the insert, where a flush
    takes a tenth of a millisecond.
    """
    log, slots = BareLog(tmp_path / "bare.db", full=True), BareSlots()
    numbers = itertools.count()
    with Replica(tmp_path / "ours.db", user="ann", durability="power") as replica:
        note = replica.document(Note, "board/1")

        def floor() -> None:
            for _ in range(50):
                log.append(slots.write(next(numbers)))

        def ours() -> None:
            for _ in range(50):
                note.name = "twenty characters   "

        measure(
            benchmark,
            "the same, against all it must do",
            ours=ours,
            floor=floor,
            operations=50,
            rounds=40,
            goal="≤ 1.3 times CRDT + CBOR + SHA-256 + FULL insert",
        )
