"""Presence strategies: whether a record exists, as laws over any writes and deletions."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync.strategies import AddWins, Candidate, LastWriterWins, Presence, Removal, RemoveWins
from crdtsync.testing.generators import removals, writes

Writes = tuple[Candidate[Any], ...]
Removals = tuple[Removal, ...]

JUDGES = [AddWins(), RemoveWins(), LastWriterWins()]


def named(judge: Presence) -> str:
    return judge.name


@given(writes(), removals())
def test_add_wins_if_some_write_was_seen_by_no_deletion(found: Writes, gone: Removals) -> None:
    unseen = [
        write
        for write in found
        if not any(removal.seen.get(write.replica, 0) >= write.seq for removal in gone)
    ]
    assert AddWins().present(found, gone) == bool(unseen)


@given(writes(), removals(min_size=0))
def test_remove_wins_if_a_deletion_is_live(found: Writes, gone: Removals) -> None:
    assert RemoveWins().present(found, gone) == (len(gone) == 0 and len(found) > 0)


@given(writes(), removals())
def test_the_last_writer_wins_if_the_last_thing_done_was_a_write(
    found: Writes, gone: Removals
) -> None:
    done = [(write.time, write.replica, write.seq, 0) for write in found]
    done += [(removal.time, removal.replica, removal.seq, 1) for removal in gone]
    assert LastWriterWins().present(found, gone) == (max(done)[3] == 0)


def test_an_action_that_writes_and_deletes_has_deleted() -> None:
    write, removal = Candidate(True, 1, None, 2, 5), Removal(1, 2, 5, {1: 2})
    assert not LastWriterWins().present([write], [removal])
    assert LastWriterWins().present([write._replace(seq=3)], [removal])
    assert LastWriterWins().present([write._replace(replica=2, seq=1)], [removal])
    assert LastWriterWins().present([write._replace(time=6, seq=1)], [removal])


@pytest.mark.parametrize("judge", JUDGES, ids=named)
@given(found=writes(), gone=removals(), random=st.randoms(use_true_random=False))
def test_presence_does_not_depend_on_the_order_of_arrival(
    judge: Presence, found: Writes, gone: Removals, random: Any
) -> None:
    shuffled, removed = list(found), list(gone)
    random.shuffle(shuffled)
    random.shuffle(removed)
    assert judge.present(shuffled, removed) == judge.present(found, gone)


@pytest.mark.parametrize("judge", JUDGES, ids=named)
@given(found=writes(), gone=removals(), more=writes(), more_gone=removals())
def test_more_writes_only_add_and_more_deletions_only_remove(
    judge: Presence, found: Writes, gone: Removals, more: Writes, more_gone: Removals
) -> None:
    assert judge.present(found + more, gone) >= judge.present(found, gone)
    assert judge.present(found, gone + more_gone) <= judge.present(found, gone)


@pytest.mark.parametrize("judge", JUDGES, ids=named)
def test_without_writes_there_is_no_record(judge: Presence) -> None:
    assert judge.present([], [Removal(1, 1, 0, {})]) is False
