"""The authenticator for a server that only this machine can reach."""

from __future__ import annotations

from crdtsync.server.authentication.authenticator import Identity

__all__ = ["DevelopmentAuthenticator"]


class DevelopmentAuthenticator:
    """Believes what the client says. For listeners on this machine only: see `requires_loopback`.

    >>> import anyio
    >>> async def who(user):
    ...     return await DevelopmentAuthenticator().authenticate(None, user=user)
    >>> anyio.run(who, "ann").user
    'ann'
    """

    requires_loopback = True

    async def authenticate(self, token: str | None, *, user: str | None) -> Identity:
        """Return whoever the client says it is, whatever its token."""
        return Identity(user)
