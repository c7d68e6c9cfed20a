"""Named limits of the Yjs doors."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["YjsLimits"]


@dataclass(frozen=True, slots=True)
class YjsLimits:
    """What Yjs clients may cost the server.

    Attributes:
        connections_max: connections at once; more are told to come back later.
        rooms_max: documents that are open at once, each of them in memory.
        message_bytes_max: one message; what a client has written off line comes in one.
        documents_max: documents that one Hocuspocus connection may have open.
        unsent_bytes_max: answers that wait for a connection which does not take them; with more,
            nothing is read from it any more.
        unstored_bytes_max: what one connection may have sent that is not stored yet.
        recent_bytes_max: of changes, that a room keeps as they were sent. Who is behind by more
            gets the difference to what it has.
        unauthenticated_messages_max: messages that may come before the client has shown who it
            is; of `message_bytes_max` together.
        presence_state_bytes_max: what each client may show of itself.
        keep_alive_s: after which silence of ours we send something. Clients wait for 30 s.
        silence_timeout_s: how long a client may take no message that waits for it, and how long
            it may take to show who it is.
        renewal_timeout_s: how long after its token has expired a client may take to show another.
    """

    connections_max: int = 10_000
    rooms_max: int = 4096
    message_bytes_max: int = 4 * 1024 * 1024
    documents_max: int = 256
    unsent_bytes_max: int = 1024 * 1024
    unstored_bytes_max: int = 1024 * 1024
    recent_bytes_max: int = 256 * 1024
    unauthenticated_messages_max: int = 256
    presence_state_bytes_max: int = 64 * 1024
    keep_alive_s: float = 10
    silence_timeout_s: float = 30
    renewal_timeout_s: float = 30
