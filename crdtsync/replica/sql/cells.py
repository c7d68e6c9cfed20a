"""Cells: what SQLite is given for a value.

SQLite knows numbers of 64 bits, text and bytes. What is more than that becomes text that SQLite's
own functions understand: dates are ISO 8601 and in UTC, so that they sort; lists and dicts are
JSON. A column is declared with a type only where SQLite then leaves what is stored as it is: in a
column that is declared INTEGER it would round whole numbers beyond 64 bits.

Source: SQLite, "Datatypes In SQLite", section 3 (type affinity).
"""

from __future__ import annotations

import contextlib
import datetime
import decimal
import json
import math
import uuid
from typing import Any, TypeAlias

from crdtsync.document import FieldSpec

__all__ = ["Cell", "cell", "declared_type"]

Cell: TypeAlias = int | float | str | bytes | None

_INTEGER_MAX = 2**63
_AS_TEXT = frozenset(
    {str, list, dict, datetime.datetime, datetime.date, decimal.Decimal, uuid.UUID}
)
_TYPES = dict.fromkeys(["text", "set", "list", "map", "rich-text"], "TEXT") | {"counter": ""}


def declared_type(spec: FieldSpec) -> str:
    """Return the type that a field's column is declared with, empty for none."""
    if spec.kind != "value":
        return _TYPES[spec.kind]
    types = set(spec.types or ()) - {type(None)}
    if not types:
        return ""
    if types <= _AS_TEXT:
        return "TEXT"
    if types == {float, int}:  # what `float` admits
        return "REAL"
    return "BLOB" if types == {bytes} else ""


def cell(value: Any) -> Cell:
    """Return what stands for a value.

    >>> cell(True), cell(2**63), cell(decimal.Decimal("1.50")), cell(["a", 1])
    (1, '9223372036854775808', '1.50', '["a", 1]')
    """
    match value:
        case bool():
            return int(value)
        case int():
            return value if -_INTEGER_MAX <= value < _INTEGER_MAX else str(value)
        case float():
            return "nan" if math.isnan(value) else value  # SQLite would store NULL
        case list() | dict():
            return json.dumps(_plain(value), ensure_ascii=False)
        case None | str() | bytes():
            return value
        case _:
            return _text(value)


def _plain(value: Any) -> Any:
    """Return what JSON carries."""
    match value:
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case list():
            return [_plain(item) for item in value]
        case bytes():
            return value.hex()
        case float() if not math.isfinite(value):
            return str(value)
        case None | bool() | int() | float() | str():
            return value
        case _:
            return _text(value)


def _text(value: Any) -> str:
    if isinstance(value, datetime.datetime):
        with contextlib.suppress(OverflowError):  # on the first or last day that there is
            value = value.astimezone(datetime.UTC)
    return value.isoformat() if isinstance(value, datetime.date) else str(value)
