"""What is believed without trusting who handed it on."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync.errors import SealError
from crdtsync.keys import DeviceKey
from crdtsync.log import (
    EMPTY_HEAD,
    EMPTY_UPDATE,
    Entry,
    Head,
    decode_entry,
    make_entry,
    with_seal,
)
from crdtsync.proof import Prover
from crdtsync.refusal import refuse
from crdtsync.seal import KEY, make_seal


class Writer:
    """A device and its log."""

    def __init__(self, replica: int, *, sealed: bool = True, document: str = "board") -> None:
        self.replica = replica
        self.document = document
        self.key = DeviceKey.generate()
        self.sealed = sealed
        self.head = EMPTY_HEAD

    def write(self, *, seal: bool = False, name: str = "act") -> Entry:
        extra: dict[str, Any] | None = None
        if not self.head.seq and self.sealed:
            extra = {KEY: self.key.public}
        entry = make_entry(
            self.document,
            self.replica,
            self.head,
            self.head.seq + 1,
            name,
            EMPTY_UPDATE,
            extra=extra,
        )
        self.head = Head(entry.seq, entry.hash)
        return self.seal(entry) if seal else entry

    def seal(self, entry: Entry) -> Entry:
        return with_seal(entry, make_seal(self.key, self.document, self.replica, entry))


def proved(entries: list[Entry], held: list[Entry] | None = None) -> int:
    firsts = {entry.replica: entry for entry in held or () if entry.seq == 1}
    heads = {entry.replica: Head(entry.seq, entry.hash) for entry in held or ()}
    return Prover(firsts.get).proved(entries, heads)


def test_one_seal_covers_all_before_it_and_nothing_behind_it() -> None:
    ann = Writer(1)
    entries = [ann.write(), ann.write(), ann.write(seal=True), ann.write(), ann.write()]
    assert proved(entries) == 3
    assert proved(entries[:2]) == 0
    assert proved([]) == 0
    assert proved(entries[3:], held=entries[:3]) == 0
    assert proved([*entries[3:], ann.write(seal=True)], held=entries[:3]) == 3


def test_a_log_that_names_no_key_needs_no_seal() -> None:
    plain = Writer(2, sealed=False)
    entries = [plain.write(), plain.write()]
    assert proved(entries) == 2
    assert proved([plain.write()], held=entries[:1]) == 1


def test_what_waits_in_one_log_stops_what_stands_behind_it() -> None:
    ann, bob = Writer(1), Writer(2)
    entries = [ann.write(seal=True), bob.write(), ann.write(), bob.write(seal=True)]
    # Bob's first is covered by a seal that stands behind what is not proved yet.
    assert proved(entries) == 1


def test_what_is_held_already_may_come_again_without_a_seal() -> None:
    ann = Writer(1)
    entries = [ann.write(), ann.write(seal=True)]
    assert proved([entries[0]], held=entries) == 1


def test_what_waited_may_come_again_together_with_what_was_before_it() -> None:
    ann = Writer(1)
    entries = [ann.write() for _ in range(4)]
    entries.append(ann.write(seal=True))
    assert proved([*entries[2:4], *entries]) == 7
    assert proved([*entries[2:4], *entries[:4]]) == 0
    assert proved([entries[4], entries[3]], held=entries[:3]) == 2
    again = Writer(1)
    twice = [again.write(seal=True)]
    plain = decode_entry(twice[0].data[1:-66])
    assert proved([*twice, plain]) == 2
    later = ann.write()
    assert proved([later, *entries]) == 0  # the seal stands behind it, and does not cover it


def forged(ann: Writer, entries: list[Entry]) -> list[list[Entry]]:
    """Return what a server might make of three entries, the last of which is sealed."""
    first, second, third = entries
    other = Writer(1)
    other.head = Head(first.seq, first.hash)
    assert third.seal is not None
    flipped = with_seal(third, bytes([third.seal[0] ^ 1]) + third.seal[1:])
    return [
        [first, other.write(name="forged"), third],
        [first, second, flipped],
        [first, second, with_seal(third, second.hash * 2)],
        [first, with_seal(second, third.seal)],
        [first, third],
        [first, second, other.seal(third)],
        [Writer(1).write(), second, third],
    ]


@pytest.mark.parametrize("which", range(7))
def test_what_was_tampered_with_is_found_out(which: int) -> None:
    ann = Writer(1)
    entries = [ann.write(), ann.write(), ann.write(seal=True)]
    assert proved(entries) == 3
    with pytest.raises(SealError):
        proved(forged(ann, entries)[which])


def test_a_log_of_another_document_or_replica_proves_nothing() -> None:
    ann = Writer(1)
    first = ann.write()
    elsewhere = with_seal(first, make_seal(ann.key, "other", 1, first))
    of_another = with_seal(first, make_seal(ann.key, "board", 2, first))
    for entry in elsewhere, of_another:
        with pytest.raises(SealError, match="its seal is false"):
            proved([entry])


def test_a_key_that_is_held_cannot_be_exchanged() -> None:
    ann, thief = Writer(1), Writer(1)
    held = [ann.write(seal=True)]
    thief.head = ann.head
    with pytest.raises(SealError, match="its seal is false"):
        proved([thief.write(seal=True)], held=held)


def test_a_refused_entry_is_proved_by_the_same_seal() -> None:
    ann = Writer(1)
    first, second = ann.write(), ann.write(seal=True)
    assert proved([refuse(first, "no"), second]) == 2
    assert proved([first, refuse(second, "no")]) == 2


@given(st.lists(st.tuples(st.integers(1, 3), st.booleans()), max_size=14), st.data())
def test_it_is_the_longest_part_in_which_every_log_ends_in_a_seal(
    script: list[tuple[int, bool]], data: st.DataObject
) -> None:
    writers = {replica: Writer(replica, sealed=replica != 3) for replica in (1, 2, 3)}
    entries = [writers[replica].write(seal=seal) for replica, seal in script]

    def ends_in_seals(part: list[Entry]) -> bool:
        last = {entry.replica: entry for entry in part}
        return all(entry.seal is not None for entry in last.values() if entry.replica != 3)

    good = [count for count in range(len(entries) + 1) if ends_in_seals(entries[:count])]
    count = proved(entries)
    assert count in good
    # Cut at the first gap: nothing that waits is passed by.
    unproved = next(
        (
            index
            for index, entry in enumerate(entries)
            if entry.replica != 3
            and not any(e.seal and e.replica == entry.replica for e in entries[index:])
        ),
        len(entries),
    )
    assert count == max(found for found in good if found <= unproved)
    for start, stop in itertools.pairwise([0, count, len(entries)]):
        assert start <= stop
