"""`/inspect`: a page to look at a server: its documents, its connections, entries as they arrive.

Nobody sees more there than the access policy lets them read, and nothing can be changed. On its way
a request passes:

- `page`, which finds what its path stands for;
- `sessions`, which tells who looks;
- `documents` (names, views, logs), `connections`, or `live` (a stream of server-sent events, fed
  by `feed`).
"""

from crdtsync.server.web.inspect.page import InspectPage

__all__ = ["InspectPage"]
