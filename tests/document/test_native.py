from __future__ import annotations

from typing import Any

import pycrdt
import pytest
from hypothesis import given

from crdtsync.document.native import MARK, from_native, to_native
from tests.generators import exactly, values


@given(values())
def test_values_come_back_exactly_through_a_peer(value: object) -> None:
    one: pycrdt.Doc[Any] = pycrdt.Doc()
    other: pycrdt.Doc[Any] = pycrdt.Doc()
    one.get("items", type=pycrdt.Array).append(to_native(value))
    other.apply_update(one.get_update())
    for doc in one, other:
        (found,) = doc.get("items", type=pycrdt.Array).to_py()
        assert exactly(from_native(found), value)


@pytest.mark.parametrize("value", ["text", 12, 1.5, True, None, ["a", {"b": 1}]])
def test_front_ends_see_plain_values(value: object) -> None:
    assert to_native(value) == value


def test_bytes_that_look_like_ours_stay_bytes() -> None:
    assert from_native(to_native(MARK + b"\x01")) == MARK + b"\x01"
    assert from_native(MARK + b"\xff") == MARK + b"\xff"
