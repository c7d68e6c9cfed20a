"""The server: keeps the logs of many replicas, and tells each what the others wrote.

`serve` listens on addresses; `web_app` is an ASGI application to mount in another; a `Hub` serves
connections that come from elsewhere; `options` tells what each may be told. What they keep goes to
a `Backend`. On the way of an entry through this package:

- `session` is one connection, `documents` what it does with its documents;
- `intake` decodes and checks what is pushed, `admission` decides whether it may be stored;
- `backend` is the contract of the storage engines in `backends`;
- `channel` is a document as all its followers see it, `batch` what is sent to them,
  `subscription` how far each has got.

What clients are to the server outlives their sockets: `lifecycle` is the table of what they can be,
`connections` keeps the records, `policy` says who is downgraded, `keeper` does it, and takes
`snapshots` so that logs need not be kept for ever.

`queries` answers which documents of the `catalog` are of a pattern, or bear `tags`.

Front ends that speak Yjs come in by the doors in `crdtsync.server.yjs`.

No entry is decoded or encoded anywhere but at its push; nothing is queued for a connection but
a cursor into the log.
"""

from crdtsync.server.backend import Added, Appended, Backend, Row, State, Stored, Watcher
from crdtsync.server.backends import MemoryBackend, SqliteBackend
from crdtsync.server.erasures import Erasure
from crdtsync.server.hub import Hub
from crdtsync.server.limits import ConnectionLimits, PresenceLimits, ServerLimits
from crdtsync.server.options import HubOptions, WebOptions
from crdtsync.server.policy import Candidate, ConnectionPolicy, LeastValuable
from crdtsync.server.records import ConnectionRecord, KnownConnection
from crdtsync.server.serve import serve
from crdtsync.server.web import WebApp, web_app

__all__ = [
    "Added",
    "Appended",
    "Backend",
    "Candidate",
    "ConnectionLimits",
    "ConnectionPolicy",
    "ConnectionRecord",
    "Erasure",
    "Hub",
    "HubOptions",
    "KnownConnection",
    "LeastValuable",
    "MemoryBackend",
    "PresenceLimits",
    "Row",
    "ServerLimits",
    "SqliteBackend",
    "State",
    "Stored",
    "Watcher",
    "WebApp",
    "WebOptions",
    "serve",
    "web_app",
]
