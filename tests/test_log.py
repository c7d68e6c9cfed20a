"""An entry is what its bytes say, or it is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import pycrdt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync.codec import decode, encode
from crdtsync.errors import (
    BrokenChainError,
    ForeignStructsError,
    LimitError,
    MalformedEntryError,
    SequenceGapError,
)
from crdtsync.limits import Limits
from crdtsync.log import (
    EMPTY_HEAD,
    EMPTY_UPDATE,
    VERSION,
    Dependency,
    Entry,
    Head,
    check_follows,
    decode_entries,
    decode_entry,
    hash_of,
    make_entry,
    with_seal,
)
from crdtsync.structs import check_structs
from tests.generators import values

REPLICA = 2**53 - 1
FIELDS = [
    "version",
    "document",
    "replica",
    "seq",
    "previous_hash",
    "dependencies",
    "time",
    "schema_version",
    "name",
    "arguments",
    "update",
    "extra",
]


def test_an_entry_is_shown_in_one_line_whatever_it_holds() -> None:
    entry = make_entry("d", 255, EMPTY_HEAD, 1, "add", EMPTY_UPDATE, arguments={"name": "milk"})
    assert repr(entry) == "<Entry ff:1 of 'd': add(name='milk')>"
    large = make_entry("d", 255, EMPTY_HEAD, 1, "add", bytes(999), arguments={"name": "x" * 999})
    assert len(repr(large)) < 200


def entry_of(**changes: Any) -> Entry:
    """Make an entry like any other."""
    made: dict[str, Any] = {
        "document": "böard/1",
        "replica": REPLICA,
        "head": Head(6, b"\x07" * 32),
        "time": 1_700_000_000_000 << 16,
        "name": "rename",
        "update": EMPTY_UPDATE,
        "dependencies": (Dependency(5, 9, b"\x05" * 32), Dependency(8, 1, b"\x08" * 32)),
        "schema_version": 3,
        "arguments": {"key": "k1", "title": "Büy milk"},
        "extra": {"user": "ann"},
    }
    return make_entry(**{**made, **changes})


def fields_of(entry: Entry) -> list[Any]:
    fields = decode(entry.data)
    assert isinstance(fields, list)
    return fields


def update_of(client: int, *texts: str) -> list[bytes]:
    """Return the updates that a CRDT document of a client makes, typing texts one by one."""
    doc: pycrdt.Doc[Any] = pycrdt.Doc(client_id=client)
    text = doc.get("body", type=pycrdt.Text)
    updates: list[bytes] = []
    doc.observe(lambda event: updates.append(event.update))
    for piece in texts:
        text += piece
    return updates


# --- out and in again -----------------------------------------------------------------------------

_hashes = st.binary(min_size=32, max_size=32)
_replicas = st.integers(1, 2**53 - 1)
_names = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(
    _names,
    _replicas,
    st.builds(Head, st.integers(0, 2**53 - 1), _hashes),
    st.lists(st.builds(Dependency, _replicas, st.integers(1, 2**53), _hashes), max_size=3),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**31),
    _names,
    st.dictionaries(_names, values(), max_size=3),
    st.binary(max_size=40),
    st.none() | st.dictionaries(_names, values(), max_size=2),
)
def test_an_entry_comes_back_from_its_bytes(
    document: str,
    replica: int,
    head: Head,
    depends: list[Dependency],
    time: int,
    schema: int,
    name: str,
    arguments: dict[str, Any],
    update: bytes,
    extra: dict[str, Any] | None,
) -> None:
    made = make_entry(
        document,
        replica,
        head,
        time,
        name,
        update,
        dependencies=tuple(depends),
        schema_version=schema,
        arguments=arguments,
        extra=extra,
    )
    assert decode_entry(made.data) == made
    assert made.hash == hashlib.sha256(made.data).digest()
    assert made.seq == head.seq + 1
    assert made.previous_hash == head.hash
    # One encoding, whatever shortcut made it.
    assert encode(fields_of(made)) == made.data
    check_follows(made, head)


def test_the_order_of_the_fields_is_the_documented_one() -> None:
    entry = entry_of()
    stored = dict(zip(FIELDS, fields_of(entry), strict=True))
    assert stored.pop("version") == VERSION
    assert stored.pop("dependencies") == [list(item) for item in entry.dependencies]
    assert stored == {name: getattr(entry, name) for name in stored}


def test_the_first_entry_names_its_user() -> None:
    assert entry_of().user == "ann"
    assert entry_of(extra=None).user is None
    assert entry_of(extra={"user": 5}).user is None


# --- every field, mutated -------------------------------------------------------------------------


class Bad(NamedTuple):
    field: str
    value: Any


ANYTHING: list[Any] = [None, True, -1, 1.5, "x", b"x", [], {}, [1], 2**70]
FITTING: dict[str, tuple[type, ...]] = {
    "document": (str,),
    "schema_version": (int,),
    "name": (str,),
    "arguments": (dict,),
    "update": (bytes,),
    "extra": (dict,),
}
BAD = [
    Bad(field, value)
    for field in FIELDS
    for value in ANYTHING
    if type(value) not in FITTING.get(field, ())
    and not (field == "dependencies" and value == [])
    and not (field == "version" and value is True)
] + [
    Bad("version", 0),
    Bad("version", 2),
    Bad("document", "x" * 513),
    Bad("replica", 0),
    Bad("replica", 2**53),
    Bad("seq", 0),
    Bad("seq", 2**53 + 1),
    Bad("previous_hash", b"x" * 31),
    Bad("previous_hash", b"x" * 33),
    Bad("time", 2**64),
    Bad("name", "x" * 513),
    Bad("dependencies", [[1, 2]]),
    Bad("dependencies", [[1, 2, bytes(32), 4]]),
    Bad("dependencies", [[0, 2, bytes(32)]]),
    Bad("dependencies", [[1, 0, bytes(32)]]),
    Bad("dependencies", [[1, True, bytes(32)]]),
    Bad("dependencies", [[1, 2, bytes(31)]]),
    Bad("dependencies", [[1, 2, "x" * 32]]),
    Bad("dependencies", [{"a": 1}]),
]


@pytest.mark.parametrize("bad", BAD, ids=[f"{n} {bad.field}" for n, bad in enumerate(BAD)])
def test_a_field_of_the_wrong_type_or_range_is_refused(bad: Bad) -> None:
    fields = fields_of(entry_of())
    fields[FIELDS.index(bad.field)] = bad.value
    with pytest.raises(MalformedEntryError):
        decode_entry(encode(fields))


@pytest.mark.parametrize("count", [0, 11, 13])
def test_the_number_of_fields_is_fixed(count: int) -> None:
    fields = [*fields_of(entry_of()), None][:count]
    with pytest.raises(MalformedEntryError, match="not an array of 12"):
        decode_entry(encode(fields))


@pytest.mark.parametrize("value", [{}, "entry", 7, None])
def test_what_is_no_array_is_refused(value: Any) -> None:
    with pytest.raises(MalformedEntryError):
        decode_entry(encode(value))


def test_every_truncation_and_every_addition_is_refused() -> None:
    data = entry_of().data
    for end in range(len(data)):
        with pytest.raises(MalformedEntryError):
            decode_entry(data[:end])
    for more in (b"\x00", b"\xf6", data):
        with pytest.raises(MalformedEntryError):
            decode_entry(data + more)


def test_every_flipped_bit_is_refused_or_changes_the_hash() -> None:
    entry = entry_of()
    for at in range(len(entry.data)):
        for bit in range(8):
            changed = bytearray(entry.data)
            changed[at] ^= 1 << bit
            try:
                found = decode_entry(bytes(changed))
            except MalformedEntryError:
                continue
            assert found.hash != entry.hash
            assert found.data == changed


@given(st.binary(max_size=200))
def test_any_bytes_are_an_entry_or_malformed(data: bytes) -> None:
    with pytest.raises(MalformedEntryError):
        decode_entry(data)


@pytest.mark.parametrize("arguments", [{b"key": 1}, {"a": {b"key": 1}}, {"a": [1, {b"": []}]}])
def test_keys_of_arguments_are_text(arguments: Any) -> None:
    fields = fields_of(entry_of())
    fields[FIELDS.index("arguments")] = arguments
    with pytest.raises(MalformedEntryError, match="keys of stored dicts are strings"):
        decode_entry(encode(fields))


# --- many at once ---------------------------------------------------------------------------------


def one_by_one(datas: list[bytes], limits: Limits) -> Iterator[Entry]:
    return (decode_entry(data, limits) for data in datas)


def drained(entries: Iterator[Entry]) -> tuple[list[Entry], str | None]:
    """Return what comes, and why it stopped before the end."""
    found: list[Entry] = []
    try:
        found.extend(entries)
    except MalformedEntryError as error:
        return found, str(error)
    return found, None


def at_any_size(size: int) -> bytes:
    return entry_of(update=bytes(size)).data


_SOUND = st.sampled_from([at_any_size(size) for size in (0, 1, 900, 5000)])
_OF_ANOTHER_VERSION = encode([9, *fields_of(entry_of())[1:]])
_UNSOUND = st.sampled_from(
    [b"", b"\x8c", at_any_size(0)[:-1], at_any_size(0) + b"\x00", encode({}), _OF_ANOTHER_VERSION]
)
_MANY = st.lists(_SOUND, max_size=3).map(lambda some: some * 40)


@given(_MANY, st.lists(_SOUND | _UNSOUND, max_size=3), _MANY, st.sampled_from([1000, 480 * 1024]))
def test_entries_decoded_together_are_those_decoded_one_by_one(
    before: list[bytes], some: list[bytes], after: list[bytes], entry_bytes_max: int
) -> None:
    limits = Limits(entry_bytes_max=entry_bytes_max)
    datas = [*before, *some, *after]
    assert drained(decode_entries(datas, limits)) == drained(one_by_one(datas, limits))


# --- limits ---------------------------------------------------------------------------------------


def test_an_actions_name_is_bounded() -> None:
    entry_of(name="n" * 512)
    with pytest.raises(LimitError) as caught:
        entry_of(name="n" * 513)
    assert (caught.value.limit, caught.value.allowed, caught.value.actual) == (
        "name_length_max",
        512,
        513,
    )


def test_an_actions_arguments_are_bounded() -> None:
    entry_of(arguments={"text": "x" * 60_000})
    with pytest.raises(LimitError) as caught:
        entry_of(arguments={"text": "x" * 70_000})
    assert caught.value.limit == "argument_bytes_max"
    assert "'rename'" in str(caught.value)


def test_an_entry_is_bounded_to_the_byte() -> None:
    limits = Limits()
    spare = limits.entry_bytes_max - len(entry_of(update=b"x" * 300_000).data) + 300_000
    largest = entry_of(update=b"x" * spare)
    assert len(largest.data) == limits.entry_bytes_max
    assert decode_entry(largest.data) == largest
    with pytest.raises(LimitError) as caught:
        entry_of(update=b"x" * (spare + 1))
    assert caught.value.limit == "entry_bytes_max"


def test_a_larger_entry_is_refused_when_it_is_read() -> None:
    entry = entry_of(update=b"x" * 2000)
    with pytest.raises(MalformedEntryError, match="entry_bytes_max=1,000"):
        decode_entry(entry.data, Limits(entry_bytes_max=1000))


def test_the_limits_are_below_what_engines_hold() -> None:
    assert Limits().entry_bytes_max < 512 * 1024


# --- chains ---------------------------------------------------------------------------------------


def test_an_entry_follows_exactly_one_head() -> None:
    entry = entry_of()
    check_follows(entry, Head(6, b"\x07" * 32))
    for seq in (0, 5, 7, 8):
        with pytest.raises(SequenceGapError, match=f"expected entry {seq + 1} next"):
            check_follows(entry, Head(seq, b"\x07" * 32))
    with pytest.raises(BrokenChainError, match="another entry 6"):
        check_follows(entry, Head(6, b"\x08" * 32))


def test_the_first_entry_follows_nothing() -> None:
    first = entry_of(head=EMPTY_HEAD)
    assert first.seq == 1
    assert first.previous_hash == bytes(32)
    check_follows(first, EMPTY_HEAD)
    with pytest.raises(BrokenChainError):
        check_follows(entry_of(head=Head(0, b"\x01" * 32)), EMPTY_HEAD)


# --- authors --------------------------------------------------------------------------------------


def test_the_clock_at_which_structs_begin_is_read() -> None:
    updates = update_of(REPLICA, "abc", "de", "f")
    assert [check_structs(entry_of(update=update)) for update in updates] == [0, 3, 5]


@pytest.mark.parametrize("replica", [1, 127, 128, 16_383, 16_384, 2**32, REPLICA])
def test_ids_of_every_length_are_read(replica: int) -> None:
    (update,) = update_of(replica, "x")
    assert check_structs(entry_of(replica=replica, update=update)) == 0
    with pytest.raises(ForeignStructsError, match=f"in the name of replica {replica:x}"):
        check_structs(entry_of(replica=replica - 1 or 2, update=update))


def test_an_update_that_only_deletes_begins_nowhere() -> None:
    doc: pycrdt.Doc[Any] = pycrdt.Doc(client_id=7)
    text = doc.get("body", type=pycrdt.Text)
    text += "abc"
    updates: list[bytes] = []
    doc.observe(lambda event: updates.append(event.update))
    del text[0:1]
    assert check_structs(entry_of(update=updates[0])) is None
    assert check_structs(entry_of(update=EMPTY_UPDATE)) is None


def test_structs_of_several_replicas_are_refused() -> None:
    both = pycrdt.merge_updates(*update_of(REPLICA, "a"), *update_of(9, "b"))
    with pytest.raises(ForeignStructsError, match="in the name of 2 replicas") as caught:
        check_structs(entry_of(update=both))
    assert (caught.value.replica, caught.value.seq) == (REPLICA, 7)


@pytest.mark.parametrize(
    "update", [b"", b"\x01", b"\x01\x01", b"\x01\x01\xff", b"\xff" * 12, b"\x80" * 400]
)
def test_an_update_cut_short_is_malformed(update: bytes) -> None:
    with pytest.raises(MalformedEntryError, match="cut short"):
        check_structs(entry_of(update=update))


@given(st.binary(max_size=30))
def test_any_update_has_an_author_or_is_refused(update: bytes) -> None:
    try:
        begins = check_structs(entry_of(replica=5, update=update))
    except (MalformedEntryError, ForeignStructsError):
        return
    assert begins is None or begins >= 0


def test_a_sealed_entry_is_the_array_of_both_and_keeps_its_hash():
    entry = make_entry("b", 7, EMPTY_HEAD, 1, "a", EMPTY_UPDATE)
    sealed = with_seal(entry, bytes(64))
    assert decode_entry(sealed.data) == sealed
    assert (sealed.hash, sealed.seal, hash_of(sealed.data)) == (entry.hash, bytes(64), entry.hash)
    assert decode(sealed.data) == [decode(entry.data), bytes(64)]
    assert with_seal(sealed, b"x" * 64).data[1:-66] == entry.data
    assert list(decode_entries([entry.data, sealed.data, entry.data])) == [entry, sealed, entry]


@pytest.mark.parametrize("cut", [1, 2, 40, 66, 67])
def test_what_is_no_sealed_entry_is_refused(cut):
    entry = make_entry("b", 7, EMPTY_HEAD, 1, "a", EMPTY_UPDATE)
    sealed = with_seal(entry, bytes(64))
    twice = b"\x82" + sealed.data + b"\x58\x40" + bytes(64)
    for data in (sealed.data[:-cut], sealed.data[:cut], sealed.data + b"\0", twice):
        with pytest.raises(MalformedEntryError):
            decode_entry(data)
        with pytest.raises(MalformedEntryError):
            list(decode_entries([entry.data, data]))
