"""`crdtsync connections`: whom a server keeps its logs for, and how far behind they are."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import click

from crdtsync.cli.output import (
    EXIT_DIFFERENT,
    console,
    counted,
    json_option,
    replica_name,
    write_json,
)
from crdtsync.server.backends.outside import list_connections, retire_connection
from crdtsync.server.records import KnownConnection

__all__ = ["connections"]


@click.command(short_help="Show and retire the connections of a server.")
@click.option(
    "--data",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="The server's file.",
    metavar="FILE",
)
@click.option("--user", help="Show those of one user only.")
@click.option(
    "--retire",
    metavar="ID",
    help="Let a connection go: nothing is kept for it, and it begins anew if it comes again.",
)
@json_option
def connections(data: Path, user: str | None, retire: str | None, as_json: bool) -> None:
    """Show the connections that a server's FILE knows, one for each client; or retire one.

    An active connection finds everything that it has not seen yet; for an inactive one nothing is
    kept, and it is given documents as they are. A running server tells a retired client so within
    a second or so.
    """
    if retire is not None:
        try:
            client = bytes.fromhex(retire)
        except ValueError as error:
            raise click.UsageError(f"{retire!r} is no connection: copy it from the list") from error
        if not retire_connection(data, client, "retired by the operator"):
            click.echo(f"crdtsync: there is no connection {retire} to retire", err=True)
            raise SystemExit(EXIT_DIFFERENT)
    found = list_connections(data, user)
    if as_json:
        write_json([_to_json(one) for one in found])
        return
    to = console()
    if not found:
        to.print("no connections" if user is None else f"no connections of {user}", markup=False)
    for one in found:
        record = one.record
        to.print(
            f"{record.client.hex()}  {record.user or '-':20}  {record.state.value:8}  "
            f"{counted(len(one.followed), 'document'):>15}  {one.behind:>9,} behind  "
            f"seen {_when(record.last_seen)}  {record.reason}",
            soft_wrap=True,
        )


def _to_json(one: KnownConnection) -> dict[str, object]:
    record = one.record
    return {
        "connection": record.client.hex(),
        "user": record.user,
        "replica": replica_name(record.replica),
        "state": record.state.value,
        "reason": record.reason,
        "since": _when(record.since),
        "last_seen": _when(record.last_seen),
        "behind": one.behind,
        "documents": {
            name: {"priority": followed.priority, "offset": followed.offset}
            for name, followed in one.followed.items()
        },
    }


def _when(unix_ms: int) -> str:
    return dt.datetime.fromtimestamp(unix_ms / 1000, dt.UTC).isoformat(timespec="seconds")
