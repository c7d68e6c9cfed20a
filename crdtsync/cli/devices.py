"""`crdtsync devices`: which devices a server lets in, and which no more."""

from __future__ import annotations

from pathlib import Path

import click

from crdtsync.cli.output import EXIT_DIFFERENT, console, json_option, replica_name, write_json
from crdtsync.cli.show import STORE
from crdtsync.server.backends.outside import list_devices, revoke_device

__all__ = ["devices"]


@click.command(short_help="Show and revoke the devices of a server.")
@click.argument("file", type=STORE)
@click.option("--revoke", metavar="DEVICE", help="Let a device in no more, for good.")
@json_option
def devices(file: Path, revoke: str | None, as_json: bool) -> None:
    """Show the devices that a server's FILE knows, with their users; or revoke one.

    A running server ends a revoked device's connection within a second or so.
    """
    if revoke is not None:
        try:
            replica = int(revoke, 16)
        except ValueError as error:
            raise click.UsageError(f"{revoke!r} is no device: copy it from the list") from error
        if not revoke_device(file, replica):
            click.echo(f"crdtsync: there is no device {revoke}", err=True)
            raise SystemExit(EXIT_DIFFERENT)
    found = list_devices(file)
    if as_json:
        write_json(
            [
                {
                    "device": replica_name(device.replica),
                    "user": device.user,
                    "key": device.key.hex(),
                    "revoked": device.revoked,
                }
                for device in found
            ]
        )
        return
    to = console()
    if not found:
        to.print("no devices")
    for device in found:
        state = "revoked" if device.revoked else "let in"
        to.print(f"{replica_name(device.replica)}  {device.user or '-':20}  {state}")
