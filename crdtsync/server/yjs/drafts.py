"""Drafts: what the members of a room have written, made into entries that are to be stored.

A client sends a message for each of its changes, be it one letter. What it has sent in one turn
becomes one entry, with one seal, as long as that can be done: who types fast, or has come back with
much, costs a fraction of an entry for each letter. Of each message it is told what became of it.

In a document with fields each change is an entry by itself: what a front end writes into a field
bears the number of its entry, which it knows by counting its changes.

Read next: `crdtsync.server.yjs.scribe`, who writes the entries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple, Protocol

import pycrdt

from crdtsync.document.crdt import panics_as_errors
from crdtsync.document.slots import ROOT
from crdtsync.errors import EntryError, LimitError
from crdtsync.log import Entry
from crdtsync.server.channel import Channel
from crdtsync.server.yjs.scribe import PART_BYTES_MAX, Author, Scribe
from crdtsync.update import Division, Runs, deleting, divide, nests_too_deeply

__all__ = ["Draft", "Verdict", "Write", "Writer", "make_drafts"]

_SLOTS = ROOT.encode()  # in each update that writes a field, and hardly in any other
_TOGETHER_MAX = 64
"""Merging updates takes the square of their number."""


class Verdict(NamedTuple):
    """What became of a member's changes.

    Attributes:
        stored: all of them are stored, durably, and have an effect.
        incomplete: some were left out, because what they build on is not here.
        undo: an update that takes back what was refused; None if nothing was.
        reason: why it was refused, and cannot be taken back: the member is to go.
        unavailable: it could not be stored now; the member is to come again.
    """

    stored: bool = False
    incomplete: bool = False
    undo: bytes | None = None
    reason: str | None = None
    unavailable: bool = False


class Writer(Protocol):
    """A connection that writes."""

    author: Author

    async def judge(self, entries: Sequence[Entry], channel: Channel) -> list[Entry]:
        """Return the entries as they are to be stored."""


class Write(NamedTuple):
    """Changes of a member. `told` is called with what became of them."""

    member: Writer
    update: bytes
    told: Callable[[Verdict], None]


class Draft(NamedTuple):
    """Changes of one member, made into entries."""

    writes: list[Write]
    entries: list[Entry]
    verdict: Verdict

    def tell(self) -> None:
        """Tell what became of them, now that the entries are stored."""
        *others, last = self.writes
        for write in others:
            write.told(self.verdict._replace(undo=None))
        last.told(self.verdict)


async def make_drafts(
    writes: Sequence[Write],
    held: Mapping[int, int],
    deleted: Runs,
    scribe: Scribe,
    channel: Channel,
    *,
    has_fields: bool,
) -> list[Draft]:
    """Make entries of changes, in their order, and tell what will have become of them.

    Args:
        writes: the changes.
        held: the CRDT clock of every client.
        deleted: what is deleted.
        scribe: writes the document's logs.
        channel: the document.
        has_fields: whether the document holds fields.

    Raises:
        StorageError: something that has to be known could not be read.
    """
    desk = _Desk(dict(held), deleted, scribe, channel)
    drafts: list[Draft] = []
    together = 1 if has_fields or any(_SLOTS in write.update for write in writes) else _TOGETHER_MAX
    for _, group in groupby(writes, lambda write: id(write.member)):
        row = list(group)
        for start in range(0, len(row), together):
            drafts += await desk.take(row[start : start + together])
    return drafts


class _Desk:
    """Where one turn's drafts are made. `reached`: what is held, and what will be."""

    def __init__(
        self, reached: dict[int, int], deleted: Runs, scribe: Scribe, channel: Channel
    ) -> None:
        self._reached = reached
        self._deleted = deleted
        self._scribe = scribe
        self._channel = channel

    async def take(self, writes: list[Write]) -> list[Draft]:
        """Make one draft of what a member has written in a row, or, if it is not all right, many.

        A row is written before the next one is looked at: by then it is known whose the logs are
        that it has begun.
        """
        try:
            division = self._divide([write.update for write in writes])
            await self._scribe.check(division, writes[0].member.author)
        except (ValueError, RuntimeError) as error:
            verdict = Verdict(reason=f"these changes cannot be read: {error}")
        except EntryError as error:
            verdict = Verdict(reason=error.reason)
        except LimitError as error:
            verdict = Verdict(reason=str(error))
        else:
            if division.complete or len(writes) == 1:
                self._reached |= _ends(division)
                return [await self._write(writes, division)]
            verdict = Verdict(incomplete=True)
        if len(writes) == 1:
            return [Draft(writes, [], verdict)]
        return [draft for write in writes for draft in await self.take([write])]

    def _divide(self, updates: list[bytes]) -> Division:
        """Take updates apart, as if they had come in one. Leave only those deletions that are new.

        Raises:
            ValueError, RuntimeError: they cannot be read.
        """
        if any(nests_too_deeply(update) for update in updates):
            raise ValueError("they nest too deeply, or cannot be read")
        with panics_as_errors():
            update = updates[0] if len(updates) == 1 else pycrdt.merge_updates(*updates)
        parts, deletions, complete = divide(update, self._reached, PART_BYTES_MAX)
        for part in parts:  # which are not what was looked at before
            if nests_too_deeply(part.update):
                raise ValueError("together they nest too deeply")
            with panics_as_errors():
                pycrdt.get_state(part.update)
        division = Division(parts, self._deleted.lacking(deletions), complete)
        return _without_unknown(division, self._reached)

    async def _write(self, writes: list[Write], division: Division) -> Draft:
        member = writes[0].member
        entries = await self._scribe.write(division, member.author)
        judged = await member.judge(entries, self._channel)
        refusals = [entry.refusal for entry in judged if entry.refusal is not None]
        incomplete = not division.complete
        if not refusals:
            return Draft(writes, judged, Verdict(stored=not incomplete, incomplete=incomplete))
        if division.deletions:  # nobody can take these back from a Yjs client
            return Draft(writes, judged, Verdict(reason=refusals[0]))
        undone = {part.client: [(part.clock, part.end)] for part in division.parts}
        return Draft(writes, judged, Verdict(incomplete=incomplete, undo=deleting(undone)))


def _ends(division: Division) -> dict[int, int]:
    """Return how far its parts go, of each client."""
    return {part.client: part.end for part in division.parts}


def _without_unknown(division: Division, reached: Mapping[int, int]) -> Division:
    """Return it without deletions of structs that there are not, which make it incomplete."""
    known: dict[int, list[tuple[int, int]]] = {}
    complete, ends = division.complete, _ends(division)
    for client, runs in division.deletions.items():
        clock = ends.get(client) or reached.get(client, 0)
        complete &= all(behind <= clock for _, behind in runs)
        cut = [(first, min(behind, clock)) for first, behind in runs if first < clock]
        if cut:
            known[client] = cut
    return Division(division.parts, known, complete)
