"""`crdtsync export` and `crdtsync import`: logs as one file, for backup, mail and support."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import click
from rich.text import Text

from crdtsync import Replica
from crdtsync.cli.output import (
    EXIT_DIFFERENT,
    StageBars,
    console,
    counted,
    json_option,
    replica_name,
    write_json,
)
from crdtsync.cli.show import STORE, known_document
from crdtsync.errors import BundleError
from crdtsync.replica import Exported, Imported

__all__ = ["export", "import_"]

_BUNDLE = click.Path(dir_okay=False, allow_dash=True, path_type=Path)
_PIPE = Path("-")


@click.command(short_help="Write a store's documents, or one, to a bundle.")
@click.argument("file", type=STORE)
@click.argument("document", required=False)
@click.option(
    "-o",
    "--output",
    "bundle",
    type=_BUNDLE,
    required=True,
    metavar="BUNDLE",
    help="The bundle to write; - for standard output.",
)
@json_option
def export(file: Path, document: str | None, bundle: Path, as_json: bool) -> None:
    """Write the logs in a replica's FILE, of one DOCUMENT or of all, to a bundle.

    The file is only looked at, also while a program has it open. The bundle holds no private key.
    Exit code 1: entries of the store are damaged, and are not in the bundle.
    """
    piped = bundle == _PIPE
    target = sys.stdout.buffer if piped else bundle
    with Replica.open_read_only(file) as replica:
        if document is not None:
            known_document(replica, file, document)
        with StageBars() as progress:
            exported = replica.export(
                document, target, progress=lambda done, total: progress("export", done, total)
            )
    _tell_exported(exported, bundle, as_json=as_json, piped=piped)
    if exported.damage:
        raise SystemExit(EXIT_DIFFERENT)


def _tell_exported(exported: Exported, bundle: Path, *, as_json: bool, piped: bool) -> None:
    damage = [str(error) for error in exported.damage]
    if as_json and not piped:
        write_json({"bundle": str(bundle), **asdict(exported), "damage": damage})
        return
    to = console("stderr" if piped else "stdout")
    for message in damage:
        to.print(Text.assemble(("✗ ", "bold red"), f"not exported: {message}"))
    to.print(
        Text.assemble(
            ("✓ ", "bold green"),
            f"{counted(exported.entries, 'entry', 'entries')} of "
            f"{counted(exported.documents, 'document')}, {counted(exported.bytes, 'byte')}",
        )
    )


@click.command(name="import", short_help="Take the entries of a bundle into a store.")
@click.argument("bundle", type=_BUNDLE)
@click.argument("file", type=STORE)
@json_option
def import_(bundle: Path, file: Path, as_json: bool) -> None:
    """Take what a BUNDLE holds (- for standard input) into a replica's FILE, made if there is none.

    What is here already stays as it is; importing again is harmless. Exit code 1: the bundle is
    damaged, cut off or incomplete. What is whole was imported; a sound copy goes on from there.
    """
    source = sys.stdin.buffer if bundle == _PIPE else bundle
    failure: BundleError | None = None
    with Replica(file) as replica, StageBars() as progress:
        try:
            imported = replica.import_(
                source, progress=lambda done, total: progress("import", done, total)
            )
        except BundleError as error:
            if error.imported is None:
                raise
            failure, imported = error, error.imported
    _tell_imported(imported, failure, file, as_json=as_json)
    if failure is not None or imported.missing:
        raise SystemExit(EXIT_DIFFERENT)


def _tell_imported(
    imported: Imported, failure: BundleError | None, file: Path, *, as_json: bool
) -> None:
    if as_json:
        told = {**asdict(imported), "missing": _named(imported.missing)}
        write_json({"file": str(file), **told, "problem": failure and str(failure)})
        return
    to = console()
    if failure is not None:
        to.print(Text.assemble(("✗ ", "bold red"), str(failure)))
    for name, runs in imported.missing.items():
        for replica, (first, last) in sorted(runs.items()):
            run = f"entry {first:,}" if first == last else f"entries {first:,} to {last:,}"
            to.print(
                Text.assemble(
                    ("✗ ", "bold red"), f"missing in {name}: {run} of {replica_name(replica)}"
                )
            )
    if failure is not None and not imported.entries:
        return
    to.print(
        Text.assemble(
            ("✓ ", "bold green"),
            f"{counted(imported.new, 'new entry', 'new entries')} of {imported.entries:,} in "
            f"{counted(imported.documents, 'document')}",
        )
    )


def _named(
    missing: Mapping[str, Mapping[int, tuple[int, int]]],
) -> dict[str, list[dict[str, object]]]:
    return {
        name: [
            {"replica": replica_name(replica), "first": first, "last": last}
            for replica, (first, last) in sorted(runs.items())
        ]
        for name, runs in missing.items()
    }
