"""Doors for Yjs: front ends join documents by the protocols that they know.

A client of y-websocket or of Hocuspocus opens a document as if it were a Yjs document of that name.
What it writes becomes entries, in a log that the server keeps for it; what replicas write goes to
it as Yjs updates. It reads and writes the shared types of a document under their paths: a `Text`
field `notes` is `doc.getText("notes")`.

- `doors` is the way in, from the paths of a web application (`web`); `entrance` tells who may go
  through; `y_websocket` and `hocuspocus` are the two dialects of `messages`;
- `connection` is one WebSocket, `member` its part in one document;
- `room` is a document that somebody has open, `replay` how it comes from the log, `drafts` and
  `scribe` how changes get into the log, `recent` how they are told to the others.
"""

from crdtsync.server.yjs.doors import Doors
from crdtsync.server.yjs.limits import YjsLimits
from crdtsync.server.yjs.web import HocuspocusPath, YWebsocketPath

__all__ = ["Doors", "HocuspocusPath", "YWebsocketPath", "YjsLimits"]
