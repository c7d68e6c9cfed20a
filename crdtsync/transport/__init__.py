"""Drivers of the protocol on anyio: they move bytes, keep time, and know nothing of CRDTs.

- `stream` is what carries frames, over bytes or, by `messages`, over messages;
- `address` is what a URL says, `url` the client's way there, through a `proxy` if need be and by
  `websocket` if so agreed, `listener` the server's end of it;
- `connection` is what an application sees of its client: it tries for ever;
- `session` is one try, `exchange` the order of what passes in it: by `greeting` we are let in,
  `wanted` is which documents to bring, `following` how each begins and ends, `follower` the account
  of one, `intake` what comes of it, `forks` what to do where that contradicts ours, `pushing` what
  goes up, `proofs` that nothing is missing, `reports` how far we hold it;
- `queries` is what a connection brings, `answer` the order in which a query is answered;
- `presence` is who else is in a document;
- `ports` is what they need of a replica, `status` what they tell the application.

The server's side is `crdtsync.server`.
"""

from crdtsync.transport.address import Address, parse_url
from crdtsync.transport.answer import QueryItem
from crdtsync.transport.backoff import Backoff
from crdtsync.transport.connection import Connection, Connector, connect
from crdtsync.transport.listener import Listener, listen
from crdtsync.transport.messages import MessageFrameStream, MessageStream
from crdtsync.transport.presence import Peer, Presence, PresenceChange
from crdtsync.transport.queries import Query
from crdtsync.transport.status import ConnectionEvent, ConnectionStanding, ConnectionState, Status
from crdtsync.transport.stream import ByteFrameStream, FrameStream, MemoryFrameStream, memory_pair
from crdtsync.transport.url import connect_stream

__all__ = [
    "Address",
    "Backoff",
    "ByteFrameStream",
    "Connection",
    "ConnectionEvent",
    "ConnectionStanding",
    "ConnectionState",
    "Connector",
    "FrameStream",
    "Listener",
    "MemoryFrameStream",
    "MessageFrameStream",
    "MessageStream",
    "Peer",
    "Presence",
    "PresenceChange",
    "Query",
    "QueryItem",
    "Status",
    "connect",
    "connect_stream",
    "listen",
    "memory_pair",
    "parse_url",
]
