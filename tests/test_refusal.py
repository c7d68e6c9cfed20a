"""A refused entry: its header and hash stay, its content is gone."""

from __future__ import annotations

from typing import Any

import pycrdt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync.codec import decode, encode
from crdtsync.envelope import is_neutral
from crdtsync.errors import MalformedEntryError
from crdtsync.log import (
    EMPTY_HEAD,
    Dependency,
    Entry,
    Head,
    decode_entries,
    decode_entry,
    hash_of,
    make_entry,
)
from crdtsync.refusal import REASON_LENGTH_MAX, refuse


def an_entry(text: str = "the secret", **more: object) -> Entry:
    doc: pycrdt.Doc[Any] = pycrdt.Doc(client_id=7)
    doc.get("t", type=pycrdt.Text).insert(0, text)
    return make_entry(
        "board",
        7,
        Head(4, bytes(range(32))),
        99,
        "write",
        doc.get_update(),
        dependencies=(Dependency(9, 2, bytes(32)),),
        arguments={"text": text},
        **more,  # type: ignore[arg-type]
    )


def test_header_and_hash_stay_and_the_content_is_gone() -> None:
    entry = an_entry()
    refused = refuse(entry, "not here")
    assert refused.hash == entry.hash
    assert refused[:6] == entry[:6]
    assert (refused.name, refused.arguments, refused.refusal) == ("write", {}, "not here")
    assert b"secret" not in refused.data
    assert (entry.refusal, is_neutral(entry.data), is_neutral(refused.data)) == (None, False, True)
    assert hash_of(entry.data) == hash_of(refused.data) == entry.hash


def test_it_is_read_back_as_it_was_and_refusing_again_changes_nothing() -> None:
    refused = refuse(an_entry(), "not here")
    assert decode_entry(refused.data) == refused
    assert list(decode_entries([refused.data, an_entry().data])) == [refused, an_entry()]
    assert refuse(refused, "another reason") is refused
    assert refuse(an_entry(), "not here").data == refused.data


def test_a_log_goes_on_after_it_and_whose_it_is_stays_known() -> None:
    first = make_entry(
        "b", 7, EMPTY_HEAD, 1, "a", b"\0\0", extra={"user": "ann", "key": bytes(32), "x": 1}
    )
    refused = refuse(first, "no")
    assert refused.user == "ann"
    assert refused.extra == {"user": "ann", "key": bytes(32), "refused": "no"}
    second = make_entry("b", 7, Head(1, first.hash), 2, "b", b"\0\0")
    assert second.previous_hash == refused.hash


def test_an_update_that_nobody_can_read_becomes_none() -> None:
    entry = make_entry("b", 7, EMPTY_HEAD, 1, "a", b"\x01\x01\x07\x00\xff")
    assert refuse(entry, "no").update == b"\0\0"


def test_a_long_reason_is_cut() -> None:
    assert len(refuse(an_entry(), "x" * 10_000).refusal or "") == REASON_LENGTH_MAX


@given(st.integers(0, 11), st.sampled_from([None, 1, "x", b"x", [], {}, bytes(32)]))
def test_what_is_no_refused_entry_is_not_taken_for_one(at: int, item: object) -> None:
    refused = refuse(an_entry(), "no")
    items = decode(refused.data)
    changed = [*items[:at], item, *items[at + 1 :]]
    data = encode(changed)
    try:
        found = decode_entry(data)
    except MalformedEntryError:
        return
    assert type(found.hash) is bytes
    assert len(found.hash) == 32
    assert type(items[at]) is type(item)


def test_a_reason_is_needed() -> None:
    items = decode(refuse(an_entry(), "no").data)
    for extra in ({}, {"refused": 1}):
        with pytest.raises(MalformedEntryError):
            decode_entry(encode([*items[:11], extra]))
