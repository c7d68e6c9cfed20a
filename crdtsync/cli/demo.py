"""`crdtsync demo`: see it work, on a small story or on recorded sessions of real people."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import click

from crdtsync.cli import replay_tables, scenario, scenario_tables
from crdtsync.cli.output import EXIT_DIFFERENT, StageBars, console, json_option, write_json
from crdtsync.cli.recordings import RecordingError, load_structured_session, load_text_session
from crdtsync.cli.replay import Performance, replay
from crdtsync.cli.replay_structured import StructuredPerformance
from crdtsync.cli.replay_text import TextPerformance

__all__ = ["demo"]

_RECORDING = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(short_help="See it work, on a story or on recorded sessions.")
@click.option("--trace", type=_RECORDING, help="Replay a recorded editing session (JSON).")
@click.option("--records", type=_RECORDING, help="Replay recorded structured changes (JSON Lines).")
@click.option(
    "--first", type=click.IntRange(min=1), help="Replay this many transactions only.", metavar="N"
)
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the stores in this folder, to look at with show, log and verify.",
    metavar="FOLDER",
)
@json_option
def demo(
    trace: Path | None, records: Path | None, first: int | None, keep: Path | None, as_json: bool
) -> None:
    """See it work: devices, a server, conflicts, and how they are settled.

    Without options a short story is played: two people, three devices, a server that is killed.
    With `--trace` or `--records` a recorded session of real people is acted out by one replica for
    each of them, with everything that they did at the same time.
    """
    if trace and records:
        raise click.UsageError("--trace and --records exclude each other")
    if first and not (trace or records):
        raise click.UsageError("--first needs --trace or --records")
    with _folder(keep) as folder:
        if trace or records:
            ok = _replay(_performance(trace, records, first), folder, as_json=as_json)
        else:
            ok = _play(folder, as_json=as_json)
    if not ok:
        raise SystemExit(EXIT_DIFFERENT)


def _play(folder: Path, *, as_json: bool) -> bool:
    try:
        report = anyio.run(scenario.play, folder)
    except TimeoutError:
        click.echo(f"crdtsync: no end after {scenario.PATIENCE_S} seconds", err=True)
        return False
    if as_json:
        write_json(scenario_tables.as_json(report))
    else:
        scenario_tables.show(report, console())
    return not report.problems


def _replay(performance: Performance[Any], folder: Path, *, as_json: bool) -> bool:
    try:
        with StageBars() as progress:
            report = anyio.run(replay, performance, folder, progress)
    except RecordingError as error:
        raise click.UsageError(str(error)) from error
    if as_json:
        write_json(replay_tables.as_json(report))
    else:
        replay_tables.show(report, console())
    return report.ok


def _performance(trace: Path | None, records: Path | None, first: int | None) -> Performance[Any]:
    try:
        if trace:
            text_session = load_text_session(trace)
            return TextPerformance(text_session.first(first) if first else text_session)
        assert records is not None
        structured = load_structured_session(records)
        return StructuredPerformance(structured.first(first) if first else structured)
    except RecordingError as error:
        raise click.UsageError(str(error)) from error


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """Give a folder of its own: the one to keep, or one that is removed in the end."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="crdtsync-") as name:
            yield Path(name)
        return
    if keep.exists() and any(keep.iterdir()):
        raise click.UsageError(f"{keep} is not empty: --keep wants a new folder")
    keep.mkdir(parents=True, exist_ok=True)
    yield keep.resolve()
