"""Listening for streams of bytes: `tcp://`, `tls://` and `unix://`.

`listen` gives a `Listener`, which gives the server its ends of connections as `FrameStream`. The
addresses that speak HTTP are listened on by `crdtsync.server.web`.
"""

from __future__ import annotations

import os
import ssl
import stat
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace

import anyio
from anyio.abc import ByteStream, SocketAttribute, SocketListener, SocketStream
from anyio.streams.stapled import MultiListener
from anyio.streams.tls import TLSStream

from crdtsync import events
from crdtsync.errors import TransportError
from crdtsync.sync import WireLimits
from crdtsync.transport.address import Address, parse_url
from crdtsync.transport.stream import ByteFrameStream, FrameStream, map_errors

__all__ = ["Listener", "bind", "listen", "unbind"]

_UNIX_MODE = 0o600  # only the user who serves may connect, unless they open the socket to others
_ACCEPT_PAUSE_S = 0.1


class Listener:
    """Takes connections in. Made by `listen`.

    Attributes:
        address: what it listens on, with the port that was found free where 0 was asked for.
    """

    def __init__(
        self,
        address: Address,
        listeners: list[SocketListener],
        limits: WireLimits,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self.address = address
        self._listeners = listeners
        self._limits = limits
        self._ssl_context = ssl_context

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
                encrypted = await self._encrypt(stream)
                if encrypted is None:
                    return
                frames = ByteFrameStream(encrypted, self._limits.frame_bytes_max, self.url)
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
                        events.ACCEPT_FAILED.log(url=self.url, error=repr(error))
                        await anyio.sleep(_ACCEPT_PAUSE_S)
                        continue
                    tasks.start_soon(run, stream)

            for listener in self._listeners:
                tasks.start_soon(accept, listener)

    async def _encrypt(self, stream: SocketStream) -> ByteStream | None:
        """Shake hands, where that is asked for; None if it comes to nothing."""
        if self._ssl_context is None:
            return stream
        try:
            with map_errors(self.url), anyio.fail_after(self._limits.handshake_timeout_s):
                return await TLSStream.wrap(
                    stream,
                    server_side=True,
                    ssl_context=self._ssl_context,
                    standard_compatible=False,
                )
        except TransportError as error:
            events.ENCRYPTION_FAILED.log(url=self.url, error=error)
            await stream.aclose()
            return None
        except BaseException:
            with anyio.CancelScope(shield=True):
                await stream.aclose()
            raise

    async def aclose(self) -> None:
        """Listen no more. Connections that were taken in go on."""
        await unbind(self.address, self._listeners)


async def listen(
    url: str, limits: WireLimits | None = None, ssl_context: ssl.SSLContext | None = None
) -> Listener:
    """Listen for clients.

    Args:
        url: where: `tcp://host:port`, `tls://host:port`, `unix:///path`.
        limits: of the wire.
        ssl_context: the server's certificate, for `tls://`.

    Raises:
        TransportError: the address is in use, or not ours to use.
    """
    address = parse_url(url)
    if address.is_web:
        raise TransportError(f"{address}: a web address; crdtsync.server.serve listens on those")
    if not address.is_secure:
        ssl_context = None
    elif ssl_context is None:
        raise TransportError(
            f"{address}: to listen with TLS, give the server's certificate (an ssl_context, "
            "crdtsync serve --tls-cert)"
        )
    address, listeners = await bind(address)
    return Listener(address, listeners, limits or WireLimits(), ssl_context)


async def bind(address: Address) -> tuple[Address, list[SocketListener]]:
    """Open the sockets of an address; return it with its real port, and them.

    Raises:
        TransportError: the address is in use, or not ours to use.
    """
    with map_errors(str(address)):
        if address.is_unix:
            await _check_free(address)
            return address, [await anyio.create_unix_listener(address.path, mode=_UNIX_MODE)]
        several: MultiListener[SocketStream] = await anyio.create_tcp_listener(
            local_host=address.host, local_port=address.port
        )
    port = several.extra(SocketAttribute.local_port)  # noqa: S610 - not Django's
    listeners = [one for one in several.listeners if isinstance(one, SocketListener)]
    return replace(address, port=port), listeners


async def unbind(address: Address, listeners: Sequence[SocketListener]) -> None:
    """Close the sockets of an address, and leave nothing behind."""
    with anyio.CancelScope(shield=True):
        for listener in listeners:
            await listener.aclose()
        if address.is_unix:
            with suppress(OSError):
                os.unlink(address.path)


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
