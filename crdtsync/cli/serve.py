"""`crdtsync serve`: the server, in the foreground, until it is told to stop."""

from __future__ import annotations

import functools
import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import click

from crdtsync.server import SqliteBackend
from crdtsync.server import serve as run_server

__all__ = ["serve"]


@click.command(short_help="Run a server.")
@click.option(
    "--listen",
    "urls",
    multiple=True,
    default=["tcp://127.0.0.1:8765"],
    show_default=True,
    metavar="URL",
    help="Where to listen: tcp://host:port or unix:///path. May be given several times.",
)
@click.option(
    "--data",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The server's file; made where there is none.",
    metavar="FILE",
)
@click.option(
    "--insecure",
    is_flag=True,
    help="Listen on other addresses than this machine's own, though users are taken at their word.",
)
@click.option("--verbose", is_flag=True, help="Tell on standard error what connections do.")
def serve(urls: tuple[str, ...], data: Path, insecure: bool, verbose: bool) -> None:
    """Pass on what replicas do to those that were not there.

    Prints each URL that it listens on, one a line, when clients may come. SIGTERM and SIGINT
    (Ctrl-C) stop it cleanly; whatever it has acknowledged is on disk even if it is killed.
    """
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    anyio.run(_serve, urls, data, insecure)


async def _serve(urls: tuple[str, ...], data: Path, insecure: bool) -> None:
    async with SqliteBackend(data) as backend, anyio.create_task_group() as group:
        with _told_to_stop() as stop:
            serving = functools.partial(run_server, backend, urls, insecure=insecure)
            for url in await group.start(serving):
                click.echo(url)
            await stop()
        group.cancel_scope.cancel()


@contextmanager
def _told_to_stop() -> Iterator[Callable[[], Awaitable[None]]]:
    """Catch the signals from here on; what is yielded waits for the first of them."""
    if sys.platform == "win32":  # Ctrl-C interrupts by itself, and there is no SIGTERM to catch
        yield anyio.sleep_forever
        return
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:

        async def first_signal() -> None:
            async for _ in signals:
                return

        yield first_signal
