"""Documents that do not keep what they promise. Scripts that reproduce it import them from here."""

from __future__ import annotations

from typing import Any

from crdtsync import Counter, Document, action

__all__ = ["Arrivals", "Hall", "Typist", "two_seats_at_the_most"]


class Arrivals(Document):
    """Shows entries in the order in which they came, which differs from replica to replica."""

    name: str = ""

    def to_dict(self) -> dict[str, Any]:
        return super().to_dict() | {"writers": [entry.replica for entry in self.log]}


class Hall(Document):
    """Each replica sells as many seats as there are."""

    sold: Counter

    @action
    def sell(self) -> None:
        if int(self.sold) >= 2:
            raise ValueError("sold out")
        self.sold.increment()


def two_seats_at_the_most(hall: Hall) -> None:
    """Holds on a replica alone, and not when replicas have met."""
    assert int(hall.sold) <= 2, f"{int(hall.sold)} of 2 seats were sold"


class Typist(Document):
    """Has an action with a mistake."""

    name: str = ""

    @action
    def shorten(self, by: int) -> None:
        self.name = self.name[: by / 2]  # type: ignore[index]
