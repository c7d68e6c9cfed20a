"""`crdtsync show`: what a store holds, and what a document looks like."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from crdtsync import Conflict, Document, Replica
from crdtsync.cli.moment import MOMENT, CliMoment, resolve
from crdtsync.cli.output import (
    class_named,
    clock_time,
    console,
    counted,
    iso_time,
    json_option,
    plain,
    replica_name,
    write_json,
)

__all__ = ["show"]

_HASH_LENGTH = 12
STORE = click.Path(dir_okay=False, path_type=Path)


@click.command(short_help="Show a store's documents, or the view of one.")
@click.argument("file", type=STORE)
@click.argument("document", required=False)
@click.option(
    "--class",
    "class_name",
    metavar="MODULE:CLASS",
    help="The document's class, as the app declares it. Without it, fields are shown as they are "
    "stored, and conflicts as the later write has it.",
)
@click.option(
    "--at",
    "moment",
    type=MOMENT,
    metavar="MOMENT",
    help="Show the document as it was: at a time, such as 2026-03-01T12:30, or right after an "
    "entry, such as 3f2a1c:17, as `log` shows them.",
)
@json_option
def show(
    file: Path,
    document: str | None,
    class_name: str | None,
    moment: CliMoment | None,
    as_json: bool,
) -> None:
    """Show the documents in a replica's FILE, or the view of one DOCUMENT.

    The file is only looked at, also while a program has it open.
    """
    with Replica.open_read_only(file) as replica:
        if document is None:
            if moment is not None:
                raise click.UsageError("--at needs a DOCUMENT")
            _show_documents(replica, as_json=as_json)
        else:
            known_document(replica, file, document)
            kind = _document_class(class_name)
            opened = replica.document(kind, document)
            if moment is not None:
                opened = opened.at(resolve(opened, moment))
            if as_json:
                write_json(_as_json(opened))
            else:
                _show_document(opened, with_class=class_name is not None)


def known_document(replica: Replica, file: Path, document: str) -> None:
    """Refuse the name of a document that a store does not hold."""
    names = replica.names()
    if document not in names:
        known = ", ".join(names) or "none"
        raise click.UsageError(f"{file} has no document {document!r}; its documents: {known}")


def _document_class(name: str | None) -> type[Document]:
    if name is None:
        return Document
    found = class_named(name)
    if not (isinstance(found, type) and issubclass(found, Document)):
        raise click.BadParameter(f"{name} is not a crdtsync.Document class")
    return found


def _show_documents(replica: Replica, *, as_json: bool) -> None:
    ledgers = {name: replica.ledger(name) for name in replica.names()}
    vectors = {name: ledger.vector for name, ledger in ledgers.items()}
    users = [ledger.users.get(replica.id) for ledger in ledgers.values()]
    user = next(filter(None, users), None)
    if as_json:
        documents = [
            {"document": name, "entries": sum(vector.values()), "state_vector": _named(vector)}
            for name, vector in vectors.items()
        ]
        write_json({"replica": replica_name(replica.id), "user": user, "documents": documents})
        return
    to = console()
    used = f", used by {user}" if user else ""
    to.print(Text(f"replica {replica_name(replica.id)}{used}", style="dim"))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("document")
    table.add_column("entries", justify="right")
    table.add_column("replicas", justify="right")
    for name, vector in vectors.items():
        table.add_row(Text(name), f"{sum(vector.values()):,}", f"{len(vector):,}")
    to.print(table)


def _as_json(document: Document) -> dict[str, Any]:
    return {
        "document": document.document_name,
        "view": document.to_dict(),
        "view_hash": document.view_hash(),
        "state_vector": _named(document.state_vector),
        "conflicts": [
            {
                **conflict._asdict(),
                "candidates": [
                    {
                        **candidate._asdict(),
                        "replica": replica_name(candidate.replica),
                        "time": iso_time(candidate.time),
                    }
                    for candidate in conflict.candidates
                ],
            }
            for conflict in _conflicts(document)
        ],
    }


def _show_document(document: Document, *, with_class: bool) -> None:
    to = console()
    tree = Tree(Text(document.document_name, style="bold"), guide_style="dim")
    _grow(tree, plain(document.to_dict()))
    to.print(tree)
    _show_conflicts(document, to)
    if not with_class and any(conflict.error for conflict in document.conflicts()):
        to.print("\nThe app's own strategies are known with its class: --class MODULE:CLASS.")
    entries, replicas = sum(document.state_vector.values()), len(document.state_vector)
    held = f"{counted(entries, 'entry', 'entries')} of {counted(replicas, 'replica')}"
    to.print(f"\n{held}; view hash {document.view_hash()[:_HASH_LENGTH]}…", style="dim")


def _grow(tree: Tree, value: Any) -> None:
    """Hang a value's parts into a tree."""
    parts = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in parts:
        if isinstance(item, dict) or (
            isinstance(item, list) and any(isinstance(part, dict | list) for part in item)
        ):
            _grow(tree.add(Text(str(key), style="cyan")), item)
        else:
            tree.add(Text.assemble((f"{key}  ", "cyan"), _leaf(item)))


def _leaf(value: Any) -> Text:
    if isinstance(value, list):
        return Text(", ".join(map(str, value))) if value else Text("none", style="dim")
    if value is None or value == "":
        return Text("empty" if value == "" else "none", style="dim")
    return Text(str(value))


def _conflicts(document: Document) -> list[Conflict]:
    return sorted(document.conflicts(), key=lambda conflict: conflict.path)


def _show_conflicts(document: Document, to: Console) -> None:
    for conflict in _conflicts(document):
        path = " / ".join(conflict.path)
        to.print(Text.assemble("\n", ("in conflict: ", "yellow"), (path, "bold")))
        for found in conflict.candidates:
            chosen = "→" if found.value == conflict.chosen else " "
            who = found.user or replica_name(found.replica)
            to.print(
                Text.assemble(
                    f"  {chosen} ", (clock_time(found.time), "dim"), f"  {who}  {found.value!r}"
                )
            )
        if conflict.error:
            to.print(Text(f"  the strategy {conflict.strategy} failed: {conflict.error}", "red"))


def _named(vector: dict[int, int]) -> dict[str, int]:
    return {replica_name(replica): seq for replica, seq in sorted(vector.items())}
