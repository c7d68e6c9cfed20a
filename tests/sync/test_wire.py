"""Frames as bytes: every frame comes back as it was, nothing else comes in."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync.clone import Resume
from crdtsync.codec import encode
from crdtsync.errors import LocalProtocolError, RemoteProtocolError
from crdtsync.log import Cursor, Head
from crdtsync.sync import decode_frame, encode_frame
from crdtsync.sync.awareness import Sighting
from crdtsync.sync.frames import (
    Advance,
    Challenge,
    Check,
    Chunk,
    Complete,
    Credit,
    Entries,
    Failed,
    Frame,
    Goodbye,
    Heads,
    Hello,
    Ping,
    Pong,
    Proof,
    Push,
    Receipt,
    Renewed,
    Select,
    Selected,
    Show,
    Shown,
    SnapshotPart,
    Standing,
    Subscribe,
    Subscribed,
    Subscriptions,
    Token,
    Unknown,
    Unsubscribe,
    Welcome,
)
from tests.sync.helpers import CLIENT, EPOCH, KINDS, any_frame, frames_of

HEAD = Head(3, bytes(range(32)))
GOLDEN: dict[str, Frame] = {
    "hello": Hello((1,), CLIENT, 7, "ann", "t0ken", b"key", "test/1", 1024),
    "hello, bare": Hello((1, 2), CLIENT, 2**53 - 1, None, None, None, "", 1),
    "challenge": Challenge(b"nonce", EPOCH),
    "proof": Proof("sync.example", b"signature"),
    "welcome": Welcome(1, "active", {"frame_bytes_max": 262144}, 1700000000000, EPOCH, 1048576),
    "welcome, for a while": Welcome(1, "active", {}, 1700000000000, EPOCH, 1, 1700000060000),
    "welcome, inactive": Welcome(
        1, "inactive", {}, 1700000000000, EPOCH, 1, None, "idle for a year", 1690000000000
    ),
    "subscribe": Subscribe("board/1", 2, {9: HEAD, 7: Head(1, bytes(32))}, Cursor(EPOCH, 41)),
    "subscribe, new": Subscribe("board/1", 0, {}, None),
    "subscribe, in the middle of a clone": Subscribe("board/1", 0, {}, None, Resume(bytes(32), 9)),
    "subscribed": Subscribed("board/1", {7: HEAD}, "cursor"),
    "subscribed, to be cloned": Subscribed("board/1", {7: HEAD}, "clone"),
    "snapshot part": SnapshotPart("board/1", bytes(32), 43, 9, 20, b"part"),
    "advance": Advance({"board/1": 43, "board/2": 7}),
    "advance, none": Advance({}),
    "subscriptions": Subscriptions({"board/1": 0, "board/2": 2}),
    "standing": Standing("inactive", "too far behind", 1700000000000),
    "entries": Entries("board/1", 41, 43, (b"one", b"two")),
    "entries, none": Entries("board/1", 43, 44, ()),
    "complete": Complete("board/1", 2, 43, {7: HEAD}),
    "push": Push("board/1", (b"one", b"two")),
    "receipt": Receipt("board/1", 7, 3, 43, ()),
    "receipt, refused": Receipt("board/1", 7, 3, 43, ((2, "may not write"),)),
    "check": Check(1, "board/1"),
    "heads": Heads(1, "board/1", {7: HEAD}, 43),
    "heads, unasked": Heads(0, "board/1", {}),
    "credit": Credit(65536),
    "ping": Ping(7),
    "pong": Pong(7, 1700000000000),
    "chunk": Chunk(1, 0, False, b"part"),
    "unsubscribe": Unsubscribe("board/1"),
    "failed": Failed("board/1", "malformed", "entry 3: cut short"),
    "goodbye": Goodbye("restart", "back soon", 5000),
    "goodbye, for good": Goodbye("version", "too old", None),
    "token": Token("t0ken"),
    "renewed": Renewed(1700000060000),
    "renewed, for ever": Renewed(None),
    "select": Select(7, {"board/*": 5, "tag:urgent": 0}),
    "select, no more": Select(7, {}),
    "selected": Selected(7, {"board/1": 5}, True, "", ""),
    "selected, in part": Selected(7, {"board/1": 5}, True, "limit", "too many"),
    "show": Show("board/1", '{"user":{"name":"Ann 😀"}}', True),
    "show, nothing": Show("board/1", None, True),
    "show, and watch no more": Show("board/1", None, False),
    "shown": Shown("board/1", (Sighting(7, '{"at":3}', "ann"), Sighting(9, "{}", None))),
    "shown, gone": Shown("board/1", (Sighting(7, None, "ann"),)),
    "shown, nobody": Shown("board/1", ()),
}
GOLDEN_BYTES: dict[str, str] = json.loads(Path(__file__).with_name("golden.json").read_text())


def test_golden_vectors_cover_every_kind_of_frame() -> None:
    assert {type(frame) for frame in GOLDEN.values()} == set(KINDS)
    assert GOLDEN_BYTES.keys() == GOLDEN.keys()


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_vectors_hold_both_ways(name: str) -> None:
    assert encode_frame(GOLDEN[name]).hex() == GOLDEN_BYTES[name]
    assert decode_frame(bytes.fromhex(GOLDEN_BYTES[name])) == GOLDEN[name]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_every_frame_comes_back_as_it_was(kind: type[Any], data: st.DataObject) -> None:
    frame = data.draw(frames_of(kind))
    encoded = encode_frame(frame)
    assert decode_frame(encoded) == frame
    assert encode_frame(decode_frame(encoded)) == encoded


def test_data_frames_know_the_size_they_came_in() -> None:
    for frame in (Push("d", (b"x",)), Entries("d", 0, 1, (b"x",))):
        encoded = encode_frame(frame)
        decoded = decode_frame(encoded)
        assert isinstance(decoded, Push | Entries)
        assert decoded.size == len(encoded)


def test_a_type_from_the_future_is_passed_over() -> None:
    assert decode_frame(encode([99, {"a": 1}])) == Unknown(99)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_frame_or_refused(payload: bytes) -> None:
    with suppress(RemoteProtocolError):
        decode_frame(payload)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@given(st.integers(0, 31), st.lists(_json, max_size=10))
def test_any_fields_are_a_frame_or_refused(kind: int, fields: list[Any]) -> None:
    try:
        frame = decode_frame(encode([kind, *fields]))
    except RemoteProtocolError:
        return
    if isinstance(frame, Unknown):
        return
    assert decode_frame(encode_frame(frame)) == frame


@given(any_frame, st.data())
def test_a_damaged_frame_is_a_frame_or_refused(frame: Frame, data: st.DataObject) -> None:
    damaged = bytearray(encode_frame(frame))
    at = data.draw(st.integers(0, len(damaged) - 1))
    damaged[at] ^= data.draw(st.integers(1, 255))
    with suppress(RemoteProtocolError):
        decode_frame(bytes(damaged))


@pytest.mark.parametrize(
    ("items", "why"),
    [
        ([], "begins with its type"),
        (["ping"], "begins with its type"),
        ([True, 1], "begins with its type"),
        ([13], "has 0 fields, not 1"),
        ([13, 1, 2], "has 2 fields, not 1"),
        ([13, -1], "Ping.nonce"),
        ([13, True], "Ping.nonce"),
        ([13, 2**63], "Ping.nonce"),
        ([12, 0], "Credit.bytes"),
        ([16, ""], "Unsubscribe.document"),
        ([16, "x" * 513], "Unsubscribe.document"),
        ([15, 1, 0, True, b""], "Chunk.part"),
        ([15, 1, 0, 1, b"x"], "Chunk.last"),
        ([8, "d", ["text"]], "Push.entries"),
        ([5, "d", [], "both"], "Subscribed.mode"),
        ([5, "d", [[7, 1, bytes(31)]], "vector"], "Subscribed.heads"),
        ([5, "d", [[7, 0, bytes(32)]], "vector"], "Subscribed.heads"),
        ([5, "d", [[7, 1, bytes(32)]] * 2, "vector"], "ascending order"),
        ([5, "d", [[7, 1, bytes(32)], [6, 1, bytes(32)]], "vector"], "ascending order"),
        ([4, "d", 0, [], [bytes(15), 0], None], "Subscribe.cursor"),
        ([4, "d", 0, [], [bytes(16)], None], "Subscribe.cursor"),
        ([9, "d", 7, 1, 1, [[0, "no"]]], "Receipt.refused"),
        ([9, "d", 0, 1, 1, []], "Receipt.replica"),
        ([3, 1, "active", {b"a": 1}, 0, bytes(16), 1, None, "", 0], "Welcome.limits"),
        ([3, 1, "idle", {}, 0, bytes(16), 1, None, "", 0], "Welcome.state"),
        ([4, "d", 0, [], None, [bytes(31), 0]], "Subscribe.resume"),
        ([21, {"": 1}], "Advance.offsets"),
        ([22, {"d": -1}], "Subscriptions.documents"),
        ([22, [["d", 1]]], "Subscriptions.documents"),
        ([23, "d", bytes(32), 1, 0, 0, b"x"], "SnapshotPart.total"),
        ([24, "asleep", "", 0], "Standing.state"),
        ([28, 1, {"x" * 513: 0}], "Select.selectors"),
        ([28, 1, {"board/*": -1}], "Select.selectors"),
        ([28, 1, ["board/*"]], "Select.selectors"),
        ([28, -1, {}], "Select.id"),
        ([29, 1, {"": 0}, True, "", ""], "Selected.documents"),
        ([29, 1, {}, 1, "", ""], "Selected.complete"),
        ([29, 1, {}, True, None, None], "Selected.code"),
        ([30, "d", "[]", True], "Show.state"),
        ([30, "d", "null", True], "Show.state"),
        ([30, "d", '{"a":NaN}', True], "Show.state"),
        ([30, "d", "{", True], "Show.state"),
        ([30, "d", b"{}", True], "Show.state"),
        ([30, "d", '{"a":' * 100_000, True], "Show.state"),
        ([30, "d", '{"a":' * 3000, True], "Show.state"),
        ([30, "d", '{"a":"' + "x" * 16384 + '"}', True], "Show.state"),
        ([30, "d", None, 1], "Show.watching"),
        ([31, "d", {}], "Shown.states"),
        ([31, "d", [[7, None]]], "Shown.states"),
        ([31, "d", [[2**53, None, None]]], "Shown.states"),
        ([31, "d", [[True, None, None]]], "Shown.states"),
        ([31, "d", [[7, "nul", None]]], "Shown.states"),
        ([31, "d", [[7, '"' + "x" * 65536 + '"', None]]], "Shown.states"),
        ([31, "d", [[7, None, b"ann"]]], "Shown.states"),
        ([31, "d", [[7, None, "x" * 16385]]], "Shown.states"),
    ],
)
def test_a_frame_that_does_not_fit_its_schema_says_where(items: list[Any], why: str) -> None:
    with pytest.raises(RemoteProtocolError, match=why):
        decode_frame(encode(items))


def test_bytes_after_a_frame_are_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="follow"):
        decode_frame(encode_frame(Ping(1)) + b"\x00")


def test_text_that_cannot_be_sent_is_this_sides_error() -> None:
    with pytest.raises(LocalProtocolError, match="surrogate"):
        encode_frame(Unsubscribe("\ud800"))
