"""Questions: what a strategy is asked, as data that can be copied, sent away and printed.

A question knows how to put itself to a strategy, what a sound answer looks like, and in which
guises it may come: forms that differ between replicas though what they say is the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from crdtsync.codec import DEPTH_MAX, check_value, decode, encode
from crdtsync.strategy import Base, Candidate, Claim, Removal, Settled

__all__ = ["Explain", "Guise", "Present", "Question", "Resolve", "Settle", "pack", "unpack"]

_WRAPPING_DEPTH = 8


class Guise(NamedTuple):
    """Another form of a question, which must get the same answer.

    Attributes:
        what: how it differs, in words.
        question: the question in that form.
    """

    what: str
    question: Question


class Question(Protocol):
    """What a strategy can be asked."""

    def ask(self, strategy: Any, /) -> Any:
        """Put it to a strategy and return the answer."""
        ...

    def unsound(self, answer: Any, /) -> str | None:
        """Say what is wrong with an answer, whatever the strategy; None if nothing is."""
        ...

    def guises(self) -> Iterator[Guise]:
        """Yield other forms of it."""
        ...

    def decoy(self) -> Question:
        """Return a like question that has another answer, most likely."""
        ...


class Resolve(NamedTuple):
    """Which value does a field have?

    Attributes:
        candidates: the writes, by (time, replica).
    """

    candidates: tuple[Candidate[Any], ...]

    def ask(self, strategy: Any, /) -> Any:
        return strategy.resolve(self.candidates)

    def unsound(self, answer: Any, /) -> str | None:
        return _unstorable(answer)

    def guises(self) -> Iterator[Guise]:
        yield Guise("the dicts in it were built in another order", Resolve(_turn(self.candidates)))

    def decoy(self) -> Resolve:
        return Resolve(_rotate(self.candidates))

    def __str__(self) -> str:
        return f"strategy.resolve({_show_all(self.candidates)})"


class Explain(NamedTuple):
    """Why does a field have its value?

    Attributes:
        candidates: the writes, by (time, replica).
    """

    candidates: tuple[Candidate[Any], ...]

    def ask(self, strategy: Any, /) -> Any:
        return strategy.explain(self.candidates, strategy.resolve(self.candidates))

    def unsound(self, answer: Any, /) -> str | None:
        if isinstance(answer, str) and answer:
            return _unstorable(answer)
        return "explain() returns a sentence: a str that is not empty"

    def guises(self) -> Iterator[Guise]:
        yield Guise("the dicts in it were built in another order", Explain(_turn(self.candidates)))

    def decoy(self) -> Explain:
        return Explain(_rotate(self.candidates))

    def __str__(self) -> str:
        found = _show_all(self.candidates)
        return f"candidates = {found}\nstrategy.explain(candidates, strategy.resolve(candidates))"


class Present(NamedTuple):
    """Is a record there?

    Attributes:
        writes: all live writes to it.
        removals: all live deletions.
    """

    writes: tuple[Candidate[Any], ...]
    removals: tuple[Removal, ...]

    def ask(self, strategy: Any, /) -> Any:
        return strategy.present(self.writes, self.removals)

    def unsound(self, answer: Any, /) -> str | None:
        return None if isinstance(answer, bool) else "present() returns True or False"

    def guises(self) -> Iterator[Guise]:
        yield Guise("the writes came in another order", Present(self.writes[::-1], self.removals))
        yield Guise("the removals came in another order", Present(self.writes, self.removals[::-1]))
        turned = Present(_turn(self.writes), _turn(self.removals))
        yield Guise("the dicts in it were built in another order", turned)

    def decoy(self) -> Present:
        return Present(self.writes[1:], self.removals[:1])

    def __str__(self) -> str:
        return f"strategy.present({_show_all(self.writes)}, {_show_all(self.removals)})"


class Settle(NamedTuple):
    """Which records of a column get another value than they claim?

    Attributes:
        puts: what the column's index is told, one after the other: a record's key, and its claim
            or None if it is gone.
        look: ask what is settled after each, not only at the end.
    """

    puts: tuple[tuple[str, Claim[Any] | None], ...]
    look: bool = False

    def ask(self, strategy: Any, /) -> Any:
        index = strategy.index()
        for key, claim in self.puts:
            index.put(key, claim)
            if self.look:
                index.settled()
        return dict(index.settled())

    def unsound(self, answer: Any, /) -> str | None:
        there = self._claims().keys()
        problems = (_unsound_settled(key, settled, there) for key, settled in answer.items())
        return next(filter(None, problems), None)

    def guises(self) -> Iterator[Guise]:
        claims = self._claims()
        yield Guise("the index was built afresh", Settle(tuple(sorted(claims.items()))))
        yield Guise("the claims came in another order", Settle(tuple(claims.items())[::-1]))
        yield Guise("it was asked after each claim too", Settle(self.puts, look=True))
        yield Guise("the dicts in it were built in another order", Settle(_turn(self.puts)))

    def decoy(self) -> Settle:
        keys = [key for key, _ in self.puts]
        told = [claim for _, claim in self.puts]
        return Settle(tuple(zip(keys, told[1:] + told[:1], strict=True)))

    def _claims(self) -> dict[str, Claim[Any]]:
        """Return the claims that hold in the end."""
        return {key: claim for key, claim in dict(self.puts).items() if claim is not None}

    def __str__(self) -> str:
        lines = [f"index.put({key!r}, {_show(claim)})" for key, claim in self.puts]
        if self.look:
            lines = [line for put in lines for line in (put, "index.settled()")][:-1]
        return "\n".join(["index = strategy.index()", *lines, "index.settled()"])


def pack(question: Any) -> bytes:
    """Return a question as bytes: equal ones for equal questions."""
    return encode([type(question).__name__, *map(_plain, question)])


def unpack(packed: bytes) -> Question:
    """Make a question of what `pack` returned, sharing nothing with the first one.

    >>> question = Resolve((Candidate("a", 1, None, 1, 0),))
    >>> unpack(pack(question)) == question
    True
    """
    match decode(packed, depth_max=DEPTH_MAX + _WRAPPING_DEPTH):
        case ["Resolve", found]:
            return Resolve(_candidates(found))
        case ["Explain", found]:
            return Explain(_candidates(found))
        case ["Present", found, removed]:
            return Present(_candidates(found), tuple(map(_removal, removed)))
        case ["Settle", told, look]:
            return Settle(
                tuple((key, claim and _based(Claim._make(claim))) for key, claim in told), look
            )
        case _:
            raise ValueError("these bytes are no question")


def _plain(part: Any) -> Any:
    """Return a part of a question without dicts whose keys are numbers."""
    if isinstance(part, Removal):
        return [*part[:-1], sorted(part.seen.items())]
    return list(map(_plain, part)) if type(part) is tuple else part


def _removal(told: list[Any]) -> Removal:
    replica, seq, time, seen = told
    return Removal(replica, seq, time, dict(seen))


def _candidates(found: list[Any]) -> tuple[Candidate[Any], ...]:
    return tuple(_based(Candidate._make(item)) for item in found)


def _based(item: Any) -> Any:
    return item if item.base is None else item._replace(base=Base._make(item.base))


def _unstorable(value: Any) -> str | None:
    try:
        check_value(value)
        encode(value)
    except (TypeError, ValueError) as error:
        return f"what is returned must be storable: {error}"
    return None


def _unsound_settled(key: str, settled: Any, there: Any) -> str | None:
    if key not in there:
        return f"settled() names {key!r}, which claims nothing"
    if not isinstance(settled, Settled):
        return f"settled() gives {key!r} a {type(settled).__name__} instead of a Settled"
    content: tuple[Any, ...] = settled
    value, reason, rivals = content
    if not (isinstance(reason, str) and reason):
        return f"the reason for {key!r} is not a sentence"
    if not isinstance(rivals, tuple) or list(rivals) != sorted(set(rivals) & set(there) - {key}):
        return f"the rivals of {key!r} are not a sorted tuple of other records' keys"
    return _unstorable(value)


def _turn(item: Any) -> Any:
    """Return the same with every dict built in the opposite order."""
    match item:
        case dict():
            return {key: _turn(value) for key, value in reversed(item.items())}
        case list():
            return [_turn(value) for value in item]
        case tuple():
            turned = tuple(_turn(value) for value in item)
            return type(item)(*turned) if hasattr(item, "_fields") else turned
        case _:
            return item


def _rotate(candidates: Sequence[Candidate[Any]]) -> tuple[Candidate[Any], ...]:
    """Return the candidates with their values passed round."""
    contents = [candidate.value for candidate in candidates]
    turned = contents[1:] + contents[:1]
    return tuple(
        candidate._replace(value=value) for candidate, value in zip(candidates, turned, strict=True)
    )


def _show(item: Any) -> str:
    return repr(item).replace(", base=None)", ")")


def _show_all(items: Sequence[Any]) -> str:
    if not items:
        return "()"
    return "(\n" + "".join(f"    {_show(item)},\n" for item in items) + ")"
