"""One HTTP request and its answer, for the pages that people look at.

Whatever is answered, a browser is told to keep to it: no other site may frame, embed or read it,
and a page runs no script and no style but those that come from here.

References:
    W3C, Content Security Policy Level 3; Fetch Metadata Request Headers.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import anyio

from crdtsync.server.web.asgi import Receive, Scope, Send, headers_of

__all__ = ["Exchange", "Refused"]

_BODY_BYTES_MAX = 16 * 1024
_GOODBYE_TIMEOUT_S = 1.0
_SECURITY = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class Refused(Exception):  # noqa: N818 - it is no error, but an answer
    """Raised when a request is not answered as it wished.

    Attributes:
        status: of HTTP.
        reason: a sentence for whoever asked.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Exchange:
    """One request.

    Args:
        scope: the request, as ASGI tells it.
        receive: the server's function.
        send: the server's function.
        path: what follows the page's own path and a slash, unescaped; None if there is no slash.

    Attributes:
        method: `GET`, for one; a `HEAD` is answered like it, without the body.
        headers: by their names in lower case.
        query: the parameters of the URL; of several with one name, the last.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, path: str | None) -> None:
        self.path = path
        self.method: str = scope["method"]
        self.headers = headers_of(scope)
        self.query: dict[str, str] = dict(
            parse_qsl(scope.get("query_string", b"").decode("latin-1"))
        )
        self._scheme: str = scope.get("scheme", "http")
        self._receive = receive
        self._send = send
        self._begun = False
        self._ended = False

    @property
    def is_secure(self) -> bool:
        """Whether the browser has come by HTTPS, perhaps through a proxy that says so."""
        return "https" in (self._scheme, self.headers.get("x-forwarded-proto", "").lower())

    def only(self, *methods: str) -> None:
        """Refuse other methods than these.

        Raises:
            Refused: it is another.
        """
        if self.method not in methods and not (self.method == "HEAD" and "GET" in methods):
            raise Refused(405, f"{' and '.join(methods)} only")

    def from_here(self) -> None:
        """Refuse what a page of another site has asked for.

        Raises:
            Refused: it was such a page.
        """
        site = self.headers.get("sec-fetch-site")
        origin = self.headers.get("origin")
        if site is not None:
            is_here = site in ("same-origin", "none")
        else:  # an old browser, or no TLS on the way
            is_here = origin is None or _host(origin) == self.headers.get("host", "").lower()
        if not is_here:
            raise Refused(403, "only this server's own pages may ask for this")

    async def body(self) -> bytes:
        """Return what came with the request.

        Raises:
            Refused: it is too large, or was cut off.
        """
        body = bytearray()
        while True:
            event = await self._receive()
            if event["type"] == "http.disconnect":
                raise Refused(400, "the request was cut off")
            body += event.get("body", b"")
            if len(body) > _BODY_BYTES_MAX:
                raise Refused(413, f"more than {_BODY_BYTES_MAX:,} bytes")
            if not event.get("more_body", False):
                return bytes(body)

    async def gone(self) -> None:
        """Wait until the client is gone."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def begin(
        self, status: int, kind: str, headers: Collection[tuple[str, str]] = ()
    ) -> None:
        """Begin an answer, which `send` goes on with."""
        self._begun = True
        sent = {"content-type": kind, **_SECURITY}
        told = [(name.encode(), text.encode("latin-1")) for name, text in (*sent.items(), *headers)]
        await self._send({"type": "http.response.start", "status": status, "headers": told})

    async def send(self, data: bytes, *, more: bool = True) -> None:
        """Send a part of the answer; it returns when there is room for the next."""
        self._ended = not more
        body = b"" if self.method == "HEAD" else data
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    async def answer(
        self,
        status: int,
        body: bytes = b"",
        kind: str = "text/plain; charset=utf-8",
        headers: Collection[tuple[str, str]] = (),
    ) -> None:
        """Answer all at once."""
        if status != HTTPStatus.NOT_MODIFIED:
            headers = (*headers, ("content-length", str(len(body))))
        await self.begin(status, kind, headers)
        await self.send(body, more=False)

    async def answer_json(self, value: Any, status: int = 200) -> None:
        """Answer with data, which nobody keeps."""
        body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        await self.answer(status, body, "application/json", [("cache-control", "no-store")])

    async def finish(self, status: int, reason: str) -> None:
        """End the answer, whatever has become of it; if there is none yet, with this one."""
        if self._ended:
            return
        with anyio.move_on_after(_GOODBYE_TIMEOUT_S, shield=True):
            if self._begun:
                await self.send(b"", more=False)
            else:
                await self.answer(status, f"{reason}\n".encode())


def _host(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None
