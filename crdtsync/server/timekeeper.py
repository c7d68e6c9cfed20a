"""The timekeeper: as of when entries count whose authors' clocks were far ahead.

Between concurrent writes the later one mostly wins, so a device whose clock is years ahead would
win for years. Its work is taken as it is, but its entries are *clamped*: they count as of the time
at which they came. Whatever is written afterwards by a sound clock is later.

An entry may come clamped, from a replica that has it from a server that lost it. Then it keeps its
place in the order. So whoever hands on what a server does not have yet could have it count as
earlier than it was made, but never as later.

A clock that is behind is not corrected: there is no telling it from a device that was off line.

Read next: `crdtsync.marks`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from crdtsync.clock import HybridLogicalClock, millis
from crdtsync.log import Entry, with_clamp

__all__ = ["Timekeeper"]


class Timekeeper:
    """Clamps entries on their way in.

    Args:
        ahead_max_s: how far ahead of the server's clock an entry may be.
        wall_ms: returns Unix milliseconds; the system's clock by default.
    """

    def __init__(self, ahead_max_s: float, wall_ms: Callable[[], int] | None = None) -> None:
        # It follows nobody, so what it gives is hardly ever later than the wall clock.
        self._clock = HybridLogicalClock() if wall_ms is None else HybridLogicalClock(wall_ms)
        self._ahead_max_ms = int(ahead_max_s * 1000)

    def clamped(self, entries: Sequence[Entry]) -> list[Entry]:
        """Return entries as they are to be stored."""
        if not entries:
            return []
        latest = self._clock.wall_ms() + self._ahead_max_ms
        return [
            entry if millis(entry.when) <= latest else with_clamp(entry, self._clock.tick())
            for entry in entries
        ]
