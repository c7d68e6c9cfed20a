"""A recorded history acted out once, with the choices of several strategies side by side.

One replica per agent, one action per transaction, and before it the agent's replica is given
exactly its causal past, straight from the others' logs. Every value that was recorded is a record
with one field for each strategy, and each write goes to all of them. So the strategies are asked
about the same writes, made at the same times, in one real document.

- *A deletion is a write of None.* Then it is a candidate like any other, and a strategy can choose
  it; if it deleted the record instead, the presence strategy would decide. A null that was recorded
  is another thing, and stands as no bytes at all.
- *The clocks* are the hybrid logical ones of the library. What each takes for the time of day is
  the recorded time of its agent's transaction, as wrong as it was then. A replica does not follow
  others that are further ahead of it than the clock admits, as in real life.
- *What a strategy chose* is read at each merge in which people had to decide, on the replica that
  merges, before it takes over what they decided.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crdtsync import Document, Record, Replica, Table, field
from crdtsync.cli.compare_report import Comparison, Tally
from crdtsync.cli.output import StageProgress, plain
from crdtsync.cli.recordings import (
    Causality,
    Operation,
    RecordingError,
    StructuredSession,
    state_hash,
)
from crdtsync.cli.replay_report import Stopwatch
from crdtsync.cli.replay_structured import Collection
from crdtsync.clock import HybridLogicalClock
from crdtsync.codec import encode
from crdtsync.strategy import Strategy

__all__ = ["act_out"]

_DOCUMENT = "recording"
_DELETED = None
_NULL = b""


def act_out(
    session: StructuredSession, strategies: Mapping[str, Strategy], progress: StageProgress
) -> Comparison:
    """Act a recording out, and count how often each strategy had chosen what people chose.

    Raises:
        RecordingError: it does not say when things were done.
    """
    for index, transaction in enumerate(session.transactions):
        if transaction.time is None:
            raise RecordingError(f"{session.name} does not say when transaction {index} was made")
    with _Performance(session, strategies, progress) as performance:
        performance.act()
        performance.bring_together()
        return performance.comparison


class _Performance:
    """One recording being acted out. A context: it closes its replicas."""

    def __init__(
        self,
        session: StructuredSession,
        strategies: Mapping[str, Strategy],
        progress: StageProgress,
    ) -> None:
        transactions = session.transactions
        self.comparison = Comparison(
            session=session.name,
            agents=len({transaction.agent for transaction in transactions}),
            transactions=len(transactions),
            merges=sum(len(transaction.parents) > 1 for transaction in transactions),
            decided=0,
            in_conflict=0,
            tallies=[Tally(name) for name in strategies],
        )
        self._session = session
        self._progress = progress
        self._columns = {f"by_{n}": tally for n, tally in enumerate(self.comparison.tallies)}
        self._kind = _document_class(dict(zip(self._columns, strategies.values(), strict=True)))
        self._causality = Causality(transactions)
        self._entries: list[bytes | None] = []
        """What each transaction put into the log: nothing, if it changed nothing."""
        self._last = {transaction.agent: n for n, transaction in enumerate(transactions)}
        self._now_ms = 0
        self._open: dict[int, Replica] = {}

    def __enter__(self) -> _Performance:
        self._folder = tempfile.TemporaryDirectory(prefix="crdtsync-")
        self._paths = _make_stores(Path(self._folder.name), sorted(self._last))
        return self

    def __exit__(self, *_: object) -> None:
        for agent in list(self._open):
            self._close(agent)
        self._folder.cleanup()

    def _replica(self, agent: int) -> Replica:
        """Return an agent's replica, opening its store if it is not open."""
        if agent not in self._open:
            clock = HybridLogicalClock(wall_ms=lambda: self._now_ms)
            self._open[agent] = Replica(self._paths[agent], clock=clock)
        return self._open[agent]

    def _close(self, agent: int) -> None:
        self._open.pop(agent).close()

    def act(self) -> None:
        """Do every transaction on its agent's replica, each with exactly its causal past."""
        transactions = self._session.transactions
        with self._stage("act out", len(transactions), "actions") as step:
            for index, transaction in enumerate(transactions):
                assert transaction.time is not None
                self._now_ms = transaction.time * 1000
                replica = self._replica(transaction.agent)
                document = replica.document(self._kind, _DOCUMENT)
                self._receive(replica, self._causality.advance(index))
                if len(transaction.parents) > 1 and transaction.decisions:
                    self._ask(document, transaction.decisions)
                ledger = replica.ledger(_DOCUMENT)
                before = ledger.vector
                with document.action("change"):
                    for operation in transaction.operations:
                        self._apply(document, operation)
                written = ledger.missing(before, bytes_max=1)
                self._entries.append(written[0].data if written else None)
                if index == self._last[transaction.agent]:
                    self._close(transaction.agent)
                step(index + 1)

    def _receive(self, replica: Replica, transactions: list[int]) -> None:
        entries = [self._entries[index] for index in transactions]
        replica.ledger(_DOCUMENT).receive([entry for entry in entries if entry is not None])

    def _ask(self, document: Any, decisions: Sequence[Operation]) -> None:
        """Compare what a document shows with what people are about to decide."""
        conflicts = {conflict.path: conflict for conflict in document.conflicts()}
        for decision in decisions:
            path, wanted = decision.path, encode(_stored(decision))
            register = document.registers.get(path)
            met = {column: conflicts.get(("registers", path, column)) for column in self._columns}
            self.comparison.decided += 1
            self.comparison.in_conflict += any(met.values())
            for column, tally in self._columns.items():
                shown = _DELETED if register is None else getattr(register, column)
                conflict = met[column]
                tally.alike += encode(shown) == wanted
                tally.failed += conflict is not None and conflict.error is not None

    def _apply(self, document: Any, operation: Operation) -> None:
        registers, collections, path = document.registers, document.collections, operation.path
        if operation.kind in ("set", "del"):
            register = registers.get(path)
            if register is None:
                register = registers.add(key=path)
            for column in self._columns:
                setattr(register, column, _stored(operation))
        elif operation.kind == "add":
            collection = collections.get(path)
            if collection is None:
                collection = collections.add(key=path)
            collection.members.add(operation.value)
        elif path in collections:
            collections[path].members.discard(operation.value)

    def bring_together(self) -> None:
        """Give every replica all that it lacks, and compare what they show."""
        end_hash = self._session.end_hash
        shown: dict[str, set[bytes]] = {column: set() for column in self._columns}
        with self._stage("bring together", len(self._last), "replicas") as step:
            for number, agent in enumerate(self._last, start=1):
                replica = self._replica(agent)
                self._receive(replica, self._causality.lacking(agent))
                view = replica.document(self._kind, _DOCUMENT).to_dict()
                sets = {path: found["members"] for path, found in view["collections"].items()}
                for column, tally in self._columns.items():
                    values = {path: found[column] for path, found in view["registers"].items()}
                    shown[column].add(hashlib.sha256(encode([values, sets])).digest())
                    if number == 1 and end_hash is not None:
                        tally.as_recorded = state_hash(_recorded(values), sets) == end_hash
                self._close(agent)
                step(number)
        for column, tally in self._columns.items():
            tally.agreed = len(shown[column]) == 1

    def _stage(self, name: str, total: int, unit: str) -> Stopwatch:
        named = f"{self._session.name}: {name}"
        return Stopwatch(named, total, unit, self._progress, self.comparison.stages)


def _make_stores(folder: Path, agents: Sequence[int]) -> dict[int, Path]:
    """Make a store for each agent, so that the replicas' ids rise with the agents' numbers.

    At equal times the higher id is the later: so every performance of a recording is the same.
    """
    ids: dict[Path, int] = {}
    for agent in agents:
        path = folder / f"{agent}.db"
        with Replica(path) as replica:
            ids[path] = replica.id
    return dict(zip(agents, sorted(ids, key=ids.__getitem__), strict=True))


def _document_class(strategies: Mapping[str, Strategy]) -> type[Document]:
    """Declare a document whose values stand in one field for each strategy, by the field's name."""
    fields = {name: field(default=_DELETED, strategy=found) for name, found in strategies.items()}
    register: Any = type(
        "Register",
        (Record,),
        {"__module__": __name__, "__annotations__": dict.fromkeys(fields, Any), **fields},
    )
    tables = {"registers": Table[register], "collections": Table[Collection]}
    return type("SideBySide", (Document,), {"__module__": __name__, "__annotations__": tables})


def _stored(operation: Operation) -> Any:
    """Return what a field holds after an operation on a value."""
    if operation.kind == "del":
        return _DELETED
    return _NULL if operation.value is None else operation.value


def _recorded(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that are there, as they were recorded."""
    there = {path: value for path, value in values.items() if value is not _DELETED}
    return {path: None if value == _NULL else plain(value) for path, value in there.items()}
