"""The server: keeps the logs of many replicas, and tells each what the others wrote.

`serve` listens on addresses; `web_app` is an ASGI application to mount in another; a `Hub` serves
connections that come from elsewhere. What they keep goes to a `Backend`. On the way of an entry
through this package:

- `session` is one connection, `documents` what it does with its documents;
- `intake` decodes and checks what is pushed, `admission` decides whether it may be stored;
- `backend` is the contract of the storage engines in `backends`;
- `channel` is a document as all its followers see it, `batch` what is sent to them,
  `subscription` how far each has got.

Front ends that speak Yjs come in by the doors in `crdtsync.server.yjs`.

No entry is decoded or encoded anywhere but at its push; nothing is queued for a connection but
a cursor into the log.
"""

from crdtsync.server.backend import Added, Appended, Backend, Row, State, Stored, Watcher
from crdtsync.server.backends import MemoryBackend, SqliteBackend
from crdtsync.server.erasures import Erasure
from crdtsync.server.hub import Hub
from crdtsync.server.limits import ServerLimits
from crdtsync.server.serve import serve
from crdtsync.server.web import WebApp, web_app

__all__ = [
    "Added",
    "Appended",
    "Backend",
    "Erasure",
    "Hub",
    "MemoryBackend",
    "Row",
    "ServerLimits",
    "SqliteBackend",
    "State",
    "Stored",
    "Watcher",
    "WebApp",
    "serve",
    "web_app",
]
