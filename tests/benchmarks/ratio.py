"""Ours against the floor, round by round in one run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["RESULTS", "TABLES", "Result", "measure"]


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the table: seconds are for one operation."""

    name: str
    floor_s: float
    ours_s: float
    ratio: float
    goal: str


RESULTS: list[Result] = []
TABLES: dict[str, list[str]] = {}
"""Other tables: lines by title."""


def measure(
    benchmark: Any,
    name: str,
    *,
    ours: Callable[[], object],
    floor: Callable[[], object],
    operations: int,
    rounds: int,
    goal: str,
) -> float:
    """Run both in turn and note the median of the rounds' ratios.

    Args:
        benchmark: pytest-benchmark's fixture, which times ours.
        name: what is measured.
        ours: does `operations` operations.
        floor: does as many, bare.
        operations: how many one call does.
        rounds: how many calls of each.
        goal: what the ratio should be, for the table.
    """
    floors: list[float] = []

    def bare() -> None:
        begun = time.perf_counter()
        floor()
        floors.append(time.perf_counter() - begun)

    benchmark.pedantic(ours, setup=bare, rounds=rounds, warmup_rounds=1)
    ours_all = list(benchmark.stats.stats.data)
    floors = floors[-len(ours_all) :]
    ratio: float = statistics.median(o / f for o, f in zip(ours_all, floors, strict=True))
    RESULTS.append(
        Result(
            name,
            statistics.median(floors) / operations,
            statistics.median(ours_all) / operations,
            ratio,
            goal,
        )
    )
    benchmark.extra_info["ratio to the floor"] = round(ratio, 3)
    return ratio
