"""The connections, as those may see them who look.

The one place that knows where connections are: whoever knows more of them tells it here.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from crdtsync.server.glance import Glance
from crdtsync.server.hub import Hub
from crdtsync.server.lifecycle import State
from crdtsync.server.records import KnownConnection
from crdtsync.server.web.inspect.told import tell_replica
from crdtsync.server.yjs import Doors

__all__ = ["glances", "tell_away", "tell_connections"]

_CONNECTIONS_MAX = 200
_DOCUMENTS_MAX = 20


def glances(hub: Hub, doors: Doors) -> list[Glance]:
    """Return all connections."""
    return [*hub.glances(), *doors.glances()]


class _Seen(NamedTuple):
    glance: Glance
    documents: dict[str, int]

    @property
    def behind(self) -> int:
        return sum(self.documents.values())


def tell_connections(
    found: list[Glance], user: str | None, may_read: Callable[[str], bool]
) -> dict[str, Any]:
    """Return the connections that somebody may see: their own, and those to what they may read.

    Args:
        found: all.
        user: who looks.
        may_read: tells which documents they may read.
    """
    seen = []
    for glance in found:
        documents = {name: lag for name, lag in glance.behind.items() if may_read(name)}
        if documents or not glance.behind or glance.user == user:
            seen.append(_Seen(glance, documents))
    seen.sort(key=lambda one: (-one.behind, one.glance.user or "", one.glance.age_s))
    return {
        "total": len(seen),
        "connections": [_tell(one) for one in seen[:_CONNECTIONS_MAX]],
    }


def tell_away(
    known: list[KnownConnection], user: str | None, may_read: Callable[[str], bool]
) -> dict[str, Any]:
    """Return the connections whose clients are not here now, as `tell_connections` does.

    Args:
        known: all that the server keeps a record of.
        user: who looks.
        may_read: tells which documents they may read.
    """
    away = []
    for one in known:
        names = sorted(name for name in one.followed if may_read(name))
        is_seen = names or not one.followed or one.record.user == user
        if not one.online and is_seen and one.record.state is not State.RETIRED:
            away.append((one, names))
    away.sort(key=lambda pair: (-pair[0].behind, pair[0].record.last_seen))
    return {
        "total": len(away),
        "connections": [
            {
                "user": one.record.user,
                "replica": tell_replica(one.record.replica),
                "state": one.record.state.value,
                "reason": one.record.reason,
                "last_seen": _iso(one.record.last_seen / 1000),
                "behind": one.behind,
                "documents": names[:_DOCUMENTS_MAX],
                "more": max(0, len(names) - _DOCUMENTS_MAX),
            }
            for one, names in away[:_CONNECTIONS_MAX]
        ],
    }


def _iso(unix_s: float) -> str:
    when = datetime.datetime.fromtimestamp(round(unix_s), datetime.UTC)
    return when.isoformat()


def _tell(seen: _Seen) -> dict[str, Any]:
    glance = seen.glance
    documents = sorted(seen.documents.items(), key=lambda pair: (-pair[1], pair[0]))
    return {
        "kind": glance.kind,
        "user": glance.user,
        "replica": None if glance.replica is None else tell_replica(glance.replica),
        "state": glance.state,
        "since": _iso(time.time() - glance.age_s),
        "behind": seen.behind,
        "documents": [{"name": name, "behind": lag} for name, lag in documents[:_DOCUMENTS_MAX]],
        "more": max(0, len(documents) - _DOCUMENTS_MAX),
    }
