"""The hybrid logical clock: wall time where it can, a counter where it must.

A timestamp is one int: 48 bits of Unix milliseconds, 16 bits of counter. It is later than every
timestamp this replica has given or seen, so an action that has seen another is later than it,
whatever the wall clocks say. A peer whose clock is far in the future does not drag this one along;
and where our own was, it goes on from what a server has made of that, once it has been mended.

Source: Kulkarni, Demirbas, Madappa, Avva, Leone, "Logical Physical Clocks", OPODIS 2014.
"""

from __future__ import annotations

import datetime
import time as _time
from collections.abc import Callable

__all__ = ["AHEAD_MAX_MS", "HybridLogicalClock", "millis", "pack", "to_datetime"]

COUNTER_BITS = 16
AHEAD_MAX_MS = 60_000
"""How far ahead of our wall clock a peer's timestamp may be and still move our clock."""


def pack(ms: int, counter: int = 0) -> int:
    """Build a timestamp from Unix milliseconds and a counter below 65,536."""
    return (ms << COUNTER_BITS) | counter


def millis(time: int) -> int:
    """Return a timestamp's Unix milliseconds."""
    return time >> COUNTER_BITS


def to_datetime(time: int) -> datetime.datetime:
    """Return a timestamp's wall time, in UTC; the far ends of the calendar for absurd ones.

    >>> to_datetime(pack(1_700_000_000_000)).isoformat()
    '2023-11-14T22:13:20+00:00'
    """
    try:
        return datetime.datetime.fromtimestamp(millis(time) / 1000, datetime.UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.datetime.max.replace(tzinfo=datetime.UTC)


def _wall_ms() -> int:
    return _time.time_ns() // 1_000_000


class HybridLogicalClock:
    """A clock whose every tick is later than all it has given or seen.

    Args:
        wall_ms: returns Unix milliseconds; the system's clock by default.
        ahead_max_ms: how far ahead of `wall_ms` a seen timestamp may be and still be followed.
    """

    __slots__ = ("_ahead_max_ms", "_last", "_seen", "_wall_ms")

    def __init__(
        self, wall_ms: Callable[[], int] = _wall_ms, ahead_max_ms: int = AHEAD_MAX_MS
    ) -> None:
        self._wall_ms = wall_ms
        self._ahead_max_ms = ahead_max_ms
        self._last = 0
        self._seen = 0

    @property
    def last(self) -> int:
        """The latest timestamp given or followed."""
        return self._last

    def wall_ms(self) -> int:
        """Return the wall clock's Unix milliseconds."""
        return self._wall_ms()

    def tick(self) -> int:
        """Return the time of a new action."""
        now = self._wall_ms() << COUNTER_BITS
        last = self._last
        self._last = now if now > last else last + 1
        return self._last

    def see(self, time: int) -> bool:
        """Follow a peer's timestamp; False if it is too far ahead to be followed."""
        if time <= self._seen:
            return True
        if (time >> COUNTER_BITS) > self._wall_ms() + self._ahead_max_ms:
            return time <= self._last
        self._seen = time
        self._last = max(self._last, time)
        return True

    def resume(self, time: int) -> None:
        """Go on after our own last timestamp, read back from the log, however late it is."""
        self._last = max(self._last, time)

    def recede(self, time: int) -> None:
        """Go on after an earlier timestamp of ours: those we gave since count as no later.

        What was seen of peers stays the past.

        >>> ahead = HybridLogicalClock(lambda: 9_000_000)
        >>> wrong = ahead.tick()
        >>> mended = HybridLogicalClock(lambda: 1_000)
        >>> mended.resume(wrong)
        >>> millis(mended.tick())
        9000000
        >>> mended.recede(pack(990))
        >>> millis(mended.tick())
        1000
        """
        self._last = min(self._last, max(self._seen, time))
