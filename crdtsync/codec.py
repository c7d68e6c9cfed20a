"""Deterministic CBOR out, hardened CBOR in (RFC 8949, section 4.2).

Everything crdtsync stores or sends is CBOR. `encode` gives one byte string per value, on every
machine. `decode` accepts exactly one item and nothing that can hurt: no indefinite lengths, no
duplicate or unhashable keys, no shared references, only the tags listed here, all input used up.
"""

from __future__ import annotations

import datetime
import decimal
import functools
import os
import uuid
from collections.abc import Sequence
from typing import Any, NoReturn

import cbor2

from crdtsync.errors import CodecError

__all__ = ["DEPTH_MAX", "FLAT", "check_value", "copy_value", "decode", "decode_all", "encode"]

DEPTH_MAX = 32
"""Nesting of lists and dicts that a value may have."""

# Date-time text, both bignums, decimal, UUID, date text: each is decoded to one immutable value.
_TAGS_ALLOWED = frozenset({0, 2, 3, 4, 37, 1004})
_TAGS_KNOWN_TO_CBOR2 = frozenset(
    {0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004}
    | {43000, 43001, 55799}
)
_SCALARS = (
    str,
    bool,
    int,
    float,
    bytes,
    datetime.datetime,
    datetime.date,
    decimal.Decimal,
    uuid.UUID,
    type(None),
)
_PLAIN = frozenset({str, bool, int, float, bytes, type(None)})

# cbor2 ignores whatever follows the first item. Each input is therefore decoded together with a
# secret of this process behind it, as two items of an array: the secret is found intact, and in its
# place, only where the input was exactly one item.
_MARK = os.urandom(16)
_PAIR = b"\x82"
_ARRAY = b"\x9a"  # four bytes of length follow
_MARK_ITEM = bytes([0x40 | len(_MARK)]) + _MARK


def _refuse_tag(*_: object) -> NoReturn:
    raise CodecError("a CBOR tag that crdtsync does not accept")


_SEMANTIC_DECODERS: Any = dict.fromkeys(_TAGS_KNOWN_TO_CBOR2 - _TAGS_ALLOWED, _refuse_tag)


FLAT = frozenset({str, bool, int, bytes, type(None)})
"""Types of which CBOR has one encoding only."""


_DECODE_ERRORS = (cbor2.CBORDecodeError, ValueError, OverflowError, ArithmeticError)
_loads = functools.partial(
    cbor2.loads,
    allow_indefinite=False,
    allow_duplicate_keys=False,
    strict_hashable_types=True,
    semantic_decoders=_SEMANTIC_DECODERS,
    tag_hook=_refuse_tag,
)


def encode(value: object, *, flat: bool = False) -> bytes:
    """Encode a value; equal values give equal bytes.

    Args:
        value: what to encode.
        flat: the caller knows that it is made of `FLAT` types, arrays and dicts of one key at the
            most. The bytes are the same, at half the cost.

    Raises:
        ValueError: a string holds a lone surrogate, which UTF-8 cannot carry.
        TypeError: CBOR has no form for the value.

    >>> encode([1, "a", None]).hex()
    '83016161f6'
    """
    try:
        return cbor2.dumps(value, canonical=not flat)
    except UnicodeEncodeError as error:
        raise ValueError(f"text with a lone surrogate cannot be stored: {error}") from error
    except cbor2.CBOREncodeError as error:
        raise TypeError(f"cannot be stored: {error}") from error


def decode(data: bytes, *, depth_max: int = DEPTH_MAX) -> Any:
    """Decode exactly one CBOR item.

    Raises:
        CodecError: the bytes are not one item of the kinds accepted.

    >>> decode(bytes.fromhex("83016161f6"))
    [1, 'a', None]
    """
    try:
        value, mark = _loads(_PAIR + data + _MARK_ITEM, max_depth=depth_max + 1)
    except _DECODE_ERRORS as error:
        raise CodecError(f"not acceptable CBOR: {error}") from error
    if mark != _MARK:
        raise CodecError("not acceptable CBOR: bytes follow the first item")
    return value


def decode_all(datas: Sequence[bytes], *, depth_max: int = DEPTH_MAX) -> list[Any]:
    """Decode byte strings of one CBOR item each together: at half the cost, where they are small.

    Raises:
        CodecError: one of them is not one item of the kinds accepted.

    >>> decode_all([encode(1), encode("a")])
    [1, 'a']
    """
    parts = [_ARRAY + (2 * len(datas)).to_bytes(4)]
    parts += [data + _MARK_ITEM for data in datas]
    try:
        items = _loads(b"".join(parts), max_depth=depth_max + 1)
    except _DECODE_ERRORS as error:
        raise CodecError(f"not acceptable CBOR: {error}") from error
    if items[1::2] != [_MARK] * len(datas):
        raise CodecError("not acceptable CBOR: bytes follow the first item")
    values: list[Any] = items[::2]
    return values


def check_value(value: object, *, depth_max: int = DEPTH_MAX, where: str = "value") -> None:
    """Check that CBOR carries a value exactly, so that every replica reads what was written.

    Raises:
        TypeError: a type that would come back as another one (a tuple, a set, an object).
        ValueError: a naive date-time, a decimal that is not finite, a lone surrogate, or too deep
            a nesting.
    """
    if type(value) in _PLAIN:
        if type(value) is str and not value.isascii():
            _check_text(value, where)
    elif isinstance(value, list):
        _check_depth(depth_max, where)
        for index, item in enumerate(value):
            check_value(item, depth_max=depth_max - 1, where=f"{where}[{index}]")
    elif isinstance(value, dict):
        _check_depth(depth_max, where)
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"{where} has the key {key!r}: keys of stored dicts are strings")
            _check_text(key, where)
            check_value(item, depth_max=depth_max - 1, where=f"{where}[{key!r}]")
    else:
        _check_scalar(value, where)


def _check_depth(left: int, where: str) -> None:
    if left == 0:
        raise ValueError(f"{where} is nested too deeply")


def _check_scalar(value: object, where: str) -> None:
    if not isinstance(value, _SCALARS):
        name = type(value).__name__
        hint = {"tuple": " (use a list)", "set": " (use a Set field)"}.get(name, "")
        article = "an" if name[0] in "aeiou" else "a"
        raise TypeError(f"{where} is {article} {name}, which cannot be stored{hint}")
    if isinstance(value, str):
        _check_text(value, where)
    elif isinstance(value, datetime.datetime):
        offset = value.utcoffset()
        if offset is None:
            raise ValueError(f"{where} is a date-time without a time zone: give it one")
        if offset % datetime.timedelta(seconds=1):
            raise ValueError(f"{where} is a date-time whose time zone is not of whole seconds")
    elif isinstance(value, decimal.Decimal) and (
        not value.is_finite() or (value.is_zero() and value.is_signed())
    ):
        raise ValueError(f"{where} is the decimal {value}, which CBOR does not carry exactly")


def _check_text(text: str, where: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{where} holds a lone surrogate, which cannot be stored") from error


def copy_value(value: Any, where: str = "value") -> Any:
    """Return a value that shares nothing mutable with `value`, as any other replica reads it.

    Raises:
        TypeError, ValueError: as `check_value` and `encode`.
    """
    check_value(value, where=where)
    return value if type(value) in _PLAIN else decode(encode(value))
