"""Verification: is what is stored still what was written, and does it still mean the same?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from crdtsync.document import LiveDocument, Schema
from crdtsync.errors import CorruptLogError
from crdtsync.log import Entry
from crdtsync.seal import binding, check_seal

if TYPE_CHECKING:
    from crdtsync.replica.ledger import Ledger

__all__ = ["Problem", "SealAudit", "verify_ledger", "verify_state"]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as it should be.

    Attributes:
        document: where; empty if it concerns the file as a whole.
        replica: in whose log; None if it concerns the document as a whole.
        seq: at which entry.
        message: what is wrong.
    """

    document: str
    replica: int | None
    seq: int | None
    message: str


def verify_ledger(ledger: Ledger, progress: Callable[[int], object]) -> list[Problem]:
    """Check the chain, the sequence, the causal past, the author and the seal of every entry.

    Args:
        ledger: the document's logs.
        progress: called with 1 for every entry checked.
    """
    problems = [
        Problem(ledger.name, replica, seq, f"{reason}; it was set aside and has not come back")
        for replica, seq, reason in ledger.missing_since_damaged()
    ]
    seals = SealAudit(ledger.keys_below)
    for found in ledger.audit():
        progress(1)
        if isinstance(found, CorruptLogError):
            problems.append(Problem(ledger.name, found.replica, found.seq, found.reason))
        elif not seals.holds(found):
            problems.append(Problem(ledger.name, found.replica, found.seq, "its seal is false"))
    return problems


class SealAudit:
    """Checks the seals of one document's logs, entry after entry.

    Where a log's first entry names no key, there are none.

    Args:
        keys: of logs whose first entries are not here.
    """

    def __init__(self, keys: Mapping[int, bytes] | None = None) -> None:
        self._keys = dict(keys or {})
        self._unsealed: dict[int, int] = {}

    def holds(self, entry: Entry) -> bool:
        """Tell whether an entry bears no false seal. Its log comes in order."""
        replica = entry.replica
        bound = binding(entry)
        if bound is not None:
            self._keys[replica] = bound.public
        key = self._keys.get(replica)
        if key is None:
            return entry.seal is None
        if entry.seal is None:
            self._unsealed.setdefault(replica, entry.seq)
            return True
        self._unsealed.pop(replica, None)
        return check_seal(key, entry.document, replica, entry, entry.seal)

    def unsealed(self) -> list[tuple[int, int]]:
        """Return, of each log that does not end in a seal, the first entry behind its last seal."""
        return sorted(self._unsealed.items())


def verify_state(ledger: Ledger, schema: Schema, live: LiveDocument | None) -> list[Problem]:
    """Check that a document, as opened from its snapshot, equals a replay of its whole log.

    Args:
        ledger: the document's logs, which are sound.
        schema: what the document is declared as.
        live: the document as it is open; None if it is not.
    """
    replayed = LiveDocument(schema, _WithoutSnapshot(ledger), 1)
    live = live or LiveDocument(schema, ledger, 1)
    problems = [
        Problem(ledger.name, replica, seq, f"its CRDT update stays without effect: {reason}")
        for (replica, seq), reason in replayed.without_effect.items()
    ]
    if live.crdt_clocks != replayed.crdt_clocks or live.plain() != replayed.plain():
        message = "the state opened from the snapshot differs from a replay of the log"
        problems.append(Problem(ledger.name, None, None, message))
    return problems


class _WithoutSnapshot:
    """A journal that hides its snapshot, so that the whole log is replayed."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    def snapshot(self) -> None:
        """Return nothing."""

    def save_snapshot(self, snapshot: object) -> None:
        """Keep nothing."""
