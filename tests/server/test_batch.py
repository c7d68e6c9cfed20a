"""Batches and their cache."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crdtsync.server.backend import Row
from crdtsync.server.batch import Batch, BatchCache, fitting
from crdtsync.sync import Entries, decode_frame


def rows(*sizes: int) -> list[Row]:
    return [Row(10 * n, 1 + n % 2, n, b"x" * size) for n, size in enumerate(sizes, 1)]


def test_a_batch_is_an_entries_frame():
    batch = Batch("board", 3, rows(5, 6, 7))
    frame = decode_frame(batch.payload)
    assert frame == Entries("board", 3, 30, (b"x" * 5, b"x" * 6, b"x" * 7))
    assert batch.upto == 30
    assert batch.tops == {2: 3, 1: 2}
    assert decode_frame(batch.advance) == Entries("board", 3, 30, ())
    assert batch.advance is batch.advance


@given(st.lists(st.integers(1, 3000), min_size=1), st.text(max_size=50))
def test_what_fits_into_a_frame_is_no_larger(sizes, document):
    many = rows(*sizes)
    count = fitting(many, document, 4096)
    assert count >= 1
    assert len(Batch(document, 0, many[:count]).payload) <= 4096
    if count < len(many):
        assert len(Batch(document, 0, many[: count + 1]).payload) > 4096 - 256


def test_an_entry_larger_than_a_frame_goes_alone():
    assert fitting(rows(5000, 1), "board", 4096) == 1


def test_the_cache_forgets_what_was_unused_for_longest():
    cache = BatchCache(3 * 1600)
    batches = [Batch("board", after, rows(1000)) for after in range(3)]
    for batch in batches:
        cache.put(batch)
    assert cache.get("board", 0) is batches[0]
    cache.put(Batch("other", 0, rows(1000)))
    assert cache.get("board", 0) is batches[0]
    assert cache.get("board", 1) is None
    assert cache.get("board", 2) is batches[2]


def test_the_cache_holds_one_batch_of_any_size_and_replaces_it():
    cache = BatchCache(1)
    for _ in range(2):
        batch = Batch("board", 0, rows(1000))
        cache.put(batch)
        assert cache.get("board", 0) is batch
    assert cache.get("board", 1) is None
