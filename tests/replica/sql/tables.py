"""What SQL tables must hold, made slowly from the plain view; and what they hold.

In one process all must go through one SQLite library: where two have a file open, the locks of one
are lost when the other closes it.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import apsw

from crdtsync import Document
from crdtsync.document import Schema

__all__ = ["Tables", "expected", "found"]

Tables = dict[str, set[tuple[Any, ...]]]


def expected(documents: Iterable[Document], schema: Schema, name: str) -> Tables:
    """Return every row that there should be, by table."""
    tables: Tables = {}
    _add_tables(tables, schema, name)
    for document in documents:
        _add(tables, schema, name, (document.document_name,), document.to_dict())
    return tables


def _add_tables(tables: Tables, schema: Schema, name: str) -> None:
    tables[name] = set()
    for field, spec in schema.fields.items():
        if spec.record is not None:
            _add_tables(tables, spec.record, f"{name}_{field}")


def _add(
    tables: Tables, schema: Schema, name: str, keys: tuple[str, ...], plain: dict[str, Any]
) -> None:
    row: list[Any] = list(keys)
    for field, spec in schema.fields.items():
        if spec.record is None:
            row.append(shown(plain[field]))
        else:
            for key, inner in plain[field].items():
                _add(tables, spec.record, f"{name}_{field}", (*keys, key), inner)
    tables[name].add(tuple(row))


def shown(value: Any) -> Any:
    if isinstance(value, list | dict):
        told = json.dumps(value, ensure_ascii=False, default=_told)
        return told.replace("Infinity", '"inf"')
    if isinstance(value, float):
        return "nan" if math.isnan(value) else value
    if isinstance(value, bool) or value is None or isinstance(value, str | bytes):
        return value
    if isinstance(value, int):
        return value if value.bit_length() < 64 or value == -(2**63) else str(value)
    return _told(value)


def _told(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime.datetime):
        with contextlib.suppress(OverflowError):
            value = value.astimezone(datetime.UTC)
    return value.isoformat() if isinstance(value, datetime.date) else str(value)


def found(path: str | Path, names: Iterable[str]) -> Tables:
    """Return every row that another program sees, by table."""
    with contextlib.closing(apsw.Connection(str(path), apsw.SQLITE_OPEN_READONLY)) as connection:
        return {name: set(connection.execute(f'SELECT * FROM "{name}"')) for name in names}
