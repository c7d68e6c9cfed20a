"""Addresses: `tcp://host:port` and `unix:///path`, to connect to and to listen on.

`connect_stream` gives the client's end of a connection, `listen` a `Listener` that gives the
server its ends, both as `FrameStream`.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import stat
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from urllib.parse import unquote, urlsplit

import anyio
from anyio.abc import SocketAttribute, SocketListener, SocketStream
from anyio.streams.stapled import MultiListener

from crdtsync.errors import TransportError
from crdtsync.sync import WireLimits
from crdtsync.transport.stream import ByteFrameStream, FrameStream, map_errors

__all__ = ["SCHEMES", "Address", "Listener", "connect_stream", "listen", "parse_url"]

SCHEMES = ("tcp", "unix")
"""The schemes that are known."""

_UNIX_MODE = 0o600  # only the user who serves may connect, unless they open the socket to others
_ACCEPT_PAUSE_S = 0.1

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Address:
    """A URL taken apart.

    Attributes:
        scheme: `tcp` or `unix`.
        host: of `tcp`.
        port: of `tcp`; 0 to listen on any that is free.
        path: of `unix`.
    """

    scheme: str
    host: str = ""
    port: int = 0
    path: str = ""

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        if self.scheme == "unix" or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        if self.scheme == "unix":
            return f"unix://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def parse_url(url: str) -> Address:
    """Take a URL apart.

    Raises:
        TransportError: it is not a URL of a known scheme; the message says what is wrong.

    >>> parse_url("tcp://localhost:8765")
    Address(scheme='tcp', host='localhost', port=8765, path='')
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise TransportError(f"{url!r} is not a URL: {error}") from error
    if parts.scheme not in SCHEMES:
        known = " and ".join(f"{scheme}://" for scheme in SCHEMES)
        raise TransportError(f"{url!r}: its scheme is not known; known are {known}")
    if parts.query or parts.fragment or parts.username is not None:
        raise TransportError(f"{url!r}: an address has no user, query or fragment")
    if parts.scheme == "unix":
        path = unquote(parts.path)
        if parts.netloc or not path.strip("/") or "\0" in path:
            raise TransportError(f"{url!r}: expected unix:///path/of/the/socket")
        return Address("unix", path=path)
    if not parts.hostname or port is None or parts.path not in ("", "/"):
        raise TransportError(f"{url!r}: expected tcp://host:port")
    return Address("tcp", host=parts.hostname, port=port)


async def connect_stream(url: str, limits: WireLimits | None = None) -> FrameStream:
    """Connect to a server.

    Raises:
        TransportError: there is nobody, or no way to them.
    """
    address = parse_url(url)
    limits = limits or WireLimits()
    with map_errors(str(address)):
        try:
            with anyio.fail_after(limits.connect_timeout_s):
                stream: SocketStream
                if address.scheme == "unix":
                    stream = await anyio.connect_unix(address.path)
                else:
                    stream = await anyio.connect_tcp(address.host, address.port)
        except TimeoutError as error:
            raise TransportError(
                f"{address}: no connection within {limits.connect_timeout_s:g} s"
            ) from error
    return ByteFrameStream(stream, limits.frame_bytes_max, str(address))


class Listener:
    """Takes connections in. Made by `listen`.

    Attributes:
        address: what it listens on, with the port that was found free where 0 was asked for.
    """

    def __init__(
        self, address: Address, listeners: list[SocketListener], limits: WireLimits
    ) -> None:
        self.address = address
        self._listeners = listeners
        self._limits = limits

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return str(self.address)

    async def serve(self, handler: Callable[[FrameStream], Awaitable[object]]) -> None:
        """Run the handler for each connection in a task of its own, until cancelled.

        A connection is closed when its handler ends. An exception of a handler is not caught.
        """
        async with anyio.create_task_group() as tasks:

            async def run(stream: SocketStream) -> None:
                frames = ByteFrameStream(stream, self._limits.frame_bytes_max, self.url)
                try:
                    await handler(frames)
                finally:
                    await frames.aclose()

            async def accept(listener: SocketListener) -> None:
                while True:
                    try:
                        stream = await listener.accept()
                    except anyio.ClosedResourceError:
                        return
                    except (OSError, anyio.BrokenResourceError) as error:
                        # Too many open files, or a client gone again: both pass.
                        _log.warning("%s: a connection was not accepted: %r", self.url, error)
                        await anyio.sleep(_ACCEPT_PAUSE_S)
                        continue
                    tasks.start_soon(run, stream)

            for listener in self._listeners:
                tasks.start_soon(accept, listener)

    async def aclose(self) -> None:
        """Listen no more. Connections that were taken in go on."""
        with anyio.CancelScope(shield=True):
            for listener in self._listeners:
                await listener.aclose()
            if self.address.scheme == "unix":
                with suppress(OSError):
                    os.unlink(self.address.path)


async def listen(url: str, limits: WireLimits | None = None) -> Listener:
    """Listen for clients.

    Raises:
        TransportError: the address is in use, or not ours to use.
    """
    address = parse_url(url)
    limits = limits or WireLimits()
    with map_errors(str(address)):
        if address.scheme == "unix":
            await _check_free(address)
            listener = await anyio.create_unix_listener(address.path, mode=_UNIX_MODE)
            return Listener(address, [listener], limits)
        several: MultiListener[SocketStream] = await anyio.create_tcp_listener(
            local_host=address.host, local_port=address.port
        )
    port = several.extra(SocketAttribute.local_port)  # noqa: S610 - not Django's
    listeners = [one for one in several.listeners if isinstance(one, SocketListener)]
    return Listener(replace(address, port=port), listeners, limits)


async def _check_free(address: Address) -> None:
    """Make sure that no living server's socket is about to be replaced."""
    try:
        mode = os.stat(address.path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise TransportError(f"{address}: there is a file of that name, and it is not a socket")
    try:
        stream = await anyio.connect_unix(address.path)
    except OSError:
        return  # left behind by a server that died
    await stream.aclose()
    raise TransportError(f"{address}: another server listens there")
