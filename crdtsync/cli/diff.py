"""`crdtsync diff`: what differs between two moments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.text import Text

from crdtsync import Difference, Document, Replica
from crdtsync.cli.history import edit_words, value_words
from crdtsync.cli.moment import MOMENT, CliMoment, resolve
from crdtsync.cli.output import console, json_option, write_json
from crdtsync.cli.show import STORE, known_document

__all__ = ["diff"]


@click.command(short_help="Tell what differs between two moments.")
@click.argument("file", type=STORE)
@click.argument("document")
@click.argument("a", type=MOMENT)
@click.argument("b", type=MOMENT, required=False)
@json_option
def diff(file: Path, document: str, a: CliMoment, b: CliMoment | None, as_json: bool) -> None:
    """Tell what differs in a DOCUMENT of a replica's FILE between moment A and moment B, or now.

    A moment is a time, such as 2026-03-01T12:30, or an entry, such as 3f2a1c:17: the end of a
    replica's id and the entry's number, as `crdtsync log` shows them. An entry stands for what its
    author saw right after it.
    """
    with Replica.open_read_only(file) as replica:
        known_document(replica, file, document)
        opened = replica.document(Document, document)
        found = opened.diff(resolve(opened, a), None if b is None else resolve(opened, b))
        if as_json:
            write_json([_as_json(one) for one in found])
            return
        to = console()
        for one in found:
            to.print(_words(one))
        if not found:
            to.print("nothing differs", style="dim")


def _as_json(found: Difference) -> dict[str, Any]:
    return {
        "path": list(found.path),
        "before": found.before,
        "after": found.after,
        "edits": [step._asdict() for step in found.edits],
    }


def _words(found: Difference) -> Text:
    words = Text.assemble((" / ".join(found.path), "bold"))
    if found.edits:
        for step in reversed(found.edits):
            words.append(f"\n  {edit_words(step)}")
        return words
    words.append(f"\n  - {value_words(found.before)}", "red")
    words.append(f"\n  + {value_words(found.after)}", "green")
    return words
