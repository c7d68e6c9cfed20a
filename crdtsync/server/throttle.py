"""How fast a client may push: a token bucket that withholds credit, so that nobody is cut off.

Source: Turner, "New Directions in Communications (or Which Way to the Information Age?)", 1986
(the leaky bucket as a meter).
"""

from __future__ import annotations

__all__ = ["Throttle"]


class Throttle:
    """Meters bytes and entries of one connection.

    Args:
        bytes_per_s: how many bytes it may push, on average.
        entries_per_s: how many entries.
        burst_s: how much of that it may push at once.

    >>> throttle = Throttle(100, 10, burst_s=1)
    >>> throttle.spend(100, 1, now=0)
    >>> throttle.waits(now=0)
    False
    >>> throttle.spend(1, 1, now=0)
    >>> throttle.waits(now=0), throttle.waits(now=0.2)
    (True, False)
    """

    def __init__(self, bytes_per_s: float, entries_per_s: float, burst_s: float = 1) -> None:
        self._rates = bytes_per_s, entries_per_s
        self._burst_s = burst_s
        self._paid_until = float("-inf")  # all that was spent is paid for by then

    def spend(self, size: int, entries: int, now: float) -> None:
        """Note what was pushed."""
        cost_s = max(size / self._rates[0], entries / self._rates[1])
        self._paid_until = max(self._paid_until, now - self._burst_s) + cost_s

    def waits(self, now: float) -> bool:
        """Tell whether nothing more should come now."""
        return self._paid_until > now
