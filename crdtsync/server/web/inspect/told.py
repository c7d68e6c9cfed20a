"""Entries and values as the page tells them: data for JSON, of bounded size."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from typing import Any

from crdtsync.clock import to_datetime
from crdtsync.errors import EntryError, StorageError
from crdtsync.log import Entry, decode_entry
from crdtsync.server.backend import Backend, Row

__all__ = ["Users", "shortened", "tell_entry", "tell_replica", "tell_time", "tell_value"]

_TEXT_MAX = 2000
_ARGUMENTS_MAX = 400
_BYTES_MAX = 64
_USERS_MAX = 100_000


class Users:
    """Who uses which replica, as the first entries of their logs say.

    Args:
        backend: where the logs are.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._known: dict[tuple[str, int], str | None] = {}

    async def of(self, document: str, replica: int) -> str | None:
        """Return a replica's user in a document; None if nobody is named."""
        if (document, replica) not in self._known:
            try:
                data = await self._backend.entry(document, replica, 1)
                user = None if data is None else decode_entry(data).user
            except (StorageError, EntryError):
                return None
            if len(self._known) >= _USERS_MAX:
                del self._known[next(iter(self._known))]
            self._known[document, replica] = user
        return self._known[document, replica]


async def tell_entry(row: Row, document: str, users: Users) -> dict[str, Any]:
    """Return who did what, and when."""
    told: dict[str, Any] = {
        "document": document,
        "offset": row.offset,
        "replica": tell_replica(row.replica),
        "seq": row.seq,
        "bytes": len(row.data),
        "user": await users.of(document, row.replica),
    }
    try:
        entry = decode_entry(row.data)
    except EntryError:
        return told | {"action": "", "arguments": "", "damaged": True}
    return told | {
        "time": tell_time(entry.time),
        "action": entry.name,
        "arguments": shortened(_arguments(entry), _ARGUMENTS_MAX),
        "refused": entry.refusal,
        "erased": entry.erasure,
    }


def _arguments(entry: Entry) -> str:
    return ", ".join(f"{name}={tell_value(value)}" for name, value in entry.arguments.items())


def tell_replica(replica: int) -> str:
    """Return a replica's id as people write it."""
    return f"{replica:x}"


def tell_time(time: int) -> str:
    """Return a time of the hybrid logical clock, to the millisecond, in UTC."""
    return to_datetime(time).isoformat(timespec="milliseconds")


def tell_value(value: Any) -> str:
    r"""Return a value as a line of text.

    >>> tell_value({"at": [1, b"\xff", None, "ä"]})
    '{"at": [1, "0xff", null, "ä"]}'
    """
    try:
        try:
            text = json.dumps(value, ensure_ascii=False, default=_tell_other)
        except TypeError:  # a mapping with keys that JSON has not
            text = repr(value)
        return shortened(text)
    except ValueError:  # Python writes no number of more than 4,300 digits
        return "a number too long to be shown"


def _tell_other(value: Any) -> Any:
    if isinstance(value, bytes):
        return f"0x{value[:_BYTES_MAX].hex()}" + ("…" if len(value) > _BYTES_MAX else "")
    if isinstance(value, datetime.date | datetime.datetime):
        return value.isoformat()
    return dict(value) if isinstance(value, Mapping) else str(value)


def shortened(text: str, most: int = _TEXT_MAX) -> str:
    """Return a text, or its beginning and how much is left out.

    >>> shortened("abcdef", 3)
    'abc… (3 more)'
    """
    left = len(text) - most
    return text if left <= 0 else f"{text[:most]}… ({left:,} more)"
