"""The public door to the bundled strategies: `from crdtsync.strategies import LastWriterWins`."""

from crdtsync.strategy import Candidate, Presence, Removal, Strategy
from crdtsync_strategies import (
    AddWins,
    CustomStrategy,
    FirstWriterWins,
    KeepAll,
    LastWriterWins,
    Maximum,
    Merge,
    Minimum,
    Order,
    Ranked,
    RemoveWins,
    Tree,
    Unique,
    resolver,
)

__all__ = [
    "AddWins",
    "Candidate",
    "CustomStrategy",
    "FirstWriterWins",
    "KeepAll",
    "LastWriterWins",
    "Maximum",
    "Merge",
    "Minimum",
    "Order",
    "Presence",
    "Ranked",
    "Removal",
    "RemoveWins",
    "Strategy",
    "Tree",
    "Unique",
    "resolver",
]
