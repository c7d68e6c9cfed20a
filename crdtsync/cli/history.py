"""`crdtsync history`: what a field, record or text has been."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.table import Table
from rich.text import Text

from crdtsync import Document, Replica, TextStep, Version
from crdtsync.cli.output import console, iso_time, json_option, plain, replica_name, write_json
from crdtsync.cli.show import STORE, known_document
from crdtsync.errors import SchemaError

__all__ = ["edit_words", "history", "value_words"]

_REPLICA_DIGITS = 6
_VALUE_LENGTH_MAX = 120


@click.command(short_help="Tell what a field, record or text has been.")
@click.argument("file", type=STORE)
@click.argument("document")
@click.argument("path")
@json_option
def history(file: Path, document: str, path: str, as_json: bool) -> None:
    """Tell what the PATH in a DOCUMENT of a replica's FILE has been, and who made it so.

    A PATH is written as in `tasks/t1/title`. With `--json`, one version is one line.
    """
    with Replica.open_read_only(file) as replica:
        known_document(replica, file, document)
        try:
            found = replica.document(Document, document).history(path)
        except SchemaError as error:
            raise click.UsageError(str(error)) from None
        if as_json:
            for version in found:
                write_json(_as_json(version), lines=True)
        elif found:
            console().print(_table(path, found))
        else:
            console().print(Text(f"{path}: nothing has been written there"))


def _as_json(version: Version) -> dict[str, Any]:
    entry = version.action.entry
    return {
        "kind": version.kind,
        "value": version.value,
        "before": version.before,
        "written": version.written,
        "edits": [step._asdict() for step in version.edits],
        "action": version.action.name,
        "user": version.user,
        "time": iso_time(entry.when),
        "replica": replica_name(version.replica),
        "seq": entry.seq,
    }


def _table(path: str, versions: Iterable[Version]) -> Table:
    table = Table(
        title=Text(path, style="bold"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
    )
    table.add_column("when", style="dim", no_wrap=True)
    table.add_column("who", style="cyan")
    table.add_column("entry", style="dim", no_wrap=True)
    table.add_column("action")
    table.add_column("what", overflow="fold")
    for version in versions:
        table.add_row(
            version.time.astimezone().strftime("%Y-%m-%d %H:%M:%S"),
            Text(version.user or ""),
            f"{replica_name(version.replica)[-_REPLICA_DIGITS:]}:{version.action.entry.seq}",
            Text(version.action.name),
            _what(version),
        )
    return table


def _what(version: Version) -> Text:
    if version.edits:
        return Text("\n".join(map(edit_words, version.edits)))
    if version.kind != "changed":
        return Text(version.kind, style="yellow")
    words = value_words(version.value)
    if version.written is not None and version.written != version.value:
        words += f"  (beside it: {value_words(version.written)})"
    return Text(words)


def edit_words(step: TextStep) -> str:
    """Say what an edit of a text did."""
    span = f"{step.start}" if step.start == step.stop else f"{step.start} to {step.stop}"
    if step.text is None:
        return f"{span}  formatted {value_words(step.attributes)}"
    if not step.text:
        return f"{span}  deleted"
    return f"{span}  {'+' if step.start == step.stop else '→'} {value_words(step.text)}"


def value_words(value: Any) -> str:
    """Say a value in one line."""
    words = repr(plain(value))
    return words if len(words) <= _VALUE_LENGTH_MAX else words[:_VALUE_LENGTH_MAX] + "…"
