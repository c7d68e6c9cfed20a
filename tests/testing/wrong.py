"""Strategies that are wrong on purpose, each in a way of its own."""

from __future__ import annotations

import datetime
import itertools
import os
import random
from collections.abc import Mapping, Sequence
from typing import Any

from crdtsync.strategies import Candidate, Removal, resolver
from crdtsync.strategy import Claim, Settled

Found = Sequence[Candidate[Any]]

_CALLS = itertools.count()
_FIRST: list[Any] = []


@resolver(version=1)
def counts_its_calls(found: Found) -> Any:
    return found[next(_CALLS) % len(found)].value


@resolver(version=1)
def remembers(found: Found) -> Any:
    """Prefer the value that was seen first, ever."""
    _FIRST.extend(item.value for item in found)
    wanted = [item.value for item in found]
    return next(value for value in _FIRST if value in wanted)


@resolver(version=1)
def iterates_a_set(found: Found) -> Any:
    return next(iter({item.value for item in found}))


@resolver(version=1)
def asks_the_clock(found: Found) -> Any:
    this_year = datetime.datetime.now(datetime.UTC).year
    return found[-1].value if this_year > 2000 else found[0].value


@resolver(version=1)
def asks_chance(found: Found) -> Any:
    return random.choice(found).value


@resolver(version=1)
def asks_the_environment(found: Found) -> Any:
    return found[0 if os.environ.get("CRDTSYNC_FIRST") else -1].value


@resolver(version=1)
def compares_identities(found: Found) -> Any:
    return min(found, key=id).value


@resolver(version=1)
def takes_the_first_key(found: Found) -> Any:
    value = found[-1].value
    return next(iter(value)) if type(value) is dict and len(found) > 1 and value else value


@resolver(version=1)
def changes_its_input(found: Found) -> Any:
    if type(found[-1].value) is list:
        found[-1].value.sort(key=repr)
        found[-1].value.append(0)
    return found[-1].value


@resolver(version=1)
def compares_what_cannot_be(found: Found) -> Any:
    return max(item.value for item in found)


@resolver(version=1)
def returns_a_tuple(found: Found) -> Any:
    values = tuple(item.value for item in found)
    return values if len(values) > 2 else values[-1]


@resolver(version=1)
def never_ends(found: Found) -> Any:
    while len(found) > 1:
        pass
    return found[0].value


@resolver(version=1)
def never_ends_in_c(found: Found) -> Any:
    if len(found) > 1:
        all(itertools.repeat(found))
    return found[0].value


@resolver(version=1)
def ends_the_process(found: Found) -> Any:
    if len(found) > 1:
        os._exit(3)
    return found[0].value


@resolver(version=1)
def alters_a_single_one(found: Found) -> Any:
    return [item.value for item in found]


class Explains:
    """Its explanation depends on the order of a set."""

    name = "explains"
    version = 1

    def resolve(self, found: Found, /) -> Any:
        return found[-1].value

    def explain(self, found: Found, chosen: Any, /) -> str:
        return f"{chosen!r} of {', '.join({repr(item.value) for item in found})}"


class Limit:
    """It forgets one of its parameters."""

    name = "limit"
    version = 1

    def __init__(self, at: int = 1) -> None:
        self.at = at

    @property
    def parameters(self) -> dict[str, Any]:
        return {}

    def resolve(self, found: Found, /) -> Any:
        return found[0].value if len(found) < self.at else found[-1].value


class Unmade:
    """It has parameters that its constructor does not take."""

    name = "unmade"
    version = 1
    parameters = {"at": 1}

    def resolve(self, found: Found, /) -> Any:
        return found[-1].value


class LastWord:
    """A presence that depends on the order in which writes are handed over."""

    name = "last-word"
    version = 1

    def present(self, writes: Found, removals: Sequence[Removal], /) -> bool:
        return bool(writes) and writes[-1].replica % 2 == 1


class Doubtful:
    """A presence that does not say yes or no."""

    name = "doubtful"
    version = 1

    def present(self, writes: Found, removals: Sequence[Removal], /) -> Any:
        return len(writes)


class Index:
    """A column's index to be wrong with."""

    def __init__(self) -> None:
        self.claims: dict[str, Claim[Any]] = {}

    def put(self, key: str, claim: Claim[Any] | None, /) -> None:
        if claim is None:
            self.claims.pop(key, None)
        else:
            self.claims[key] = claim

    def settled(self) -> Mapping[str, Settled[Any]]:
        return {}


class FirstComeIndex(Index):
    """The record that claimed a value first keeps it, in the order of arrival."""

    def settled(self) -> Mapping[str, Settled[Any]]:
        taken: dict[str, str] = {}
        settled = {}
        for key, claim in self.claims.items():
            owner = taken.setdefault(repr(claim.value), key)
            if owner != key:
                settled[key] = Settled(None, f"{owner} came first", (owner,))
        return settled


class FirstCome:
    name = "first-come"
    version = 1

    def resolve(self, found: Found, /) -> Any:
        return found[-1].value

    def index(self) -> Index:
        return FirstComeIndex()


class StrangersIndex(Index):
    """It settles what nobody claims."""

    def settled(self) -> Mapping[str, Settled[Any]]:
        return {"nobody": Settled(None, "because", ())} if self.claims else {}


class Strangers(FirstCome):
    name = "strangers"

    def index(self) -> Index:
        return StrangersIndex()


class Middle:
    """Positions without the replica in them."""

    name = "middle"
    version = 1

    def resolve(self, found: Found, /) -> Any:
        return found[-1].value

    def between(self, low: str | None, high: str | None, replica: int, /) -> str:
        return f"{low or ''}m"
