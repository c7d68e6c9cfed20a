"""How a replay of a recorded session looks, to people and to programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from crdtsync.cli.output import counted
from crdtsync.cli.replay_report import ReplayReport

__all__ = ["as_json", "show"]

_HASH_LENGTH = 12


def show(report: ReplayReport, to: Console) -> None:
    """Write what was done, how fast, and what was checked."""
    actions, replicas = counted(report.transactions, "action"), counted(report.agents, "replica")
    to.print()
    to.print(Text.assemble((report.session, "bold"), f": {actions} acted out again by {replicas}"))
    to.print()
    to.print(Padding(_facts(report), (0, 0, 0, 2)))
    to.print()
    to.print(Padding(_stages(report), (0, 0, 0, 2)))
    to.print()
    for check in report.checks:
        mark = ("✓ ", "bold green") if check.holds else ("✗ ", "bold red")
        to.print(Padding(Text.assemble(mark, check.claim), (0, 0, 0, 2)))
    to.print()
    if report.ok:
        shown = f"All is well: every replica shows the view {report.view_hash[:_HASH_LENGTH]}…"
        to.print(Text(shown))
    else:
        to.print(Text("Something differs: see the lines marked ✗ above.", style="bold red"))


def as_json(report: ReplayReport) -> dict[str, Any]:
    """Return a report as JSON carries it."""
    found = asdict(report)
    for stage, entry in zip(report.stages, found["stages"], strict=True):
        entry["rate"] = round(stage.rate, 1)
        entry["seconds"] = round(stage.seconds, 3)
    return {**found, "ok": report.ok}


def _facts(report: ReplayReport) -> Text:
    words = [f"{value:,} {name.replace('_', ' ')}" for name, value in report.summary.items()]
    return Text(" · ".join(words), style="dim")


def _stages(report: ReplayReport) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    table.add_column("")
    table.add_column("how much", justify="right")
    table.add_column("")
    table.add_column("seconds", justify="right")
    table.add_column("a second", justify="right", style="cyan")
    for stage in report.stages:
        table.add_row(
            stage.name, f"{stage.count:,}", stage.unit, f"{stage.seconds:.2f}", f"{stage.rate:,.0f}"
        )
    return table
