"""Effect: whether an entry's CRDT update is applied, and what it waits for while it is not.

An entry takes effect as a whole or not at all, and in the order of its log. It can, once all that
its update builds on has taken effect; whether its author says so is no matter. So what takes effect
depends on which entries are held and not on the order in which they came: replicas that hold the
same show the same, also where an author lies about what an entry depends on.

What cannot take effect yet is left out of the CRDT document, which would keep a part of it to
itself and lose that in its next snapshot. Nor does anything behind it in its log take effect.

Read next: `crdtsync.document.materialize`, whose quick way asks `took_effect` only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pycrdt

from crdtsync.document.crdt import Clocks, Reached, is_crdt_failure, is_whole
from crdtsync.log import Entry
from crdtsync.structs import begin_of_structs, check_structs
from crdtsync.update import needs

__all__ = ["Waiting", "apply_what_can_be", "took_effect"]

Name = tuple[int, int]

_FOR_NOTHING = "what it holds does not go on where its log left off"
_FOR_OTHERS = "it builds on what is not here"
_BEHIND = "an entry before it in its log is without effect"


def took_effect(entries: Sequence[Entry], before: Clocks, after: Clocks) -> bool:
    """Tell whether entries that were applied together all took effect, each as a whole.

    Args:
        entries: in the order of each log.
        before: the CRDT's clocks before they were applied.
        after: the clocks now.
    """
    ends: dict[int, int] = {}
    for entry in reversed(entries):
        replica = entry.replica
        end = ends.get(replica)
        if end is None:
            end = after.get(replica, 0)
        if not is_whole(entry.update, replica, end, after):
            return False
        begin = begin_of_structs(entry)
        if begin is not None:
            ends[replica] = begin
    return all(before.get(replica, 0) == begin for replica, begin in ends.items())


@dataclass(slots=True)
class Waiting:
    """The entries of one log that are without effect.

    Attributes:
        entries: in the order of the log.
        needs: the clocks that the first of them waits for; none where that is not known, so that it
            has to be tried again and again; None where nothing will help it.
        reason: why the first of them is without effect.
    """

    entries: deque[Entry]
    needs: Mapping[int, int] | None
    reason: str

    def is_over(self, reached: Clocks) -> bool:
        """Tell whether the first of them may take effect, at these clocks."""
        wanted = self.needs
        return wanted is not None and all(reached.get(c, 0) >= end for c, end in wanted.items())

    def reasons(self) -> dict[Name, str]:
        """Return why each of them is without effect."""
        first, *others = self.entries
        found = {(first.replica, first.seq): self.reason}
        return found | {(entry.replica, entry.seq): _BEHIND for entry in others}


class _SpoiledError(Exception):
    """The CRDT library has applied a part of an entry."""


@dataclass(slots=True)
class _Attempt:
    """One try to apply entries, which knows from tries before what spoils the document.

    Attributes:
        doc: the CRDT document.
        failures: entries that nothing will help, and why.
        waiting: what is without effect, by the log.
    """

    doc: pycrdt.Doc[Any]
    failures: dict[Name, str]
    waiting: dict[int, Waiting] = field(default_factory=dict)
    _reached: Reached = field(init=False)

    def __post_init__(self) -> None:
        self._reached = Reached(self.doc)

    def run(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            if entry.replica in self.waiting:
                self.waiting[entry.replica].entries.append(entry)
                continue
            held = self._examine(deque([entry]))
            if held is not None:
                self.waiting[entry.replica] = held
            elif self.waiting:
                self._release()
        # Of what we cannot read it is not known what it waits for. All else is there by now.
        while unread := [r for r, held in self.waiting.items() if self._is_untried(held)]:
            self._go_on(min(unread))
            self._release()

    def _is_untried(self, held: Waiting) -> bool:
        first = held.entries[0]
        return held.needs == {} and (first.replica, first.seq) not in self.failures

    def _release(self) -> None:
        """Apply what no longer has to wait, until nothing more can be applied."""
        progress = True
        while progress:
            progress = False
            for replica, held in list(self.waiting.items()):
                if held.needs and held.is_over(self._reached):
                    self._go_on(replica)
                    progress = True

    def _go_on(self, replica: int) -> None:
        """Apply the first entry of a log that waits, and of the others those that can be."""
        entries = self.waiting[replica].entries
        self._apply(entries.popleft())
        held = self._examine(entries)
        if held is None:
            del self.waiting[replica]
        else:
            self.waiting[replica] = held

    def _examine(self, entries: deque[Entry]) -> Waiting | None:
        """Apply entries of a log up to the first that has to wait; return that and the others."""
        while entries:
            entry = entries[0]
            begin = check_structs(entry)
            if begin is not None and begin != self._reached.get(entry.replica, 0):
                return Waiting(entries, None, _FOR_NOTHING)
            failure = self.failures.get((entry.replica, entry.seq))
            try:
                held = Waiting(entries, needs(entry.update), _FOR_OTHERS)
            except ValueError as error:
                return Waiting(entries, {}, failure or str(error))
            if failure is not None:
                return Waiting(entries, None, failure)
            if not held.is_over(self._reached):
                return held
            self._apply(entries.popleft())
        return None

    def _apply(self, entry: Entry) -> None:
        try:
            self.doc.apply_update(entry.update)
        except BaseException as error:
            if not is_crdt_failure(error):
                raise
            self._fail(entry, str(error), error)
        before, self._reached = self._reached, Reached(self.doc)
        if not took_effect([entry], before, self._reached):
            self._fail(entry, _FOR_OTHERS, None)

    def _fail(self, entry: Entry, reason: str, cause: BaseException | None) -> None:
        self.failures[entry.replica, entry.seq] = reason
        raise _SpoiledError from cause


def apply_what_can_be(
    doc: pycrdt.Doc[Any], entries: Iterable[Entry], failures: dict[Name, str]
) -> dict[int, Waiting] | None:
    """Apply to a document what can take effect.

    Args:
        doc: the document, empty or as it was where the logs begin.
        entries: all entries from there on, in causal order as far as their authors are honest.
        failures: entries that were found to spoil a document, and why.

    Returns:
        What is without effect, by the log. None if one spoiled the document: it is among the
        failures now, and the next try has to begin with another document.
    """
    attempt = _Attempt(doc, failures)
    try:
        attempt.run(entries)
    except _SpoiledError:
        return None
    return attempt.waiting
