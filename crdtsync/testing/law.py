"""The laws that a strategy keeps, so that every replica decides alike.

Each holds for every sound strategy, whatever it prefers. An `Examiner` puts questions to one
strategy, here and elsewhere and in every guise, and raises `BrokenLawError` for the first that it
breaks.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from crdtsync.codec import encode
from crdtsync.testing.elsewhere import Answer, Process, answer
from crdtsync.testing.question import Guise, Question, Resolve, pack, unpack
from crdtsync.testing.watch import peeks

__all__ = ["LAWS", "BrokenLawError", "Examiner", "name_of"]

LAWS = {
    "named": "name, version and parameters say what it is: an equal one can be made of them",
    "total": "every question gets an answer that can be stored, and soon",
    "pure": "it changes nothing that it is given, and looks at nothing else",
    "deterministic": "the same question gets the same answer, whatever was asked before",
    "order-free": "what says the same gets the same answer, in whatever form and order it came",
    "everywhere": "every process on every machine gives the same answer",
    "single": "a single candidate is the answer",
    "by-value": "only the values count, not who wrote them when",
    "between": "a position is between its neighbours, and no two replicas make the same",
}
"""What each law says."""

_HANGS_MAX = 4
_NO_END = "did not end"


class BrokenLawError(AssertionError):
    """Raised when a strategy breaks a law.

    Attributes:
        law: which one; a key of `LAWS`.
        strategy: the strategy.
        detail: what happened.
        question: Python that asks what it was asked.
    """

    def __init__(self, law: str, strategy: Any, detail: str, question: object = "") -> None:
        self.law = law
        self.strategy = strategy
        self.detail = detail
        self.question = str(question)
        asked = f"\n\nIt was asked\n\n{textwrap.indent(self.question, '    ')}"
        super().__init__(
            f"strategy {name_of(strategy)} breaks the law {law!r}: {LAWS[law]}.\n\n{detail}."
            + (asked if self.question else "")
        )


def name_of(strategy: Any) -> str:
    """Name a strategy for people, whatever it is."""
    return repr(getattr(strategy, "name", strategy))


class Examiner:
    """Examines one strategy.

    Args:
        strategy: the strategy.
        processes: where it is asked too.
        twin: an equal strategy, made of its parameters; None if it cannot be made like that.
        by_value: demand that only the values count.
    """

    def __init__(
        self, strategy: Any, processes: Sequence[Process], twin: Any, *, by_value: bool
    ) -> None:
        self._strategy = strategy
        self._processes = processes
        self._twin = twin
        self._by_value = by_value
        self._hanging: dict[bytes, BrokenLawError] = {}

    def examine(self, question: Question) -> None:
        """Ask a question in all ways.

        Raises:
            BrokenLawError: an answer breaks a law.
        """
        packed = pack(question)
        if self._is_tired():
            if packed in self._hanging:
                raise self._hanging[packed]
            return
        try:
            self._examine(question, packed)
        except BrokenLawError as broken:
            if self._has_lost() or _NO_END in broken.detail:
                self._hanging[packed] = broken
            raise

    def _is_tired(self) -> bool:
        """Tell whether enough was seen of a strategy that does not end: each look takes long."""
        return self._has_lost() or len(self._hanging) >= _HANGS_MAX

    def _has_lost(self) -> bool:
        return any(process.is_lost for process in self._processes)

    def _examine(self, question: Question, packed: bytes) -> None:
        elsewhere = [(process.where, process.ask(packed)) for process in self._processes]
        for _, there in elsewhere:
            if self._has_lost() or _NO_END in (there.failure or ""):
                self._fail("total", f"It gave {there}", question)  # and is not asked here
        first = self._ask_untouched(question, packed)
        self._demand_same(first, "asked again", unpack(packed), question, "deterministic")
        answer(self._strategy, question.decoy())
        again = "asked once more after another question"
        self._demand_same(first, again, unpack(packed), question, "deterministic")
        _, peeked = peeks(lambda: answer(self._strategy, unpack(packed)))
        if peeked is not None:
            self._fail("pure", f"To give {first}, {peeked}", question)
        for guise in (*_copies(packed), *question.guises()):
            self._demand_same(first, f"when {guise.what}", guise.question, question, "order-free")
        for where, there in elsewhere:
            if there != first:
                self._fail("everywhere", f"It gave {first} here, and in {where} {there}", question)
        self._compare_twin(question, first)
        if isinstance(question, Resolve):
            self._examine_values(question, first)

    def _ask(self, question: Question) -> Answer:
        """Ask, and demand an answer."""
        found = answer(self._strategy, question)
        if found.failure is not None:
            self._fail("total", f"It gave {found}", question)
        return found

    def _demand_same(
        self, first: Answer, when: str, other: Question, question: Question, law: str
    ) -> None:
        """Ask an equal question, and demand the same answer."""
        again = self._ask(other)
        if again != first:
            self._fail(law, f"It gave {first}; {when}, it gave {again}", question)

    def _ask_untouched(self, question: Question, packed: bytes) -> Answer:
        """Ask, and demand that the question is the same afterwards."""
        given = unpack(packed)
        found = self._ask(given)
        try:
            is_same = pack(given) == packed
        except (TypeError, ValueError):
            is_same = False
        if not is_same:
            self._fail("pure", f"It changed what it was given, to {given!r}", question)
        return found

    def _compare_twin(self, question: Question, first: Answer) -> None:
        if self._twin is not None:
            other = answer(self._twin, question)
            if other != first:
                detail = f"It gave {first}. One made with the same parameters gave {other}"
                self._fail("named", detail, question)

    def _examine_values(self, question: Resolve, first: Answer) -> None:
        for candidate in question.candidates:
            alone = Resolve((candidate,))
            if self._ask(alone) != Answer(encode(candidate.value), None):
                self._fail("single", f"It gave {self._ask(alone)}", alone)
        if self._by_value:
            for other in _exchanged(question):
                if self._ask(other) != first:
                    detail = f"It gave {first}. Of {other} it made {self._ask(other)}"
                    self._fail("by-value", detail, question)

    def _fail(self, law: str, detail: str, question: Question) -> NoReturn:
        raise BrokenLawError(law, self._strategy, detail, question)


def _copies(packed: bytes) -> Iterator[Guise]:
    """Yield copies of a question whose parts lie elsewhere in memory, in several orders."""
    one, other = unpack(packed), unpack(packed)
    for first, second in ((one, one), (one, other), (other, one)):
        yield Guise("it was made of other objects", _mixed(first, second))


def _mixed(one: Any, other: Any) -> Any:
    """Return an equal question with every second part taken from the other one."""
    if not isinstance(one, tuple):
        return one
    if hasattr(one, "_fields"):
        return type(one)(*map(_mixed, one, other))
    return tuple(pair[index % 2] for index, pair in enumerate(zip(one, other, strict=True)))


def _exchanged(question: Resolve) -> Iterator[Resolve]:
    """Yield the same values, written by others at other times."""
    for _ in question.candidates:
        question = question.decoy()
        yield question
    yield Resolve(
        tuple(
            candidate._replace(value=other.value)
            for candidate, other in zip(
                question.candidates, reversed(question.candidates), strict=True
            )
        )
    )
