"""Documents as the page shows them: which there are, what one holds, and its log.

The server knows no classes, so fields stand under their paths as they are stored, each with all
writes that stand beside each other. What is materialized to show that is kept for the documents
that were looked at last, and follows their logs.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import anyio

from crdtsync.document.judges import ANNOUNCEMENTS
from crdtsync.document.path import split
from crdtsync.document.slots import Slot
from crdtsync.server.backend import Backend, Row, State
from crdtsync.server.glance import Glance
from crdtsync.server.views import DocumentView
from crdtsync.server.web.exchange import Refused
from crdtsync.server.web.inspect.told import (
    Users,
    shortened,
    tell_entry,
    tell_replica,
    tell_time,
    tell_value,
)

__all__ = ["Shelf"]

_DOCUMENTS_MAX = 200
_VIEWS_MAX = 8
_FIELDS_MAX = 2000
_REPLICAS_MAX = 200
_LOG_MAX = 100
_BYTES_AT_ONCE = 1024 * 1024


class Shelf:
    """The documents of a server, to be looked at.

    Args:
        backend: where they are.
        users: who has written them.
    """

    def __init__(self, backend: Backend, users: Users) -> None:
        self._backend = backend
        self._users = users
        self._views: OrderedDict[str, DocumentView] = OrderedDict()
        self._lock = anyio.Lock()

    async def list(
        self, like: str, may_read: Callable[[str], bool], found: Iterable[Glance]
    ) -> dict[str, Any]:
        """Return the documents whose names hold a text.

        Args:
            like: the text.
            may_read: tells which may be told.
            found: the connections, which are counted.
        """
        followers = Counter(name for glance in found for name in glance.behind)
        names = [
            name
            for name in await self._backend.documents()
            if like.casefold() in name.casefold() and may_read(name)
        ]
        # Those in use first: among thousands they are the ones to look at.
        names.sort(key=lambda name: (-followers[name], name))
        documents = []
        for name in names[:_DOCUMENTS_MAX]:
            heads = (await self._backend.state(name)).heads
            documents.append(
                {
                    "name": name,
                    "entries": sum(head.seq for head in heads.values()),
                    "replicas": len(heads),
                    "connections": followers[name],
                }
            )
        return {"total": len(names), "documents": documents}

    async def show(self, name: str) -> dict[str, Any]:
        """Return what a document holds.

        Raises:
            Refused: there is no such document.
        """
        state = await self._state(name)
        async with self._lock:
            view = self._views.setdefault(name, DocumentView(name))
            self._views.move_to_end(name)
            if len(self._views) > _VIEWS_MAX:
                self._views.popitem(last=False)
            await view.follow(self._backend)
            fields = view.fields()
            types = view.types()
        shown = sorted(fields.items())[:_FIELDS_MAX]
        return {
            "name": name,
            "entries": sum(head.seq for head in state.heads.values()),
            "fields": [await self._field(name, path, slots) for path, slots in shown],
            "left_out": len(fields) - len(shown),
            "types": [
                {"path": list(split(path)), "kind": kind, "value": _content(value)}
                for path, (kind, value) in islice(types.items(), _FIELDS_MAX)
            ],
            "logs": len(state.heads),
            "replicas": [
                {
                    "replica": tell_replica(replica),
                    "user": await self._users.of(name, replica),
                    "entries": head.seq,
                }
                for replica, head in islice(sorted(state.heads.items()), _REPLICAS_MAX)
            ],
        }

    async def log(self, name: str, before: int | None) -> dict[str, Any]:
        """Return a document's newest entries, the last one first.

        Args:
            name: of the document.
            before: tell those below this offset only.

        Raises:
            Refused: there is no such document.
        """
        newest = (await self._state(name)).offset
        end = newest if before is None else min(newest, before - 1)
        rows = await self._last(name, end)
        told = [await tell_entry(row, name, self._users) for row in reversed(rows)]
        older = bool(rows) and bool(await self._backend.read(name, 0, 1, upto=rows[0].offset - 1))
        return {"entries": told, "more": rows[0].offset if older else None}

    async def _state(self, name: str) -> State:
        state = await self._backend.state(name)
        if not state.heads:
            raise Refused(404, f"there is no document {name!r}")
        return state

    async def _last(self, name: str, end: int) -> deque[Row]:
        """Return the last rows up to an offset. A backend reads forwards, and offsets have gaps."""
        span = _LOG_MAX
        while True:
            rows: deque[Row] = deque(maxlen=_LOG_MAX)
            at = start = max(0, end - span)
            while at < end and (more := await self._backend.read(name, at, _BYTES_AT_ONCE, end)):
                rows += more
                at = more[-1].offset
            if start == 0 or len(rows) == _LOG_MAX:
                return rows
            span *= 4

    async def _field(self, document: str, path: str, slots: tuple[Slot, ...]) -> dict[str, Any]:
        keys = split(path)
        return {
            "path": list(keys),
            "kind": _kind(keys, slots),
            "value": tell_value(slots[-1].value),
            "writes": [
                {
                    "value": tell_value(slot.value),
                    "user": await self._users.of(document, slot.replica),
                    "replica": tell_replica(slot.replica),
                    "seq": slot.seq,
                    "time": tell_time(slot.time),
                }
                for slot in slots[:_REPLICAS_MAX]
            ],
        }


def _kind(keys: tuple[str, ...], slots: tuple[Slot, ...]) -> str:
    """Guess what a path stands for: tables hold records by key, which hold fields.

    >>> from crdtsync.document.slots import Slot
    >>> _kind(("tasks", "t1"), (Slot(0, 7, 1, 0, [[7, 1]]),))
    'removed'
    """
    if keys[0] == ANNOUNCEMENTS:
        return "rules"
    if keys[-1].startswith("="):
        return "element"
    if len(keys) % 2:
        return "field"
    return "removed" if all(isinstance(slot.value, list) for slot in slots) else "record"


def _content(value: Any) -> str:
    return shortened(value) if isinstance(value, str) else tell_value(value)
