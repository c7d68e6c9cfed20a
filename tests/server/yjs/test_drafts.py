"""Drafts: what one client sends in one turn is one entry, and is as if each had come by itself."""

from __future__ import annotations

from typing import Any

import anyio
import pycrdt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync.clock import HybridLogicalClock
from crdtsync.document.crdt import clocks
from crdtsync.keys import DeviceKey
from crdtsync.log import Entry
from crdtsync.server import MemoryBackend, ServerLimits
from crdtsync.server.channel import Channels
from crdtsync.server.yjs.drafts import Draft, Verdict, Write, make_drafts
from crdtsync.server.yjs.scribe import Author, Scribe
from crdtsync.structs import check_structs
from crdtsync.update import NESTING_MAX, Runs
from crdtsync.update.encoding import encoded
from tests.test_division import ACTS, act, contents, docs

MINE = 7


class Member:
    """Writes, and is believed."""

    def __init__(self, user: str | None = None) -> None:
        self.author = Author(user)

    async def judge(self, entries, channel):
        return list(entries)


def ignore(verdict: Verdict) -> None:
    """Ignore it: the drafts are looked at."""


def drafts_of(
    rows: list[tuple[Member, bytes]], *, logs_max: int = 100, has_fields: bool = False
) -> list[Draft]:
    """Return the drafts of a first turn."""

    async def make() -> list[Draft]:
        channels = Channels(MemoryBackend(), ServerLimits())
        channel = await channels.join("board")
        key, clock = DeviceKey.generate(), HybridLogicalClock()
        scribe = Scribe("board", channels.backend, key, clock, channel.heads, logs_max)
        writes = [Write(member, update, ignore) for member, update in rows]
        return await make_drafts(writes, {}, Runs(), scribe, channel, has_fields=has_fields)

    return anyio.run(make)


def entries_of(drafts: list[Draft]) -> list[Entry]:
    return [entry for draft in drafts for entry in draft.entries]


def applied(entries: list[Entry]) -> pycrdt.Doc[Any]:
    doc: pycrdt.Doc[Any] = pycrdt.Doc(client_id=99)
    for entry in entries:
        check_structs(entry)
        doc.apply_update(entry.update)
    return doc


def letters(text: str, client: int = MINE) -> list[bytes]:
    """Return the updates of somebody who types."""
    doc: pycrdt.Doc[Any] = pycrdt.Doc(client_id=client)
    updates: list[bytes] = []
    subscription = doc.observe(lambda event: updates.append(event.update))
    typed = doc.get("text", type=pycrdt.Text)
    for letter in text:
        typed += letter
    doc.unobserve(subscription)
    return updates


def test_what_comes_in_one_turn_is_one_entry_and_all_are_told():
    told: list[Verdict] = []
    ann, bob = Member("ann"), Member("bob")
    theirs, others = letters("hello"), letters("hi", 8)
    drafts = drafts_of([*((ann, one) for one in theirs), *((bob, one) for one in others)])
    assert [len(draft.writes) for draft in drafts] == [5, 2]
    assert [entry.replica for entry in entries_of(drafts)] == [MINE, 8]
    assert all(entry.seal for entry in entries_of(drafts))
    for draft in drafts:
        writes = [write._replace(told=told.append) for write in draft.writes]
        draft._replace(writes=writes).tell()
    assert told == [Verdict(stored=True)] * 7


def test_where_there_are_fields_each_change_is_an_entry():
    member = Member()
    rows = [(member, update) for update in letters("hello")]
    assert len(entries_of(drafts_of(rows, has_fields=True))) == 5
    doc: pycrdt.Doc[Any] = pycrdt.Doc(client_id=8)
    doc.get("slots", type=pycrdt.Map)["name@8.2"] = b"a field"
    assert len(entries_of(drafts_of([*rows, (member, doc.get_update())]))) == 6


@given(st.lists(ACTS, min_size=2, max_size=30), st.data())
def test_together_they_do_what_they_do_one_by_one(acts: list[Any], data: st.DataObject) -> None:
    group = docs()
    writer = group[0]
    updates: list[bytes] = []
    subscription = writer.observe(lambda event: updates.append(event.update))
    states = [writer.get_state()]
    for one in acts:
        act(group, *one)
        states.append(writer.get_state())
    writer.unobserve(subscription)
    again = st.sampled_from(states).map(writer.get_update)  # overlaps what came already
    repeated = data.draw(st.lists(again, max_size=3))
    for update in repeated:
        updates.insert(data.draw(st.integers(0, len(updates))), update)
    member = Member()
    together = drafts_of([(member, update) for update in updates])
    # Two who take turns are never joined.
    other = Member()
    by_turns = drafts_of([((member, other)[n % 2], update) for n, update in enumerate(updates)])
    whole, single = applied(entries_of(together)), applied(entries_of(by_turns))
    assert clocks(whole) == clocks(single) == clocks(writer)
    assert contents(whole) == contents(single) == contents(writer)
    assert all(draft.verdict.stored for draft in together)


@pytest.mark.parametrize("at", [0, 2, 5])
@pytest.mark.parametrize("bad", [b"nothing", b"", encoded(1, 1, 9, 5) + b"\x04\x01\x01t\x01x\x00"])
def test_what_is_wrong_spoils_only_itself(at, bad):
    member = Member()
    updates = letters("hello")
    updates.insert(at, bad)
    drafts = drafts_of([(member, update) for update in updates])
    assert [draft.verdict.stored for draft in drafts] == [n != at for n in range(6)]
    assert str(applied(entries_of(drafts)).get("text", type=pycrdt.Text)) == "hello"


def test_nobody_goes_on_in_the_same_turn_with_a_log_that_another_has_begun():
    first, *others = letters("hello")
    ann, mallory = Member("ann"), Member("mallory")
    drafts = drafts_of([(ann, first), *((mallory, update) for update in others)])
    assert [draft.verdict.stored for draft in drafts] == [True, False, False, False, False]
    assert len(entries_of(drafts)) == 1


def test_a_turn_begins_no_more_logs_than_there_may_be():
    member = Member()
    rows = [(member, update) for client in range(1, 6) for update in letters("x", client)]
    drafts = drafts_of(rows, logs_max=3)
    assert len({entry.replica for entry in entries_of(drafts)}) == 3
    assert sum(draft.verdict.stored for draft in drafts) == 3


def test_what_nests_too_deeply_together_is_not_put_together():
    doc: pycrdt.Doc[Any] = pycrdt.Doc(client_id=MINE)
    updates: list[bytes] = []
    subscription = doc.observe(lambda event: updates.append(event.update))
    inner = doc.get("map", type=pycrdt.Map)
    for _ in range(2):
        with doc.transaction():
            for _ in range(NESTING_MAX - 50):
                inner["k"] = pycrdt.Map()
                inner = inner["k"]
    doc.unobserve(subscription)
    member = Member()
    drafts = drafts_of([(member, update) for update in updates])
    assert [draft.verdict.stored for draft in drafts] == [True, True]
    assert clocks(applied(entries_of(drafts))) == clocks(doc)  # each is an entry to be taken
