"""Values as people read them: bounded, and nothing that a value says is taken for markup."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable, Sequence
from itertools import islice
from typing import Any

from crdtsync.clock import to_datetime
from crdtsync.notebook.markup import Markup, escape, join, tag

__all__ = [
    "ROWS_MAX",
    "TEXT_MAX",
    "chips",
    "clock_time",
    "cut",
    "shown_time",
    "table",
    "value_html",
]

ROWS_MAX = 50
"""Rows of a table that are shown; of more, their number is told."""
TEXT_MAX = 400
"""Characters of a text that are shown."""
_CHIPS_MAX = 20
_BYTES_MAX = 64


def cut(text: str, most: int = TEXT_MAX) -> str:
    """Return a text, or its beginning and how much is left out.

    >>> cut("abcdef", 3)
    'abc… (3 more)'
    """
    left = len(text) - most
    return text if left <= 0 else f"{text[:most]}… ({left:,} more)"


def shown_time(time: int) -> str:
    """Return a time of the hybrid logical clock, to the second, in UTC."""
    return to_datetime(time).strftime("%Y-%m-%d %H:%M:%S")


def clock_time(time: int) -> Markup:
    """Return the same as an element that tells it exactly."""
    exact = to_datetime(time).isoformat()
    return tag("time", shown_time(time), datetime=exact, title=exact)


def value_html(value: Any) -> Markup:
    """Return a field's value."""
    if value is None or value == "":
        return tag("span", "none" if value is None else "empty", class_="dim")
    if isinstance(value, str):
        return join([cut(value)])
    if isinstance(value, datetime.datetime):
        return tag("time", str(value), datetime=value.isoformat())
    if isinstance(value, bytes):
        shown = value[:_BYTES_MAX].hex(" ", 4) + ("…" if len(value) > _BYTES_MAX else "")
        return tag("code", shown, title=f"{len(value):,} bytes")
    try:
        said = repr(value)
    except ValueError:  # Python writes no number of more than 4,300 digits
        return tag("span", "too long to be shown", class_="dim")
    return escape(said) if isinstance(value, int | float) else tag("code", cut(said))


def chips(values: Collection[Any]) -> Markup:
    """Return the elements of a set or list, as far as there is room."""
    if not values:
        return tag("span", "none", class_="dim")
    shown: list[object] = [
        tag("span", value_html(value), class_="chip") for value in islice(values, _CHIPS_MAX)
    ]
    left = len(values) - len(shown)
    if left > 0:
        shown.append(tag("span", f"{left:,} more", class_="dim"))
    return join(shown, " ")


def table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], count: int, caption: object = None
) -> Markup:
    """Return a table; of more than `ROWS_MAX` rows, the first ones and how many there are.

    Args:
        columns: their headings.
        rows: cells, the first of which names the row.
        count: of all rows.
        caption: what it is a table of.
    """
    head = tag("tr", *(tag("th", name, scope="col") for name in columns))
    body = [
        tag("tr", tag("th", row[0], scope="row"), *(tag("td", cell) for cell in row[1:]))
        for row in islice(rows, ROWS_MAX)
    ]
    left = count - len(body)
    if left > 0:
        body.append(
            tag("tr", tag("td", f"… and {left:,} more", class_="dim", colspan=len(columns)))
        )
    named = "" if caption is None else tag("caption", caption)
    return tag("table", named, tag("thead", head), tag("tbody", *body))
