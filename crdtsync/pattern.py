"""Patterns of document names.

A name is read as segments, joined by ``/``, and a pattern as well. In a pattern

- ``*`` stands for any run of characters within a segment, none included; ``?`` for any one of them;
- ``**``, as a whole segment, stands for any run of one or more segments;
- ``{user}``, as a whole segment, stands for the name of the user who asks;
- everything else stands for itself, in upper and lower case.

A pattern is of the whole name. The name of a user who asks is taken as it is: a ``*`` in it is no
wildcard. A user whose name holds a ``/`` is met by no ``{user}``, as is one without a name: else
the user ``ann/notes`` would get what is ann's. For the same reason ``{user}`` never shares a
segment with anything else: after ``{user}-*`` the user ``ann`` would get what is ``ann-lee``'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from crdtsync.errors import ConfigurationError

__all__ = ["check_pattern", "matches"]

Wanted = TypeVar("Wanted")
Item = TypeVar("Item")

_USER = "{user}"


def check_pattern(pattern: str) -> None:
    """Check that a text is a pattern.

    Raises:
        ConfigurationError: it is not.
    """
    for segment in pattern.split("/"):
        if "**" in segment and segment != "**":
            raise ConfigurationError(f"{pattern!r}: ** stands for whole segments: a/**/b")
        if ("{" in segment or "}" in segment) and segment != _USER:
            raise ConfigurationError(f"{pattern!r}: braces are for a whole segment {_USER}")
    if not pattern:
        raise ConfigurationError("an empty pattern is met by no document")


def matches(pattern: str, document: str, user: str | None = None) -> bool:
    """Tell whether a document's name is of a pattern.

    >>> matches("team/*/notes", "team/blue/notes"), matches("team/*", "team/blue/notes")
    (True, False)
    >>> matches("team/**", "team/blue/notes"), matches("team/**", "team")
    (True, False)
    >>> matches("{user}/**", "ann/diary", "ann"), matches("{user}/**", "ann/diary", "bob")
    (True, False)
    """

    def one(wanted: str, segment: str) -> bool:
        if wanted == _USER:
            return segment == user
        if wanted == "*":
            return True  # as below, and at once
        return _glob(wanted, segment, "*", lambda sign, char: sign in ("?", char))

    wanted: list[str] = []
    for segment in pattern.split("/"):
        # One or more of anything: one of anything, and any number more.
        wanted += ["*", "**"] if segment == "**" else [segment]
    return _glob(wanted, document.split("/"), "**", one)


def _glob(
    pattern: Sequence[Wanted],
    items: Sequence[Item],
    any_: Wanted,
    one: Callable[[Wanted, Item], bool],
) -> bool:
    """Match items one by one; `any_` stands for any number of them.

    Only the last `any_` met is ever tried with another length: what matched before it is as good
    as anything further on would be. So the time is the product of the lengths at the most.
    """
    at = item = 0
    retry_at, retry_item = -1, 0
    while item < len(items):
        if at < len(pattern) and pattern[at] == any_:
            retry_at, retry_item = at + 1, item
            at += 1
        elif at < len(pattern) and one(pattern[at], items[item]):
            at += 1
            item += 1
        elif retry_at >= 0:
            retry_item += 1
            at, item = retry_at, retry_item
        else:
            return False
    return all(rest == any_ for rest in pattern[at:])
