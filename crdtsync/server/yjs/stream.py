"""What a door asks of a WebSocket, whichever server it came through."""

from __future__ import annotations

from typing import Protocol

__all__ = ["MessageStream"]


class MessageStream(Protocol):
    """A WebSocket that was accepted: whole binary messages, one way and the other.

    Closes text messages itself (1003), and what is larger than it takes (1009).
    """

    async def receive(self) -> bytes | None:
        """Return the next message; None when the other side has closed it.

        Raises:
            TransportError: the other side is gone.
            RemoteProtocolError: it has sent what it must not.
        """

    async def send(self, data: bytes, /) -> None:
        """Send a message; return when there is room for another.

        Raises:
            TransportError: the other side is gone.
        """

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close it. Does nothing if it is closed already, and raises nothing."""
