"""States of the past are few, far apart, and believed only if they are what was stored."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync import Replica
from crdtsync.replica.checkpoints import kept
from tests.document.boards import Board

SIZES = st.dictionaries(st.integers(1, 10_000), st.integers(0, 50), max_size=60)


@given(SIZES, st.integers(1, 20), st.integers(0, 1000))
def test_what_is_kept_is_within_bounds(sizes: dict[int, int], most: int, bytes_max: int) -> None:
    found = kept(sizes, most=most, bytes_max=bytes_max)
    assert found <= sizes.keys()
    assert len(found) <= most
    assert sum(sizes[entries] for entries in found) <= bytes_max


@given(SIZES, st.integers(1, 20))
def test_what_is_kept_is_spread_over_the_log(sizes: dict[int, int], most: int) -> None:
    """No stretch without one is longer than twice the log's share of each, but where none was."""
    found = sorted(kept(sizes, most=most))
    if len(found) == len(sizes):
        return
    span = 4 * (max(sizes) + 1) / most
    for entries in sizes:
        assert any(entries - span <= one <= entries for one in found)


@given(SIZES)
def test_few_are_all_kept(sizes: dict[int, int]) -> None:
    assert kept(sizes, most=100) == sizes.keys()


@pytest.mark.parametrize("column", ["vector", "state", "clocks", "slots", "digest"])
def test_one_that_cannot_be_read_is_done_without(path: Path, column: str) -> None:
    with Replica(path) as replica:
        board = replica.document(Board, "board")
        board.name = "old"
        ledger = replica.ledger("board")
        vector = board.state_vector
        board._live.take_snapshot()
        found = ledger.snapshot()
        assert found is not None
        ledger.save_checkpoint(found)
        board.name = "new"
        with ledger._store.file.transaction():
            ledger._store.file.connection.execute("DELETE FROM snapshots")
        assert ledger.checkpoint(vector) == found
        assert ledger.checkpoint({}) is None
    connection = apsw.Connection(str(path))
    connection.execute(f"UPDATE checkpoints SET {column} = x'ff'")
    connection.close()
    with Replica(path) as replica:
        assert replica.ledger("board").checkpoint(vector) is None
        assert replica.document(Board, "board").at(vector).name == "old"


def test_a_store_that_is_only_looked_at_keeps_none(path: Path) -> None:
    with Replica(path) as replica:
        board = replica.document(Board, "board")
        board.name = "old"
        board._live.take_snapshot()
    with Replica.open_read_only(path) as replica:
        ledger = replica.ledger("board")
        found = ledger.snapshot()
        assert found is not None
        ledger.save_checkpoint(found)
        assert ledger._store.checkpoints.latest(ledger.number, ledger.vector) is None


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "replica.db"
