"""The check of a strategy: any questions, all laws, and the smallest counterexample."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky
from hypothesis.strategies import SearchStrategy

from crdtsync.codec import check_value, decode, encode
from crdtsync.document.guard import StrategyError, bounded
from crdtsync.identity import REPLICA_ID_MAX
from crdtsync.testing.elsewhere import processes
from crdtsync.testing.generators import candidates, claims, removals, texts, values, writes
from crdtsync.testing.law import BrokenLawError, Examiner
from crdtsync.testing.question import Explain, Present, Resolve, Settle

__all__ = ["Checked", "check_strategy"]

_TIMEOUT_S = 20.0
_ANYTHING = values(nan=True) | st.dictionaries(texts(2), values(), min_size=2, max_size=3)


class Checked(NamedTuple):
    """What a check has looked at.

    Attributes:
        asked: the methods that were asked.
        examples: how many questions each was asked at the most.
        where: the other processes in which it was asked too. Fresh interpreters have other hash
            seeds and surroundings. A strategy that cannot be pickled gets a copy of this process
            only, or none where the platform has no fork.
    """

    asked: tuple[str, ...]
    examples: int
    where: tuple[str, ...]


def check_strategy(
    strategy: Any,
    values: SearchStrategy[Any] | None = None,
    *,
    max_examples: int = 100,
    timeout_s: float = _TIMEOUT_S,
    by_value: bool = False,
) -> Checked:
    """Check that a strategy decides alike on every replica.

    Whatever it has is checked: `resolve`, `explain`, `present`, `index`, `between`; and that it is
    what its name, version and parameters say. `crdtsync.testing.LAWS` lists the laws.

    Args:
        strategy: of any kind: for fields, records, columns or positions.
        values: what the field can hold, as a strategy of hypothesis. By default everything that
            can be stored, so a strategy for numbers only must say so here.
        max_examples: how many questions to ask.
        timeout_s: how long an answer may take in another process.
        by_value: demand also that only the values count, not who wrote them when.

    Raises:
        BrokenLawError: it breaks a law. The message has the smallest question found.
        TypeError: it is no strategy.

    >>> from hypothesis import strategies as st
    >>> from crdtsync.strategies import resolver
    >>> @resolver(version=1)
    ... def mean(candidates):
    ...     return sum(c.value for c in candidates) // len(candidates)
    >>> check_strategy(mean, st.integers()).asked
    ('resolve',)
    """
    methods = _methods(strategy)
    twin = _twin(strategy)
    with processes(strategy, timeout_s) as others:
        examiner = Examiner(strategy, others, twin, by_value=by_value)
        for method in methods:
            _find_smallest(_checks(strategy, method, values, examiner), max_examples)
        return Checked(methods, max_examples, tuple(process.where for process in others))


_METHODS = ("resolve", "explain", "present", "index", "between")


def _methods(strategy: Any) -> tuple[str, ...]:
    """Return what a strategy can be asked."""
    found = tuple(name for name in _METHODS if callable(getattr(strategy, name, None)))
    if isinstance(strategy, type):
        raise TypeError(f"write {strategy.__name__}() instead of {strategy.__name__}")
    if not {"resolve", "present"} & set(found):
        hint = "; decorate it with @resolver(version=1)" if callable(strategy) else ""
        raise TypeError(f"{strategy!r} has neither resolve() nor present(){hint}")
    return found


def _twin(strategy: Any) -> Any:
    """Make an equal strategy of a strategy's parameters; None if it names none.

    Raises:
        BrokenLawError: it does not say what it is.
    """
    if not (isinstance(strategy.name, str) and strategy.name):
        raise BrokenLawError("named", strategy, f"Its name is {strategy.name!r}, not a str")
    if type(strategy.version) is not int:
        raise BrokenLawError("named", strategy, f"Its version is {strategy.version!r}, not an int")
    parameters = getattr(strategy, "parameters", None)
    if parameters is None:
        return None
    try:
        check_value(parameters)
        twin = type(strategy)(**decode(encode(parameters)))
    except Exception as error:  # whatever its constructor raises
        detail = f"With the parameters {parameters!r} none can be made: {error}"
        raise BrokenLawError("named", strategy, detail) from error
    names = [(one.name, one.version, one.parameters) for one in (strategy, twin)]
    if names[0] != names[1]:
        raise BrokenLawError("named", strategy, f"It is {names[0]}; one made of that is {names[1]}")
    return twin


_Check: TypeAlias = tuple[SearchStrategy[Any], Callable[[Any], object]]


def _checks(
    strategy: Any, method: str, values: SearchStrategy[Any] | None, examiner: Examiner
) -> _Check:
    """Return what to draw for a method, and what to do with it."""
    base = getattr(strategy, "uses_base", False)
    content = None if values is None else values.map(_stored)
    match method:
        case "resolve" | "explain":
            question = Resolve if method == "resolve" else Explain
            found = candidates(_ANYTHING if content is None else content, base=base)
            return st.builds(question, found), examiner.examine
        case "present":
            return st.builds(Present, writes(content), removals()), examiner.examine
        case "index":
            return st.builds(Settle, claims(content, base=base)), examiner.examine
        case _:
            return _insertions(), lambda drawn: _check_between(strategy, drawn)


def _stored(value: Any) -> Any:
    check_value(value, where="what `values` draws")
    return value


def _find_smallest(check: _Check, max_examples: int) -> None:
    """Let hypothesis look for a broken law, and raise the one with the shortest question.

    A strategy that keeps a state breaks it at one time and not at another. So what counts is what
    was seen, not what hypothesis could see again.
    """
    drawn, examine = check
    broken: list[BrokenLawError] = []

    @settings(
        max_examples=max_examples,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        verbosity=Verbosity.quiet,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(drawn)
    def look(question: Any) -> None:
        try:
            examine(question)
        except BrokenLawError as found:
            broken.append(found)
            raise

    try:
        look()
    except (BrokenLawError, Flaky):
        if not broken:
            raise
        smallest = min(reversed(broken), key=lambda found: len(found.question))
        raise smallest.with_traceback(None) from None


def _insertions() -> SearchStrategy[list[tuple[int, int]]]:
    """Return places in a growing list, and who inserts there."""
    replicas = st.integers(1, 5) | st.integers(REPLICA_ID_MAX - 5, REPLICA_ID_MAX - 1)
    return st.lists(st.tuples(st.integers(0, 20), replicas), min_size=1, max_size=12)


def _check_between(strategy: Any, insertions: list[tuple[int, int]]) -> None:
    """Let pairs of replicas make positions in the same place, then between those, and so on."""
    places: list[str] = []
    for at, replica in insertions:
        index = at % (len(places) + 1)
        low = places[index - 1] if index else None
        high = places[index] if index < len(places) else None
        made = [_between(strategy, low, high, who) for who in (replica, replica + 1)]
        if made[0] == made[1]:
            detail = f"Replicas {replica} and {replica + 1} both made {made[0]!r}"
            asked = [
                f"strategy.between({low!r}, {high!r}, {who})" for who in (replica, replica + 1)
            ]
            raise BrokenLawError("between", strategy, detail, "\n".join(asked))
        places[index:index] = sorted(made)


def _between(strategy: Any, low: str | None, high: str | None, replica: int) -> str:
    asked = f"strategy.between({low!r}, {high!r}, {replica})"
    try:
        place = bounded(strategy.between, low, high, replica)
    except StrategyError as error:
        raise BrokenLawError("total", strategy, f"It gave no answer ({error})", asked) from error
    if not isinstance(place, str):
        raise BrokenLawError("between", strategy, f"It made {place!r}, which is no str", asked)
    if not ((low is None or low < place) and (high is None or place < high)):
        raise BrokenLawError("between", strategy, f"It made {place!r}", asked)
    return place
