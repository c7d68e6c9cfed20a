"""Awareness updates: what is encoded is read back, and what is none is refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync.errors import RemoteProtocolError
from crdtsync.sync.awareness import NOBODY, Awareness, decode_awareness, encode_awareness

JSON = st.recursive(
    st.integers() | st.text(st.characters(exclude_categories=["Cs"])) | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc"), inner, max_size=3),
)
MOST = 2**53 - 1
STATES = st.builds(
    Awareness, st.integers(0, MOST), st.integers(0, MOST), st.none() | JSON.map(json.dumps)
)


@given(st.lists(STATES))
def test_states_are_read_back(states: list[Awareness]) -> None:
    assert decode_awareness(encode_awareness(states)) == states


def test_what_pycrdt_encodes_is_read() -> None:
    import pycrdt

    awareness = pycrdt.Awareness(pycrdt.Doc(client_id=7))
    awareness.set_local_state({"name": "ann 😀"})
    (state,) = decode_awareness(awareness.encode_awareness_update([7]))
    assert state.client == 7
    assert json.loads(state.state or "") == {"name": "ann 😀"}


def test_nobody_is_an_update_without_a_state() -> None:
    assert decode_awareness(NOBODY) == []


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "cut short"),
        (b"\x01\x07\x01\x05null", "cut short"),
        (b"\x00\x00", "behind it"),
        (b"\x01\x07\x01\x03nul", "no awareness update"),
        (b"\x01\x07\x01\x03NaN", "no JSON"),
        (b"\x01\x07\x01\x02\xff\xff", "no awareness update"),
        (b"\xff\xff\x7f", "more than"),
        (b"\x01\xff\xff\xff\xff\xff\xff\xff\x7f\x01\x04null", "too large"),
        (encode_awareness([Awareness(7, 1, "[" * 60_000)]), "no awareness update"),
        (encode_awareness([Awareness(7, 1, json.dumps("x" * 70_000))]), "more than"),
    ],
)
def test_what_is_none_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(RemoteProtocolError, match=message):
        decode_awareness(data)


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        states = decode_awareness(data)
    except RemoteProtocolError:
        return
    assert len(states) <= 1024
