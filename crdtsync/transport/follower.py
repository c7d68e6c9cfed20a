"""One document in one session: what the server is known to hold, and what is proved.

Knowledge, per log of the document:

- `theirs`: what is durable at the server: its heads, its receipts, the entries it sent;
- `sent`: the same and what is on its way there. What lies beyond it is still to be pushed.

Proof of convergence: a Check is sent, the server answers with its heads, and once the ledger
covers them, all that the server held when the question came is here. One check is under way at a
time; who needs a proof that begins *now* asks for the next one.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping

from crdtsync.log import Cursor, Head
from crdtsync.selection import PRIORITY
from crdtsync.transport.ports import LedgerPort, MissingPort
from crdtsync.vector import covers, join

__all__ = ["Follower", "now", "numbers"]

MISFITS_MAX = 3
"""So often the server may answer that entries do not fit on the same heads, before we wait."""


def now() -> datetime.datetime:
    """Return the time, as proofs are dated."""
    return datetime.datetime.now(datetime.UTC)


def numbers(heads: Mapping[int, Head]) -> dict[int, int]:
    """Return the state vector of heads."""
    return {replica: head.seq for replica, head in heads.items()}


class Follower:
    """Keeps account of one document.

    Attributes:
        ledger: its logs here.
        live: the server has answered our subscription.
        complete: all that the server held has come in this session.
        priority: with which it was subscribed.
        theirs: what the server holds.
        sent: what it holds or is being sent.
        barrier: number of the Check whose answer ends a misfit; pushing waits for it.
        stuck: the server lacks what our entries build on, and so do we: pushing waits for others.
        check_due: a Check is to be sent.
        advance: a cursor that is not stored yet, because nothing came with it.
        doubt: code and reason, while it is being found out whether a log of ours forks.
        refetched: the document was asked for again in this session, because of a gap.
        failure: code and reason, once the document does not go on.
        proved_at: when both sides were last known to hold the same.
        reached: how far in the server's sequence this session has brought us.
        reported: the offset that the server was last told we hold.
    """

    __slots__ = (
        "_ahead",
        "_asked",
        "_goal",
        "_goal_offset",
        "_misfit_on",
        "_misfits",
        "_proof",
        "_waiting",
        "advance",
        "barrier",
        "check_due",
        "complete",
        "doubt",
        "failure",
        "ledger",
        "live",
        "priority",
        "proved_at",
        "reached",
        "refetched",
        "reported",
        "sent",
        "stuck",
        "theirs",
    )

    def __init__(self, ledger: LedgerPort) -> None:
        self.ledger = ledger
        self.live = False
        self.complete = False
        self.priority = PRIORITY
        self.theirs: dict[int, int] = {}
        self.sent: dict[int, int] = {}
        self.barrier: int | None = None
        self.stuck = False
        self.check_due = False
        self.advance: Cursor | None = None
        self.doubt: tuple[str, str] | None = None
        self.refetched = False
        self.failure: tuple[str, str] | None = None
        self.proved_at: datetime.datetime | None = None
        self.reported = 0
        self.reached = 0
        self._asked = 0  # checks that were sent
        self._waiting = False  # the last of them has proved nothing yet
        self._ahead = False  # it proved theirs here, while some of ours were on their way
        self._goal: dict[int, int] | None = None  # its answer, until the ledger covers it
        self._goal_offset = 0
        self._proof = 0  # the last check whose answer the ledger covered
        self._misfits = 0
        self._misfit_on: dict[int, int] | None = None

    # What the server holds.

    def begin(self, heads: Mapping[int, Head], reached: int = 0) -> None:
        """Take the server's heads at the beginning, and how far in its sequence we are."""
        self.reached = reached
        self.theirs = numbers(heads)
        self.sent = dict(self.theirs)
        self.live = True
        self.barrier = None
        self.stuck = False
        self._goal = None
        if self._waiting:  # a check that was under way is not answered any more
            self._waiting = False
            self.check_due = True

    def learn(self, theirs: Mapping[int, int]) -> None:
        """Note what the server holds."""
        self.theirs = join(self.theirs, theirs)
        self.sent = join(self.sent, theirs)

    def receipt(self, replica: int, seq: int) -> None:
        """Note that a log is durable at the server up to a number."""
        for known in (self.theirs, self.sent):
            if seq > known.get(replica, 0):
                known[replica] = seq
        if self._ahead and covers(self.theirs, self.ledger.vector):
            self._ahead = False
            self.check_due = True

    def pushed(self, entries: Iterable[MissingPort]) -> None:
        """Note that entries are on their way. They come in the order of their numbers."""
        self.sent.update([(entry.replica, entry.seq) for entry in entries])

    # Pushes that did not fit.

    def misfit(self, nonce: int) -> None:
        """A push did not fit: send no more until the answer to this Check.

        What was pushed before the Check is dealt with by then, so that nothing is sent twice.
        """
        self.barrier = nonce

    def barrier_passed(self, heads: Mapping[int, Head]) -> bool:
        """Go on from the server's heads; False if that was tried too often without progress.

        Then it is `stuck` until `moved`. A clone holds the effects of what it builds on, and not
        the entries: if the server has lost them, it is for others to bring them back.
        """
        self.barrier = None
        self.theirs = numbers(heads)
        self.sent = dict(self.theirs)
        self._misfits = self._misfits + 1 if self._misfit_on == self.theirs else 1
        self._misfit_on = dict(self.theirs)
        self.stuck = self._misfits >= MISFITS_MAX
        return not self.stuck

    def moved(self) -> bool:
        """Note that the server has got further; tell whether pushing has waited for that."""
        waited, self.stuck = self.stuck, False
        if waited:
            self._misfits = 0
        return waited

    # Proof.

    def ask(self) -> int:
        """Ask for a Check that begins after now; return its number, to compare with proofs."""
        self.check_due = True
        return self._asked + 1

    @property
    def may_check(self) -> bool:
        """Whether a Check is wanted, and none is under way."""
        return self.check_due and self.live and not self._waiting and self.doubt is None

    def asked(self) -> None:
        """Note that a Check was sent."""
        self.check_due = False
        self._waiting = True
        self._asked += 1

    def answered(self, heads: Mapping[int, Head], now: datetime.datetime, offset: int = 0) -> None:
        """Take the answer to the Check that was sent: its heads, and where its sequence ends."""
        self._goal = numbers(heads)
        self._goal_offset = offset
        self.learn(self._goal)
        self.progressed(now)

    def completed(self, heads: Mapping[int, Head], now: datetime.datetime) -> bool:
        """Take the heads up to which all was sent; False if there is a hole in what came."""
        theirs = numbers(heads)
        self.learn(theirs)
        held = self.ledger.vector
        if not covers(held, theirs):
            return False
        if covers(theirs, held):
            self._prove(now)
        return True

    def reach(self, offset: int, now: datetime.datetime) -> None:
        """Note how far in the server's sequence we are now."""
        self.reached = max(self.reached, offset)
        self.progressed(now)

    def progressed(self, now: datetime.datetime) -> None:
        """See whether the ledger has come to cover the last answer."""
        if self._goal is None or self.reached < self._goal_offset:
            return  # a mark may be on its way, on an entry that is here
        held = self.ledger.vector
        if covers(held, self._goal):
            if covers(self.theirs, held):
                self._prove(now)
            else:
                self._ahead = True
            self._goal = None
            self._waiting = False
            self._proof = self._asked

    def _prove(self, now: datetime.datetime) -> None:
        self.proved_at = now
        self.ledger.proved()

    def is_proved(self, check: int, ours: Mapping[int, int]) -> bool:
        """Tell whether a check has proved all theirs here, and our entries are durable there."""
        return self._proof >= check and covers(self.theirs, ours)

    # Counts.

    @property
    def unsent(self) -> int:
        """Entries of ours that were not pushed yet."""
        ours = self.ledger.ours
        return sum(max(0, seq - self.sent.get(replica, 0)) for replica, seq in ours.items())

    @property
    def behind(self) -> int:
        """Entries that the server is known to hold and the ledger does not."""
        held = self.ledger.vector
        return sum(max(0, seq - held.get(replica, 0)) for replica, seq in self.theirs.items())
