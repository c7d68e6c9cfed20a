"""The public door to the bundled strategies: `from crdtsync.strategies import LastWriterWins`."""

from crdtsync.strategy import Candidate, Presence, Removal, Strategy
from crdtsync_strategies import AddWins, CustomStrategy, KeepAll, LastWriterWins, resolver

__all__ = [
    "AddWins",
    "Candidate",
    "CustomStrategy",
    "KeepAll",
    "LastWriterWins",
    "Presence",
    "Removal",
    "Strategy",
    "resolver",
]
