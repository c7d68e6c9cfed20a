"""Positions as bytes and as JSON: both ways, as the CRDT library has them, and nothing else."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pycrdt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync.position import Place, Position, read_place

numbers = st.integers(0, 2**53 - 1)
places = st.builds(Place, st.tuples(numbers, numbers), st.none(), st.booleans()) | st.builds(
    Place, st.none(), st.text(st.characters(exclude_categories=["Cs"])), st.booleans()
)


@given(places)
def test_positions_are_read_back(place: Place) -> None:
    position = Position.of(place)
    assert read_place(position) == read_place(bytes(position)) == place
    assert read_place(json.loads(json.dumps(position.to_json()))) == place


@pytest.mark.parametrize("index", range(6))
@pytest.mark.parametrize("assoc", list(pycrdt.Assoc))
def test_they_are_those_of_yjs(index: int, assoc: pycrdt.Assoc) -> None:
    doc: pycrdt.Doc[Any] = pycrdt.Doc(client_id=2**53 - 1)
    doc["text"] = text = pycrdt.Text("plain")
    if index == 5 and assoc is pycrdt.Assoc.AFTER:
        return  # the library has no such position
    sticky = text.sticky_index(index, assoc)
    place = read_place(sticky.encode())
    assert Position.of(place) == sticky.encode()
    assert read_place(sticky.to_json()) == place
    assert Position.of(place).to_json() == sticky.to_json()


def test_yjs_says_less_or_more() -> None:
    assert read_place(b"\x00\x07\x03") == Place((7, 3), None, is_after=False)  # as it was once
    assert read_place(b"\x02\x07\x03\x00") == Place(None, None, is_after=False)  # a nested type
    item = {"client": 7, "clock": 3}
    shown = {"type": None, "tname": "notes", "item": item, "assoc": 0}
    assert read_place(shown) == Place((7, 3), None, is_after=False)


@given(st.binary(max_size=20))
def test_any_bytes_are_a_position_or_refused(data: bytes) -> None:
    with suppress(ValueError):
        assert read_place(Position.of(read_place(data))) == read_place(data)._replace()


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["item", "tname", "assoc", "client", "clock", "type"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(_json)
def test_any_json_is_a_position_or_refused(value: Any) -> None:
    with suppress(ValueError):
        read_place(value)
