"""Merge: what two people changed in different places both stays, and nothing else is invented."""

from __future__ import annotations

import copy
import decimal
import math
import re
from collections.abc import Sequence
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from crdtsync.codec import check_value
from crdtsync.document.guard import bounded
from crdtsync.strategies import Candidate, Merge
from crdtsync.strategy import Base
from crdtsync.testing.generators import candidates, values
from tests.generators import exactly

USERS = ("ann", "bob", "eve")


def writes(base: Any, *changed: Any) -> tuple[Candidate[Any], ...]:
    """Return what several people made of one value, one after the other by the clock."""
    return tuple(
        Candidate(value, at + 1, USERS[at % 3], 1, at + 5, Base(copy.deepcopy(base), 1))
        for at, value in enumerate(changed)
    )


def merge(base: Any, *changed: Any) -> Any:
    return Merge().resolve(writes(base, *changed))


def texts() -> st.SearchStrategy[str]:
    return st.lists(
        st.sampled_from(["a", "b", "cd", " ", " ", "\n", ".", "好", "é"]), max_size=9
    ).map("".join)


def lists() -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from([0, 1, True, 1.0, "a", None, [1]]), max_size=7)


def dicts() -> st.SearchStrategy[dict[str, Any]]:
    inner = texts() | lists() | st.integers(-3, 3) | st.sampled_from([True, None, 1.5, math.nan])
    keys = st.sampled_from(["a", "b", "c"])
    return st.dictionaries(keys, inner | st.dictionaries(keys, inner, max_size=2), max_size=3)


def numbers() -> st.SearchStrategy[Any]:
    decimals = st.decimals(allow_nan=False, allow_infinity=False).map(lambda n: n or abs(n))
    return st.integers() | st.floats() | decimals


def anything() -> st.SearchStrategy[Any]:
    return texts() | lists() | dicts() | numbers() | values(nan=True)


# --- laws -----------------------------------------------------------------------------------------


@given(candidates(anything(), base=True))
def test_it_is_total_and_gives_what_can_be_stored(found: tuple[Candidate[Any], ...]) -> None:
    before = copy.deepcopy(found)
    merged = Merge().resolve(found)
    check_value(merged)
    assert exactly(merged, Merge().resolve(copy.deepcopy(found)))
    assert all(exactly(one.value, other.value) for one, other in zip(found, before, strict=True))
    reason = Merge().explain(found, merged)
    assert reason
    assert "\n" not in reason


@given(st.one_of(*(st.tuples(kind, kind) for kind in (texts(), lists(), dicts(), anything()))))
@example((Decimal("0E+9"), Decimal(1)))
@example((1.5, -0.0))
@example((0.0, -0.0))
@example((Decimal("1.0"), Decimal("1.00")))
@example((math.nan, 1.5))
def test_if_one_side_changed_nothing_the_others_value_is_exact(pair: tuple[Any, Any]) -> None:
    base, changed = pair
    assert exactly(merge(base, base, changed), changed)
    assert exactly(merge(base, changed, base), changed)
    assert exactly(merge(base, changed), changed)
    assert exactly(merge(base, base, changed, base), changed)


def without_numbers(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(without_numbers, value.values()))
    return isinstance(value, bool) or not isinstance(value, int | float | Decimal)


@given(st.one_of(*(st.tuples(kind, kind) for kind in (texts(), lists(), dicts(), anything()))))
def test_a_change_made_twice_counts_once(pair: tuple[Any, Any]) -> None:
    base, changed = pair
    if without_numbers(changed):
        assert exactly(merge(base, changed, copy.deepcopy(changed)), changed)


@given(st.integers(), st.lists(st.integers(), min_size=1, max_size=5))
def test_differences_of_ints_add_up(base: int, changed: list[int]) -> None:
    assert merge(base, *changed) == base + sum(value - base for value in changed)


@given(st.one_of(*(st.tuples(k, k, k) for k in (texts(), lists(), dicts(), anything()))))
def test_the_reason_says_whether_two_changed_the_same(triple: tuple[Any, Any, Any]) -> None:
    base, one, other = triple
    reason = Merge().explain(writes(base, one, other), None)
    said = "the later write holds" in reason
    if said:
        merged = merge(base, one, other)
        assert not exactly(merged, one) or exactly(merged, other)
    else:
        assert reason == "made of the changes of ann and bob"


# --- disjoint changes -----------------------------------------------------------------------------

# What becomes of each part of a value: left alone, changed or taken out by one of the two.
FATES = st.sampled_from(["stays", "ann changes", "bob changes", "ann removes", "bob removes"])


def side(fates: Sequence[str], who: str) -> list[str]:
    """Return the parts as one person leaves them; each is a word of its own."""
    parts = []
    for at, fate in enumerate(fates):
        if fate != f"{who} removes":
            parts.append(f"new{at}" if fate == f"{who} changes" else f"old{at}")
    return parts


def together(fates: Sequence[str]) -> list[str]:
    """Return the parts as both leave them."""
    return [
        f"new{at}" if "changes" in fate else f"old{at}"
        for at, fate in enumerate(fates)
        if "removes" not in fate
    ]


@given(st.lists(FATES, max_size=12))
def test_items_that_two_people_changed_both_stay_changed(fates: list[str]) -> None:
    base = side(fates, "nobody")
    assert merge(base, side(fates, "ann"), side(fates, "bob")) == together(fates)


@pytest.mark.parametrize("separator", ["\n", ", ", "\n\n"])
@given(fates=st.lists(FATES.filter(lambda fate: "removes" not in fate), min_size=1, max_size=12))
def test_words_that_two_people_changed_both_stay_changed(separator: str, fates: list[str]) -> None:
    texts = [separator.join(side(fates, who)) for who in ("nobody", "ann", "bob")]
    assert merge(*texts) == separator.join(together(fates))


@given(st.dictionaries(st.text(max_size=3), FATES, max_size=6))
def test_keys_that_two_people_changed_both_stay_changed(fates: dict[str, str]) -> None:
    def leave(who: str) -> dict[str, Any]:
        return {
            key: {"inner": "new" if fate == f"{who} changes" else "old"}
            for key, fate in fates.items()
            if fate != f"{who} removes"
        }

    expected = {
        key: {"inner": "new" if "changes" in fate else "old"}
        for key, fate in fates.items()
        if "removes" not in fate
    }
    assert merge(leave("nobody"), leave("ann"), leave("bob")) == expected


@given(lists(), lists(), lists(), lists(), lists())
def test_what_two_people_put_in_is_all_there(
    base: list[Any], a: list[Any], b: list[Any], c: list[Any], d: list[Any]
) -> None:
    middle = ["middle", *base]
    ann, bob = [*a, *middle, *b], [*c, *middle, *d]
    merged = merge(middle, ann, bob)
    for side_ in (ann, bob):
        rest = iter([(type(item), item) for item in merged])
        assert all((type(item), item) in rest for item in side_)  # in their order


# --- examples -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "ann", "bob", "merged"),
    [
        ("Buy milk today", "Buy oat milk today", "Buy milk tomorrow", "Buy oat milk tomorrow"),
        ("Buy milk", "Buy milk and eggs", "Buy milk and bread", "Buy milk and eggs and bread"),
        ("a\nb", "a\nb\nc", "a\nb\nd", "a\nb\nc\nd"),
        ("One. Two.", "One! Two.", "One. Two. Three.", "One! Two. Three."),
        ("我喜欢茶", "我很喜欢茶", "我喜欢绿茶", "我很喜欢绿茶"),
        ("well 👩‍👩‍👧 met", "well 👩‍👩‍👧 met again", "oh 👩‍👩‍👧 met", "oh 👩‍👩‍👧 met again"),
        # The same place: a word is never made of two people's.
        ("Untitled", "Shopping", "Errands", "Errands"),
        ("", "Shopping", "Errands", "Errands"),
        ("", "Hello!", "World", "World"),
        ("Buy ", "Buy milk", "Buy bread", "Buy bread"),
        ("cafe", "café", "cafes", "cafes"),
        ("a b c", "a c", "a X c", "a X c"),
        # One put in the same as the other, and more.
        ("Buy", "Buy milk", "Buy milk and eggs", "Buy milk and eggs"),
        ([], [1], [2], [1, 2]),
        ([1], [1, 2, 3], [1, 3], [1, 2, 3]),
        ([1, 2], [2], [1], []),
        ([1, 2, 3], [1, 9, 3], [1, 8, 3], [1, 8, 3]),
        ([{"t": "a", "d": 0}], [{"t": "b", "d": 0}], [{"t": "a", "d": 1}], [{"t": "b", "d": 1}]),
        ([1], [True], [1, 2], [True, 2]),
        ({"a": 1}, {}, {"a": 2}, {"a": 2}),
        ({"a": 1}, {"a": 2}, {}, {}),
        ({}, {"a": 1}, {"a": 2}, {"a": 2}),
        ({"a": 1}, {"a": 2}, {"a": 2}, {"a": 3}),
        (0.1, 0.2, 0.3, 0.4),
        (0, 1, 0.5, 1.5),
        (Decimal("0.1"), Decimal("0.2"), 1, Decimal("1.1")),
        (Decimal(1), Decimal("1E+200"), Decimal(2), Decimal(2)),
        (Decimal("1E-60"), Decimal("1E+60"), Decimal(2), Decimal(2)),
        (0.0, 1e308, 1e308, 1e308),
        (0.0, math.inf, 1.0, 1.0),
        (0.0, 10**400, 1, 1),
        (Decimal(1), 2, 1.5, 1.5),
        (True, False, 2, 2),
        (1, "a", [2], [2]),
        (None, "a", "b", "b"),
        (b"a", b"ab", b"ac", b"ac"),
    ],
    ids=repr,
)  # fmt: skip
def test_what_two_people_make_of_a_value(base: Any, ann: Any, bob: Any, merged: Any) -> None:
    assert exactly(merge(base, ann, bob), merged)


def test_a_write_starts_from_what_it_saw() -> None:
    found = (
        Candidate(12, 1, "ann", 1, 5, Base(10, 1)),  # has not seen the 11 that eve built on
        Candidate(14, 3, "eve", 1, 6, Base(11, 3)),
    )
    assert Merge().resolve(found) == 10 + 2 + 1 + 3


def test_a_write_that_saw_a_merge_replaces_it() -> None:
    merged = merge("a b", "A b", "a B")
    found = (
        Candidate("a b c", 2, "bob", 1, 6, Base("a b", 1)),
        Candidate("A B!", 1, "ann", 2, 7, Base(merged, 6)),
    )
    assert Merge().resolve(found) == "A B c!"


def test_of_a_write_of_which_nobody_knows_what_it_replaced_all_is_new() -> None:
    known, unknown = (
        Candidate("a X", 1, "ann", 1, 5, Base("a b", 1)),
        Candidate("c", 2, "bob", 1, 6),
    )
    assert Merge().resolve((known, unknown)) == "c"
    assert Merge().resolve((unknown._replace(time=1), known)) == "a X"
    found = (unknown, unknown._replace(value="d", replica=3))
    assert Merge().resolve(found) == "d"
    assert Merge().explain(found, "d").startswith("what was there before is not known")


def test_the_reason_names_everybody() -> None:
    assert Merge().explain(writes("a", "b"), "b") == "made of the changes of ann"
    found = writes([], [1], [2], [3])
    assert Merge().explain(found, None) == "made of the changes of ann, bob and eve"
    crowd = [write._replace(user=None, replica=at) for at, write in enumerate(found * 4, 10)]
    assert Merge().explain(crowd, None).endswith("of replica 10, replica 11 and 10 more")


def test_the_same_twice_is_nothing_to_speak_of() -> None:
    assert merge(0.0, math.inf, math.inf) == math.inf
    found = writes(0.0, math.inf, math.inf)
    assert Merge().explain(found, math.inf) == "made of the changes of ann and bob"


def test_what_the_app_does_with_its_decimal_context_changes_nothing() -> None:
    found = Decimal("0.1"), Decimal("1.25"), Decimal("7.125")
    expected = merge(*found)
    with decimal.localcontext(decimal.Context(prec=1, Emax=3, traps=[decimal.Rounded])):
        assert exactly(merge(*found), expected)
    assert expected == Decimal("8.275")


# --- cost -----------------------------------------------------------------------------------------


def words(random: Random, count: int) -> str:
    return " ".join(random.choice("abcdefgh") for _ in range(count))


def lines(random: Random) -> str:
    return "".join(random.choice(["\n", "a\n"]) for _ in range(20_000))


RANDOM = Random(7)
MONSTERS: dict[str, tuple[Any, ...]] = {
    "a long text": tuple(words(RANDOM, 100_000) for _ in range(3)),
    "both ends": ("a b " * 120_000, "b" + "a b " * 120_000 + "x", "x" + "a b " * 120_000 + "b"),
    "a page": tuple(words(RANDOM, 400) for _ in range(3)),
    "many lines": tuple(lines(RANDOM) for _ in range(3)),
    "items": tuple([RANDOM.randrange(3) for _ in range(4_900)] for _ in range(3)),
    "numbers": tuple({str(key): key + side for key in range(4_900)} for side in range(3)),
    "texts": tuple(dict.fromkeys(map(str, range(4_900)), t) for t in ("a b c", "X b c", "a b Y")),
    "empty texts": tuple(dict.fromkeys(map(str, range(4_900)), text) for text in ("", "x", "y")),
    "many people": ("a b c d", *(words(RANDOM, 60) for _ in range(300))),
}


@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("monster", MONSTERS)
def test_the_largest_values_stay_within_what_a_strategy_may_cost(monster: str) -> None:
    found = writes(*MONSTERS[monster])
    merged = bounded(Merge().resolve, found)
    assert type(merged) is type(found[0].value)
    bounded(Merge().explain, found, merged)


@pytest.fixture
def untraced() -> None:
    import sys

    if sys.gettrace() is not None:
        pytest.skip("steps are not counted where something else traces")


def test_a_small_change_of_a_huge_text_is_found() -> None:
    line = "so wags the world "
    base = line * 25_000
    ann, bob = f"oh {base}", re.sub(r"world $", "tail", base)
    assert merge(base, ann, bob) == f"oh {bob}"


def test_structures_that_are_too_large_go_to_the_last_writer() -> None:
    base = list(range(30_000))
    found = writes(base, [-1, *base], [*base, -1])
    assert Merge().resolve(found) == [*base, -1]
    assert Merge().explain(found, None).startswith("the values are too large to be merged; bob's")


@given(values(), values(), values())
def test_what_all_of_them_wrote_holds_over_whatever_each_had_before(
    value: Any, one: Any, other: Any
) -> None:
    assume(not exactly(one, other))
    candidates = [
        Candidate(value, 1, None, 1, 5, Base(one, 1)),
        Candidate(copy.deepcopy(value), 2, None, 1, 6, Base(other, 2)),
    ]
    assert exactly(Merge().resolve(candidates), value)
