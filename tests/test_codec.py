"""Values come back exactly, and hostile bytes do nothing worse than raise CodecError."""

from __future__ import annotations

import contextlib
import datetime
import decimal
import math
import struct
import subprocess
import sys
import uuid
from typing import Any

import cbor2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crdtsync.codec import DEPTH_MAX, FLAT, check_value, copy_value, decode, decode_all, encode
from crdtsync.errors import CodecError
from tests.generators import values

TAGS_ACCEPTED = {0, 2, 3, 4, 37, 1004}


def head(major: int, number: int) -> bytes:
    """Return the shortest CBOR head."""
    if number < 24:
        return bytes([major << 5 | number])
    for size, extra in ((1, 24), (2, 25), (4, 26), (8, 27)):
        if number < 1 << (8 * size):
            return bytes([major << 5 | extra]) + number.to_bytes(size, "big")
    raise AssertionError(number)


def same(one: Any, other: Any) -> bool:
    """Tell whether two values are equal in all that a program can see."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return struct.pack(">d", one) == struct.pack(">d", other)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return set(one) == set(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, datetime.datetime):
        return bool(one == other and one.utcoffset() == other.utcoffset())
    if isinstance(one, decimal.Decimal) and one:  # of a zero, CBOR does not carry the sign
        return bool(one.as_tuple() == other.as_tuple())
    return bool(one == other)


def nested(depth: int) -> Any:
    """Return a value of so many lists within each other."""
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


# --- out and in again -----------------------------------------------------------------------------


@given(values())
def test_every_value_comes_back_exactly(value: Any) -> None:
    check_value(value)
    data = encode(value)
    assert same(decode(data), value)
    assert encode(decode(data)) == data
    assert same(copy_value(value), value)


EDGES: list[Any] = [
    0,
    -1,
    23,
    24,
    2**63,
    2**64 - 1,
    2**64,
    -(2**64),
    -(2**64) - 1,
    10**3000,
    -(10**3000),
    0.0,
    -0.0,
    math.inf,
    -math.inf,
    5e-324,
    1.7976931348623157e308,
    1.1,
    1.0,
    True,
    False,
    None,
    "",
    "añ😀\x00",
    b"",
    b"\xff" * 70_000,
    datetime.date.min,
    datetime.date.max,
    datetime.datetime.min.replace(tzinfo=datetime.UTC),
    datetime.datetime(2024, 2, 29, 23, 59, 59, 999_999, datetime.UTC),
    datetime.datetime(1900, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(seconds=1172))),
    decimal.Decimal("1.10"),
    decimal.Decimal("9" * 60 + "." + "1" * 60),
    decimal.Decimal("1E+999999999"),
    decimal.Decimal("-1E-999999999"),
    uuid.UUID(int=0),
    {"": {"a": [1, [2.5, {"ä": None}]]}},
]


@pytest.mark.parametrize("value", EDGES, ids=range(len(EDGES)))
def test_values_at_the_edges_come_back_exactly(value: Any) -> None:
    check_value(value)
    assert same(decode(encode(value)), value)


def test_nan_comes_back_as_nan() -> None:
    assert math.isnan(copy_value(math.nan))
    assert math.isnan(copy_value([{"a": math.nan}])[0]["a"])


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.integers()))
def test_the_order_of_keys_does_not_show(value: dict[str, int]) -> None:
    assert encode(value) == encode(dict(reversed(value.items())))


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])) | st.integers() | st.binary()))
def test_flat_encoding_gives_the_same_bytes(value: list[Any]) -> None:
    assert all(type(item) in FLAT for item in value)
    assert encode(value, flat=True) == encode(value)
    assert encode({"only": value}, flat=True) == encode({"only": value})


def test_what_is_copied_shares_nothing() -> None:
    inner: list[int] = []
    copied = copy_value({"a": inner, "b": inner})
    copied["a"].append(1)
    assert inner == []
    assert copied["b"] == []


@pytest.mark.parametrize("value", ["\ud800", ["\udfff"], {"\ud800": 1}])
def test_text_that_is_not_unicode_is_a_value_error(value: Any) -> None:
    with pytest.raises(ValueError, match="lone surrogate"):
        encode(value)


@pytest.mark.parametrize("value", [object(), {"a": object()}, [object()]])
def test_what_cbor_has_no_form_for_is_a_type_error(value: Any) -> None:
    with pytest.raises(TypeError, match="cannot be stored"):
        encode(value)


# --- what a value may be --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        ((1, 2), TypeError, "value is a tuple, which cannot be stored (use a list)"),
        ({1}, TypeError, "value is a set, which cannot be stored (use a Set field)"),
        (1j, TypeError, "value is a complex, which cannot be stored"),
        (datetime.timedelta(1), TypeError, "value is a timedelta, which cannot be stored"),
        ({1: 2}, TypeError, "value has the key 1: keys of stored dicts are strings"),
        ([1, {"a": [()]}], TypeError, "value[1]['a'][0] is a tuple"),
        (datetime.datetime(2020, 1, 1), ValueError, "date-time without a time zone"),  # noqa: DTZ001
        (decimal.Decimal("nan"), ValueError, "the decimal NaN"),
        (decimal.Decimal("sNaN"), ValueError, "the decimal sNaN"),
        (decimal.Decimal("-inf"), ValueError, "the decimal -Infinity"),
        (nested(DEPTH_MAX + 1), ValueError, "is nested too deeply"),
    ],
    ids=range(11),
)
def test_what_would_come_back_otherwise_is_refused(
    value: Any, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind) as caught:
        check_value(value)
    assert message in str(caught.value)
    with pytest.raises(kind):
        copy_value(value)


def test_the_message_says_where() -> None:
    with pytest.raises(TypeError, match=r"^argument 'x'\['a'\]\[1\] is a set"):
        check_value({"a": [0, set()]}, where="argument 'x'")


def test_a_value_that_holds_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(ValueError, match="nested too deeply"):
        check_value(value)


# --- many at once ---------------------------------------------------------------------------------


@given(st.lists(values()))
def test_values_decoded_together_are_those_decoded_one_by_one(many: list[Any]) -> None:
    assert same(decode_all([encode(value) for value in many]), many)


_PIECES = [b"", b"\x01", b"\x61a", b"\x82", b"\x82\x01", b"\x82\x01\x02", b"\x61", b"\x58", b"\xff"]


@given(st.lists(st.sampled_from(_PIECES) | st.binary(max_size=4) | values().map(encode)))
@example([b"\x82", b"\x01\x02"])
@example([b"\x01\x02", b""])
@example([b"\x82\x01", b"\x01"])
@example([b"\x58", b"\x01"])  # a length that would be taken from what comes after it
@example([b"\x5a\x00\x00\x00", b"\x01"])
def test_they_are_refused_together_if_one_of_them_would_be_refused(datas: list[bytes]) -> None:
    try:
        one_by_one = [decode(data) for data in datas]
    except CodecError:
        with pytest.raises(CodecError):
            decode_all(datas)
    else:
        assert same(decode_all(datas), one_by_one)


def test_depth_counts_from_each_of_them() -> None:
    assert decode_all([encode(nested(DEPTH_MAX))] * 2) == [nested(DEPTH_MAX)] * 2
    with pytest.raises(CodecError):
        decode_all([encode(nested(DEPTH_MAX + 1))])


# --- hostile bytes --------------------------------------------------------------------------------


def test_every_tag_but_those_listed_is_refused() -> None:
    payloads = [b"\x01", b"\x20", b"\x61a", b"\x41a", b"\x80", b"\x82\x01\x02", b"\xa0", b"\xf6"]
    payloads += [b"\x50" + bytes(16), b"\xfb" + bytes(8), b"\xd8\x1c\x80"]
    text = b"2020-01-01"
    payloads += [head(3, len(text)) + text]
    for tag in (*range(70_001), 2**32 - 1, 2**64 - 1):
        if tag in TAGS_ACCEPTED:
            continue
        start = head(6, tag)
        for payload in payloads if tag < 1200 else payloads[:2]:
            with pytest.raises(CodecError):
                decode(start + payload)


@pytest.mark.parametrize("tag", sorted(TAGS_ACCEPTED))
def test_a_tag_that_is_listed_takes_only_what_fits_it(tag: int) -> None:
    fitting: dict[int, list[bytes]] = {
        0: [b"\x74" + b"2013-03-21T20:04:00Z"],
        2: [b"\x41\x01", b"\x40"],
        3: [b"\x41\x01", b"\x40"],
        4: [b"\x82\x01\x02"],
        37: [b"\x50" + bytes(16)],
        1004: [b"\x6a" + b"2020-01-01"],
    }
    for payload in [
        b"\x01",
        b"\x61a",
        b"\x80",
        b"\xa0",
        b"\xf6",
        b"\x82\x61a\x01",
        b"\x6a" + 10 * b"x",
    ]:
        with pytest.raises(CodecError):
            decode(head(6, tag) + payload)
    for payload in fitting[tag]:
        value = decode(head(6, tag) + payload)
        check_value(value)
        hash(value)


def test_a_bomb_of_shared_references_does_not_go_off() -> None:
    # Each list holds the one before it twice, by reference: 2 ** 26 items of 234 bytes.
    bomb = bytearray(b"\x98" + bytes([26]) + b"\xd8\x1c\x82\x01\x01")
    for level in range(25):
        bomb += b"\xd8\x1c\x82" + 2 * (b"\xd8\x1d" + head(0, level))
    assert len(bomb) == 234
    assert cbor2.loads(bytes(bomb)) is not None  # a decoder that is not hardened takes it
    with pytest.raises(CodecError):
        decode(bytes(bomb))


@pytest.mark.parametrize(
    "data", [b"\x9f\x01\xff", b"\xbf\xff", b"\x5f\x41a\xff", b"\x7f\x61a\xff", b"\xff"]
)
def test_indefinite_lengths_are_refused(data: bytes) -> None:
    with pytest.raises(CodecError):
        decode(data)
    with pytest.raises(CodecError):
        decode(b"\x81" + data)


@pytest.mark.parametrize(
    "data",
    [
        b"\xa2\x61a\x01\x61a\x02",  # the same key twice
        b"\xa2\x61a\x01\x78\x01a\x02",  # … in two encodings
        b"\xa1\x80\x01",  # a list as a key
        b"\xa1\xa0\x01",  # a dict as a key
        b"\x81\xa2\x41a\x01\x41a\x01",
    ],
)
def test_keys_that_a_dict_cannot_hold_are_refused(data: bytes) -> None:
    with pytest.raises(CodecError):
        decode(data)


@given(values(), st.binary(min_size=1, max_size=20))
def test_bytes_after_the_item_are_refused(value: Any, more: bytes) -> None:
    with pytest.raises(CodecError):
        decode(encode(value) + more)


@given(values())
def test_every_cut_is_refused(value: Any) -> None:
    data = encode(value)
    for end in range(len(data)):
        with pytest.raises(CodecError):
            decode(data[:end])


@given(st.binary(max_size=64))
@example(b"")
@example(b"\xc0\x01")
@example(b"\xc4\x82\xf9\x7e\x00\x01")  # a decimal with NaN as its exponent
@example(b"\xd8\x64\x1b\xff\xff\xff\xff\xff\xff\xff\xff")
def test_any_bytes_are_a_value_or_a_codec_error(data: bytes) -> None:
    with contextlib.suppress(CodecError):
        decode(data)


@given(values(), st.data())
def test_changed_bytes_are_a_value_or_a_codec_error(value: Any, data: st.DataObject) -> None:
    changed = bytearray(encode([value, value]))
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(CodecError):
        decode(bytes(changed))


@pytest.mark.parametrize("major", range(2, 6))
@pytest.mark.parametrize("length", [2**16, 2**31, 2**32, 2**40, 2**63 - 1, 2**63, 2**64 - 1])
def test_a_claimed_length_is_not_believed(major: int, length: int) -> None:
    with pytest.raises(CodecError):
        decode(head(major, length) + b"\x00" * 100)


_CLAIMS = """
import resource
from crdtsync.codec import decode
from crdtsync.errors import CodecError
resource.setrlimit(resource.RLIMIT_AS, (400 * 2**20, 400 * 2**20))
for major in (0x9b, 0xbb, 0x5b, 0x7b):
    for length in (2**24, 2**28, 2**32, 2**40, 2**62):
        for depth in (0, 5):
            try:
                decode(b"\\x81" * depth + bytes([major]) + length.to_bytes(8, "big") + bytes(50))
            except CodecError:
                continue
            raise SystemExit("accepted")
print("fine")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on memory here")
def test_a_claimed_length_takes_no_memory() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _CLAIMS], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "fine\n"), done.stderr


@pytest.mark.parametrize("opening", [b"\x81", b"\xa1\x61a", b"\xc4\x82"])
def test_depth_is_bounded(opening: bytes) -> None:
    for depth in (DEPTH_MAX + 1, DEPTH_MAX + 2, 1000, 100_000):
        with pytest.raises(CodecError):
            decode(opening * depth + b"\x01")


def test_depth_up_to_the_limit_is_read() -> None:
    assert decode(encode(nested(DEPTH_MAX))) == nested(DEPTH_MAX)
    assert decode(b"\x81\x81\x01", depth_max=2) == [[1]]
    with pytest.raises(CodecError):
        decode(b"\x81\x81\x01", depth_max=1)
