"""Named limits of the wire. Limits on entries themselves are in `crdtsync.limits`.

Every length is checked before anything of that length is read or kept, so what a peer can make
this side hold is bounded by the numbers below, whoever the peer is.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FRAME_BYTES_MIN", "WireLimits"]

FRAME_BYTES_MIN = 512
"""Below this a frame could not carry a chunk and the words around it."""


@dataclass(frozen=True, slots=True)
class WireLimits:
    """What one connection may ask of this side.

    The defaults of `frame_bytes_max` and `message_bytes_max` are what every peer accepts. A server
    that takes more says so in its Welcome; a client must not take less than its server sends.

    Attributes:
        frame_bytes_max: one frame, without the length that precedes it on byte streams.
        message_bytes_max: one frame put together from chunks. Above the largest entry.
        credit_bytes: data frames that the peer may have under way to us.
        subscriptions_max: documents that one connection follows.
        push_entries_max: entries in one Push.
        handshake_timeout_s: from the first byte to the Welcome.
        connect_timeout_s: until a connection is made.
        ping_interval_s: how often an idle client proves that it is there.
        silence_timeout_s: without a byte for so long, a connection is taken for dead.
    """

    frame_bytes_max: int = 256 * 1024
    message_bytes_max: int = 1024 * 1024
    credit_bytes: int = 1024 * 1024
    subscriptions_max: int = 10_000
    push_entries_max: int = 1000
    handshake_timeout_s: float = 10
    connect_timeout_s: float = 10
    ping_interval_s: float = 20
    silence_timeout_s: float = 60

    def __post_init__(self) -> None:
        if not FRAME_BYTES_MIN <= self.frame_bytes_max <= self.message_bytes_max:
            raise ValueError(
                f"frame_bytes_max must be at least {FRAME_BYTES_MIN} "
                "and no more than message_bytes_max"
            )
        if min(self.credit_bytes, self.subscriptions_max, self.push_entries_max) < 1:
            raise ValueError("a limit below 1 would let nothing through")

    def to_wire(self) -> dict[str, int]:
        """Return what a server's Welcome tells its client."""
        return {
            "frame_bytes_max": self.frame_bytes_max,
            "message_bytes_max": self.message_bytes_max,
            "subscriptions_max": self.subscriptions_max,
            "push_entries_max": self.push_entries_max,
        }
