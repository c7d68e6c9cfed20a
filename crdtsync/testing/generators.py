"""What hypothesis draws: values that a field can hold, and what a strategy is asked about them.

Few replicas, small times and small pools of values are drawn on purpose: ties, repeats and
conflicts are what strategies are for.
"""

from __future__ import annotations

import datetime
import math
from typing import Any, TypeAlias

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from crdtsync.strategy import Base, Candidate, Claim, Removal

__all__ = ["Put", "candidates", "claims", "removals", "scalars", "texts", "values", "writes"]

Put: TypeAlias = tuple[str, Claim[Any] | None]
"""What a column's index is told: a record's key, and its claim or that it is gone."""

_REPLICAS_MAX = 5
_USERS = ("ann", "ben", None)
_CHARACTERS = st.characters(exclude_categories=["Cs"])


def texts(max_size: int = 8) -> SearchStrategy[str]:
    """Return text that can be stored, of any script."""
    return st.text(_CHARACTERS, max_size=max_size)


def scalars() -> SearchStrategy[Any]:
    """Return storable values that hold no others. NaN is left out: it is not equal to itself."""
    zones = st.integers(-14 * 60, 14 * 60).map(
        lambda minutes: datetime.timezone(datetime.timedelta(minutes=minutes))
    )
    return st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.integers(-(2**70), 2**70),
        st.floats(allow_nan=False),
        texts(),
        st.binary(max_size=8),
        st.dates(),
        st.datetimes(timezones=zones).map(lambda moment: moment.replace(fold=0)),
        st.decimals(allow_nan=False, allow_infinity=False).map(lambda n: n or abs(n)),
        st.uuids(),
    )


def values(*, nan: bool = False) -> SearchStrategy[Any]:
    """Return everything that a field can hold, down to a few levels of lists and dicts.

    Args:
        nan: include the float NaN, which can be stored, but is not equal to itself.

    >>> from hypothesis import find
    >>> find(values(), lambda value: isinstance(value, dict) and len(value) == 2)
    {'': None, '0': None}
    """
    return st.recursive(
        scalars() | st.just(math.nan) if nan else scalars(),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(texts(max_size=4), inner, max_size=3)
        ),
        max_leaves=6,
    )


_storable = values


def _bases(value: SearchStrategy[Any], time: int) -> SearchStrategy[Base[Any] | None]:
    return st.none() | st.builds(Base, value, st.integers(0, time))


@st.composite
def candidates(
    draw: st.DrawFn,
    values: SearchStrategy[Any] | None = None,
    *,
    base: bool = False,
    min_size: int = 1,
    max_size: int = 4,
) -> tuple[Candidate[Any], ...]:
    """Draw what a field's strategy is asked: one candidate per replica, by (time, replica).

    Args:
        draw: given by hypothesis.
        values: what the field can hold; everything storable by default.
        base: draw also what the writes replaced, for strategies with `uses_base`.
        min_size: how many candidates at the least.
        max_size: how many at the most, up to 5.

    >>> from hypothesis import find
    >>> find(candidates(st.integers()), lambda found: True)
    (Candidate(value=0, replica=1, user='ann', seq=1, time=0, base=None),)
    """
    value = _storable() if values is None else values
    pool = draw(st.lists(value, min_size=1, max_size=max_size))
    replicas = draw(
        st.lists(st.integers(1, _REPLICAS_MAX), min_size=min_size, max_size=max_size, unique=True)
    )
    found = []
    for replica in replicas:
        time = draw(st.integers(0, 3))
        before = draw(_bases(st.sampled_from(pool) | value, time)) if base else None
        found.append(
            Candidate(
                draw(st.sampled_from(pool)),
                replica,
                draw(st.sampled_from(_USERS)),
                draw(st.integers(1, 6)),
                time,
                before,
            )
        )
    return tuple(sorted(found, key=lambda item: (item.time, item.replica)))


def _moment(start: int, seq: int) -> int:
    """Return a time at which a replica may have made an entry: later ones have later times."""
    return start + seq


@st.composite
def writes(
    draw: st.DrawFn, values: SearchStrategy[Any] | None = None
) -> tuple[Candidate[Any], ...]:
    """Draw the live writes to a record, its presence included (True), by (time, replica)."""
    value = st.just(True) | (st.integers(0, 3) if values is None else values)
    numbers = st.tuples(st.integers(1, _REPLICAS_MAX), st.integers(1, 6))
    return tuple(
        sorted(
            (
                Candidate(draw(value), replica, _USERS[replica % 3], seq, _moment(replica % 2, seq))
                for replica, seq in draw(st.lists(numbers, max_size=5, unique=True))
            ),
            key=lambda write: (write.time, write.replica, write.seq),
        )
    )


@st.composite
def removals(draw: st.DrawFn, *, min_size: int = 1) -> tuple[Removal, ...]:
    """Draw live deletions of a record: one per replica, each of which has seen itself."""
    replicas = st.integers(1, _REPLICAS_MAX)
    found = []
    for replica in draw(st.lists(replicas, min_size=min_size, max_size=3, unique=True)):
        seq = draw(st.integers(1, 6))
        seen = draw(st.dictionaries(replicas, st.integers(1, 6), max_size=4))
        found.append(Removal(replica, seq, _moment(replica % 2, seq), seen | {replica: seq}))
    return tuple(sorted(found, key=lambda removal: (removal.time, removal.replica)))


@st.composite
def claims(
    draw: st.DrawFn,
    values: SearchStrategy[Any] | None = None,
    *,
    base: bool = False,
    max_size: int = 8,
) -> tuple[Put, ...]:
    """Draw what a column's index is told, one after the other.

    Args:
        draw: given by hypothesis.
        values: what the field can hold; by default everything storable, and often the key of a
            record.
        base: draw also what the claims replaced.
        max_size: how many are told at the most.
    """
    keys = st.sampled_from(["a", "b", "c", "ü/1"])
    value = keys | _storable() if values is None else values
    pool = draw(st.lists(value, min_size=1, max_size=4))
    found: list[Put] = []
    for key in draw(st.lists(keys, max_size=max_size)):
        time = draw(st.integers(0, 3))
        content = draw(st.sampled_from(pool))
        before = draw(_bases(st.sampled_from(pool), time)) if base else None
        by = draw(st.integers(1, _REPLICAS_MAX)) if time else 0
        claim = Claim(content, time, by, before if time else None)
        found.append((key, draw(st.sampled_from([claim, claim, None]))))
    return tuple(found)
