"""`crdtsync compare`: which strategy decides as people did?

Recorded histories of structured files tell what people made of values that two of them had changed
unaware of each other. Each is acted out again, and each strategy is asked before the people decide.
Read next: `crdtsync.cli.compare_act`.
"""

from __future__ import annotations

from pathlib import Path

import click

from crdtsync.cli import compare_tables
from crdtsync.cli.compare_act import act_out
from crdtsync.cli.compare_strategies import value_strategies
from crdtsync.cli.output import EXIT_DIFFERENT, StageBars, console, json_option, write_json
from crdtsync.cli.recordings import RecordingError, load_structured_session

__all__ = ["compare"]


@click.command(short_help="Ask which strategy decides as people did.")
@click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE...",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option(
    "--first", type=click.IntRange(min=1), help="Act out this many transactions only.", metavar="N"
)
@json_option
def compare(files: tuple[Path, ...], first: int | None, as_json: bool) -> None:
    """Act out each FILE, a recorded history of a structured file, and compare strategies in it.

    Wherever people had to decide between values, every installed strategy is asked for its choice
    first. In the end all replicas must show the same under each of them, and what was recorded.
    Exit code 0: they do; 1: they do not.
    """
    strategies = value_strategies()
    try:
        sessions = [load_structured_session(file) for file in files]
        if first is not None:
            sessions = [session.first(first) for session in sessions]
        with StageBars() as progress:
            comparisons = [act_out(session, strategies, progress) for session in sessions]
    except RecordingError as error:
        raise click.UsageError(str(error)) from error
    if as_json:
        write_json(compare_tables.as_json(comparisons))
    else:
        compare_tables.show(comparisons, console())
    if not all(comparison.ok for comparison in comparisons):
        raise SystemExit(EXIT_DIFFERENT)
