"""Question: what if only the app knows which of two values should hold?

Answer: the app says so, in a function of the candidates.

Law: the function is total, deterministic and pure: it gives a value for any candidates, always the
same one, and looks at nothing else. Then every replica decides alike. A function that raises does
not break the app: the field falls back to the last writer, and the conflict says why.

Source: Terry et al., "Managing Update Conflicts in Bayou", SOSP 1995 (merge procedures).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from crdtsync.strategy import Candidate

__all__ = ["CustomStrategy", "resolver"]

T = TypeVar("T")


class CustomStrategy(Generic[T]):
    """A strategy made of an app's own function. Made by `resolver`."""

    def __init__(
        self, function: Callable[[Sequence[Candidate[T]]], T], name: str, version: int
    ) -> None:
        self.name = name
        self.version = version
        self._function = function

    def __repr__(self) -> str:
        return f"<resolver {self.name} version {self.version}>"

    def resolve(self, candidates: Sequence[Candidate[Any]], /) -> Any:
        """Return what the function says."""
        return self._function(candidates)


def resolver(
    *, version: int, name: str | None = None
) -> Callable[[Callable[[Sequence[Candidate[T]]], T]], CustomStrategy[T]]:
    """Make a strategy of a function of the candidates.

    Args:
        version: raise it whenever the same candidates would give another value.
        name: how documents name it; the function's name by default.

    >>> @resolver(version=1)
    ... def longest(candidates: Sequence[Candidate[str]]) -> str:
    ...     return max((c.value for c in candidates), key=len)
    >>> longest.name
    'longest'
    """

    def make(function: Callable[[Sequence[Candidate[T]]], T]) -> CustomStrategy[T]:
        return CustomStrategy(function, name or function.__name__, version)

    return make
