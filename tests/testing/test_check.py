"""Every kind of wrong strategy is found out, with a small example; sound ones pass."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import strategies as st

from crdtsync.strategies import Candidate, LastWriterWins, Presence, Removal, Strategy, resolver
from crdtsync.testing import LAWS, BrokenLawError, check_strategy
from tests.testing import wrong

WORDS = st.text("abcdefgh", min_size=1, max_size=3)

RESOLVERS: list[tuple[Strategy, set[str], str]] = [
    (wrong.counts_its_calls, {"deterministic"}, "; asked again, it gave the answer"),
    (wrong.remembers, {"everywhere", "deterministic", "order-free"}, "gave the answer"),
    (wrong.iterates_a_set, {"everywhere"}, "in a process with PYTHONHASHSEED="),
    (wrong.asks_the_clock, {"pure"}, "it looked at the clock: datetime.now()"),
    (wrong.asks_chance, {"pure", "deterministic"}, ""),
    (wrong.asks_the_environment, {"pure"}, "it looked at its surroundings: os.environ"),
    (wrong.compares_identities, {"order-free", "deterministic", "everywhere"}, ""),
    (wrong.ends_the_process, {"total"}, "it ended the process"),
    (wrong.alters_a_single_one, {"single"}, "It gave the answer ["),
    (wrong.Explains(), {"everywhere"}, "in a process with PYTHONHASHSEED="),
    (wrong.Limit(9), {"named"}, "One made with the same parameters gave"),
    (wrong.Unmade(), {"named"}, "With the parameters {'at': 1} none can be made"),
    (wrong.never_ends, {"total"}, "it did not end within 1,000,000 steps"),
]
ANYTHING: list[tuple[Any, set[str], str]] = [
    (wrong.takes_the_first_key, {"order-free"}, "the dicts in it were built in another order"),
    (wrong.changes_its_input, {"pure"}, "It changed what it was given"),
    (wrong.compares_what_cannot_be, {"total"}, "TypeError: '>' not supported"),
    (wrong.returns_a_tuple, {"total"}, "value is a tuple, which cannot be stored"),
    (wrong.LastWord(), {"order-free"}, "when the writes came in another order"),
    (wrong.Doubtful(), {"total"}, "present() returns True or False"),
    (wrong.FirstCome(), {"order-free"}, "it gave the answer {"),
    (wrong.Strangers(), {"total"}, "settled() names 'nobody', which claims nothing"),
    (wrong.Middle(), {"between"}, "both made 'm"),
]


def name_of(item: Any) -> str:
    return getattr(item, "name", "")


@pytest.mark.parametrize(("strategy", "laws", "told"), RESOLVERS, ids=name_of)
def test_a_wrong_strategy_of_words_is_found_out(strategy: Any, laws: set[str], told: str) -> None:
    with pytest.raises(BrokenLawError) as caught:
        check_strategy(strategy, WORDS)
    expect(caught.value, strategy, laws, told)


@pytest.mark.parametrize(("strategy", "laws", "told"), ANYTHING, ids=name_of)
def test_a_wrong_strategy_of_anything_is_found_out(
    strategy: Any, laws: set[str], told: str
) -> None:
    with pytest.raises(BrokenLawError) as caught:
        check_strategy(strategy)
    expect(caught.value, strategy, laws, told)


def test_one_that_hangs_where_no_step_is_counted_is_killed_elsewhere() -> None:
    with pytest.raises(BrokenLawError, match=r"it did not end within 2 s"):
        check_strategy(wrong.never_ends_in_c, WORDS, timeout_s=2)


def expect(found: BrokenLawError, strategy: Any, laws: set[str], told: str) -> None:
    """Expect a message that a person can read, with a small question that Python can read."""
    message = str(found)
    assert found.law in laws
    assert found.strategy is strategy
    assert LAWS[found.law] in message
    assert repr(strategy.name) in message
    assert told in message
    assert found.question in message.replace("\n    ", "\n")
    ast.parse(found.question)
    assert len(found.question.splitlines()) <= 8


def test_the_question_can_be_asked_as_it_is_printed() -> None:
    with pytest.raises(BrokenLawError) as caught:
        check_strategy(wrong.compares_what_cannot_be, st.none() | st.integers())
    names = {"strategy": wrong.compares_what_cannot_be, "Candidate": Candidate}
    with pytest.raises(TypeError, match="'>' not supported"):
        exec(caught.value.question, names)


# --- what passes ----------------------------------------------------------------------------------


def test_a_sound_strategy_passes_and_it_is_said_where() -> None:
    checked = check_strategy(LastWriterWins(), max_examples=20)
    assert "resolve" in checked.asked
    assert [where.split(",")[0] for where in checked.where] == [
        "a process with PYTHONHASHSEED=1",
        "a process with PYTHONHASHSEED=2",
    ]


def test_a_resolver_that_was_made_in_a_function_gets_into_other_processes_too() -> None:
    limit = 100

    @resolver(version=1)
    def least(found: Sequence[Candidate[int]]) -> int:
        least = min(item.value for item in found)
        return least if len(found) == 1 else min(least, limit)

    assert len(check_strategy(least, st.integers(), max_examples=20).where) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="such a strategy gets into no other process")
def test_a_strategy_that_cannot_travel_is_asked_in_a_copy_of_this_process() -> None:
    class Longest:
        name = "longest"
        version = 1

        def resolve(self, found: Sequence[Candidate[str]], /) -> str:
            return max((item.value for item in found), key=lambda text: (len(text), text))

    assert check_strategy(Longest(), WORDS, max_examples=20).where == ("a process of its own",)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="such a strategy gets into no other process")
def test_in_a_copy_of_this_process_what_it_remembers_shows_as_well() -> None:
    first: list[str] = []

    class Remembers:
        name = "remembers"
        version = 1

        def resolve(self, found: Sequence[Candidate[str]], /) -> str:
            first.extend(item.value for item in found)
            wanted = {item.value for item in found}
            return next(value for value in first if value in wanted)

    with pytest.raises(BrokenLawError):
        check_strategy(Remembers(), WORDS)


def test_more_can_be_demanded_that_only_the_values_count() -> None:
    greatest = resolver(version=1)(lambda found: max(item.value for item in found))
    greatest.name = "greatest"
    check_strategy(greatest, st.integers(), by_value=True, max_examples=30)
    with pytest.raises(BrokenLawError) as caught:
        check_strategy(LastWriterWins(), st.integers(), by_value=True)
    assert caught.value.law == "by-value"


def test_what_a_presence_is_given_has_deletions_and_writes_of_one_replica() -> None:
    seen: set[str] = set()

    class Looks:
        name = "looks"
        version = 1

        def present(self, writes: Sequence[Candidate[Any]], removals: Sequence[Removal], /) -> bool:
            assert removals
            assert all(removal.seen[removal.replica] == removal.seq for removal in removals)
            replicas = [write.replica for write in writes]
            seen.update(["none"] if not writes else [])
            seen.update(["twice"] if len(set(replicas)) < len(replicas) else [])
            return True

    assert isinstance(Looks(), Presence)
    check_strategy(Looks())
    assert seen == {"none", "twice"}


# --- what is refused ------------------------------------------------------------------------------


def test_what_is_no_strategy_is_said_so() -> None:
    with pytest.raises(TypeError, match=r"write LastWriterWins\(\) instead"):
        check_strategy(LastWriterWins)
    with pytest.raises(TypeError, match=r"decorate it with @resolver"):
        check_strategy(lambda found: found[0].value)
    with pytest.raises(TypeError, match="what `values` draws is a tuple"):
        check_strategy(LastWriterWins(), st.tuples(st.integers()))


def test_without_hypothesis_it_is_said_what_to_install() -> None:
    code = "import sys; sys.modules['hypothesis'] = None; import crdtsync.testing"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ImportError: crdtsync.testing needs hypothesis: pip install" in done.stderr
