"""The doors as a web application has them: by path, with what the URL says.

Read next: `crdtsync.server.yjs.doors`.
"""

from __future__ import annotations

from typing import Protocol
from urllib.parse import parse_qs

from crdtsync.server.yjs.doors import Doors
from crdtsync.transport.messages import MessageStream

__all__ = ["HocuspocusPath", "Request", "YWebsocketPath"]


class Request(Protocol):
    """What a client asked for when it opened a WebSocket."""

    @property
    def path(self) -> str:
        """What follows the door's own path, unescaped."""

    @property
    def query(self) -> str:
        """What follows the question mark, as it came."""


class YWebsocketPath:
    """Serves clients of y-websocket below a path: what follows it is the document's name.

    The URL's parameter `token` tells who they are; `user`, in development mode.

    Args:
        doors: the doors, whose context is open while this serves.
    """

    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    @property
    def message_bytes_max(self) -> int:
        """The largest message that it takes."""
        return self._doors.limits.message_bytes_max

    async def serve(self, stream: MessageStream, request: Request) -> None:
        """Serve a connection until it ends, and close it."""
        await self._doors.serve_y_websocket(
            stream,
            request.path,
            token=_parameter(request, "token"),
            user=_parameter(request, "user"),
        )


class HocuspocusPath:
    """Serves clients of Hocuspocus at a path. They name documents, and show tokens, in messages.

    Args:
        doors: the doors, whose context is open while this serves.
    """

    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    @property
    def message_bytes_max(self) -> int:
        """The largest message that it takes."""
        return self._doors.limits.message_bytes_max

    async def serve(self, stream: MessageStream, request: Request) -> None:
        """Serve a connection until it ends, and close it."""
        await self._doors.serve_hocuspocus(stream, user=_parameter(request, "user"))


def _parameter(request: Request, name: str) -> str | None:
    return parse_qs(request.query).get(name, [None])[0]
