"""Named limits of a server, besides those of the wire and of entries, which it holds as well."""

from __future__ import annotations

from dataclasses import dataclass, field

from crdtsync.limits import Limits
from crdtsync.sync import WireLimits

__all__ = ["ConnectionLimits", "PresenceLimits", "ServerLimits"]


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How many connections are active, and how much is kept for them.

    Beyond a limit a connection is first slowed, then downgraded, then told to come back later. It
    loses nothing by that.

    Attributes:
        active_max: active connections in all.
        per_user_max: active connections of one user.
        per_document_max: active connections that follow one document.
        lag_entries_max: entries that an active connection may be behind.
        lag_bytes_max: bytes that these may have.
        lag_age_max_s: how long one that is behind may stay away.
        push_bytes_per_s: bytes that a connection may push; faster, and its credit comes later.
        push_entries_per_s: entries that it may push.
    """

    active_max: int = 100_000
    per_user_max: int = 100
    per_document_max: int = 10_000
    lag_entries_max: int = 1_000_000
    lag_bytes_max: int = 1024 * 1024 * 1024
    lag_age_max_s: float = 180 * 24 * 3600
    push_bytes_per_s: int = 64 * 1024 * 1024
    push_entries_per_s: int = 100_000


@dataclass(frozen=True, slots=True)
class PresenceLimits:
    """What it may cost that clients show themselves to each other.

    Attributes:
        states_max: clients that may be shown as present in one document.
        per_connection_max: of these, how many one connection of Yjs clients may show.
        documents_max: documents in which one replica may watch and show itself; in more of them it
            does neither.
        grace_s: how long who is cut off counts as present.
        bytes_per_s: what one replica, or one connection of Yjs clients, may show, in all documents;
            faster, and others see only the last of several states of a client, and later.
        states_per_s: states that it may show, likewise.
    """

    states_max: int = 10_000
    per_connection_max: int = 64
    documents_max: int = 256
    grace_s: float = 4
    bytes_per_s: int = 64 * 1024
    states_per_s: int = 50


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """What all clients together, and each of them, may cost the server.

    Memory is bounded by `cache_bytes_max`, plus for each connection what the wire limits allow it
    to have under way, `turn_bytes_max` and `unsent_bytes_max`.

    Attributes:
        wire: what one connection may send.
        entry: what one entry may be.
        connection: how many connections are active, and what is kept for them.
        presence: what it may cost that clients show themselves to each other.
        connections_max: connections at once; more are told to come back later.
        logs_max: logs in one document, so that its heads always fit into one frame.
        memory_bytes_max: what may wait to be sent to all connections together; with more, new
            ones are told to come back later, and those that are there wait.
        hot_entries_max: entries above a document's snapshot; with more, another is taken.
        hot_bytes_max: bytes of these. As many as the snapshot itself has are always left above it.
        keep_interval_s: how often it is seen to what is kept for connections.
        cache_bytes_max: encoded frames kept because other connections are going to want them.
        turn_bytes_max: entries given to one connection before its answers are looked at again.
        unsent_bytes_max: answers that wait for a connection that does not take them; with more,
            nothing is read from it any more.
        queries_max: queries by pattern or tag that one connection may have at once.
        query_documents_max: documents that are named in answer to one of these.
        documents_at_once_max: documents of one connection that are worked on at the same time.
        close_timeout_s: how long a goodbye may take.
        retry_after_ms: when a client that was turned away, or cut off, should come back.
        ahead_max_s: how far an entry's time may be ahead of the server's clock; beyond, it counts
            as of the time at which it came.
    """

    wire: WireLimits = field(default_factory=WireLimits)
    entry: Limits = field(default_factory=Limits)
    connection: ConnectionLimits = field(default_factory=ConnectionLimits)
    presence: PresenceLimits = field(default_factory=PresenceLimits)
    connections_max: int = 10_000
    logs_max: int = 10_000
    memory_bytes_max: int = 512 * 1024 * 1024
    hot_entries_max: int = 10_000
    hot_bytes_max: int = 4 * 1024 * 1024
    keep_interval_s: float = 30
    cache_bytes_max: int = 64 * 1024 * 1024
    turn_bytes_max: int = 256 * 1024
    unsent_bytes_max: int = 1024 * 1024
    queries_max: int = 100
    query_documents_max: int = 10_000
    documents_at_once_max: int = 64
    close_timeout_s: float = 2
    retry_after_ms: int = 5_000
    ahead_max_s: float = 60
