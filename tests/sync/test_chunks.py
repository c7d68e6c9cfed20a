"""Chunked frames: what is cut is put together again, within bounds, in order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync.errors import RemoteProtocolError
from crdtsync.sync import Assembler, Chunk, decode_frame, split


def pieces_of(payload: bytes, chunk_id: int = 1, size: int = 64) -> list[Chunk]:
    pieces = []
    for encoded in split(payload, chunk_id, size):
        assert len(encoded) <= size
        piece = decode_frame(encoded)
        assert isinstance(piece, Chunk)
        pieces.append(piece)
    return pieces


@given(st.binary(min_size=1, max_size=500), st.integers(33, 300), st.integers(0, 2**63 - 1))
def test_a_frame_comes_together_again(payload: bytes, size: int, chunk_id: int) -> None:
    assembler = Assembler(500)
    *first, last = pieces_of(payload, chunk_id, size)
    assert all(assembler.add(piece) is None for piece in first)
    assert assembler.add(last) == payload
    # and the next one after it
    assert [assembler.add(piece) for piece in pieces_of(b"next", chunk_id)] == [b"next"]


def test_more_than_a_message_is_refused_as_soon_as_it_is_more() -> None:
    assembler = Assembler(100)
    assert assembler.add(Chunk(1, 0, False, bytes(100))) is None
    with pytest.raises(RemoteProtocolError, match="more than 100 bytes"):
        assembler.add(Chunk(1, 1, False, b"x"))


@pytest.mark.parametrize(
    "second", [Chunk(1, 0, True, b"x"), Chunk(1, 2, True, b"x"), Chunk(2, 1, True, b"x")]
)
def test_pieces_out_of_order_or_of_another_frame_are_refused(second: Chunk) -> None:
    assembler = Assembler(100)
    assembler.add(Chunk(1, 0, False, b"x"))
    with pytest.raises(RemoteProtocolError, match="was next"):
        assembler.add(second)


def test_a_frame_begins_with_its_first_piece() -> None:
    with pytest.raises(RemoteProtocolError, match="was next"):
        Assembler(100).add(Chunk(1, 1, True, b"x"))
