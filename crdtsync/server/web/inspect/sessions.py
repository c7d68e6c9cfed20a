"""Who looks at the page.

In development mode the server believes its own machine, and there is nothing to show. Else a
browser shows a token once, in a form, and gets a cookie: a random name for its session, which says
nothing, leads only here, and is of no use to other sites. Programs show their token with each
request, as `Authorization: Bearer`. The token itself is kept nowhere.

References:
    RFC 6265, and its successor's `SameSite`; RFC 6750, section 2.1.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import NamedTuple

from crdtsync.errors import AuthenticationError
from crdtsync.server.authentication import Identity
from crdtsync.server.door import Door
from crdtsync.server.web.exchange import Exchange, Refused

__all__ = ["Sessions", "cookie"]

_COOKIE = "crdtsync_inspect"
_SESSIONS_MAX = 1024
_SESSION_S = 12 * 3600
_SECRET_BYTES = 32


class _Session(NamedTuple):
    identity: Identity
    until: float


class Sessions:
    """The sessions of browsers, in memory.

    Args:
        door: tells who users are.
    """

    def __init__(self, door: Door) -> None:
        self._door = door
        self._sessions: dict[str, _Session] = {}

    async def identify(self, exchange: Exchange) -> Identity:
        """Tell who asks.

        Raises:
            Refused: they have not shown that.
        """
        if self._door.believes:
            return await self._ask(None)
        scheme, _, token = exchange.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return await self._ask(token.strip())
        session = self._sessions.get(_secret_of(exchange.headers))
        if session is None or session.until <= time.time():
            raise Refused(401, "sign in with a token")
        return session.identity

    async def begin(self, token: str) -> tuple[str, int]:
        """Begin a session; return its secret, and for how many seconds it lasts.

        Raises:
            Refused: the token shows nobody.
        """
        identity = await self._ask(token)
        until = min(time.time() + _SESSION_S, identity.expires or float("inf"))
        if len(self._sessions) >= _SESSIONS_MAX:
            del self._sessions[next(iter(self._sessions))]
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        self._sessions[secret] = _Session(identity, until)
        return secret, int(until - time.time())

    def end(self, exchange: Exchange) -> None:
        """End the session that a request belongs to."""
        self._sessions.pop(_secret_of(exchange.headers), None)

    async def _ask(self, token: str | None) -> Identity:
        try:
            identity = await self._door.identify(token, None)
        except AuthenticationError as error:
            raise Refused(401, error.reason) from error
        if identity.expires is not None and identity.expires <= time.time():
            raise Refused(401, "the token has expired")
        return identity


def cookie(secret: str, age_s: int, *, secure: bool) -> tuple[str, str]:
    """Return the header by which a browser takes a session's secret; without one, forgets it.

    It names no path: then it is sent to what stands beside the URL that has set it, wherever the
    application is mounted.
    """
    kept = f"{_COOKIE}={secret}; Max-Age={age_s}; HttpOnly; SameSite=Strict"
    return "set-cookie", f"{kept}; Secure" if secure else kept


def _secret_of(headers: Mapping[str, str]) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(_COOKIE)
    except CookieError:
        return ""
    return "" if found is None else found.value
