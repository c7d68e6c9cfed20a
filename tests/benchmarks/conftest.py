"""Prints the tables."""

from __future__ import annotations

from typing import Any

from tests.benchmarks.ratio import RESULTS, TABLES


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for title, lines in TABLES.items():
        terminalreporter.section(title)
        for line in lines:
            terminalreporter.write_line(line)
    if not RESULTS:
        return
    width = max(len(result.name) for result in RESULTS)
    terminalreporter.section("ratios to the floor, in this run")
    head = f"{'':{width}}  {'floor µs':>12} {'ours µs':>12} {'ratio':>7}  goal"
    terminalreporter.write_line(head)
    for result in RESULTS:
        terminalreporter.write_line(
            f"{result.name:{width}}  {result.floor_s * 1e6:12.2f} {result.ours_s * 1e6:12.2f} "
            f"{result.ratio:7.2f}  {result.goal}"
        )
