"""Addresses of servers, and what their URLs say.

| URL | what it is |
|---|---|
| `tcp://host:port`, `tls://host:port` | frames on a stream of bytes, plain or encrypted |
| `unix:///path` | the same, on a Unix socket |
| `ws://host:port/path`, `wss://host:port/path` | a WebSocket; the port is 80 or 443 by default |
| `ws+unix:///path` | a WebSocket on a Unix socket, for a proxy on the same machine |
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from crdtsync.errors import TransportError

__all__ = ["SCHEMES", "Address", "is_loopback", "parse_url"]

SCHEMES = ("tcp", "tls", "unix", "ws", "wss", "ws+unix")
"""The schemes that are known."""

_WEB_PORTS = {"ws": 80, "wss": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """A URL taken apart.

    Attributes:
        scheme: one of `SCHEMES`.
        host: none on Unix sockets.
        port: 0 to listen on any that is free.
        path: of the Unix socket's file; of a WebSocket, where on the host the server's
            application is. The latter begins and ends with a slash.
    """

    scheme: str
    host: str = ""
    port: int = 0
    path: str = ""

    @property
    def is_unix(self) -> bool:
        """Whether it is a file on this machine."""
        return self.scheme.endswith("unix")

    @property
    def is_secure(self) -> bool:
        """Whether what is sent is encrypted."""
        return self.scheme in ("tls", "wss")

    @property
    def is_web(self) -> bool:
        """Whether it speaks HTTP, and WebSocket."""
        return self.scheme.startswith("ws")

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return self.is_unix or is_loopback(self.host)

    @property
    def server(self) -> str:
        """The name by which a client knows the server: it signs that too."""
        return self.path if self.is_unix else self.host

    def __str__(self) -> str:
        if self.is_unix:
            return f"{self.scheme}://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address is always this machine.

    >>> is_loopback("localhost"), is_loopback("127.3.2.1"), is_loopback("example.org")
    (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def parse_url(url: str) -> Address:
    """Take a URL apart.

    Raises:
        TransportError: it is not a URL of a known scheme; the message says what is wrong.

    >>> parse_url("tcp://localhost:8765")
    Address(scheme='tcp', host='localhost', port=8765, path='')
    >>> str(parse_url("wss://example.org/sync"))
    'wss://example.org:443/sync/'
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise TransportError(f"{url!r} is not a URL: {error}") from error
    if parts.scheme not in SCHEMES:
        known = ", ".join(f"{scheme}://" for scheme in SCHEMES)
        raise TransportError(f"{url!r}: its scheme is not known; known are {known}")
    if parts.query or parts.fragment or parts.username is not None:
        raise TransportError(f"{url!r}: an address has no user, query or fragment")
    if parts.scheme.endswith("unix"):
        return _parse_unix(url, parts)
    web = parts.scheme in _WEB_PORTS
    if port is None:
        port = _WEB_PORTS.get(parts.scheme)
    if not parts.hostname or port is None or (not web and parts.path not in ("", "/")):
        form = "host:port/path" if web else "host:port"
        raise TransportError(f"{url!r}: expected {parts.scheme}://{form}")
    path = f"{parts.path.rstrip('/')}/" if web else ""
    if not path.isascii() or not path.isprintable():
        raise TransportError(f"{url!r}: write what is not ASCII in its path as %-escapes")
    return Address(parts.scheme, parts.hostname, port, path)


def _parse_unix(url: str, parts: SplitResult) -> Address:
    path = unquote(parts.path)
    if parts.netloc or not path.strip("/") or "\0" in path:
        raise TransportError(f"{url!r}: expected {parts.scheme}:///path/of/the/socket")
    return Address(parts.scheme, path=path)
