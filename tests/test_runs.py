"""Runs of clocks behave as the set of all these clocks."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from crdtsync.update import Runs

RUN = st.tuples(st.integers(0, 30), st.integers(0, 8)).map(lambda run: (run[0], run[0] + run[1]))
RUNS = st.dictionaries(st.integers(1, 2), st.lists(RUN, max_size=4))


def members(runs: dict[int, list[tuple[int, int]]]) -> set[tuple[int, int]]:
    return {(client, clock) for client, each in runs.items() for r in each for clock in range(*r)}


@given(st.lists(RUNS), RUNS)
def test_they_behave_as_a_set(
    added: list[dict[int, list[tuple[int, int]]]], asked: dict[int, list[tuple[int, int]]]
) -> None:
    runs, oracle = Runs(), set[tuple[int, int]]()
    for one in added:
        runs.add(one)
        oracle |= members(one)
    lacking = runs.lacking(asked)
    assert members(lacking) == members(asked) - oracle
    assert all(first < behind for each in lacking.values() for first, behind in each)
    for edges in _edges(runs):
        assert edges == sorted(set(edges))


def _edges(runs: Runs) -> Iterable[list[int]]:
    return runs._edges.values()
