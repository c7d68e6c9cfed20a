"""Question: two people put things in an order, at once and off line. Where does each stand?

Answer: every thing holds a *position*, a string; the order is that of the positions. There is room
for another between any two, so nothing else has to move, and a thing moved twice at once stands in
one place: the last writer's.

Law: positions of different replicas differ, because each ends in its replica's id. So the order is
total, and the same on every replica that holds the same positions.

A position is a stem and a name. The name is the id of the replica that made it, in nine characters.
The stem is a number, followed by a fraction only where no number is free. Numbers begin with their
length, so that they sort as text: a0 … az, b00 … bzz, c000 …, and downwards Zz … Z0, Yzz …. So ten
thousand things added at one end have stems of at most four characters. A thing put between two
neighbours takes the middle between them: that costs a character for about five things put into one
and the same spot.

Runs of things that two people put into one spot at once may interleave, as they do in Logoot.

Source: Weiss, Urso, Molli, "Logoot: A Scalable Optimistic Replication Algorithm for Collaborative
Editing on P2P Networks", ICDCS 2009 (dense positions, made unique by their author); Greenspan,
"Implementing Fractional Indexing", 2020 (numbers that carry their length).
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any

from crdtsync.strategy import Candidate
from crdtsync_strategies.authors import latest

__all__ = ["Order"]

_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_VALUES = {digit: value for value, digit in enumerate(_DIGITS)}
_FIRST = "a0"
_NAME_LENGTH = 9
_ABOVE_ALL = 0x110000
"""What stands for a code point where there is no upper position."""


class Order:
    """A field that holds a record's place among others; see `Table.move`.

    Give such a field no default: then every record that is added gets a place of its own, the last.
    Records that hold equal positions all the same stand by their keys, and nothing can be put
    between them.
    """

    name = "order"
    version = 1

    def resolve(self, candidates: Sequence[Candidate[Any]], /) -> Any:
        """Return the place to which it was moved last."""
        return candidates[-1].value

    def explain(self, candidates: Sequence[Candidate[Any]], _chosen: Any, /) -> str:
        """Say whose write is the latest."""
        return latest(candidates)

    def between(self, low: str | None, high: str | None, replica: int, /) -> str:
        """Return a position above `low` and below `high` that no other replica can make.

        Any strings will do. Where nothing lies between the two, because they are equal or in the
        wrong order, or because somebody wrote a position by hand that leaves no room, the position
        is above `low` only.

        Args:
            low: the position before it; None for the beginning.
            high: the position after it; None for the end.
            replica: id of the replica that asks, at least 1.

        >>> order = Order()
        >>> first = order.between(None, None, 1)
        >>> last = order.between(first, None, 1)
        >>> first, order.between(first, last, 2), last
        ('a0000000001', 'a0V000000002', 'a1000000001')
        """
        stem = _below(high) if low is None else _above(low, high)
        return stem + _name(replica)


def _below(high: str | None) -> str:
    """Return a stem below a position, if there is room."""
    if high is None:
        return _FIRST
    return _previous(high) or _middle("", high) or _FIRST


def _above(low: str, high: str | None) -> str:
    """Return a stem above one position, and below another if there is room."""
    number = _next(low)
    if high is not None and low < high:
        if number is not None and number < high and not high.startswith(number):
            return number
        number = _middle(low, high) or number
    if number is None:
        number = _middle(low, None)
        assert number is not None
    return number


def _next(position: str) -> str | None:
    """Return the number after the one with which a position begins, None if there is none."""
    number = _number(position)
    if number is None:
        return None
    head, digits = number[0], number[1:]
    kept = digits.rstrip("z")
    if kept:
        return head + kept[:-1] + _DIGITS[_VALUES[kept[-1]] + 1] + "0" * (len(digits) - len(kept))
    if head == "z":
        return None
    if head == "Z":
        return _FIRST
    head = chr(ord(head) + 1)
    return head + "0" * _length(head)


def _previous(position: str) -> str | None:
    """Return the number before the one with which a position begins, None if there is none."""
    number = _number(position)
    if number is None:
        return None
    head, digits = number[0], number[1:]
    kept = digits.rstrip("0")
    if kept:
        return head + kept[:-1] + _DIGITS[_VALUES[kept[-1]] - 1] + "z" * (len(digits) - len(kept))
    if head == "A":
        return None
    head = "Z" if head == "a" else chr(ord(head) - 1)
    return head + "z" * _length(head)


def _number(position: str) -> str | None:
    """Return the number with which a position begins, None if it begins with none."""
    if position[:1] not in _VALUES or position[0].isdigit():
        return None
    number = position[: 1 + _length(position[0])]
    complete = len(number) == 1 + _length(position[0])
    return number if complete and all(digit in _VALUES for digit in number) else None


def _length(head: str) -> int:
    """Return how many digits follow the letter with which a number begins."""
    return ord(head) - ord("a") + 1 if head >= "a" else ord("Z") - ord(head) + 1


def _middle(low: str, high: str | None) -> str | None:
    """Return the shortest string that is above `low` and that no continuation lifts above `high`.

    It is about in the middle where there is a choice, and None where there is none. It does not end
    in 0: there would be no room below it.
    """
    stem = ""
    while high is None or len(stem) < len(high):
        at = len(stem)
        ceiling = _ABOVE_ALL if high is None else ord(high[at])
        floor = ord(low[at]) if at < len(low) else min(ord("0"), ceiling)
        free = [digit for digit in _DIGITS if floor < ord(digit) < ceiling]
        if free:
            return stem + free[len(free) // 2]
        stem += chr(floor)
        if floor < ceiling:
            high = None
    return None


def _name(replica: int) -> str:
    digits = []
    for _ in range(_NAME_LENGTH):
        replica, value = divmod(replica, len(_DIGITS))
        digits.append(_DIGITS[value])
    return "".join(reversed(digits))
