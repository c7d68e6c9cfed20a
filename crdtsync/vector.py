"""State vectors: for a document, the highest sequence number held of each replica's log.

A state vector is a plain `dict[int, int]`, replica id to sequence number; a replica that is
absent counts as 0. Two sides exchange theirs to learn what each of them lacks.

Source: Parker et al., "Detection of Mutual Inconsistency in Distributed Systems", 1983.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

__all__ = ["StateVector", "covers", "difference", "from_pairs", "join", "to_pairs"]

StateVector: TypeAlias = dict[int, int]


def covers(ours: Mapping[int, int], theirs: Mapping[int, int]) -> bool:
    """Tell whether we hold all that they hold.

    >>> covers({1: 3, 2: 1}, {1: 2})
    True
    """
    return all(ours.get(replica, 0) >= seq for replica, seq in theirs.items())


def difference(ours: Mapping[int, int], theirs: Mapping[int, int]) -> dict[int, tuple[int, int]]:
    """Return what they lack of ours: replica to (first missing number, last that we hold).

    >>> difference({1: 5, 2: 2}, {1: 3, 2: 2})
    {1: (4, 5)}
    """
    return {
        replica: (theirs.get(replica, 0) + 1, seq)
        for replica, seq in ours.items()
        if seq > theirs.get(replica, 0)
    }


def join(one: Mapping[int, int], other: Mapping[int, int]) -> StateVector:
    """Return the least vector that covers both."""
    joined = dict(one)
    for replica, seq in other.items():
        if seq > joined.get(replica, 0):
            joined[replica] = seq
    return joined


def to_pairs(vector: Mapping[int, int]) -> list[list[int]]:
    """Return the wire form: `[[replica, seq], …]` in the order of replicas."""
    return [[replica, seq] for replica, seq in sorted(vector.items())]


def from_pairs(pairs: Iterable[Iterable[int]]) -> StateVector:
    """Read the wire form back.

    Raises:
        ValueError: it is not a list of pairs of whole numbers that are not negative.
    """
    vector: StateVector = {}
    for pair in pairs:
        try:
            replica, seq = pair
        except TypeError as error:
            raise ValueError("a state vector is made of pairs") from error
        if type(replica) is not int or type(seq) is not int or replica < 0 or seq < 0:
            raise ValueError("a state vector is made of whole numbers that are not negative")
        vector[replica] = seq
    return vector
