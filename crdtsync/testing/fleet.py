"""A fleet: several replicas of one document, on real files, under the tests' hand.

Nothing in it is left to chance. The replicas have fixed ids and clocks that stand still until they
are set, so the same calls give the same history every time.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar
from unittest import mock

from crdtsync.clock import HybridLogicalClock
from crdtsync.codec import encode
from crdtsync.document import Document
from crdtsync.errors import CrdtSyncError
from crdtsync.keys import DeviceKey
from crdtsync.replica import Ledger, Replica

__all__ = ["DivergenceError", "Fleet"]

D = TypeVar("D", bound=Document)

_NAME = "document"
_FIRST_ID = 2**52 + 1
_START_MS = 10**12
_ALL_BYTES = 2**40
_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - files in memory


class DivergenceError(AssertionError):
    """Raised when replicas that hold the same entries differ."""


class Fleet(Generic[D]):
    """Replicas of one document. `fleet[0]` is the document of the first. A context manager.

    Args:
        cls: the document's class.
        replicas: how many.

    Attributes:
        replicas: the replicas.

    >>> from crdtsync import Document
    >>> class Light(Document):
    ...     on: bool = False
    >>> with Fleet(Light, replicas=2) as fleet:
    ...     fleet[0].on = True
    ...     fleet.deliver(0, 1)
    ...     fleet[1].on
    True
    """

    def __init__(self, cls: type[D], replicas: int = 3) -> None:
        self._cls = cls
        self._folder = Path(tempfile.mkdtemp(prefix="crdtsync-", dir=_MEMORY))
        self._wall_ms = [_START_MS] * replicas
        self.replicas = [self._open(who) for who in range(replicas)]
        self._documents = [self._document(who) for who in range(replicas)]

    def _open(self, who: int) -> Replica:
        clock = HybridLogicalClock(lambda: self._wall_ms[who])
        key = DeviceKey.from_bytes(bytes([who + 1]) * 32)
        with (
            mock.patch("crdtsync.replica.store.new_replica_id", lambda: _FIRST_ID + who),  # noqa: PT008
            mock.patch("crdtsync.replica.store.new_device_key", lambda: key),  # noqa: PT008
        ):
            return Replica(self._folder / f"{who}.db", user=f"user{who}", clock=clock)

    def _document(self, who: int) -> D:
        document = self.replicas[who].document(self._cls, _NAME)
        if who == len(self.replicas) - 1:
            document.observe(bool)  # views that are observed are kept in another way
        return document

    def _ledger(self, who: int) -> Ledger:
        return self.replicas[who].ledger(_NAME)

    def __getitem__(self, who: int) -> D:
        return self._documents[who]

    def __iter__(self) -> Iterator[D]:
        return iter(self._documents)

    def __len__(self) -> int:
        return len(self._documents)

    # --- what may happen -----------------------------------------------------------------------

    @contextlib.contextmanager
    def attempt(self, who: int) -> Iterator[None]:
        """Let a document's own action refuse: it may raise, and must leave all as it was.

        It may raise LookupError, ValueError, or an error of crdtsync's.
        """
        before = encode(self[who].to_dict())
        try:
            yield
        except (LookupError, ValueError, CrdtSyncError) as error:
            if encode(self[who].to_dict()) != before:
                told = f"an action of replica {who} raised {error!r}, but changed the document"
                raise DivergenceError(told) from error

    def held(self, who: int) -> list[tuple[int, int]]:
        """Return the entries that a replica holds, as (author, number), in causal order."""
        return [self._label(entry.replica, entry.seq) for entry in self._all(who)]

    def lacking(self, who: int, source: int) -> list[tuple[int, int]]:
        """Return the entries that a replica lacks and `source` holds, in causal order."""
        vector = self[who].state_vector
        return [
            self._label(entry.replica, entry.seq)
            for entry in self._all(source)
            if entry.seq > vector.get(entry.replica, 0)
        ]

    def _label(self, replica: int, seq: int) -> tuple[int, int]:
        return replica - _FIRST_ID, seq

    def _all(self, who: int) -> Sequence[Any]:
        return self._ledger(who).missing({}, _ALL_BYTES)

    def deliver(
        self, source: int, target: int, entries: Sequence[tuple[int, int]] | None = None
    ) -> None:
        """Bring entries from one replica to another.

        Args:
            source: from which.
            target: to which.
            entries: which, as (author, number), in this order, which need be neither complete nor
                causal nor without repeats; by default all that it lacks.
        """
        ledger = self._ledger(source)
        ledger.flush()
        datas = {self._label(entry.replica, entry.seq): entry.data for entry in self._all(source)}
        if entries is None:
            entries = self.lacking(target, source)
        self._ledger(target).receive([datas[label] for label in entries])

    def merge(self, one: int, other: int) -> None:
        """Exchange everything between two replicas."""
        self.replicas[one].merge(self.replicas[other])

    def restart(self, who: int, *, snapshot: bool = False) -> None:
        """Close a replica and open it again from its file.

        Args:
            who: which.
            snapshot: keep the state before, so that only what came later is replayed.
        """
        before = self[who].to_dict()
        if snapshot:
            self[who]._live.take_snapshot()
        self.replicas[who].close()
        self.replicas[who] = self._open(who)
        self._documents[who] = self._document(who)
        _compare(f"replica {who} before and after a restart", before, self[who].to_dict())

    def set_clock(self, who: int, ms: int) -> None:
        """Set a replica's wall clock, forward or back.

        Args:
            who: which.
            ms: Unix milliseconds.
        """
        self._wall_ms[who] = ms

    def clock(self, who: int) -> int:
        """Return what a replica's wall clock shows, in Unix milliseconds."""
        return self._wall_ms[who]

    def heal(self) -> None:
        """Exchange everything between all replicas."""
        first, *others = range(len(self))
        for _ in range(2):
            for other in others:
                self.merge(first, other)

    # --- what must hold ------------------------------------------------------------------------

    def check(self) -> None:
        """Check that all replicas are the same now, and what a replay of the log gives.

        Raises:
            DivergenceError: they are not.
        """
        first, *others = self
        for who, other in enumerate(others, 1):
            between = f"replicas 0 and {who}"
            _compare(between, first.to_dict(), other.to_dict())
            _equal(f"view_hash() of {between}", first.view_hash(), other.view_hash())
            _equal(f"state_vector of {between}", first.state_vector, other.state_vector)
            _equal(f"conflicts() of {between}", first.conflicts(), other.conflicts())
        self._check_replay()
        for who, replica in enumerate(self.replicas):
            problems = replica.verify()
            if problems:
                raise DivergenceError(f"replica {who} is not sound: {problems[0]}")

    def _check_replay(self) -> None:
        """Compare with a replica that gets the entries one by one."""
        with Replica() as replica:
            document = replica.document(self._cls, _NAME)
            for entry in self._all(0):
                replica.ledger(_NAME).receive([entry.data])
            _compare("replica 0 and a replay of its log", self[0].to_dict(), document.to_dict())

    def close(self) -> None:
        """Close all replicas and delete their files."""
        for replica in self.replicas:
            replica.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Fleet[D]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _compare(between: str, one: Any, other: Any, path: str = "") -> None:
    """Compare views, and name the innermost field that differs.

    Raises:
        DivergenceError: they differ.
    """
    if encode(one) == encode(other):
        return
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        for key in one:
            _compare(between, one[key], other[key], f"{path}/{key}" if path else key)
    where = f" in {path}" if path else ""
    raise DivergenceError(f"{between} differ{where}: {one!r} and {other!r}")


def _equal(what: str, one: Any, other: Any) -> None:
    if one != other:
        raise DivergenceError(f"{what} differ: {one!r} and {other!r}")
