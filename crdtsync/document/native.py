"""Values inside native Yjs lists and maps: readable by Yjs front ends, and exact for Python.

The CRDT library reads every whole number back as a float, and cannot hold what JavaScript has no
type for. So a value goes in natively where it comes back equal and of the same type, and as the
bytes of a marked CBOR item everywhere else. Front ends see plain strings, numbers, lists and
objects; only a `Decimal`, a 60-bit int or a `2.0` that must stay a float looks opaque to them.
"""

from __future__ import annotations

import math
from typing import Any

import pycrdt

from crdtsync.codec import DEPTH_MAX, check_value, decode, encode
from crdtsync.errors import CodecError

__all__ = ["from_native", "is_shared", "to_native"]

MARK = b"\xd9\xd9\xf7"
"""CBOR's self-described tag (RFC 8949, section 3.4.6): the bytes that follow are one item."""

_WHOLE_MAX = 2**53
_SHARED = (
    pycrdt.Array,
    pycrdt.Doc,
    pycrdt.Map,
    pycrdt.Text,
    pycrdt.XmlElement,
    pycrdt.XmlFragment,
    pycrdt.XmlText,
)


def to_native(value: Any) -> Any:
    """Return what to put into a Yjs list or map for a value.

    Raises:
        TypeError, ValueError: as `crdtsync.codec.check_value`.
    """
    check_value(value)
    if _is_native(value):
        return value
    return MARK + encode(value)


def from_native(value: Any, depth_max: int = DEPTH_MAX) -> Any:
    """Return the Python value of what a Yjs list or map holds.

    Whatever that is, a value comes out that can be stored. Of what front ends put there by other
    means than ours, shared types are shown by what they hold; what has no Python value, or is
    nested too deeply, is shown as None.
    """
    kind = type(value)
    if kind is float:
        return int(value) if value.is_integer() and abs(value) < _WHOLE_MAX else value
    if kind is str or value is None or kind is bool:
        return value
    if isinstance(value, bytes | bytearray):
        return _from_bytes(bytes(value))
    if isinstance(value, pycrdt.Text):
        return str(value)
    if isinstance(value, list | pycrdt.Array):
        return [from_native(item, depth_max - 1) for item in value] if depth_max else None
    if isinstance(value, dict | pycrdt.Map):
        items = value.items()
        return {k: from_native(item, depth_max - 1) for k, item in items} if depth_max else None
    return None if is_shared(value) else value


def is_shared(value: Any) -> bool:
    """Tell whether what a list or map holds is a shared type, which may change where it stands."""
    return isinstance(value, _SHARED)


def _from_bytes(data: bytes) -> Any:
    if data.startswith(MARK):
        try:
            found = decode(data[len(MARK) :])
            check_value(found)
        except (CodecError, TypeError, ValueError):
            return data
        return found
    return data


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
