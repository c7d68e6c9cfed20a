"""`crdtsync serve`: the server, in the foreground, until it is told to stop."""

from __future__ import annotations

import functools
import gc
import logging
import signal
import ssl
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import anyio
import click

from crdtsync.errors import ConfigurationError
from crdtsync.server import SqliteBackend
from crdtsync.server import serve as run_server
from crdtsync.server.access import AccessPolicy, AllowAll, load_policy
from crdtsync.server.authentication import Authenticator, DevelopmentAuthenticator
from crdtsync.transport import parse_url

__all__ = ["serve"]

_COLLECT_GARBAGE_AFTER = 50_000
"""So many new objects. A server has many that live long, and next to none that need a collector:
looking for them after each 700, as Python does, took an eighth of its time with 400 clients; after
each 10,000, and through all that was imported, still a tenth."""


@click.command(short_help="Run a server.")
@click.option(
    "--listen",
    "urls",
    multiple=True,
    default=["tcp://127.0.0.1:8765"],
    show_default=True,
    metavar="URL",
    help="Where to listen: ws://host:port or wss://host:port for WebSocket, tcp://host:port or "
    "tls://host:port, unix:///path or ws+unix:///path. May be given several times.",
)
@click.option(
    "--data",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The server's file; made where there is none.",
    metavar="FILE",
)
@click.option(
    "--jwt-keys",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A JWKS file with the keys that tokens are signed with; read again when it changes. "
    "Without it the server is in development mode: it believes who its clients say they are, and "
    "listens on this machine only.",
    metavar="FILE",
)
@click.option("--audience", help="What tokens for this server name as theirs (`aud`).")
@click.option("--issuer", help="Who must have made the tokens (`iss`); whoever, by default.")
@click.option(
    "--name",
    "names",
    multiple=True,
    help="A name by which clients know this server: its host, or the path of its socket. Any, by "
    "default. May be given several times.",
)
@click.option(
    "--access",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A TOML or JSON file that says who may read and write which documents. Everybody "
    "everything, by default.",
    metavar="FILE",
)
@click.option(
    "--history",
    type=click.Choice(["keep", "trim"]),
    default="keep",
    show_default=True,
    help="What becomes of entries that are in a snapshot and that no active connection still "
    "needs: kept, to be read some day, or let go to save room.",
)
@click.option(
    "--tls-cert",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A PEM file with the server's certificate, and those up to its authority's, for wss:// "
    "and tls://.",
    metavar="FILE",
)
@click.option(
    "--tls-key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A PEM file with the certificate's private key, if it is not in the same file.",
    metavar="FILE",
)
@click.option(
    "--origin",
    "origins",
    multiple=True,
    help="A web site whose pages may connect, as in https://example.org. All, by default; in "
    "development mode those on this machine. May be given several times.",
    metavar="SITE",
)
@click.option("--verbose", is_flag=True, help="Tell on standard error what connections do.")
def serve(
    urls: tuple[str, ...],
    data: Path,
    jwt_keys: Path | None,
    audience: str | None,
    issuer: str | None,
    names: tuple[str, ...],
    access: Path | None,
    history: Literal["keep", "trim"],
    tls_cert: Path | None,
    tls_key: Path | None,
    origins: tuple[str, ...],
    verbose: bool,
) -> None:
    """Pass on what replicas do to those that were not there.

    Prints each URL that it listens on, one a line, when clients may come. SIGTERM and SIGINT
    (Ctrl-C) stop it cleanly; whatever it has acknowledged is on disk even if it is killed.
    """
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    authenticator = _authenticator(jwt_keys, audience, issuer)
    serving = functools.partial(
        run_server,
        urls=urls,
        authenticator=authenticator,
        names=names or None,
        policy=_policy(access),
        history=history,
        origins=origins or None,
        ssl_context=_ssl_context(tls_cert, tls_key),
    )
    gc.freeze()
    gc.set_threshold(50_000)
    anyio.run(_serve, data, serving)


def _policy(access: Path | None) -> AccessPolicy:
    try:
        return AllowAll() if access is None else load_policy(access)
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from error


def _authenticator(
    jwt_keys: Path | None, audience: str | None, issuer: str | None
) -> Authenticator:
    if jwt_keys is None:
        if audience or issuer:
            raise click.UsageError("--audience and --issuer need --jwt-keys")
        click.echo(
            "development mode: clients of this machine are let in as whoever they say they are "
            "(--jwt-keys has them prove it)",
            err=True,
        )
        return DevelopmentAuthenticator()
    if audience is None:
        raise click.UsageError("--jwt-keys needs --audience: else tokens for others would do")
    try:
        from crdtsync.server.authentication.jwt import JwtAuthenticator  # noqa: PLC0415 - an extra
        from crdtsync.server.authentication.keyset import KeyFile  # noqa: PLC0415
    except ImportError as error:
        raise click.UsageError("--jwt-keys needs an extra: pip install 'crdtsync[jwt]'") from error
    try:
        return JwtAuthenticator(KeyFile(jwt_keys), audience=audience, issuer=issuer)
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from error


def _ssl_context(cert: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if cert is None:
        if key is not None:
            raise click.UsageError("--tls-key needs --tls-cert")
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(cert, key)
    except OSError as error:
        raise click.UsageError(f"{cert}: not a certificate with its key in PEM: {error}") from error
    return context


async def _serve(data: Path, serving: Callable[..., Coroutine[Any, Any, None]]) -> None:
    async with SqliteBackend(data) as backend, anyio.create_task_group() as group:
        with _told_to_stop() as stop:
            for url in await group.start(serving, backend):
                click.echo(url)
                _tell_pages(url)
            await stop()
        group.cancel_scope.cancel()


def _tell_pages(url: str) -> None:
    """Say where the pages are, if a browser on this machine is meant to see them."""
    address = parse_url(url)
    if address.is_web and address.is_local and not address.is_unix:
        page = str(address).replace("ws", "http", 1)
        click.echo(f"to look at: {page}inspect and {page}demo", err=True)


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
