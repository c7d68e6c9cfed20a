"""The client's way to a server, whatever its address is."""

from __future__ import annotations

import ssl

import anyio
from anyio.abc import ByteStream
from anyio.streams.tls import TLSStream

from crdtsync.errors import TransportError
from crdtsync.sync import WireLimits
from crdtsync.transport.address import Address, parse_url
from crdtsync.transport.messages import MessageFrameStream
from crdtsync.transport.proxy import connect_through, find_proxy
from crdtsync.transport.stream import ByteFrameStream, FrameStream, map_errors
from crdtsync.transport.websocket import open_websocket

__all__ = ["connect_stream"]


async def connect_stream(
    url: str,
    limits: WireLimits | None = None,
    *,
    ssl_context: ssl.SSLContext | None = None,
    proxy: str | None = None,
) -> FrameStream:
    """Connect to a server.

    Args:
        url: where it is; see `crdtsync.transport.address`.
        limits: of the wire.
        ssl_context: whom to trust where the way is encrypted; by default, whom the system trusts.
        proxy: the URL of an HTTP proxy; empty for none, None for the one that the environment
            names.

    Raises:
        TransportError: there is nobody, or no way to them, or they are not trusted.
    """
    address = parse_url(url)
    limits = limits or WireLimits()
    with map_errors(str(address)):
        try:
            with anyio.fail_after(limits.connect_timeout_s):
                stream = await _reach(address, proxy)
                try:
                    return await _speak(stream, address, limits, ssl_context)
                except BaseException:
                    with anyio.CancelScope(shield=True):
                        await stream.aclose()
                    raise
        except TimeoutError as error:
            raise TransportError(
                f"{address}: no connection within {limits.connect_timeout_s:g} s"
            ) from error
        except ssl.SSLCertVerificationError as error:
            raise TransportError(
                f"{address}: the server's certificate is not trusted: {error.verify_message}; "
                "if it is of an authority of your own, give an ssl_context that knows that"
            ) from error


async def _reach(address: Address, proxy: str | None) -> ByteStream:
    """Open a way to the server's machine."""
    if address.is_unix:
        return await anyio.connect_unix(address.path)
    through = find_proxy(address) if proxy is None else proxy
    if through:
        return await connect_through(through, address)
    return await anyio.connect_tcp(address.host, address.port)


async def _speak(
    stream: ByteStream, address: Address, limits: WireLimits, ssl_context: ssl.SSLContext | None
) -> FrameStream:
    """Agree with the server on how frames are carried."""
    if address.is_secure:
        # Whether the end was announced does not matter: frames are whole or not there.
        stream = await TLSStream.wrap(
            stream,
            server_side=False,
            hostname=address.host,
            ssl_context=ssl_context or ssl.create_default_context(),
            standard_compatible=False,
        )
    if address.is_web:
        messages = await open_websocket(stream, address)
        return MessageFrameStream(messages, limits.frame_bytes_max, str(address))
    return ByteFrameStream(stream, limits.frame_bytes_max, str(address))
