"""All who have heard of the same marks hold the same."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from crdtsync.log import (
    EMPTY_HEAD,
    EMPTY_UPDATE,
    ERASED,
    Entry,
    make_entry,
    with_clamp,
    with_seal,
)
from crdtsync.marks import reconciled
from crdtsync.refusal import neutral_form, refuse

PLAIN = make_entry("b", 7, EMPTY_HEAD, 1000, "write", EMPTY_UPDATE, arguments={"x": 1})
REFUSED = refuse(PLAIN, "no")
ERASURE = neutral_form(PLAIN, EMPTY_UPDATE, ERASED, "by order")
kinds = st.sampled_from([PLAIN, REFUSED, ERASURE])
clamps = st.none() | st.just(500)


def effect(entry: Entry) -> tuple[str | None, str | None, int]:
    return entry.refusal, entry.erasure, entry.when


@st.composite
def forms(draw: st.DrawFn) -> Entry:
    kind, clamp = draw(kinds), draw(clamps)
    return kind if clamp is None else with_clamp(kind, clamp)


@given(st.lists(forms(), min_size=1, max_size=5), st.randoms(use_true_random=False), st.booleans())
def test_the_order_in_which_marks_come_does_not_matter(
    came: list[Entry], dice: random.Random, from_server: bool
) -> None:
    held = came[0]
    for one in came[1:]:
        held = reconciled(held, one, from_server=from_server)
    for one in came:
        assert reconciled(held, one, from_server=from_server) is held
    dice.shuffle(came)
    other = came[0]
    for one in came[1:]:
        other = reconciled(other, one, from_server=from_server)
    assert effect(other) == effect(held)


def test_of_two_clamps_the_servers_holds_and_a_peers_fills_in() -> None:
    first, second = with_clamp(PLAIN, 400), with_clamp(PLAIN, 600)
    assert reconciled(first, second, from_server=True).when == 600
    assert reconciled(second, first, from_server=True).when == 400
    assert reconciled(first, second, from_server=False) is first
    assert reconciled(PLAIN, second, from_server=False).when == 600
    assert reconciled(first, PLAIN, from_server=True) is first
    assert effect(reconciled(second, with_clamp(ERASURE, 400), from_server=False)) == (
        None,
        "by order",
        600,
    )


def test_what_is_erased_stays_erased_and_a_seal_that_is_held_is_kept() -> None:
    sealed = with_seal(PLAIN, bytes(64))
    for came in REFUSED, PLAIN, sealed:
        assert reconciled(ERASURE, came, from_server=True) is ERASURE
    erased = reconciled(sealed, ERASURE, from_server=False)
    assert (erased.erasure, erased.seal, erased.arguments) == ("by order", bytes(64), {})
