"""What conflict strategies cost: a resolve, a table of 100,000 records, an unrelated field's write.

Every strategy that is registered takes part; none is known by name. The measure is the last
writer's: what a field costs that everybody has.
"""

from __future__ import annotations

import gc
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import Any

import pytest

from crdtsync import Document, Record, Replica, Table, field
from crdtsync.document.rule import DEFAULT_STRATEGY
from crdtsync.strategy import GROUP, ColumnStrategy, Strategy, load_strategy
from tests.benchmarks.ratio import TABLES, measure

NAMES = sorted(point.name for point in metadata.entry_points(group=GROUP))
STRATEGIES = [name for name in NAMES if isinstance(load_strategy(name), Strategy)]
COUNTS = [1, 2, 10, 100]
RECORDS = 100_000
CHUNK = 1_000


def note_class(strategy: str) -> type[Any]:
    class Note(Document):
        text: str = field(default="", strategy=load_strategy(strategy))
        other: str = ""

    return Note


def rows_class(strategy: str) -> type[Any]:
    class Row(Record):
        text: str = field(default="", strategy=load_strategy(strategy))
        other: str = ""

    class Rows(Document):
        rows: Table[Row]

    return Rows


def contested(strategy: str, count: int) -> Any:
    """Return the node of a field that has so many candidates."""
    cls = note_class(strategy)
    first = Replica(user="ann")
    document = first.document(cls, "n")
    document.text = "the quick brown fox"
    for number in range(count - 1):
        with Replica(user=f"user {number}") as replica:
            replica.document(cls, "n").text = f"the quick {number} fox"
            first.merge(replica)
    node = document._live.view.at(("text",))
    assert len(node.pairs) == count
    return node


def per_call(call: Callable[[], object], calls: int) -> float:
    """Return the seconds of one call: the median of five runs."""
    times = []
    for _ in range(5):
        begun = time.perf_counter()
        for _ in range(calls):
            call()
        times.append((time.perf_counter() - begun) / calls)
    return statistics.median(times)


def look_again(node: Any) -> Callable[[], object]:
    def look() -> object:
        node.rejudge()
        return node.value

    return look


def test_resolve(benchmark: Any) -> None:
    lines = [f"{'candidates':28}" + "".join(f"{count:>12}" for count in COUNTS)]
    floor: dict[int, float] = {}
    for name in sorted(STRATEGIES, key=lambda name: name != DEFAULT_STRATEGY):
        cells = []
        for count in COUNTS:
            seconds = per_call(look_again(contested(name, count)), 2_000 // count)
            ratio = seconds / floor.setdefault(count, seconds)
            cells.append(f"{seconds * 1e6:7.1f} {ratio:4.1f}")
        lines.append(f"{name:28}" + "".join(f"{cell:>12}" for cell in cells))
    TABLES[f"resolving a field, µs and ratio to {DEFAULT_STRATEGY}"] = lines
    benchmark.pedantic(look_again(contested(DEFAULT_STRATEGY, 2)), rounds=20, iterations=100)


def fill(document: Any) -> None:
    for start in range(0, RECORDS, CHUNK):
        with document.action("fill"):
            for number in range(start, start + CHUNK):
                document.rows.add(key=f"r{number:06}", text=f"text {number}")


@pytest.mark.timeout(900)
def test_large_table(benchmark: Any) -> None:
    title = f"a table of {RECORDS:,} records, ms and ratio to {DEFAULT_STRATEGY}"
    lines = TABLES[title] = [f"{'':28}{'fill':>16}{'read all':>16}{'write and read':>16}"]
    floors: dict[str, float] = {}
    for name in sorted(STRATEGIES, key=lambda name: name != DEFAULT_STRATEGY):
        gc.collect()
        with Replica() as replica:
            document = replica.document(rows_class(name), "r")
            times: dict[str, float] = {}
            begun = time.perf_counter()
            fill(document)
            times["fill"] = time.perf_counter() - begun
            begun = time.perf_counter()
            texts = [record.text for record in document.rows.values()]
            times["read"] = time.perf_counter() - begun
            assert len(set(texts)) == RECORDS
            numbers = itertools.count()

            def change(document: Any = document, numbers: Iterator[int] = numbers) -> None:
                number = next(numbers)
                record = document.rows[f"r{number:06}"]
                record.text = f"changed {number}"
                assert record.text

            times["change"] = per_call(change, 100)
        cells = [
            f"{seconds * 1e3:10.3f} {seconds / floors.setdefault(what, seconds):5.2f}"
            for what, seconds in times.items()
        ]
        lines.append(f"{name:28}" + "".join(f"{cell:>16}" for cell in cells))
    benchmark.pedantic(lambda: None, rounds=1)


@pytest.mark.parametrize("name", STRATEGIES)
def test_unrelated_write(benchmark: Any, name: str) -> None:
    """A field beside one with a strategy costs what it costs beside a plain one."""
    with Replica() as one, Replica() as other:
        rows, plain = (
            one.document(rows_class(name), "r"),
            other.document(rows_class(DEFAULT_STRATEGY), "r"),
        )
        for document in rows, plain:
            for number in range(1_000):
                document.rows.add(key=f"r{number:06}", text=f"text {number}")
            assert document.to_dict()
        written = itertools.count()

        def write(document: Any) -> None:
            for number in range(500):
                document.rows[f"r{number:06}"].other = str(next(written))

        measure(
            benchmark,
            f"a field beside one with {name}",
            ours=lambda: write(rows),
            floor=lambda: write(plain),
            operations=500,
            rounds=15,
            goal="about 1 time a field beside a plain one",
        )


def test_every_kind_takes_part() -> None:
    assert any(isinstance(load_strategy(name), ColumnStrategy) for name in STRATEGIES)
