"""How the recorded history of a structured file is acted out.

The file is read as in the recording: values, and sets of members, each at a path of keys. Both are
tables keyed by the path's JSON text (`["dependencies", "jquery"]`): `registers` holds one record
with a `value` for each value, and deleting the value deletes the record; `collections` holds one
record with a set of `members`, each the member's JSON text. A path may have both at once, as it may
in the recording, and neither knows of the other.

Wherever the recording knows the state after a transaction, the acting replica's state is compared.
At every merge the conflicts that the document reports are counted, and what the strategy chose is
compared with what the people of the recording decided in that merge.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from crdtsync import Document, Record, Set, Table
from crdtsync.cli.recordings import (
    Operation,
    StructuredSession,
    StructuredTransaction,
    matches,
    state_hash,
)
from crdtsync.cli.replay_report import Check

__all__ = ["StructuredFile", "StructuredPerformance"]


class Register(Record):
    """A value at one path."""

    value: Any = None


class Collection(Record):
    """The members of a set at one path, each as its JSON text."""

    members: Set[str]


class StructuredFile(Document):
    """A structured file as values and sets."""

    registers: Table[Register]
    collections: Table[Collection]


class StructuredPerformance:
    """Sets what was set, adds what was added, where that was done."""

    kind = StructuredFile

    def __init__(self, session: StructuredSession) -> None:
        self.name = session.name
        self.agents = session.agents
        self._session = session
        self._conflicts_met: set[tuple[Any, ...]] = set()
        self._decided_alike = 0
        self._states_compared = 0
        self._states_wrong: list[int] = []

    @property
    def transactions(self) -> Sequence[StructuredTransaction]:
        """The transactions, causes before effects."""
        return self._session.transactions

    def act(self, document: StructuredFile, index: int) -> None:
        """Apply a transaction's operations in one action, and compare the state afterwards."""
        transaction = self._session.transactions[index]
        met = self._meet_conflicts(document) if len(transaction.parents) > 1 else {}
        with document.action("change"):
            for operation in transaction.operations:
                _apply(document, operation)
        for path, chosen in met.items():
            register = document.registers.get(path)
            self._decided_alike += register is not None and register.value == chosen
        if transaction.state is not None:
            self._states_compared += 1
            if not matches(_state_hash(document), transaction.state):
                self._states_wrong.append(index)

    def summary(self) -> dict[str, int]:
        """Return how many operations there were, and which conflicts were met."""
        return {
            "operations": sum(len(found.operations) for found in self.transactions),
            "merges": sum(len(found.parents) > 1 for found in self.transactions),
            "conflicts_met": len(self._conflicts_met),
            "settled_as_the_strategy_did": self._decided_alike,
        }

    def end_checks(self, document: StructuredFile) -> Iterator[Check]:
        """Compare the state in the end, and those on the way, with the recorded ones."""
        wrong = self._states_wrong
        claim = (
            f"the state after each of {self._states_compared:,} transactions is the recorded one"
        )
        if wrong:
            claim += f"; not after {len(wrong)} of them, first after {wrong[0]}"
        yield Check(claim, not wrong)
        if self._session.end_hash is not None:
            claim = f"the state in the end has the recorded sha256 {self._session.end_hash[:12]}…"
            yield Check(claim, _state_hash(document) == self._session.end_hash)

    def _meet_conflicts(self, document: StructuredFile) -> dict[str, Any]:
        """Return the conflicts that this merge is the first to see: path to the chosen value."""
        met: dict[str, Any] = {}
        for conflict in document.conflicts():
            key = (conflict.path, *((found.replica, found.seq) for found in conflict.candidates))
            if key not in self._conflicts_met:
                self._conflicts_met.add(key)
                met[conflict.path[1]] = conflict.chosen
        return met


def _apply(document: StructuredFile, operation: Operation) -> None:
    path = operation.path
    match operation.kind:
        case "set":
            register = document.registers.get(path)
            if register is None:
                document.registers.add(key=path, value=operation.value)
            else:
                register.value = operation.value
        case "del":
            if path in document.registers:
                del document.registers[path]
        case "add":
            collection = document.collections.get(path)
            if collection is None:
                collection = document.collections.add(key=path)
            collection.members.add(operation.value)
        case _:
            if path in document.collections:
                document.collections[path].members.discard(operation.value)


def _state_hash(document: StructuredFile) -> str:
    view = document.to_dict()
    return state_hash(
        {path: register["value"] for path, register in view["registers"].items()},
        {path: found["members"] for path, found in view["collections"].items()},
    )
