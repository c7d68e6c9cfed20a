"""Which connections are downgraded, where there are too many or one costs too much.

A connection that is active costs the log that is kept for it. Whoever is downgraded loses nothing:
it is given a clone when it comes again. So the question is only whom that troubles least.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from crdtsync.server.limits import ConnectionLimits
from crdtsync.server.records import ConnectionRecord

__all__ = ["Candidate", "ConnectionPolicy", "LeastValuable", "overdue"]


class Candidate(NamedTuple):
    """An active connection that could be downgraded.

    Attributes:
        record: what the server knows of it.
        online: it is connected now.
        entries: about how many entries it lags behind, over all documents.
        size: how many bytes these are.
        idle_s: for how long it has not been on line.
    """

    record: ConnectionRecord
    online: bool
    entries: int = 0
    size: int = 0
    idle_s: float = 0

    @property
    def keeps_up(self) -> bool:
        """Whether it is on line and lacks nothing."""
        return self.online and self.entries == 0


class ConnectionPolicy(Protocol):
    """Chooses whom to downgrade. Write one of your own to value connections otherwise."""

    def choose(self, candidates: Sequence[Candidate], need: int) -> Sequence[Candidate]:
        """Return which of the candidates are downgraded.

        Args:
            candidates: all that could be, each once.
            need: how many too many there are. Fewer may be returned: then who comes next stays
                inactive; what the policy names beyond the candidates is not heeded.
        """


class LeastValuable:
    """Downgrades those that it troubles least, and none that keeps up while another would do.

    Off line before on line; then whoever was away for longest; then whoever lags furthest behind.
    """

    def choose(self, candidates: Sequence[Candidate], need: int) -> Sequence[Candidate]:
        return sorted(candidates, key=_worth)[: max(0, need)]


def _worth(one: Candidate) -> tuple[bool, bool, float, int, int, bytes]:
    return (
        one.keeps_up,
        one.online,
        -one.idle_s,
        -one.size,
        -one.entries,
        one.record.client,
    )


def overdue(one: Candidate, limits: ConnectionLimits) -> str | None:
    """Say which limit on lagging behind a connection has gone beyond; None if it has not."""
    if one.keeps_up:
        return None
    if one.entries > limits.lag_entries_max:
        return f"{one.entries:,} entries behind, more than lag_entries_max"
    if one.size > limits.lag_bytes_max:
        return f"{one.size:,} bytes behind, more than lag_bytes_max"
    if one.entries and not one.online and one.idle_s > limits.lag_age_max_s:
        return f"behind, and away for {one.idle_s / 86400:.3g} days, more than lag_age_max_s"
    return None
