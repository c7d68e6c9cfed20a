"""Proof of convergence: which documents are to be checked, and whether they are proved.

What a Check is and what proves a document, `crdtsync.transport.follower` says; here they wait for
their turn, each once.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from crdtsync.errors import RefusedError
from crdtsync.sync import ClientProtocol
from crdtsync.transport.follower import Follower, now
from crdtsync.transport.ports import ReplicaPort
from crdtsync.transport.queries import Queries

__all__ = ["Proofs"]


class Proofs:
    """Has the documents of a session checked.

    Args:
        replica: whose documents.
        protocol: of the session.
        followers: what is known of each document.
        queries: answer for what they alone have asked for.
    """

    def __init__(
        self,
        replica: ReplicaPort,
        protocol: ClientProtocol,
        followers: Mapping[str, Follower],
        queries: Queries,
    ) -> None:
        self._replica = replica
        self._protocol = protocol
        self._followers = followers
        self._queries = queries
        self._due: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._due)

    def add(self, name: str) -> None:
        """Let a document wait for its Check, if one is wanted and none is under way."""
        follower = self._followers.get(name)
        if follower is not None and follower.may_check:
            self._due.setdefault(name)

    def ask(self, name: str) -> int:
        """Ask for a Check of a document that begins after now; return its number."""
        number = self._followers[name].ask()
        self.add(name)
        return number

    def send(self, most: int) -> None:
        """Send so many of the Checks that wait."""
        for name in list(islice(self._due, most)):
            del self._due[name]
            follower = self._followers[name]
            if follower.may_check:
                self._protocol.check(name)
                follower.asked()

    def is_proved(self, name: str, check: int, ours: Mapping[int, int]) -> bool:
        """Tell whether a document is proved by a check, and our entries are durable.

        Raises:
            RefusedError: the document does not go on.
        """
        follower = self._followers[name]
        if follower.failure is not None:
            missed = self._queries.has_answered(name) or not self._replica.is_open(name)
            if missed and not follower.ledger.vector:
                return True  # there is nothing of it here, and nobody who would miss it
            code, reason = follower.failure
            raise RefusedError(code, f"document {name!r}: {reason}")
        proved = follower.is_proved(check, ours)
        if proved and follower.proved_at is None:
            follower.proved_at = now()  # else only a moment without any work would prove it
        return proved
