"""What a server may be told, by keywords: said here once, for all that take them.

A `Hub` takes the first, `web_app` and `serve` all of them. None of them is required.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, TypedDict

from crdtsync.server.access import AccessPolicy
from crdtsync.server.authentication import Authenticator
from crdtsync.server.limits import ServerLimits
from crdtsync.server.policy import ConnectionPolicy
from crdtsync.server.tags import Tags
from crdtsync.server.yjs.limits import YjsLimits

__all__ = ["HubOptions", "WebOptions"]


class HubOptions(TypedDict, total=False):
    """The keywords of a `Hub`.

    Attributes:
        limits: what clients may cost.
        authenticator: tells who clients are. By default the server is in development mode: it
            believes what they say; `serve` and `web_app` then serve this machine only.
        names: names by which clients may know this server, such as its DNS names; None: any.
        policy: tells what users may do; everything by default.
        connection_policy: tells who is downgraded where there are too many connections.
        history: what becomes of entries that are in a snapshot and below every cursor that is
            honoured: they are kept (the default), to be read some day, or let go.
        tags: tells which tags a document bears, for queries: see `crdtsync.server.tags`.
    """

    limits: ServerLimits | None
    authenticator: Authenticator | None
    names: Collection[str] | None
    policy: AccessPolicy | None
    connection_policy: ConnectionPolicy | None
    history: Literal["keep", "trim"]
    tags: Tags


class WebOptions(HubOptions, total=False):
    """The keywords of `web_app` and `serve`: those of a `Hub`, and how the web gets at it.

    Attributes:
        origins: the sites whose pages may connect, as in `https://example.org`; None: all, or in
            development mode those on this machine.
        yjs_limits: what Yjs clients may cost.
    """

    origins: Collection[str] | None
    yjs_limits: YjsLimits | None
