"""`crdtsync verify`: is everything in a store as it was written?"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click
from rich.text import Text

from crdtsync import Replica
from crdtsync.cli.output import (
    EXIT_DIFFERENT,
    StageBars,
    StageProgress,
    console,
    counted,
    json_option,
    replica_name,
    write_json,
)
from crdtsync.cli.show import STORE

__all__ = ["verify"]


@click.command(short_help="Check every chain, and every document against a replay.")
@click.argument("file", type=STORE)
@json_option
def verify(file: Path, as_json: bool) -> None:
    """Check a replica's FILE: every chain, every number, and each document against a replay.

    The file is only looked at. Exit code 0: all is well; 1: problems were found.
    """
    with Replica.open_read_only(file) as replica:
        entries = {name: sum(replica.ledger(name).vector.values()) for name in replica.names()}
        with StageBars() as progress:
            problems = replica.verify(_Count(sum(entries.values()), progress))
        name = replica_name(replica.id)
    if as_json:
        found = [{**asdict(problem), "replica": _hex(problem.replica)} for problem in problems]
        write_json({"file": str(file), "replica": name, "documents": entries, "problems": found})
    else:
        to = console()
        for problem in problems:
            to.print(Text.assemble(("✗ ", "bold red"), problem.message))
        if not problems:
            to.print(
                Text.assemble(
                    ("✓ ", "bold green"),
                    f"{counted(sum(entries.values()), 'entry', 'entries')} in "
                    f"{counted(len(entries), 'document')}: every chain holds, and what is shown is "
                    "what a replay of the log gives.",
                )
            )
    if problems:
        raise SystemExit(EXIT_DIFFERENT)


class _Count:
    """Adds up entries as they are checked."""

    def __init__(self, total: int, progress: StageProgress) -> None:
        self._done, self._total, self._progress = 0, total, progress

    def __call__(self, checked: int) -> None:
        self._done += checked
        self._progress("verify", self._done, self._total)


def _hex(replica: int | None) -> str | None:
    return None if replica is None else replica_name(replica)
