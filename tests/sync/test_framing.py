"""Frames on a byte stream: whatever pieces it comes in, the same frames come out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync.errors import RemoteProtocolError
from crdtsync.sync import FrameReader, frame_bytes, join_frames

payload_lists = st.lists(st.binary(min_size=1, max_size=50), max_size=10)


@given(payload_lists, st.data())
def test_any_cut_of_the_stream_gives_the_same_frames(
    payloads: list[bytes], data: st.DataObject
) -> None:
    stream = join_frames(payloads)
    assert stream == b"".join(map(frame_bytes, payloads))
    reader = FrameReader(50)
    came: list[bytes] = []
    at = 0
    while at < len(stream):
        step = data.draw(st.integers(1, 60))
        came += reader.feed(stream[at : at + step])
        at += step
    assert came == payloads
    assert reader.pending == 0


def test_a_large_frame_is_refused_at_its_length() -> None:
    reader = FrameReader(50)
    assert reader.feed(frame_bytes(b"x" * 50)) == [b"x" * 50]
    with pytest.raises(RemoteProtocolError, match="51 bytes"):
        reader.feed((51).to_bytes(4, "big"))
    assert reader.pending == 4  # nothing beyond the length was kept


@pytest.mark.parametrize(
    ("began", "told"),
    [
        (b"HTTP/1.1 400 Bad Request", "HTTP: is it ws://"),  # of a web server, to a bare stream
        (b"GET / HTTP/1.1", "HTTP: is it ws://"),  # of a browser
        (bytes.fromhex("16030100"), "TLS: is it tls://"),  # of a client
        (bytes.fromhex("15030300"), "TLS: is it tls://"),  # of a server that understood nothing
    ],
)
def test_another_protocol_is_called_by_its_name(began: bytes, told: str) -> None:
    with pytest.raises(RemoteProtocolError, match=told):
        FrameReader(50).feed(began)


def test_an_empty_frame_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="0 bytes"):
        FrameReader(50).feed(bytes(4))


@given(st.lists(st.binary(max_size=30), max_size=10))
def test_any_bytes_are_frames_or_refused(pieces: list[bytes]) -> None:
    reader = FrameReader(20)
    try:
        for piece in pieces:
            for payload in reader.feed(piece):
                assert 0 < len(payload) <= 20
            assert reader.pending < 4 + 20
    except RemoteProtocolError:
        pass


def test_a_frame_that_goes_to_many_is_framed_once() -> None:
    """Then fan-out copies no entry for each connection."""
    payload = bytes(1000)
    assert join_frames([payload]) is join_frames([payload])
