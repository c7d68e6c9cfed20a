"""Verification: is what is stored still what was written, and does it still mean the same?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crdtsync.errors import CorruptLogError
from crdtsync.log import Entry

if TYPE_CHECKING:
    from crdtsync.document import LiveDocument
    from crdtsync.replica.ledger import Ledger

__all__ = ["Problem", "verify_ledger", "verify_state"]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as it should be.

    Attributes:
        document: where.
        replica: in whose log; None if it concerns the document as a whole.
        seq: at which entry.
        message: what is wrong.
    """

    document: str
    replica: int | None
    seq: int | None
    message: str


def verify_ledger(ledger: Ledger, progress: Callable[[int], object]) -> list[Problem]:
    """Check the chain, the sequence, the causal past and the author of every stored entry.

    Args:
        ledger: the document's logs.
        progress: called with 1 for every entry checked.
    """
    problems = [
        Problem(ledger.name, replica, seq, f"{reason}; it was set aside and has not come back")
        for replica, seq, reason in ledger.missing_since_damaged()
    ]
    for found in ledger.audit():
        progress(1)
        if isinstance(found, Entry):
            continue
        assert isinstance(found, CorruptLogError)
        problems.append(Problem(ledger.name, found.replica, found.seq, found.reason))
    return problems


def verify_state(live: LiveDocument, replayed: LiveDocument) -> list[Problem]:
    """Check that a document, as opened from its snapshot, equals a replay of its whole log."""
    name = live.journal.name
    problems = [
        Problem(name, replica, seq, f"its CRDT update stays without effect: {reason}")
        for (replica, seq), reason in replayed.without_effect.items()
    ]
    if live.crdt_clocks != replayed.crdt_clocks or live.plain() != replayed.plain():
        message = "the state opened from the snapshot differs from a replay of the log"
        problems.append(Problem(name, None, None, message))
    return problems
