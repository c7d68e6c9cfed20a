"""Values inside native Yjs lists: readable by Yjs front ends, and exact for Python.

The CRDT library reads every whole number back as a float, and cannot hold what JavaScript has no
type for. So a value goes in natively where it comes back equal and of the same type, and as the
bytes of a marked CBOR item everywhere else. Front ends see plain strings, numbers, lists and
objects; only a `Decimal`, a 60-bit int or a `2.0` that must stay a float looks opaque to them.
"""

from __future__ import annotations

import math
from typing import Any

from crdtsync.codec import check_value, decode, encode
from crdtsync.errors import CodecError

__all__ = ["from_native", "to_native"]

MARK = b"\xd9\xd9\xf7"
"""CBOR's self-described tag (RFC 8949, section 3.4.6): the bytes that follow are one item."""

_WHOLE_MAX = 2**53


def to_native(value: Any) -> Any:
    """Return what to put into a Yjs list for a value.

    Raises:
        TypeError, ValueError: as `crdtsync.codec.check_value`.
    """
    check_value(value)
    if _is_native(value):
        return value
    return MARK + encode(value)


def from_native(value: Any) -> Any:
    """Return the Python value of what a Yjs list holds."""
    if type(value) is float:
        return int(value) if value.is_integer() and abs(value) < _WHOLE_MAX else value
    if isinstance(value, bytes | bytearray):
        data = bytes(value)
        if data.startswith(MARK):
            try:
                found = decode(data[len(MARK) :])
                check_value(found)
            except (CodecError, TypeError, ValueError):
                return data
            return found
        return data
    if isinstance(value, list):
        return [from_native(item) for item in value]
    if isinstance(value, dict):
        return {key: from_native(item) for key, item in value.items()}
    return value


def _is_native(value: Any) -> bool:
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if kind is int:
        return bool(abs(value) < _WHOLE_MAX)
    if kind is float:
        return math.isfinite(value) and not value.is_integer()
    if kind is bytes:
        return not bytes(value).startswith(MARK)
    if kind is list:
        return all(_is_native(item) for item in value)
    if kind is dict:
        return all(_is_native(item) for item in value.values())
    return False
