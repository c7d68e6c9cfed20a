"""How long to wait before trying again: exponential, with full jitter.

Clients that lose one server at one moment must not come back at one moment. Full jitter spreads
them best: M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.
"""

from __future__ import annotations

import random as _random
from collections.abc import Callable

__all__ = ["Backoff"]


class Backoff:
    """Gives the waits, one after the other.

    Args:
        first_s: the most that the first wait can be.
        most_s: the most that any wait can be.
        random: draws from 0 to 1.
    """

    def __init__(
        self,
        first_s: float = 0.5,
        most_s: float = 30,
        random: Callable[[], float] = _random.random,
    ) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._random = random
        self._bound_s = first_s

    def delay_s(self) -> float:
        """Return the next wait in seconds.

        >>> backoff = Backoff(1, 5, random=lambda: 0.5)
        >>> [backoff.delay_s() for _ in range(4)]
        [0.5, 1.0, 2.0, 2.5]
        """
        bound_s = self._bound_s
        self._bound_s = min(self._most_s, bound_s * 2)
        return self._random() * bound_s

    def reset(self) -> None:
        """Begin again with short waits: the server let us in."""
        self._bound_s = self._first_s
