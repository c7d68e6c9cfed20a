"""A seal is of one log up to one entry, and covers all before it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync.codec import encode
from crdtsync.errors import BrokenChainError
from crdtsync.keys import DeviceKey
from crdtsync.log import (
    EMPTY_HEAD,
    EMPTY_UPDATE,
    Entry,
    Head,
    check_follows,
    decode_entry,
    make_entry,
)
from crdtsync.seal import KEY, Binding, binding, check_seal, make_seal

DEVICE = DeviceKey.from_bytes(bytes(range(32)))
OTHER = DeviceKey.from_bytes(bytes(range(1, 33)))
REPLICA = 2**52


def log_of(
    names: list[str], document: str = "b", replica: int = REPLICA, key: Any = DEVICE.public
) -> list[Entry]:
    entries: list[Entry] = []
    for name in names:
        head = Head(entries[-1].seq, entries[-1].hash) if entries else EMPTY_HEAD
        extra = None if entries else {"user": "ann", KEY: key}
        entries.append(make_entry(document, replica, head, 0, name, EMPTY_UPDATE, extra=extra))
    return entries


def believed(document: str, replica: int, entries: list[Entry], seal: bytes) -> bool:
    """Decide as a receiver that has nothing but what it is given."""
    read = [decode_entry(entry.data) for entry in entries]
    bound = binding(read[0])
    if bound is None or bound.replica != replica:
        return False
    head: Head | Entry = EMPTY_HEAD
    for entry in read:
        if (entry.document, entry.replica) != (document, replica):
            return False
        try:
            check_follows(entry, head)
        except BrokenChainError:
            return False
        head = entry
    return check_seal(bound.public, document, replica, head, seal)


def test_a_log_says_whose_it_is() -> None:
    first, second = log_of(["add", "rename"])
    assert binding(first) == Binding(REPLICA, DEVICE.public, "ann")
    assert binding(second) is None


def test_only_a_first_entry_says_it() -> None:
    head = Head(1, bytes(32))
    entry = make_entry("b", REPLICA, head, 0, "a", EMPTY_UPDATE, extra={KEY: DEVICE.public})
    assert binding(entry) is None


def test_a_log_may_name_a_key_without_a_user() -> None:
    extra = {KEY: DEVICE.public}
    entry = make_entry("b", REPLICA, EMPTY_HEAD, 0, "a", EMPTY_UPDATE, extra=extra)
    assert binding(entry) == Binding(REPLICA, DEVICE.public, None)


@pytest.mark.parametrize(
    "key", [None, "a" * 32, 7, b"", DEVICE.public[1:], DEVICE.public + b"0", bytes(32), [], {}]
)
def test_what_is_no_key_binds_nothing(key: Any) -> None:
    assert binding(log_of(["add"], key=key)[0]) is None


@given(st.lists(st.sampled_from(["add", "rename", "remove"]), min_size=1, max_size=6))
def test_a_seal_covers_the_log_up_to_its_head(names: list[str]) -> None:
    entries = log_of(names)
    seal = make_seal(DEVICE, "b", REPLICA, entries[-1])
    assert seal == make_seal(DEVICE, "b", REPLICA, Head(len(names), entries[-1].hash))
    assert believed("b", REPLICA, entries, seal)
    for shorter in range(1, len(entries)):
        assert not believed("b", REPLICA, entries[:shorter], seal)


@given(st.data())
def test_whatever_is_changed_in_a_sealed_log_is_seen(data: st.DataObject) -> None:
    entries = log_of(data.draw(st.lists(st.sampled_from("abc"), min_size=2, max_size=5)))
    seal = make_seal(DEVICE, "b", REPLICA, entries[-1])
    at = data.draw(st.integers(0, len(entries) - 1))
    forged = list(entries)
    # From there on a malicious server writes what it likes, as well chained as it can.
    for index in range(at, len(entries)):
        head = Head(forged[index - 1].seq, forged[index - 1].hash) if index else EMPTY_HEAD
        extra = {"user": "bob", KEY: DEVICE.public} if index == 0 else None
        name = "forged" if index == at else entries[index].name
        forged[index] = make_entry("b", REPLICA, head, 0, name, EMPTY_UPDATE, extra=extra)
    assert not believed("b", REPLICA, forged, seal)
    assert not believed("b", REPLICA, [*entries[:at], forged[at], *entries[at + 1 :]], seal)


def test_the_key_cannot_be_exchanged() -> None:
    names = ["add", "rename"]
    ours, theirs = log_of(names), log_of(names, key=OTHER.public)
    assert believed("b", REPLICA, theirs, make_seal(OTHER, "b", REPLICA, theirs[-1]))
    # Whoever holds our first entry, or our key, has no use for theirs.
    with pytest.raises(BrokenChainError):
        check_follows(theirs[1], ours[0])
    assert not check_seal(
        DEVICE.public, "b", REPLICA, theirs[-1], make_seal(OTHER, "b", REPLICA, theirs[-1])
    )


def test_naming_another_devices_key_does_not_make_a_log_its() -> None:
    stolen = log_of(["add"], replica=REPLICA + 1)
    own = make_seal(OTHER, "b", REPLICA + 1, stolen[-1])
    seen = make_seal(DEVICE, "b", REPLICA, log_of(["add"])[-1])
    assert not believed("b", REPLICA + 1, stolen, own)
    assert not believed("b", REPLICA + 1, stolen, seen)


HEAD = Head(3, b"h" * 32)


@pytest.mark.parametrize(
    ("document", "replica", "head"),
    [
        ("c", REPLICA, HEAD),
        ("", REPLICA, HEAD),
        ("b", REPLICA + 1, HEAD),
        ("b", REPLICA, Head(4, HEAD.hash)),
        ("b", REPLICA, Head(2, HEAD.hash)),
        ("b", REPLICA, Head(3, b"i" * 32)),
        ("b", REPLICA, EMPTY_HEAD),
    ],
)
def test_a_seal_is_not_for_another_document_replica_or_head(
    document: str, replica: int, head: Head
) -> None:
    seal = make_seal(DEVICE, "b", REPLICA, HEAD)
    assert check_seal(DEVICE.public, "b", REPLICA, HEAD, seal)
    assert not check_seal(DEVICE.public, document, replica, head, seal)


def test_what_is_signed_is_written_down() -> None:
    stated = ["crdtsync seal 1", "b", REPLICA, 3, HEAD.hash]
    assert make_seal(DEVICE, "b", REPLICA, HEAD) == DEVICE.sign(encode(stated))


@given(st.integers(0, 511))
def test_a_seal_with_one_bit_changed_is_none(bit: int) -> None:
    seal = bytearray(make_seal(DEVICE, "b", REPLICA, HEAD))
    seal[bit // 8] ^= 1 << bit % 8
    assert not check_seal(DEVICE.public, "b", REPLICA, HEAD, bytes(seal))


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_garbage_seals_nothing(public: bytes, seal: bytes) -> None:
    assert not check_seal(public, "b", REPLICA, HEAD, make_seal(DEVICE, "b", REPLICA, HEAD))
    assert not check_seal(DEVICE.public, "b", REPLICA, HEAD, seal)
