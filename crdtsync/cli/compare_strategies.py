"""The strategies that `crdtsync compare` asks: all that are installed, and one such as apps write.

A strategy that decides values is registered like any other; it is told from those for presence,
for whole columns and for places by what it can do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import metadata
from typing import Any

from crdtsync.strategies import resolver
from crdtsync.strategy import (
    GROUP,
    Candidate,
    ColumnStrategy,
    Positional,
    Strategy,
    load_strategy,
)

__all__ = ["highest_version", "value_strategies"]

_VERSION = re.compile(
    r"[~^<>=v\s]* (\d{1,9}(?:\.\d{1,9})*) (?:\.[x*])? (-[a-z]+[.\d]*)?", re.VERBOSE | re.IGNORECASE
)
_SEPARATOR = re.compile(r"\|\|?|,")


@resolver(version=1, name="highest-version")
def highest_version(candidates: Sequence[Candidate[Any]]) -> Any:
    """Return the highest version where all values are version constraints, else the last write.

    Of equally high ones the last write holds.

    >>> def among(*values: object) -> Any:
    ...     return highest_version.resolve([Candidate(v, 1, None, 1, 1) for v in values])
    >>> among("~2.10", "2.9.*"), among("^3.4|^4.0", "^3.3|^5.0"), among("2.1.0", "2.1.0-dev")
    ('~2.10', '^3.4|^4.0', '2.1.0')
    >>> among("2.0", None) is None
    True
    """
    ranks = [(rank, n) for n, c in enumerate(candidates) if (rank := _rank(c.value)) is not None]
    highest = max(ranks)[1] if len(ranks) == len(candidates) else -1
    return candidates[highest].value


def _rank(value: object) -> list[tuple[list[int], bool]] | None:
    """Return the versions that a constraint names, each with whether it is a release.

    They stand as they are named, the lowest that will do first. None if it is no constraint.
    """
    if not isinstance(value, str):
        return None
    found = [_VERSION.fullmatch(part.strip()) for part in _SEPARATOR.split(value)]
    return [_parsed(match) for match in found if match is not None] if all(found) else None


def _parsed(match: re.Match[str]) -> tuple[list[int], bool]:
    numbers, unfinished = match.groups()
    return [int(number) for number in numbers.split(".")], unfinished is None


def value_strategies() -> dict[str, Strategy]:
    """Return the installed strategies that decide single values, and `highest_version`, by name.

    Raises:
        SchemaError: one that is installed cannot be made without arguments.
    """
    found: dict[str, Strategy] = {}
    for name in sorted({point.name for point in metadata.entry_points(group=GROUP)}):
        strategy = load_strategy(name)
        if isinstance(strategy, Strategy) and not isinstance(strategy, ColumnStrategy | Positional):
            found[name] = strategy
    return {**found, highest_version.name: highest_version}
