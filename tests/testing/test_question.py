"""Questions: they travel as bytes, and their guises say the same."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync.strategy import Base, Candidate, Claim, Removal
from crdtsync.testing import candidates, claims, removals, writes
from crdtsync.testing.question import Explain, Present, Question, Resolve, Settle, pack, unpack

QUESTIONS = st.one_of(
    st.builds(Resolve, candidates(base=True)),
    st.builds(Explain, candidates()),
    st.builds(Present, writes(), removals()),
    st.builds(Settle, claims(base=True), st.booleans()),
)


@given(QUESTIONS)
def test_a_question_comes_back_whole_and_shares_nothing(question: Any) -> None:
    other: Any = unpack(pack(question))
    assert pack(other) == pack(question)
    assert other == question
    assert type(other) is type(question)


@given(QUESTIONS)
def test_a_guise_says_the_same(question: Question) -> None:
    for _, guise in question.guises():
        if isinstance(question, Settle) and isinstance(guise, Settle):
            assert last_claims(guise) == last_claims(question)
        elif isinstance(question, Present) and isinstance(guise, Present):
            assert sorted(guise.removals, key=repr) != [] or not question.removals
            assert {repr(item) for item in guise.writes} == {repr(item) for item in question.writes}
        else:
            assert pack(guise) == pack(question)


def last_claims(question: Settle) -> dict[str, Claim[Any]]:
    return {key: claim for key, claim in dict(question.puts).items() if claim is not None}


def test_a_dict_is_turned_wherever_it_is() -> None:
    value = {"a": [{"b": 1, "c": 2}], "d": 3}
    question = Resolve((Candidate([value], 1, None, 1, 0, Base(value, 0)),))
    (guise,) = question.guises()
    assert isinstance(guise.question, Resolve)
    (turned,) = guise.question.candidates
    assert list(turned.value[0]) == ["d", "a"]
    assert list(turned.value[0]["a"][0]) == ["c", "b"]
    assert turned.base is not None
    assert list(turned.base.value) == ["d", "a"]


@given(QUESTIONS)
def test_it_is_printed_as_python(question: Question) -> None:
    names = {"Candidate": Candidate, "Base": Base, "Removal": Removal, "Claim": Claim}
    compile(str(question), "question", "exec")
    if isinstance(question, Present):
        told = str(question).removeprefix("strategy.present")
        assert eval(told, names) == tuple(question)


def test_other_bytes_are_no_question() -> None:
    from crdtsync.codec import encode

    with pytest.raises(ValueError, match="no question"):
        unpack(encode(["Resolve"]))
