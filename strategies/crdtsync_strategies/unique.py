"""Question: two people give two records the same name, unaware of each other; which keeps it?

Answer: the record that claimed it first keeps it. Every other one is given a value that is free, by
the next number: "garden" stays, and another "garden" becomes "garden (2)", until somebody writes.

Law: the earliest claim is the minimum of a total order (time, replica, key). The others are given
values in that same order, each the first that no record claims and none was given before. So what
they get depends on the claims only, not on the order of their arrival.

Only what somebody wrote is contested: neither None nor a field's default. Values are equal if they
are stored as the same bytes: 1, 1.0 and True differ.

Cost: a change costs its own claim; what is settled costs the claims that are contested.

Source: Bailis et al., "Coordination Avoidance in Database Systems", PVLDB 8(3), 2014: no system
keeps a chosen value unique without asking everybody first; one that does not ask can only repair.
"""

from __future__ import annotations

import copy
import datetime
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from crdtsync.strategy import Candidate, Claim, ColumnIndex, Settled
from crdtsync_strategies.authors import latest
from crdtsync_strategies.total_order import Key, order_key

__all__ = ["Unique"]

_TRIES_MAX = 100
_SECOND = 2
_GIVABLE = (str, int, float, bytes, datetime.date, uuid.UUID, type(None))
"""Types of which all values can be stored, but for some texts and the date-times."""


class Unique:
    """A field whose value no two records of a table share.

    Args:
        otherwise: gives the value of a record that came too late, from the value that it claimed
            and a number 2, 3, …; it is asked until the value is free, a hundred times at the most.
            It returns text, a number, bytes, a date, a UUID, or None for no value. It has to be a
            function in the strict sense, and is asked twice to see that. Where it fails the
            default takes its place: "name (2)", the next greater int, or None.
        version: of that function; raise it whenever it would give other values.

    >>> index = Unique().index()
    >>> index.put("a", Claim("garden", 5, 1))
    >>> index.put("b", Claim("garden", 7, 2))
    >>> {key: settled.value for key, settled in index.settled().items()}
    {'a': 'garden', 'b': 'garden (2)'}
    """

    name = "unique"
    version = 1

    def __init__(
        self, otherwise: Callable[[Any, int], Any] | None = None, version: int = 1
    ) -> None:
        if otherwise is not None and not callable(otherwise):
            raise TypeError(f"otherwise is a function that the app has, not {otherwise!r}")
        self._otherwise = otherwise
        self._otherwise_version = version

    @property
    def parameters(self) -> dict[str, Any]:
        """What tells it from other such strategies: the function's name and version."""
        if self._otherwise is None:
            return {}
        name = getattr(self._otherwise, "__name__", type(self._otherwise).__name__)
        return {"otherwise": name, "version": self._otherwise_version}

    def resolve(self, candidates: Sequence[Candidate[Any]], /) -> Any:
        """Return the value that was written last."""
        return candidates[-1].value

    def explain(self, candidates: Sequence[Candidate[Any]], _chosen: Any, /) -> str:
        """Say whose write is the latest."""
        return latest(candidates)

    def index(self) -> ColumnIndex:
        """Return an index without claims."""
        return _UniqueIndex(self._otherwise)


class _UniqueIndex:
    """The records by the values that they claim."""

    def __init__(self, otherwise: Callable[[Any, int], Any] | None) -> None:
        self._otherwise = otherwise
        self._claims: dict[str, Claim[Any]] = {}
        self._claimed: dict[Key, int] = {}
        """How many records claim a value."""
        self._written: dict[Key, dict[str, None]] = {}
        """Which of them do so because somebody wrote it."""
        self._contested: dict[Key, None] = {}
        self._settled: dict[str, Settled[Any]] | None = None

    def put(self, key: str, claim: Claim[Any] | None, /) -> None:
        before = self._claims.pop(key, None)
        if before is not None:
            self._count(key, before, -1)
        if claim is not None:
            self._claims[key] = claim
            self._count(key, claim, +1)
        self._settled = None

    def settled(self) -> Mapping[str, Settled[Any]]:
        if self._settled is None:
            self._settled = self._settle()
        return self._settled

    def _count(self, key: str, claim: Claim[Any], change: int) -> None:
        """Count a claim in or out."""
        value = order_key(claim.value)
        count = self._claimed.pop(value, 0) + change
        if count:
            self._claimed[value] = count
        if claim.value is None or claim.time == 0:
            return
        writers = self._written.setdefault(value, {})
        writers.pop(key, None)
        if change > 0:
            writers[key] = None
        if not writers:
            del self._written[value]
        self._contested.pop(value, None)
        if len(writers) > 1:
            self._contested[value] = None

    def _when(self, key: str) -> tuple[int, int, str]:
        claim = self._claims[key]
        return claim.time, claim.replica, key

    def _settle(self) -> dict[str, Settled[Any]]:
        settled, first_of = {}, {}
        for value in self._contested:
            first, *others = sorted(self._written[value], key=self._when)
            settled[first] = Settled(
                self._claims[first].value,
                f"this record is the first of {len(others) + 1} that claimed the value",
                tuple(sorted(others)),
            )
            first_of.update(dict.fromkeys(others, first))
        giver = _Giver(self._otherwise, self._claimed)
        for key in sorted(first_of, key=self._when):
            first = first_of[key]
            settled[key] = Settled(
                giver.give(self._claims[key].value, key),
                f"record {first!r} claimed the same value first",
                (first,),
            )
        return settled


class _Giver:
    """Finds values that are free, and remembers those given away.

    Args:
        otherwise: what the app says, if anything.
        claimed: the values that are not free to begin with.
    """

    def __init__(
        self, otherwise: Callable[[Any, int], Any] | None, claimed: Mapping[Key, int]
    ) -> None:
        self._otherwise = otherwise
        self._claimed = claimed
        self._given: dict[Key, None] = {}
        self._next: dict[Key, int | None] = {}
        """By the value that was claimed, the number to go on with; None if numbers are no use."""

    def give(self, value: Any, key: str) -> Any:
        """Return a value for a record that claimed another's."""
        claimed = order_key(value)
        number = self._next.get(claimed, _SECOND)
        if number is not None:
            for trial in range(number, number + _TRIES_MAX):
                other = self._propose(value, trial)
                if self._take(other):
                    self._next[claimed] = trial + 1
                    return other
            self._next[claimed] = None
        while isinstance(value, str):
            value = f"{value} ({key})"
            if self._take(value):
                return value
        return None

    def _take(self, value: Any) -> bool:
        """Give a value away if it is free, as None always is."""
        told = order_key(value)
        if value is not None and (told in self._claimed or told in self._given):
            return False
        self._given[told] = None
        return True

    def _propose(self, value: Any, number: int) -> Any:
        if self._otherwise is None:
            return _numbered(value, number)
        try:
            other, again = (self._otherwise(copy.deepcopy(value), number) for _ in range(2))
            sound = _is_givable(other) and order_key(other) == order_key(again)
        except Exception:  # whatever an app's function may do wrong
            return _numbered(value, number)
        return other if sound else _numbered(value, number)


def _is_givable(value: Any) -> bool:
    """Tell whether a value can be stored as it is.

    Raises:
        UnicodeEncodeError: it is text with a lone surrogate.
    """
    if isinstance(value, str):
        value.encode()
    return isinstance(value, _GIVABLE) and not isinstance(value, datetime.datetime)


def _numbered(value: Any, number: int) -> Any:
    if isinstance(value, str):
        return f"{value} ({number})"
    if isinstance(value, int) and not isinstance(value, bool):
        return value + number - 1
    return None
