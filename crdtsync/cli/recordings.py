"""Recorded sessions of real people, read from files. Pure: a file in, immutable values out.

Two formats, both gzipped, described in full beside the recordings:

- a *text session* (`*.json.gz`): patches to one text, typed by one person or by several at once;
- a *structured session* (`*.jsonl.gz`): sets and deletions of values, additions and removals of
  set members in one structured file, by many people on branches that were merged later.

Either is a list of transactions in an order in which causes come before effects. `parents` names
the transactions that one was made on; what an agent had seen is therefore known exactly, and
`Causality` keeps count of it. Read next: `crdtsync.cli.replay`, which acts a session out through a
server, and `crdtsync.cli.compare`, which asks how strategies would have decided in it.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

__all__ = [
    "Causality",
    "Operation",
    "Patch",
    "RecordingError",
    "StructuredSession",
    "StructuredTransaction",
    "TextSession",
    "TextTransaction",
    "Transaction",
    "load_structured_session",
    "load_text_session",
    "state_hash",
]

_RECORDED_HASH_LENGTH = 16
"""Hex digits of a state's hash that a structured session keeps for each transaction."""


class RecordingError(ValueError):
    """Raised when a file is not a recording, or what is recorded cannot have happened."""


class Patch(NamedTuple):
    """One edit: at `position` take `deleted` characters away, then put `inserted` there."""

    position: int
    deleted: int
    inserted: str


class Operation(NamedTuple):
    """One structured change.

    Attributes:
        kind: `set` or `del` for a value, `add` or `rem` for a member of a set.
        path: where, as the JSON text of a list of keys.
        value: the value set; the JSON text of the member added or removed; None for `del`.
    """

    kind: str
    path: str
    value: Any


class TextTransaction(NamedTuple):
    """What one agent typed at one moment."""

    agent: int
    parents: tuple[int, ...]
    patches: tuple[Patch, ...]


class StructuredTransaction(NamedTuple):
    """What one agent changed in one commit.

    Attributes:
        agent: who.
        parents: what it was made on; several where it is a merge.
        operations: what was done, in order.
        decisions: what its people made of the values that both sides of the merge had changed, each
            as the operation by which it comes about. They are among the operations too.
        state: the start of the hash that the whole file's state had afterwards; None where the
            recording does not know it.
        time: when, in Unix seconds by the agent's own clock; None likewise.
    """

    agent: int
    parents: tuple[int, ...]
    operations: tuple[Operation, ...]
    decisions: tuple[Operation, ...]
    state: str | None
    time: int | None


class Transaction(Protocol):
    """What both kinds of transactions have."""

    @property
    def agent(self) -> int:
        """Who made it: an index below the session's number of agents."""
        ...

    @property
    def parents(self) -> tuple[int, ...]:
        """Indexes of the transactions that it was made on."""
        ...


@dataclass(frozen=True, slots=True)
class TextSession:
    """A recorded editing session of one text.

    Attributes:
        name: the file's name without its endings.
        agents: how many people, or branches, wrote.
        concurrent: whether some wrote without having seen the others.
        transactions: causes before effects.
        end: the text in the end, where it is known.
    """

    name: str
    agents: int
    concurrent: bool
    transactions: tuple[TextTransaction, ...]
    end: str | None

    def first(self, count: int) -> TextSession:
        """Return the session's beginning; its end is known if only one person wrote."""
        if count >= len(self.transactions):
            return self
        transactions = self.transactions[:count]
        end = None if self.concurrent else _type_out(transactions)
        return replace(self, transactions=transactions, end=end)


@dataclass(frozen=True, slots=True)
class StructuredSession:
    """The recorded history of one structured file.

    Attributes:
        name: what the recording is called.
        agents: how many replicas wrote.
        transactions: causes before effects.
        end_hash: sha256 of the state in the end, where it is known.
    """

    name: str
    agents: int
    transactions: tuple[StructuredTransaction, ...]
    end_hash: str | None

    def first(self, count: int) -> StructuredSession:
        """Return the session's beginning, whose end state nobody recorded."""
        if count >= len(self.transactions):
            return self
        return replace(self, transactions=self.transactions[:count], end_hash=None)


class Causality:
    """Knows what each agent has seen, and what it must be given before its next transaction."""

    def __init__(self, transactions: Sequence[Transaction]) -> None:
        self._transactions = transactions
        counts: dict[int, int] = {}
        self._numbers: list[int] = []
        for transaction in transactions:
            counts[transaction.agent] = counts.get(transaction.agent, 0) + 1
            self._numbers.append(counts[transaction.agent])
        self._held: dict[int, dict[int, int]] = {}

    def advance(self, index: int) -> list[int]:
        """Give a transaction's agent its causal past and the transaction itself.

        Returns:
            The transactions that the agent lacked, causes before effects.

        Raises:
            RecordingError: the agent has seen something that is not in the transaction's past, so
                no replica could have made it.
        """
        agent, parents = self._transactions[index].agent, self._transactions[index].parents
        held = self._held.setdefault(agent, {})
        missing: set[int] = set()
        own_past_met = agent not in held
        waiting = list(parents)
        while waiting:
            parent = waiting.pop()
            writer, number = self._transactions[parent].agent, self._numbers[parent]
            if number <= held.get(writer, 0):
                own_past_met = own_past_met or (writer == agent and number == held[agent])
            elif parent not in missing:
                missing.add(parent)
                waiting.extend(self._transactions[parent].parents)
        if not own_past_met:
            raise RecordingError(f"transaction {index}: its agent's own past is not in its parents")
        for parent in missing:
            writer = self._transactions[parent].agent
            held[writer] = max(held.get(writer, 0), self._numbers[parent])
        held[agent] = self._numbers[index]
        return sorted(missing)

    def lacking(self, agent: int) -> list[int]:
        """Return the transactions that an agent has not seen so far, causes before effects."""
        held = self._held.get(agent, {})
        return [
            index
            for index, (transaction, number) in enumerate(
                zip(self._transactions, self._numbers, strict=True)
            )
            if number > held.get(transaction.agent, 0)
        ]


def load_text_session(path: str | os.PathLike[str]) -> TextSession:
    """Read a recorded editing session.

    Raises:
        RecordingError: the file is not one; says what is wrong with it.
        OSError: it cannot be read.
    """
    text = _text(path)
    try:
        found = json.loads(text)
        concurrent = found.get("kind") == "concurrent"
        transactions = tuple(_text_transactions(found["txns"], concurrent=concurrent))
        agents = int(found["numAgents"]) if concurrent else 1
        start, end = found.get("startContent", ""), found["endContent"]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _not_a_recording(path, "text", error) from error
    if start or not isinstance(end, str):
        raise _not_a_recording(path, "text", ValueError("it does not begin with an empty text"))
    _check_causes(path, transactions, agents)
    return TextSession(_name(path), agents, concurrent, transactions, end)


def load_structured_session(path: str | os.PathLike[str]) -> StructuredSession:
    """Read the recorded history of a structured file.

    Raises:
        RecordingError: the file is not one; says what is wrong with it.
        OSError: it cannot be read.
    """
    text = _text(path)
    try:
        header, *lines = map(json.loads, text.rstrip("\n").split("\n"))
        name, agents = str(header["dataset"]), int(header["replicas"])
        end_hash = str(header["end_state_sha256"])
        if "end_state" in lines[-1]:
            lines.pop()
        transactions = tuple(map(_structured_transaction, lines))
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise _not_a_recording(path, "structured", error) from error
    _check_causes(path, transactions, agents)
    return StructuredSession(name, agents, transactions, end_hash)


def state_hash(values: Mapping[str, Any], members: Mapping[str, Iterable[str]]) -> str:
    """Return the hash by which a structured session names a state.

    Args:
        values: what stands at each path.
        members: the JSON texts of each set's members, by path.
    """
    sets = {path: [json.loads(text) for text in sorted(texts)] for path, texts in members.items()}
    state = {"reg": values, "set": {path: found for path, found in sets.items() if found}}
    text = json.dumps(state, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def matches(found: str, recorded: str) -> bool:
    """Tell whether a state's hash is the recorded one, of which only the start may be known."""
    return found[:_RECORDED_HASH_LENGTH] == recorded[:_RECORDED_HASH_LENGTH]


def _text_transactions(found: Any, *, concurrent: bool) -> Iterator[TextTransaction]:
    for index, item in enumerate(found):
        patches = tuple(Patch(int(at), int(gone), str(new)) for at, gone, new in item["patches"])
        if concurrent:
            yield TextTransaction(int(item["agent"]), tuple(item["parents"]), patches)
        else:
            yield TextTransaction(0, (index - 1,) if index else (), patches)


def _structured_transaction(item: Any) -> StructuredTransaction:
    time = item.get("time")
    return StructuredTransaction(
        agent=int(item["agent"]),
        parents=tuple(item["parents"]),
        operations=tuple(_operation(*found) for found in item["ops"]),
        decisions=tuple(map(_decision, filter(_was_decided, item.get("conflicts", ())))),
        state=item.get("state"),
        time=None if time is None else int(time),
    )


def _was_decided(conflict: Any) -> bool:
    """Tell whether people had to decide between two values; a three-way merge does the others."""
    return bool(conflict["kind"] == "reg" and conflict.get("three_way") == "both_changed")


def _decision(conflict: Any) -> Operation:
    keys, resolved = conflict["path"], conflict["resolved"]
    if "value" in resolved:
        return _operation("set", keys, resolved["value"])
    return _operation("del", keys)


def _operation(kind: str, keys: list[Any], value: Any = None) -> Operation:
    path = json.dumps(keys, ensure_ascii=False)
    if kind in ("add", "rem"):
        return Operation(kind, path, json.dumps(value, ensure_ascii=False))
    if kind not in ("set", "del"):
        raise ValueError(f"an operation of the unknown kind {kind!r}")
    return Operation(kind, path, value)


def _type_out(transactions: Iterable[TextTransaction]) -> str:
    """Apply patches to a plain string: the slow, obvious way."""
    text: list[str] = []
    for transaction in transactions:
        for position, deleted, inserted in transaction.patches:
            text[position : position + deleted] = inserted
    return "".join(text)


def _check_causes(
    path: str | os.PathLike[str], transactions: Sequence[Transaction], agents: int
) -> None:
    """Check that the transactions can have been made by replicas, in this order."""
    causality = Causality(transactions)
    try:
        for index, transaction in enumerate(transactions):
            if not all(type(at) is int and 0 <= at < index for at in transaction.parents):
                raise RecordingError(f"transaction {index} comes before one that it was made on")
            if not 0 <= transaction.agent < agents:
                raise RecordingError(f"transaction {index} is by agent {transaction.agent}")
            causality.advance(index)
    except RecordingError as error:
        raise _not_a_recording(path, "recorded", error) from error


def _text(path: str | os.PathLike[str]) -> str:
    """Read a file, gzipped or not."""
    try:
        with open(path, "rb") as file:
            data = file.read()
        return (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode()
    except (UnicodeDecodeError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _not_a_recording(path, "recorded", error) from error


def _not_a_recording(path: str | os.PathLike[str], kind: str, error: Exception) -> RecordingError:
    what = f"{type(error).__name__}: {error}" if isinstance(error, KeyError) else str(error)
    return RecordingError(f"{os.fspath(path)} is not a {kind} session: {what}")


def _name(path: str | os.PathLike[str]) -> str:
    return os.path.basename(os.fspath(path)).split(".")[0]
