"""`crdtsync log`: who did what, and when."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
from rich import box
from rich.table import Table
from rich.text import Text

from crdtsync import Document, Replica
from crdtsync.cli.output import console, iso_time, json_option, replica_name, write_json
from crdtsync.cli.show import STORE, known_document
from crdtsync.clock import to_datetime
from crdtsync.document.stack import REDO, UNDO
from crdtsync.log import Entry

__all__ = ["log"]

_REPLICA_DIGITS = 6
_ARGUMENT_LENGTH_MAX = 200


@click.command(short_help="List entries: who, when, what.")
@click.argument("file", type=STORE)
@click.argument("document", required=False)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    help="Only the newest N entries of a document.",
)
@json_option
def log(file: Path, document: str | None, limit: int | None, as_json: bool) -> None:
    """List the entries in a replica's FILE, of one DOCUMENT or of all, in the order of arrival.

    With `--json`, one entry is one line.
    """
    with Replica.open_read_only(file) as replica:
        if document is not None:
            known_document(replica, file, document)
        names = replica.names() if document is None else [document]
        for name in names:
            opened = replica.document(Document, name)
            entries = _newest(opened.log, limit)
            if as_json:
                for entry in entries:
                    write_json(_as_json(entry, opened), lines=True)
            else:
                console().print(_table(opened, entries))


def _newest(entries: Iterable[Entry], limit: int | None) -> Iterable[Entry]:
    return entries if limit is None else deque(entries, maxlen=limit)


def _as_json(entry: Entry, document: Document) -> dict[str, object]:
    return {
        "document": entry.document,
        "replica": replica_name(entry.replica),
        "seq": entry.seq,
        "user": document.log.user_of(entry.replica),
        "time": iso_time(entry.when),
        "action": entry.name,
        "arguments": entry.arguments,
        "bytes": len(entry.data),
        "hash": entry.hash.hex(),
        "dependencies": [
            {"replica": replica_name(found.replica), "seq": found.seq}
            for found in entry.dependencies
        ],
        **_marks(entry),
    }


def _marks(entry: Entry) -> dict[str, str]:
    """Return what a server has made of an entry, if anything."""
    marks = {"refused": entry.refusal, "erased": entry.erasure}
    if entry.clamp is not None:
        marks["its clock"] = iso_time(entry.time)
    return {mark: said for mark, said in marks.items() if said is not None}


def _table(document: Document, entries: Iterable[Entry]) -> Table:
    table = Table(
        title=Text(document.document_name, style="bold"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
    )
    table.add_column("when", style="dim", no_wrap=True)
    table.add_column("who", style="cyan")
    table.add_column("replica", style="dim", no_wrap=True)
    table.add_column("seq", justify="right")
    table.add_column("action")
    table.add_column("with", overflow="fold")
    for row in _rows(document, entries):
        table.add_row(*row)
    return table


def _rows(document: Document, entries: Iterable[Entry]) -> Iterator[tuple[Text | str, ...]]:
    for entry in entries:
        arguments = _taken_back(entry) or ", ".join(
            f"{name}={value!r}" for name, value in entry.arguments.items()
        )
        if len(arguments) > _ARGUMENT_LENGTH_MAX:
            arguments = arguments[:_ARGUMENT_LENGTH_MAX] + "…"
        details = [arguments, *(f"[{mark}: {said}]" for mark, said in _marks(entry).items())]
        yield (
            to_datetime(entry.when).astimezone().strftime("%Y-%m-%d %H:%M:%S"),
            Text(document.log.user_of(entry.replica) or ""),
            _short(entry.replica),
            str(entry.seq),
            Text(entry.name),
            Text(" ".join(filter(None, details))),
        )


def _taken_back(entry: Entry) -> str | None:
    """Say which entry an undoing or redoing takes back; None of any other entry."""
    if entry.name not in {UNDO, REDO}:
        return None
    match entry.arguments.get("of"):
        case [int(replica), int(seq)]:
            return f"{_short(replica)}:{seq}"
    return None


def _short(replica: int) -> str:
    return replica_name(replica)[-_REPLICA_DIGITS:]
