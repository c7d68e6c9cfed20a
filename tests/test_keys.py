"""A signature is good for what it was made for, and for nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crdtsync.codec import decode, encode
from crdtsync.keys import (
    NONCE_BYTES,
    PUBLIC_KEY_BYTES,
    SIGNATURE_BYTES,
    DeviceKey,
    check_challenge,
    is_public_key,
    sign_challenge,
    statement,
    verify,
)
from crdtsync.log import Head
from crdtsync.seal import check_seal, make_seal

KEY = DeviceKey.from_bytes(bytes(range(32)))
OTHER = DeviceKey.from_bytes(bytes(range(1, 33)))
NONCE = b"n" * NONCE_BYTES
ASKED: dict[str, Any] = {
    "server": "sync.example",
    "epoch": b"e" * 16,
    "client": b"c" * 16,
    "replica": 2**52,
}
FIELD = 2**255 - 19

facts = st.lists(st.text(st.characters(exclude_categories=["Cs"])) | st.integers() | st.binary())


def test_the_key_of_rfc_8032_gives_its_public_key_and_signature() -> None:
    # Section 7.1, test 2.
    key = DeviceKey.from_bytes(
        bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    )
    assert key.public.hex() == "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    assert key.sign(b"\x72").hex() == (
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )


def test_new_keys_differ_and_come_back_from_their_bytes() -> None:
    keys = [DeviceKey.generate() for _ in range(50)]
    assert len({key.public for key in keys}) == len(keys)
    for key in keys:
        assert is_public_key(key.public)
        assert DeviceKey.from_bytes(key.private_bytes).public == key.public


@pytest.mark.parametrize("private", [b"", bytes(31), bytes(33), bytes(64)])
def test_a_private_key_of_another_length_is_none(private: bytes) -> None:
    with pytest.raises(ValueError):
        DeviceKey.from_bytes(private)


def test_a_private_key_is_not_shown() -> None:
    shown = repr(KEY) + str(KEY)
    assert KEY.private_bytes.hex() not in shown
    assert repr(KEY.private_bytes) not in shown
    assert KEY.public.hex() in shown


@given(st.binary(), st.binary())
def test_a_signature_is_for_its_data_and_its_key(data: bytes, other: bytes) -> None:
    signature = KEY.sign(data)
    assert len(signature) == SIGNATURE_BYTES
    assert signature == KEY.sign(data)
    assert verify(KEY.public, signature, data)
    assert not verify(OTHER.public, signature, data)
    assert verify(KEY.public, signature, other) == (data == other)


@given(st.binary(max_size=40), st.integers(0, SIGNATURE_BYTES * 8 - 1))
def test_a_signature_with_one_bit_changed_is_none(data: bytes, bit: int) -> None:
    signature = bytearray(KEY.sign(data))
    signature[bit // 8] ^= 1 << bit % 8
    assert not verify(KEY.public, bytes(signature), data)


@given(st.binary(max_size=40), st.integers(0, PUBLIC_KEY_BYTES * 8 - 1))
def test_a_public_key_with_one_bit_changed_is_another(data: bytes, bit: int) -> None:
    public = bytearray(KEY.public)
    public[bit // 8] ^= 1 << bit % 8
    assert not verify(bytes(public), KEY.sign(data), data)


def test_a_signature_has_one_form_only() -> None:
    order = 2**252 + 27742317777372353535851937790883648493
    signature = KEY.sign(b"data")
    scalar = int.from_bytes(signature[32:], "little") + order
    assert not verify(KEY.public, signature[:32] + scalar.to_bytes(32, "little"), b"data")


@given(
    st.binary(max_size=80) | st.binary(min_size=32, max_size=32),
    st.binary(max_size=80) | st.binary(min_size=64, max_size=64),
    st.binary(),
)
@example(b"", b"", b"")
@example(KEY.public, b"", b"")
@example(b"", KEY.sign(b""), b"")
def test_garbage_is_no_signature_and_raises_nothing(
    public: bytes, signature: bytes, data: bytes
) -> None:
    assert verify(public, signature, data) == (public == KEY.public and signature == KEY.sign(data))


@pytest.mark.parametrize("junk", [None, "a" * 32, 7, [1] * 32, bytearray(32)])
def test_what_is_no_byte_string_is_no_key_and_no_signature(junk: Any) -> None:
    assert not is_public_key(junk)
    assert not verify(junk, KEY.sign(b""), b"")
    assert not verify(KEY.public, junk, b"")


def curve_points(y: int) -> list[tuple[int, int]]:
    """Return the points of the curve that have this y, by its equation."""
    d = -121665 * pow(121666, -1, FIELD) % FIELD
    square = (y * y - 1) * pow(d * y * y + 1, -1, FIELD) % FIELD
    x = pow(square, (FIELD + 3) // 8, FIELD)
    for root in (x, x * pow(2, (FIELD - 1) // 4, FIELD) % FIELD):
        if root * root % FIELD == square:
            return [(root, y), (-root % FIELD, y)]
    return []


def add(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    """Add points of the curve, as RFC 8032 defines it."""
    d = -121665 * pow(121666, -1, FIELD) % FIELD
    (a, b), (e, f) = one, other
    both = d * a * b * e * f % FIELD
    return (
        (a * f + e * b) * pow(1 + both, -1, FIELD) % FIELD,
        (b * f + a * e) * pow(1 - both, -1, FIELD) % FIELD,
    )


def points_of_small_order() -> set[tuple[int, int]]:
    """Find them by the definition: what is left of any point after all larger orders."""
    order = 2**252 + 27742317777372353535851937790883648493
    found: set[tuple[int, int]] = set()
    y = 2
    while len(found) < 8:
        y += 1
        for point in curve_points(y):
            left, doubled, times = (0, 1), point, order
            while times:
                if times & 1:
                    left = add(left, doubled)
                doubled, times = add(doubled, doubled), times >> 1
            found.add(left)
    return found


def test_keys_that_sign_for_anybody_are_refused() -> None:
    points = points_of_small_order()
    assert len(points) == 8
    for x, y in points:
        for written in (y, y + FIELD):
            for sign in (0, 1, x & 1):
                if written < 2**255:
                    public = (written | sign << 255).to_bytes(32, "little")
                    assert not is_public_key(public)
                    # Signed by nobody: R is the neutral element, s is 0.
                    assert not any(
                        verify(public, (1).to_bytes(32, "little") + bytes(32), bytes([data]))
                        for data in range(64)
                    )


def test_keys_have_one_form_only() -> None:
    assert not any(is_public_key(y.to_bytes(32, "little")) for y in range(FIELD, 2**255))
    assert not is_public_key(b"\xff" * 32)
    assert is_public_key((FIELD - 2).to_bytes(32, "little"))


@given(st.text("ab ", max_size=4), facts, st.text("ab ", max_size=4), facts)
def test_no_two_statements_read_alike(
    one: str, ours: list[Any], other: str, theirs: list[Any]
) -> None:
    same = one == other and [*map(type, ours), *ours] == [*map(type, theirs), *theirs]
    assert (statement(one, *ours) == statement(other, *theirs)) == same
    assert decode(statement(one, *ours)) == [one, *ours]


def test_a_challenge_is_answered_for_one_connection() -> None:
    signature = sign_challenge(KEY, NONCE, **ASKED)
    assert check_challenge(KEY.public, NONCE, signature, **ASKED)
    assert not check_challenge(OTHER.public, NONCE, signature, **ASKED)


@pytest.mark.parametrize(
    "changed",
    [
        {"server": "evil.example"},
        {"server": "SYNC.example"},
        {"server": ""},
        {"epoch": b"f" * 16},
        {"client": b"d" * 16},
        {"replica": 2**52 + 1},
    ],
)
def test_an_answer_is_not_for_another_server_client_or_replica(changed: dict[str, Any]) -> None:
    signature = sign_challenge(KEY, NONCE, **ASKED)
    assert not check_challenge(KEY.public, NONCE, signature, **(ASKED | changed))


def test_an_answer_is_not_for_another_nonce() -> None:
    signature = sign_challenge(KEY, NONCE, **ASKED)
    assert not check_challenge(KEY.public, b"m" * NONCE_BYTES, signature, **ASKED)


def test_what_is_signed_is_written_down() -> None:
    stated = ["crdtsync challenge 1", NONCE, "sync.example", b"e" * 16, b"c" * 16, 2**52]
    assert sign_challenge(KEY, NONCE, **ASKED) == KEY.sign(encode(stated))


def test_a_server_in_the_middle_gets_an_answer_that_only_it_can_use() -> None:
    # The device has connected to evil.example, which passes on all that sync.example says.
    passed_on = ASKED | {"server": "evil.example"}
    signature = sign_challenge(KEY, NONCE, **passed_on)
    assert not check_challenge(KEY.public, NONCE, signature, **ASKED)


def test_facts_do_not_run_into_each_other() -> None:
    one = sign_challenge(KEY, b"ab", **(ASKED | {"server": "c"}))
    assert not check_challenge(KEY.public, b"a", one, **(ASKED | {"server": "bc"}))


def test_a_signature_for_one_purpose_is_none_for_another() -> None:
    # A nonce that a server makes up does not make the device seal anything.
    head = Head(7, b"h" * 32)
    seal = statement("crdtsync seal 1", "board/1", 2**52, head.seq, head.hash)
    assert check_seal(KEY.public, "board/1", 2**52, head, KEY.sign(seal))
    for nonce in (seal, seal[1:], head.hash):
        signature = sign_challenge(KEY, nonce, **ASKED)
        assert not check_seal(KEY.public, "board/1", 2**52, head, signature)
    signature = make_seal(KEY, "board/1", 2**52, head)
    assert not check_challenge(KEY.public, head.hash, signature, **ASKED)
