"""What waits to be sent, over all connections of a server."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Memory"]


@dataclass(slots=True)
class Memory:
    """Counts bytes. A frame that goes to many is counted for each of them.

    Attributes:
        most: how many may wait.
        used: how many do.
    """

    most: int
    used: int = 0

    @property
    def full(self) -> bool:
        """Whether nothing more should be made ready."""
        return self.used >= self.most
