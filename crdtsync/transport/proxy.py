"""Ways through an HTTP proxy: it is asked to CONNECT us (RFC 9110, section 9.3.6)."""

from __future__ import annotations

import base64
import urllib.request
from urllib.parse import unquote, urlsplit

import anyio
from anyio.abc import SocketStream

from crdtsync.errors import TransportError
from crdtsync.transport.address import Address

__all__ = ["connect_through", "find_proxy"]

_HEAD_BYTES_MAX = 16 * 1024
_PORT = 3128
# RFC 6455, section 4.1: a proxy for HTTPS knows CONNECT for sure, so it comes first.
_VARIABLES = {"ws": ("ws", "https", "http", "all"), "wss": ("wss", "https", "all")}


def find_proxy(address: Address) -> str | None:
    """Return the proxy that the environment names for an address, if any.

    It is taken from `WSS_PROXY`, `HTTPS_PROXY` and so on, or, where the system has a place for
    it, from there. Only WebSockets are led through it, and none to this machine or to a host in
    `NO_PROXY`.
    """
    if address.is_local or urllib.request.proxy_bypass(f"{address.host}:{address.port}"):
        return None
    proxies = urllib.request.getproxies()
    names = _VARIABLES.get(address.scheme, ())
    return next((proxies[name] for name in names if name in proxies), None)


async def connect_through(proxy: str, address: Address) -> SocketStream:
    """Connect to a server through a proxy.

    Args:
        proxy: `http://host:port`, or `http://user:password@host:port`.
        address: the server's.

    Raises:
        TransportError: the proxy refuses, or is not an HTTP proxy.
        OSError: there is no way to the proxy.
    """
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if parts.scheme != "http" or not parts.hostname:
        raise TransportError(
            f"the proxy {parts.hostname or proxy!r} is not one of http://host:port; name one with "
            'proxy="http://…", or none with proxy=""'
        )
    stream = await anyio.connect_tcp(parts.hostname, parts.port or _PORT)
    try:
        await stream.send(_request(address, parts.username, parts.password))
        head = b""
        while b"\r\n\r\n" not in head:
            head += await stream.receive()
            if len(head) > _HEAD_BYTES_MAX:
                raise TransportError(f"the proxy {parts.hostname} answers without end")
        _check(head, parts.hostname)
    except BaseException:
        with anyio.CancelScope(shield=True):
            await stream.aclose()
        raise
    return stream


def _request(address: Address, user: str | None, password: str | None) -> bytes:
    host = f"[{address.host}]" if ":" in address.host else address.host
    lines = [f"CONNECT {host}:{address.port} HTTP/1.1", f"Host: {host}:{address.port}"]
    if user is not None:
        secret = f"{unquote(user)}:{unquote(password or '')}".encode()
        lines.append(f"Proxy-Authorization: Basic {base64.b64encode(secret).decode()}")
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()


def _check(head: bytes, name: str) -> None:
    line, _, _ = head.partition(b"\r\n")
    version, _, status = line.decode("latin-1").partition(" ")
    if not version.startswith("HTTP/1.") or not status.startswith("2"):
        raise TransportError(f"the proxy {name} does not let us through: {status or version}")
    if not head.endswith(b"\r\n\r\n"):
        raise TransportError(f"the proxy {name} says more than that the way is open")
