"""Named limits of a server, besides those of the wire and of entries, which it holds as well."""

from __future__ import annotations

from dataclasses import dataclass, field

from crdtsync.limits import Limits
from crdtsync.sync import WireLimits

__all__ = ["ServerLimits"]


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """What all clients together, and each of them, may cost the server.

    Memory is bounded by `cache_bytes_max`, plus for each connection what the wire limits allow it
    to have under way, `turn_bytes_max` and `unsent_bytes_max`.

    Attributes:
        wire: what one connection may send.
        entry: what one entry may be.
        connections_max: connections at once; more are told to come back later.
        logs_max: logs in one document, so that its heads always fit into one frame.
        cache_bytes_max: encoded frames kept because other connections are going to want them.
        turn_bytes_max: entries given to one connection before its answers are looked at again.
        unsent_bytes_max: answers that wait for a connection that does not take them; with more,
            nothing is read from it any more.
        documents_at_once_max: documents of one connection that are worked on at the same time.
        close_timeout_s: how long a goodbye may take.
        retry_after_ms: when a client that was turned away, or cut off, should come back.
        ahead_max_s: how far an entry's time may be ahead of the server's clock; beyond, it counts
            as of the time at which it came.
    """

    wire: WireLimits = field(default_factory=WireLimits)
    entry: Limits = field(default_factory=Limits)
    connections_max: int = 10_000
    logs_max: int = 10_000
    cache_bytes_max: int = 64 * 1024 * 1024
    turn_bytes_max: int = 256 * 1024
    unsent_bytes_max: int = 1024 * 1024
    documents_at_once_max: int = 64
    close_timeout_s: float = 2
    retry_after_ms: int = 5_000
    ahead_max_s: float = 60
