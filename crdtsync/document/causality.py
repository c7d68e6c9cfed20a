"""Causality: what the author of an entry had seen.

Every entry names the heads of other logs that became known since its author's entry before. Added
up along the logs, that is the exact causal past of each entry.

Source: Fidge, "Timestamps in Message-Passing Systems That Preserve the Partial Ordering", 1988.
"""

from __future__ import annotations

from collections.abc import Iterable

from crdtsync.log import Entry
from crdtsync.vector import join

__all__ = ["causal_past"]


def causal_past(entries: Iterable[Entry], replica: int, seq: int) -> dict[int, int]:
    """Return the state vector that an entry's author had when making it.

    Args:
        entries: the document's log in causal order.
        replica: whose entry.
        seq: its number.

    Raises:
        LookupError: the entry is not in the log.
    """
    # Of each replica, the vectors that its log had at the entries that named others' heads.
    pasts: dict[int, list[tuple[int, dict[int, int]]]] = {}

    def past_at(author: int, number: int) -> dict[int, int]:
        known = next((past for at, past in reversed(pasts.get(author, ())) if at <= number), {})
        return known | {author: number}

    for entry in entries:
        if entry.dependencies:
            past = past_at(entry.replica, entry.seq - 1)
            for head in entry.dependencies:
                past = join(past, past_at(head.replica, head.seq))
            pasts.setdefault(entry.replica, []).append((entry.seq, past))
        if (entry.replica, entry.seq) == (replica, seq):
            past = past_at(replica, seq) | {replica: seq - 1}
            return {author: number for author, number in past.items() if number}
    raise LookupError(f"entry {seq} of replica {replica:x} is not in the log")
