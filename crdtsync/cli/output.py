"""What every command's output has in common: plain words for people, JSON for programs.

Results go to standard output, progress and errors to standard error, so that a program may read
the one while a person watches the other. With `--json` nothing but JSON is written to standard
output. Exit codes: 0 all is well; 1 something differs or is damaged; 2 the command was called
wrongly; 3 a store or an address could not be opened or reached.
"""

from __future__ import annotations

import datetime as dt
import decimal
import importlib
import io
import json
import logging
import re
import sys
import uuid
from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeAlias

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from crdtsync.clock import to_datetime
from crdtsync.errors import CrdtSyncError

__all__ = [
    "EXIT_DIFFERENT",
    "EXIT_UNREACHABLE",
    "CommandGroup",
    "StageBars",
    "StageProgress",
    "class_named",
    "clock_time",
    "console",
    "counted",
    "iso_time",
    "json_option",
    "plain",
    "replica_name",
    "write_json",
]

EXIT_DIFFERENT = 1
EXIT_UNREACHABLE = 3

StageProgress: TypeAlias = Callable[[str, int, int], None]
"""Called with (what is being done, how many are done, how many there are)."""


class CommandGroup(click.Group):
    """Commands whose foreseen errors are one clear line, never a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for."""
        _never_fail_on_a_character()
        # What the library logs is said by the commands in their own words, or wanted by nobody.
        logging.getLogger("crdtsync").addHandler(logging.NullHandler())
        try:
            return super().invoke(ctx)
        except CrdtSyncError as error:
            errors: list[BaseException] = [error]
        except BaseExceptionGroup as group:
            errors = list(_leaves(group))
            if not all(isinstance(error, CrdtSyncError) for error in errors):
                raise
        for line in dict.fromkeys(" ".join(str(error).split()) for error in errors):
            click.echo(f"crdtsync: {line}", err=True)
        raise click.exceptions.Exit(EXIT_UNREACHABLE)


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """Yield the errors of a task group, however deep they lie."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _never_fail_on_a_character() -> None:
    """Write `?` for what the terminal's encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Write JSON, for programs.")(
        command
    )


def console(stream: Literal["stdout", "stderr"] = "stdout") -> Console:
    """Return a console for one of the two streams, 80 columns wide where there is no terminal."""
    made = Console(stderr=stream == "stderr", highlight=False)
    if not made.is_terminal:
        made.width = 80
    return made


def write_json(value: object, *, lines: bool = False) -> None:
    """Write one JSON document, or one line of JSON Lines."""
    click.echo(json.dumps(plain(value), ensure_ascii=False, indent=None if lines else 2))


def plain(value: Any) -> Any:
    """Return what JSON can carry: dates as ISO 8601, bytes as hex, decimals and UUIDs as text.

    >>> plain({"at": dt.date(2026, 6, 5), "raw": bytes(2)})
    {'at': '2026-06-05', 'raw': '0000'}
    """
    match value:
        case dict():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case dt.date():
            return value.isoformat()
        case bytes():
            return value.hex()
        case decimal.Decimal() | uuid.UUID():
            return str(value)
        case float() if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124 - not a number
            return str(value)
        case _:
            return value


def counted(count: int, one: str, many: str | None = None) -> str:
    """Return a number of things in words.

    >>> counted(1, "document"), counted(1200, "entry", "entries")
    ('1 document', '1,200 entries')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def replica_name(replica: int) -> str:
    """Return a replica's id as people and programs are shown it: in hex."""
    return f"{replica:014x}"


def clock_time(time: int) -> str:
    """Return an entry's time of day, to the millisecond, in the local time zone."""
    return to_datetime(time).astimezone().strftime("%H:%M:%S.%f")[:-3]


def iso_time(time: int) -> str:
    """Return an entry's time as programs are shown it: ISO 8601, UTC, to the millisecond."""
    return to_datetime(time).isoformat(timespec="milliseconds")


class _RateColumn(ProgressColumn):
    """How many are done in a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "", style="cyan")


class StageBars:
    """Progress bars, one for each stage of a long piece of work, on standard error.

    Nothing is shown where standard error is not a terminal.
    """

    def __init__(self) -> None:
        self._console = console("stderr")
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            _RateColumn(),
            TimeRemainingColumn(compact=True),
            console=self._console,
            transient=True,
            expand=True,
            disable=not self._console.is_terminal,
        )
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> StageProgress:
        self._progress.start()
        return self._update

    def __exit__(self, *exc_info: object) -> None:
        self._progress.stop()

    def _update(self, stage: str, done: int, total: int) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=total)
        self._progress.update(self._tasks[stage], completed=done, total=total)


def class_named(text: str) -> Any:
    """Return what `module:Name` names; the current folder is searched too.

    Raises:
        click.BadParameter: there is no such thing.
    """
    module_name, _, name = text.partition(":")
    if not re.fullmatch(r"[\w.]+:\w+", text):
        raise click.BadParameter(f"{text!r} is not of the form module:Class")
    sys.path.insert(0, "")
    try:
        return getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError) as error:
        raise click.BadParameter(str(error)) from error
    finally:
        sys.path.remove("")
