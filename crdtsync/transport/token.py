"""Tokens: what proves the user to a server, and where a fresh one comes from."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from crdtsync.errors import TransportError

__all__ = ["Token", "current"]

Token: TypeAlias = str | Callable[[], str | Awaitable[str]] | None
"""A token, or a function that gets one: it is asked for each connection, and before one expires."""


async def current(token: Token) -> str | None:
    """Return the token to show now.

    Raises:
        TransportError: the function failed; it is asked again later.
    """
    if not callable(token):
        return token
    try:
        found = token()
        return await found if inspect.isawaitable(found) else found
    except Exception as error:
        raise TransportError(f"no token could be had: {error}") from error
