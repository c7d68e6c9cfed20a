"""What stands around an entry is told from the entry, whatever is in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync.codec import decode
from crdtsync.envelope import (
    CLAMP_MAX,
    SEAL_BYTES,
    Envelope,
    is_bare,
    is_marked,
    is_neutral,
    is_sealed,
    unwrap,
    wrap,
)
from crdtsync.errors import MalformedEntryError
from crdtsync.log import (
    EMPTY_HEAD,
    EMPTY_UPDATE,
    Entry,
    decode_entries,
    decode_entry,
    hash_of,
    make_entry,
    with_clamp,
    with_seal,
)
from crdtsync.refusal import refuse

TIME = 10_000
SEAL = bytes(range(SEAL_BYTES))
seals = st.none() | st.binary(min_size=SEAL_BYTES, max_size=SEAL_BYTES)
clamps = st.none() | st.integers(1, TIME - 1)


def entry(update: bytes = EMPTY_UPDATE) -> Entry:
    return make_entry("b", 7, EMPTY_HEAD, TIME, "write", update, arguments={"x": 1})


@st.composite
def forms(draw: st.DrawFn) -> Entry:
    """An entry that ends as if something stood behind it, in one of its forms."""
    tail = draw(st.sampled_from([b"", b"\xf6", b"\x58\x40" + SEAL, b"\x48" + bytes(8)]))
    made = entry(EMPTY_UPDATE + tail)
    if draw(st.booleans()):
        made = refuse(made, "no")
    seal, clamp = draw(seals), draw(clamps)
    if seal is not None:
        made = with_seal(made, seal)
    return made if clamp is None else with_clamp(made, clamp)


@given(st.lists(forms(), min_size=1, max_size=5))
def test_every_form_is_read_back_as_it_was(made: list[Entry]) -> None:
    for one in made:
        assert decode_entry(one.data) == one
        assert hash_of(one.data) == one.hash
        assert unwrap(one.data)[1:] == (one.seal, one.clamp)
        assert wrap(unwrap(one.data)) == one.data
        assert is_sealed(one.data) == (one.seal is not None)
        assert is_neutral(one.data) == (one.refusal is not None)
        assert is_marked(one.data) == (one.refusal is not None or one.clamp is not None)
        assert is_bare(one.data) == (not is_marked(one.data) and one.seal is None)
        assert one.when == (one.time if one.clamp is None else one.clamp)
    assert list(decode_entries([one.data for one in made])) == made


def test_a_clamp_changes_neither_the_hash_nor_the_seal_and_is_put_on_or_off_in_any_order() -> None:
    plain = entry()
    first, then = with_clamp(with_seal(plain, SEAL), 5), with_seal(with_clamp(plain, 5), SEAL)
    assert first == then
    assert (first.hash, first.seal, first.time, first.when) == (plain.hash, SEAL, TIME, 5)
    assert with_clamp(first, 9).when == 9
    assert with_clamp(with_clamp(first, 9), None) == with_seal(plain, SEAL)
    assert refuse(first, "no").clamp == 5
    items = decode(first.data)
    assert items[:2] == [(5).to_bytes(8, "big"), SEAL]
    assert len(items[2]) == 12


@pytest.mark.parametrize("clamp", [0, TIME, TIME + 1, CLAMP_MAX, CLAMP_MAX + 1])
def test_a_clamp_is_never_later_than_what_it_clamps(clamp: int) -> None:
    with pytest.raises(MalformedEntryError):
        decode_entry(wrap(Envelope(entry().data, None, clamp)))


def test_an_envelope_in_an_envelope_is_none() -> None:
    sealed, clamped = with_seal(entry(), SEAL).data, with_clamp(entry(), 5).data
    for inner in sealed, clamped:
        for outer in Envelope(inner, SEAL), Envelope(inner, None, 5), Envelope(inner, SEAL, 5):
            with pytest.raises(MalformedEntryError):
                decode_entry(wrap(outer))


@given(forms(), st.data())
def test_what_is_cut_or_flipped_is_refused_or_another_entry(
    one: Entry, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(one.data) - 1))
    if data.draw(st.booleans()):
        bad = one.data[:at]
    else:
        bit = 1 << data.draw(st.integers(0, 7))
        bad = one.data[:at] + bytes([one.data[at] ^ bit]) + one.data[at + 1 :]
    for look in (is_marked, is_neutral, is_bare, hash_of):
        look(bad)
    try:
        found = decode_entry(bad)
    except MalformedEntryError:
        return
    assert found != one
    assert found.data == bad
