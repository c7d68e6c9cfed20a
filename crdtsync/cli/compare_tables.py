"""How a comparison of strategies looks, to people and to programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from crdtsync.cli.compare_report import Comparison, Tally
from crdtsync.cli.output import counted

__all__ = ["as_json", "show"]

_GOOD = ("✓", "bold green")
_BAD = ("✗", "bold red")


def show(comparisons: Sequence[Comparison], to: Console) -> None:
    """Write how often each strategy chose what people chose, and whether all replicas agree."""
    to.print()
    for comparison in comparisons:
        to.print(_facts(comparison))
    to.print()
    to.print(Text("How often each strategy chose what people then chose", style="bold"))
    to.print()
    to.print(Padding(_table(comparisons), (0, 0, 0, 2)))
    to.print()
    for line in (*_notes(comparisons), *_verdict(comparisons)):
        to.print(line)


def as_json(comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """Return comparisons as JSON carries them, the best strategy first in each."""
    recordings = []
    for comparison in comparisons:
        found = asdict(comparison)
        found["tallies"].sort(key=lambda tally: (-tally["alike"], tally["strategy"]))
        for stage in found["stages"]:
            stage["seconds"] = round(stage["seconds"], 3)
        recordings.append({**found, "ok": comparison.ok})
    return {"recordings": recordings, "ok": all(comparison.ok for comparison in comparisons)}


def _facts(comparison: Comparison) -> Text:
    merges = counted(comparison.merges, "merge")
    seconds = sum(stage.seconds for stage in comparison.stages)
    return Text.assemble(
        (comparison.session, "bold"),
        f": {counted(comparison.transactions, 'action')} acted out again by "
        f"{counted(comparison.agents, 'replica')} in {seconds:.0f} s; in {merges} people decided "
        f"{counted(comparison.decided, 'value')}",
    )


def _table(comparisons: Sequence[Comparison]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    table.add_column("strategy")
    for comparison in comparisons:
        table.add_column(comparison.session, justify="right", overflow="fold")
    rows = zip(*(comparison.tallies for comparison in comparisons), strict=True)
    for row in sorted(rows, key=_rank):
        cells = (_cell(*pair) for pair in zip(comparisons, row, strict=True))
        table.add_row(row[0].strategy, *cells)
    return table


def _rank(row: Sequence[Tally]) -> tuple[int, str]:
    """Return what sorts strategies: those first that chose most often what people chose."""
    return -sum(tally.alike for tally in row), row[0].strategy


def _cell(comparison: Comparison, tally: Tally) -> Text:
    mark = _GOOD if tally.ok else _BAD
    if not comparison.decided:
        return Text.assemble("nothing to decide ", mark)
    share = 100 * tally.alike / comparison.decided
    return Text.assemble(f"{tally.alike} of {comparison.decided} ({share:.0f} %) ", mark)


def _notes(comparisons: Sequence[Comparison]) -> Iterator[Text]:
    """Yield what is to be said of the numbers."""
    for comparison in comparisons:
        unasked = comparison.decided - comparison.in_conflict
        if unasked:
            yield Text(
                f"{counted(unasked, 'value')} that people decided in {comparison.session} were not "
                "in conflict here: no strategy was asked"
            )
        for tally in comparison.tallies:
            if tally.failed:
                yield Text(
                    f"{tally.strategy} failed {counted(tally.failed, 'time')} in "
                    f"{comparison.session}: the last write is taken for its choice"
                )


def _verdict(comparisons: Sequence[Comparison]) -> Iterator[Text]:
    """Yield what does not hold in the end; if all does, that it does."""
    for comparison in comparisons:
        for tally in comparison.tallies:
            where = f"{tally.strategy} in {comparison.session}"
            if not tally.agreed:
                yield Text.assemble(_BAD, f" {where}: in the end the replicas do not agree")
            if tally.as_recorded is False:
                yield Text.assemble(_BAD, f" {where}: the state in the end is not the recorded one")
    if all(comparison.ok for comparison in comparisons):
        recorded = all(tally.as_recorded for found in comparisons for tally in found.tallies)
        also = ", and show what was recorded" if recorded else ""
        yield Text.assemble(_GOOD, f" In the end all replicas agree under every strategy{also}.")
