"""Time travel: a document as it was, for looking only.

A moment is a point in time, an entry, or a state vector. All three come down to a state vector: the
entries up to it are materialized from the log, beginning at the latest state that is kept of them.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import NoReturn, TypeAlias

from crdtsync.clock import COUNTER_BITS, pack
from crdtsync.document.action import Action
from crdtsync.document.history import PastAction
from crdtsync.document.live import LiveDocument
from crdtsync.document.materialize import Material, materialize
from crdtsync.document.past import PastJournal
from crdtsync.log import Entry
from crdtsync.vector import covers, join

__all__ = ["Moment", "PastDocument", "past_document", "vector_at"]

Moment: TypeAlias = datetime.datetime | Mapping[int, int] | Entry | PastAction | tuple[int, int]
"""A point in time, a state vector, or an entry: itself, as an action, or as (replica, number)."""


class PastDocument(LiveDocument):
    """The machinery behind a document of the past: it can be read, and takes no actions."""

    journal: PastJournal

    def open_action(self, action: Action) -> NoReturn:
        """Refuse.

        Raises:
            ActionError: always.
        """
        raise self.journal.over()

    def take_snapshot(self) -> None:
        """Keep nothing: snapshots are of the present."""

    def _materialize(self) -> Material:
        return materialize(self.journal, self.journal.passing)


def past_document(live: LiveDocument, vector: Mapping[int, int]) -> PastDocument:
    """Return a document as it was at a state vector.

    Where its logs begin above a state, that is seen whole, whatever the vector says of it.

    Raises:
        LookupError: that moment is below where the logs begin here.
    """
    below = live.journal.below
    if covers(below, vector) and not covers(vector, below):
        raise _too_far(live)
    vector = join(vector, below)
    return PastDocument(live.schema, PastJournal(live.journal, vector), live.schema_version)


def vector_at(live: LiveDocument, moment: Moment) -> dict[int, int]:
    """Return the state vector of a moment.

    - Of a point in time: the entries up to it, by their authors' clocks.
    - Of an entry: what its author had seen, and the entry itself. It is the same on every replica.
    - Of a state vector: itself.

    Raises:
        LookupError: the log does not hold that.
        TypeError: this is no moment.
        ValueError: the point in time has no time zone.
    """
    match moment:
        case datetime.datetime():
            time = _time(moment)
            if time < live.journal.begun_at:
                raise _too_far(live)
            return join(live.causality.upto(time), live.journal.below)
        case PastAction():
            return live.causality.past(moment.entry.replica, moment.entry.seq)
        case Entry():
            return live.causality.past(moment.replica, moment.seq)
        case (int(replica), int(seq)):
            return live.causality.past(replica, seq)
        case Mapping():
            return _held(live, moment)
    raise TypeError(
        f"a moment is a datetime, a state vector or an entry, not a {type(moment).__name__}"
    )


def _too_far(live: LiveDocument) -> LookupError:
    return LookupError(
        f"the log of document {live.journal.name!r} does not reach back to that moment here: the "
        "document was begun from its state"
    )


def _held(live: LiveDocument, vector: Mapping[int, int]) -> dict[int, int]:
    held = live.journal.vector
    for replica, seq in vector.items():
        if seq > held.get(replica, 0):
            raise LookupError(
                f"entry {seq} of replica {replica:x} is not in the log of document "
                f"{live.journal.name!r}"
            )
    return dict(vector)


def _time(moment: datetime.datetime) -> int:
    """Return the last timestamp of a millisecond."""
    if moment.tzinfo is None:
        raise ValueError(
            "a datetime without a time zone is no point in time: give it one, such as "
            "moment.astimezone()"
        )
    since = moment - datetime.datetime.fromtimestamp(0, datetime.UTC)
    return pack(max(0, since // datetime.timedelta(milliseconds=1)), (1 << COUNTER_BITS) - 1)
