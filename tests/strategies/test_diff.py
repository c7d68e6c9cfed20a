"""Differences: they rebuild what they were found between, and are as few as can be."""

from __future__ import annotations

import itertools

from hypothesis import example, given
from hypothesis import strategies as st

from crdtsync_strategies.diff import Hunk, Region, Work, find_hunks, find_regions

sequences = st.lists(st.integers(0, 3), max_size=12)
PLENTY = 100_000


def apply(old: list[int], new: list[int], hunks: list[Hunk]) -> list[int]:
    """Rebuild a sequence from another and the changes."""
    built, at = [], 0
    for hunk in hunks:
        built += old[at : hunk.low] + new[hunk.start : hunk.stop]
        at = hunk.high
    return built + old[at:]


def fewest_changes(old: list[int], new: list[int]) -> int:
    """Count the items to be taken out and put in, by the table that every textbook has."""
    row = list(range(len(new) + 1))
    for item in old:
        before, row = row, [row[0] + 1]
        for at, other in enumerate(new):
            row.append(before[at] if item == other else min(row[-1], before[at + 1]) + 1)
    return row[-1]


@given(sequences, sequences)
def test_changes_make_one_sequence_of_the_other(old: list[int], new: list[int]) -> None:
    assert apply(old, new, find_hunks(old, new, Work(PLENTY))) == new


@given(sequences, sequences)
def test_changes_are_the_fewest(old: list[int], new: list[int]) -> None:
    hunks = find_hunks(old, new, Work(PLENTY))
    size = sum(hunk.high - hunk.low + hunk.stop - hunk.start for hunk in hunks)
    assert size == fewest_changes(old, new)


@given(sequences, sequences)
def test_between_two_changes_something_is_shared(old: list[int], new: list[int]) -> None:
    hunks = find_hunks(old, new, Work(PLENTY))
    for before, after in itertools.pairwise(hunks):
        assert after.low - before.high == after.start - before.stop > 0


@given(sequences, sequences, st.integers(-1, 40))
def test_with_too_little_work_the_changes_are_fewer_and_still_right(
    old: list[int], new: list[int], left: int
) -> None:
    hunks = find_hunks(old, new, Work(left))
    assert apply(old, new, hunks) == new
    assert hunks == find_hunks(old, new, Work(PLENTY)) or len(hunks) == 1


def test_work_is_used_up_by_what_differs_only() -> None:
    work = Work(PLENTY)
    old = list(range(100_000))
    find_hunks(old, [*old[:50_000], -1, *old[50_001:]], work)
    assert work.left > PLENTY - 10


# --- of three sequences ---------------------------------------------------------------------------


def side_regions(base: list[int], ours: list[int], theirs: list[int]) -> list[Region]:
    return list(find_regions(base, ours, theirs, Work(PLENTY)))


@given(sequences, sequences, sequences)
def test_regions_cut_each_sequence_into_pieces(
    base: list[int], ours: list[int], theirs: list[int]
) -> None:
    regions = side_regions(base, ours, theirs)
    assert [item for region in regions for item in base[region.base]] == base
    assert [item for region in regions for item in ours[region.ours]] == ours
    assert [item for region in regions for item in theirs[region.theirs]] == theirs


@given(sequences, sequences, sequences)
@example([0, 1], [0, 2, 1], [0, 3, 1])
def test_a_region_says_truly_who_changed_it(
    base: list[int], ours: list[int], theirs: list[int]
) -> None:
    for region in side_regions(base, ours, theirs):
        if not region.ours_changed:
            assert ours[region.ours] == base[region.base]
        if not region.theirs_changed:
            assert theirs[region.theirs] == base[region.base]


@given(sequences, sequences, sequences)
def test_the_sides_can_be_exchanged(base: list[int], ours: list[int], theirs: list[int]) -> None:
    turned = [
        Region(region.base, region.theirs, region.ours, region.theirs_changed, region.ours_changed)
        for region in side_regions(base, theirs, ours)
    ]
    assert side_regions(base, ours, theirs) == turned


@given(sequences, sequences)
def test_if_one_side_changed_nothing_every_region_is_the_others(
    base: list[int], theirs: list[int]
) -> None:
    regions = side_regions(base, base, theirs)
    assert not any(region.ours_changed for region in regions)
    hunks = find_hunks(base, theirs, Work(PLENTY))
    changed = [region for region in regions if region.theirs_changed]
    assert [(r.base.start, r.base.stop) for r in changed] == [(h.low, h.high) for h in hunks]


def test_changes_that_only_touch_are_two_regions() -> None:
    regions = side_regions([0, 1, 2, 3], [0, 9, 2, 3], [0, 1, 8, 3])
    changed = [(region.ours_changed, region.theirs_changed) for region in regions]
    assert changed == [(False, False), (True, False), (False, True), (False, False)]
