"""`crdtsync verify`: is everything in a store as it was written?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
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
from crdtsync.errors import StorageError
from crdtsync.replica import Problem
from crdtsync.server.audit import audit_file
from crdtsync.storage import kind_of

__all__ = ["verify"]

_REPLICA_IS_SOUND = (
    "every chain and seal holds, and what is shown is what a replay of the log gives"
)
_SERVER_IS_SOUND = "every chain and seal holds, and every log is its device's own"


@click.command(short_help="Check every chain and seal, and every document against a replay.")
@click.argument("file", type=STORE)
@json_option
def verify(file: Path, as_json: bool) -> None:
    """Check the FILE of a replica or a server: every chain, number and seal.

    Of a replica also each document, against a replay of its log. The file is only looked at. Exit
    code 0: all is well; 1: problems were found; 3: the file cannot be read.
    """
    is_server = kind_of(file) == "server"
    with StageBars() as progress:
        name, entries, problems = (_server if is_server else _replica)(file, progress)
    if as_json:
        found = [{**asdict(problem), "replica": _hex(problem.replica)} for problem in problems]
        write_json({"file": str(file), "replica": name, "documents": entries, "problems": found})
    else:
        to = console()
        for where, message in _told(problems):
            to.print(Text.assemble(("✗ ", "bold red"), where, message))
        if not problems:
            to.print(
                Text.assemble(
                    ("✓ ", "bold green"),
                    f"{counted(sum(entries.values()), 'entry', 'entries')} in "
                    f"{counted(len(entries), 'document')}: "
                    f"{_SERVER_IS_SOUND if is_server else _REPLICA_IS_SOUND}.",
                )
            )
    if problems:
        raise SystemExit(EXIT_DIFFERENT)


def _replica(
    file: Path, progress: StageProgress
) -> tuple[str | None, dict[str, int], list[Problem]]:
    with Replica.open_read_only(file) as replica:
        entries = {name: _count(replica, name) for name in replica.names()}
        problems = replica.verify(_Count(sum(entries.values()), progress))
        return replica_name(replica.id), entries, problems


def _count(replica: Replica, name: str) -> int:
    try:
        return sum(replica.ledger(name).vector.values())
    except StorageError:  # which will be told as a problem
        return 0


def _server(
    file: Path, progress: StageProgress
) -> tuple[str | None, dict[str, int], list[Problem]]:
    audit = audit_file(file, partial(progress, "verify"))
    return None, audit.entries, audit.problems


def _told(problems: Sequence[Problem]) -> Iterator[tuple[str, str]]:
    """Yield where each problem is, as the beginning of a sentence, and what it is.

    What is wrong with several entries of a log for one reason is told once.
    """
    alike: dict[tuple[str, int | None, str], list[int | None]] = {}
    for one in problems:
        alike.setdefault((one.document, one.replica, one.message), []).append(one.seq)
    for (document, replica, message), seqs in alike.items():
        numbers = [seq for seq in seqs if seq is not None]
        where = f"document {document!r}" if document else ""
        if replica is not None:
            where = f"replica {replica_name(replica)}" + (f" in {where}" if where else "")
        if len(numbers) > 1:
            where = f"{len(numbers)} entries from {min(numbers)} to {max(numbers)} of {where}"
        elif numbers:
            where = f"entry {numbers[0]} of {where}"
        yield (f"{where}: " if where else ""), message


class _Count:
    """Adds up entries as they are checked."""

    def __init__(self, total: int, progress: StageProgress) -> None:
        self._done, self._total, self._progress = 0, total, progress

    def __call__(self, checked: int) -> None:
        self._done += checked
        self._progress("verify", self._done, self._total)


def _hex(replica: int | None) -> str | None:
    return None if replica is None else replica_name(replica)
