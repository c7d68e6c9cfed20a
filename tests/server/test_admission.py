"""The rules of admission, against a slow model that only knows the definition."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync.errors import BrokenChainError, ForkError
from crdtsync.log import EMPTY_UPDATE, Entry, Head, make_entry, with_seal
from crdtsync.server.admission import Admission, admit
from tests.server.authors import Author


def offer(entries: list[Entry], held: list[Entry] = []) -> Admission:  # noqa: B006 - not changed
    heads: dict[int, Head] = {}
    for entry in held:
        heads[entry.replica] = Head(entry.seq, entry.hash)
    hashes = {(entry.replica, entry.seq): entry.hash for entry in held}
    return admit(entries, heads, lambda replica, seq: hashes[replica, seq])


def test_a_log_goes_on_from_what_is_held():
    ann = Author(1)
    entries = ann.write_many(5)
    admission = offer(entries[1:], held=entries[:3])
    assert admission.new == entries[3:]
    assert admission.heads == {1: ann.head}
    assert admission.held == {1: 5}
    assert not admission.gap


def test_what_is_held_is_no_news():
    entries = Author(1).write_many(3)
    admission = offer(entries[:2] * 2, held=entries)
    assert admission.new == []
    assert admission.held == {1: 2}


def test_nothing_is_stored_behind_a_gap():
    ann = Author(1)
    entries = ann.write_many(4)
    bob = Author(2)
    fine = bob.write()
    admission = offer([entries[0], entries[2], entries[3], fine])
    assert admission.new == [entries[0], fine]
    assert admission.held == {1: 1, 2: 1}
    assert admission.gap


def test_nothing_is_stored_whose_seal_stands_behind_a_gap():
    """Nobody would believe it, and everybody would wait for the seal that does not come."""
    ann, bob = Author(1), Author(2)
    first, second, third = ann.write_many(3)
    sealed = with_seal(third, bytes(64))
    answer = bob.write((1, Head(2, second.hash)))
    admission = offer([first, sealed, second, answer])
    assert admission.new == []
    assert admission.gap
    own = with_seal(first, bytes(64))
    admission = offer([own, sealed, second, answer])
    assert admission.new == [own]
    assert admission.heads == {1: Head(1, first.hash)}
    assert admission.gap
    assert offer([own, second, sealed, answer]).new == [own, second, sealed, answer]


def test_dependencies_are_part_of_the_past():
    ann, bob = Author(1), Author(2)
    seen = ann.write()
    answer = bob.write((1, ann.head))
    assert offer([answer]).new == []
    assert offer([answer]).gap
    assert offer([seen, answer]).new == [seen, answer]
    assert offer([answer, seen]).new == [seen]
    assert offer([answer], held=[seen]).new == [answer]


def test_an_older_dependency_is_compared_too():
    ann, bob = Author(1), Author(2)
    twin = ann.copy()
    entries = [ann.write(), ann.write()]
    twin.write(size=1)
    with pytest.raises(ForkError) as caught:
        offer([bob.write((1, twin.head))], held=entries)
    assert (caught.value.replica, caught.value.seq) == (1, 1)


def test_forks_are_found_wherever_they_begin():
    ann = Author(1)
    ann.write()
    twin = ann.copy()
    ours = [*ann.entries, *ann.write_many(2)]
    theirs = twin.write_many(2, size=1)
    with pytest.raises(ForkError, match="copied"):
        offer(theirs[:1], held=ours[:2])  # at the head
    with pytest.raises(ForkError, match="copied"):
        offer(theirs[:1], held=ours)  # below the head
    with pytest.raises(ForkError, match="built upon") as caught:
        offer(theirs[1:], held=ours[:2])  # by what it was chained to
    assert (caught.value.replica, caught.value.seq) == (1, 2)


def test_both_branches_in_one_push_are_a_fork():
    ann = Author(1)
    twin = ann.copy()
    with pytest.raises(ForkError):
        offer([ann.write(), ann.write(), twin.write(size=1)])


def test_a_first_entry_follows_nothing():
    odd = make_entry("board", 1, Head(0, b"\x01" * 32), 1, "write", EMPTY_UPDATE)
    with pytest.raises(BrokenChainError):
        offer([odd])


@given(st.data())
def test_any_delivery_keeps_the_sequence_causal(data):
    """Whatever comes in whatever order: what is admitted stands behind all of its past."""
    authors = [Author(replica) for replica in (1, 2, 3)]
    written: list[Entry] = []
    for _ in range(data.draw(st.integers(1, 12))):
        author = data.draw(st.sampled_from(authors))
        others = [other for other in authors if other is not author and other.head.seq]
        seen = data.draw(st.lists(st.sampled_from(others), unique=True) if others else st.just([]))
        written.append(author.write(*((other.replica, other.head) for other in seen)))
    held: list[Entry] = []
    while len(held) < len(written):
        offered = data.draw(st.lists(st.sampled_from(written), max_size=8))
        held += offer(offered, held).new
        known: dict[int, int] = {}
        for entry in held:
            assert known.get(entry.replica, 0) == entry.seq - 1
            assert all(known.get(past.replica, 0) >= past.seq for past in entry.dependencies)
            known[entry.replica] = entry.seq
        if not offered:
            held += offer(written, held).new
    assert sorted(entry.hash for entry in held) == sorted(entry.hash for entry in written)
