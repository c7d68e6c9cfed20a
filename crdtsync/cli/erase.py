"""`crdtsync erase`: take an entry's content away, for all and for good."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import anyio
import click

from crdtsync.cli.output import EXIT_DIFFERENT, console, json_option, replica_name, write_json
from crdtsync.cli.show import STORE
from crdtsync.errors import StorageError, StoreLockedError
from crdtsync.server.backends.outside import (
    holds_entry,
    list_devices,
    list_erasures,
    order_erasure,
)
from crdtsync.server.backends.sqlite import SqliteBackend
from crdtsync.server.erasures import Erasure

__all__ = ["erase"]

_PATIENCE_S = 30
_POLL_INTERVAL_S = 0.2
_ENTRY = re.compile(r"([0-9a-fA-F]+):([0-9]+)")
_ID_DIGITS_MIN = 12


@click.command(short_help="Take an entry's content away, for all and for good.")
@click.option("--data", "file", type=STORE, required=True, help="The server's file.")
@click.argument("document", required=False)
@click.argument("entry", metavar="REPLICA:SEQ", required=False)
@click.option("--reason", help="Why: everybody gets this sentence in place of the content.")
@click.option(
    "--from",
    "source",
    type=click.File(encoding="utf-8"),
    metavar="LIST",
    help="Erase what such a list names, written with `--json`: after the file was restored.",
)
@json_option
def erase(
    file: Path,
    document: str | None,
    entry: str | None,
    reason: str | None,
    source: IO[str] | None,
    as_json: bool,
) -> None:
    """Erase an entry of a DOCUMENT in a server's file, or list what was erased.

    `crdtsync log` tells replicas and numbers; the end of a replica's id will do. A running server
    carries it out within a second or so and tells its clients. What is not held is erased as soon
    as it comes; then the replica's whole id is needed.
    """
    wanted: list[Erasure] = [] if source is None else _read(source)
    if document is not None:
        wanted.append(_erasure(file, document, entry, reason))
    if not wanted:
        _show(list_erasures(file), as_json=as_json)
        return
    if not file.exists():  # it would be made
        raise StorageError("there is no such file", path=str(file))
    held = _carry_out(file, wanted)
    for erasure, found in zip(wanted, held, strict=True):
        what = f"entry {erasure.seq} of replica {erasure.replica:x} in {erasure.document!r}"
        click.echo(f"{what}: {'erased' if found else 'not here; erased as soon as it comes'}")
    if not all(held):
        raise SystemExit(EXIT_DIFFERENT)


def _erasure(file: Path, document: str, entry: str | None, reason: str | None) -> Erasure:
    named = _ENTRY.fullmatch(entry or "")
    if named is None:
        raise click.UsageError(
            "name a document, and the entry as REPLICA:SEQ, as `crdtsync log` shows it"
        )
    if not reason:
        raise click.UsageError("give a --reason: everybody is told why the content is gone")
    return Erasure(document, _replica(file, named[1].lower()), int(named[2]), reason)


def _replica(file: Path, end: str) -> int:
    """Return whose id ends like that, among the devices; a whole id may be of any."""
    found = [known.replica for known in list_devices(file) if f"{known.replica:x}".endswith(end)]
    if len(found) == 1:
        return found[0]
    if found or len(end) < _ID_DIGITS_MIN:
        said = f"the ids of {len(found)} devices end" if found else "no device's id ends"
        raise click.UsageError(f"{said} in {end!r}; `crdtsync devices` shows them whole")
    return int(end, 16)


def _read(source: IO[str]) -> list[Erasure]:
    try:
        return [
            Erasure(one["document"], int(one["replica"], 16), int(one["seq"]), one["reason"])
            for one in json.load(source)
        ]
    except (ValueError, TypeError, KeyError) as error:
        raise click.UsageError("that is no list written by `crdtsync erase --json`") from error


def _carry_out(file: Path, wanted: Sequence[Erasure]) -> list[bool]:
    """Erase, or have a running server do it; tell of each entry whether it is held."""

    async def here() -> list[bool]:
        async with SqliteBackend(file) as backend:
            return [await backend.erase(erasure) for erasure in wanted]

    try:
        return anyio.run(here)
    except StoreLockedError:
        for erasure in wanted:
            order_erasure(file, erasure)
    given_up_at = time.monotonic() + _PATIENCE_S
    while set(wanted).intersection(list_erasures(file, due=True)):
        if time.monotonic() > given_up_at:
            raise StorageError(
                "the server that has the file open has not erased anything yet; it will, or the "
                "next one that opens it",
                path=str(file),
            )
        time.sleep(_POLL_INTERVAL_S)
    return [holds_entry(file, *erasure[:3]) for erasure in wanted]


def _show(erasures: Sequence[Erasure], *, as_json: bool) -> None:
    if as_json:
        write_json([{**one._asdict(), "replica": replica_name(one.replica)} for one in erasures])
        return
    to = console()
    if not erasures:
        to.print("nothing was erased")
    for one in erasures:
        to.print(f"{one.document}  {replica_name(one.replica)}:{one.seq}  {one.reason}")
