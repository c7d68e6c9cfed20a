"""Who may come by the web: a browser lets any site that its user looks at open a WebSocket.

Where users show a token, that does no harm: a site does not have it. But a server in development
mode believes whoever can reach it, and the browser of its developer can. So such a server answers
requests only that come from this machine, are addressed to it by a name of this machine (else a
site could have its own name lead here), and come from a page of this machine or of a listed site.

References:
    RFC 6455, section 10.2, on `Origin`.
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from crdtsync.server.web.asgi import Scope, headers_of
from crdtsync.transport.address import is_loopback

__all__ = ["Guard"]


class Guard:
    """Looks at where requests come from.

    Args:
        is_local: whether only this machine is served.
        origins: the sites whose pages may connect, as in `https://example.org`. None: all, or,
            where only this machine is served, its own. Programs that are no browsers name no
            origin, and are not asked.
    """

    def __init__(self, *, is_local: bool, origins: Collection[str] | None = None) -> None:
        self._is_local = is_local
        self._origins = None if origins is None else {one.rstrip("/").lower() for one in origins}

    def objection(self, scope: Scope) -> str | None:
        """Return why a request is not served; None if it is."""
        headers = headers_of(scope)
        if self._is_local:
            client = scope.get("client")
            if client and not is_loopback(client[0]):
                return "a server in development mode serves its own machine only"
            host = _host(f"//{headers.get('host', '')}")
            if not is_loopback(host):
                return f"a server in development mode is not known as {host!r}"
        origin = headers.get("origin")
        if origin is not None and not self._may_connect(origin.lower()):
            return f"pages of {origin} may not connect here (crdtsync serve --origin)"
        return None

    def _may_connect(self, origin: str) -> bool:
        if origin in (self._origins or ()):
            return True
        return is_loopback(_host(origin)) if self._is_local else self._origins is None


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
