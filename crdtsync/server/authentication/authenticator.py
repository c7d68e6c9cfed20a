"""The contract between a server and whatever tells it who its clients are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

__all__ = ["Authenticator", "Identity"]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a client is.

    Attributes:
        user: who uses it; None where nobody asks and the client does not say.
        expires: Unix time in seconds after which this must have been shown anew; None: never.
        claims: what else is known of the user, for an access policy: groups, for one.
    """

    user: str | None
    expires: float | None = None
    claims: Mapping[str, Any] = field(default_factory=dict, compare=False)


class Authenticator(Protocol):
    """Tells who a client is. A server has one, and asks it once for each connection."""

    @property
    def requires_loopback(self) -> bool:
        """Whether it may be asked only where no other machine can connect.

        True for one that believes its clients.
        """

    async def authenticate(self, token: str | None, *, user: str | None) -> Identity:
        """Tell who a client is, or refuse it.

        Anything but an `AuthenticationError` that this raises refuses the client as well, and is
        a fault of the server.

        Args:
            token: what the client showed.
            user: who the client says it is. It must never be let in as anybody else.

        Raises:
            AuthenticationError: it has not shown who it is. The reason is told to the client.
        """
