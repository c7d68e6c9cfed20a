"""The total order of all values that a field can hold. Not a strategy, but a part of several.

Values of one type come in their usual order, those of different types in the order

    None, False, True, NaN, numbers, text, bytes, dates, date-times, UUIDs, lists, dicts

- Numbers are compared by value, whatever their types: 1 < 1.5 < Decimal(2). Of equal numbers the
  int comes first, then the float (-0.0 before 0.0), then the decimal of the smaller exponent. Ints
  and decimals of more than 4,900 digits are not compared with each other, which could take minutes:
  the ints come first.
- Text is compared by code point, in no language's order: that would be another on each machine.
- Date-times are compared by the instant; of equal ones that with the smaller offset comes first.
- Lists are compared by their first item that differs; dicts as the list of their sorted items.

Two values have the same key if and only if they are stored as the same bytes. So a key also tells
1 from 1.0 and from True, which Python takes to be equal.
"""

from __future__ import annotations

import datetime
import decimal
import math
import uuid
from collections.abc import Callable
from typing import Any, TypeAlias

__all__ = ["Key", "order_key"]

Key: TypeAlias = tuple[Any, ...]

_LARGE_DIGITS = 4_900
_LARGE = 10**_LARGE_DIGITS
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def order_key(value: Any) -> Key:
    """Return a key by which storable values are sorted and told apart. It can be hashed.

    Raises:
        TypeError: the value cannot be stored.

    >>> sorted([[1], "b", 2, None, "a", 1.5, True], key=order_key)
    [None, True, 1.5, 2, 'a', 'b', [1]]
    >>> order_key(1) == order_key(1.0), order_key({"a": 1, "b": 2}) == order_key({"b": 2, "a": 1})
    (False, True)
    """
    key_of = _KEYS.get(type(value)) or _inherited(type(value))
    return key_of(value)


def _inherited(cls: type) -> Callable[[Any], Key]:
    for base in cls.__mro__:
        if base in _KEYS:
            return _KEYS[base]
    raise TypeError(f"a {cls.__name__} cannot be stored")


def _int(value: int) -> Key:
    if -_LARGE < value < _LARGE:
        return 3, 0, value, 0, 0
    return 3, 1 if value > 0 else -1, 0, value


def _float(value: float) -> Key:
    if not math.isfinite(value):
        return (2,) if math.isnan(value) else (3, math.copysign(2, value))
    # As an exactly equal number of another type, with which decimals are compared in any context.
    exact = int(value) if value.is_integer() else decimal.Decimal.from_float(value)  # noqa: FURB164
    return 3, 0, exact, 1, math.copysign(1, value) if value == 0 else 0


def _decimal(value: decimal.Decimal) -> Key:
    exponent = value.as_tuple().exponent
    if value.is_zero() or value.adjusted() < _LARGE_DIGITS:
        return 3, 0, value, 2, exponent
    return 3, -1 if value.is_signed() else 1, 2, value, exponent


def _date_time(value: datetime.datetime) -> Key:
    return 7, value - _EPOCH, value.utcoffset()


def _list(value: list[Any]) -> Key:
    return 9, tuple(map(order_key, value))


def _dict(value: dict[str, Any]) -> Key:
    return 10, tuple((name, order_key(value[name])) for name in sorted(value))


_KEYS: dict[type, Callable[[Any], Key]] = {
    type(None): lambda _: (0,),
    bool: lambda value: (1, value),
    int: _int,
    float: _float,
    decimal.Decimal: _decimal,
    str: lambda value: (4, value),
    bytes: lambda value: (5, value),
    datetime.date: lambda value: (6, value.toordinal()),
    datetime.datetime: _date_time,
    uuid.UUID: lambda value: (8, value.int),
    list: _list,
    dict: _dict,
}
