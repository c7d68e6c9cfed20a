"""Yjs clients in rooms: what one writes all have, and the log has it with author and time."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import pycrdt
import pytest

from crdtsync import Change, Document, Replica, Text
from crdtsync.document.crdt import clocks
from crdtsync.errors import StorageError
from crdtsync.keys import DeviceKey
from crdtsync.log import Entry, decode_entry
from crdtsync.proof import Prover
from crdtsync.server import Backend, MemoryBackend, SqliteBackend
from crdtsync.server.access import ALLOWED, Level, PatternPolicy, Rule, refused
from crdtsync.server.devices import Device
from crdtsync.server.erasures import Erasure
from crdtsync.server.yjs import YjsLimits, messages
from crdtsync.structs import check_structs
from crdtsync.transport.listener import listen
from crdtsync.update.encoding import encoded
from tests.server.authors import Author
from tests.server.yjs.harness import doors_of, until

pytestmark = pytest.mark.anyio

ROOT = b"\x01\x04text"
GAPPED = b"\x01\x01" + encoded(2**52 + 1, 7) + b"\x04\x01\x04text\x01x\x00"


async def entries_of(backend: Backend, document: str = "board") -> list[Entry]:
    rows = await backend.read(document, 0, 10**9)
    return [decode_entry(row.data) for row in rows]


def new_doc(client_id: int) -> pycrdt.Doc[Any]:
    return pycrdt.Doc(client_id=client_id)


@asynccontextmanager
async def native(served):
    """Connect a replica to the same server."""
    listener = await listen("tcp://localhost:0", served.hub.limits.wire)
    served.tasks.start_soon(listener.serve, served.hub.serve)
    replica = Replica(user="py")
    try:
        async with replica.connect(listener.url) as connection:
            yield replica, connection
    finally:
        replica.close()
        await listener.aclose()


async def test_two_clients_write_one_text():
    backend = MemoryBackend()
    async with doors_of(backend) as served:
        ann, bob = served.y(user="ann"), served.y(user="bob")
        await until(lambda: ann.synced and bob.synced)
        ann.text.insert(0, "hey 😀")
        await until(lambda: str(bob.text) == "hey 😀")
        bob.text.insert(0, "> ")
        await until(lambda: str(ann.text) == "> hey 😀")
        late = served.y()
        await until(lambda: str(late.text) == "> hey 😀")
    entries = await entries_of(backend)
    assert [entry.name for entry in entries] == ["yjs", "yjs"]
    assert [entry.user for entry in entries] == ["ann", "bob"]
    assert [entry.replica for entry in entries] == [ann.client_id, bob.client_id]
    assert entries[1].dependencies[0].hash == entries[0].hash
    assert entries[0].time < entries[1].time
    prover = Prover(lambda replica: next(e for e in entries if e.replica == replica))
    assert prover.proved(entries, {}) == 2
    assert prover.key_of(ann.client_id) is not None


async def test_two_who_open_a_new_room_at_the_same_instant_both_get_in():
    async with doors_of() as served:
        pairs = [(served.y(f"room/{n}"), served.y(f"room/{n}")) for n in range(200)]
        await until(lambda: all(one.synced and other.synced for one, other in pairs))
        for one, other in pairs:
            one.text.insert(0, "1")
            other.text.insert(0, "2")
        await until(lambda: all(len(one.text) == 2 == len(other.text) for one, other in pairs))
        assert all(str(one.text) == str(other.text) for one, other in pairs)


async def test_what_is_erased_goes_from_open_rooms_and_their_clients():
    backend = MemoryBackend()
    async with doors_of(backend) as served:
        ann, bob = served.y(), served.y()
        await until(lambda: ann.synced and bob.synced)
        ann.text.insert(0, "secret")
        await until(lambda: str(bob.text) == "secret")
        bob.text.insert(6, " and plain")
        await until(lambda: str(ann.text) == "secret and plain")
        assert await backend.erase(Erasure("board", ann.client_id, 1, "by order"))
        await until(lambda: str(ann.text) == " and plain" == str(bob.text))
        late = served.y()
        await until(lambda: str(late.text) == " and plain")
        late.text.insert(0, "plain")
        await until(lambda: str(ann.text) == "plain and plain")


async def test_a_room_goes_with_the_last_and_comes_back_from_the_log():
    backend = MemoryBackend()
    async with doors_of(backend) as served:
        ann = served.y()
        await until(lambda: ann.synced)
        ann.text.insert(0, "kept")
        ann.doc.get("map", type=pycrdt.Map)["k"] = {"nested": [1, None]}
        await ann.flush()
        await ann.end.close(1000, "")
        await until(lambda: len(served.doors.rooms) == len(served.hub.channels) == 0)
        bob = served.y()
        await until(lambda: bob.synced)
        assert str(bob.text) == "kept"
        assert bob.doc.get("map", type=pycrdt.Map).to_py() == {"k": {"nested": [1, None]}}


async def test_replicas_and_yjs_clients_share_a_document(tmp_path):
    class Board(Document):
        name: str = ""
        notes: Text

    async with (
        SqliteBackend(tmp_path / "server.db") as backend,
        doors_of(backend) as served,
        native(served) as (replica, connection),
    ):
        board = replica.document(Board, "board")
        board.notes.append("from Python 😀")
        await connection.synced()
        ann = served.y(user="ann")
        await until(lambda: ann.synced)
        notes = ann.doc.get("notes", type=pycrdt.Text)
        assert str(notes) == "from Python 😀"
        seen: list[Change] = []
        board.observe(seen.append)
        notes += " from Yjs"
        await until(lambda: str(board.notes) == "from Python 😀 from Yjs")
        (change,) = seen
        assert change.entries[0].name == "yjs"
        assert change.entries[0].user == "ann"
        assert ("notes",) in change.paths
        board.name = "of Python's"
        board.notes.append("!")
        await until(lambda: str(notes) == "from Python 😀 from Yjs!")
        assert replica.verify() == []


async def test_what_comes_again_is_stored_once():
    backend = MemoryBackend()
    async with doors_of(backend) as served:
        ann = served.y()
        await until(lambda: ann.synced)
        ann.text.insert(0, "abc")
        del ann.text[1:2]
        bob = served.y()
        await until(lambda: str(bob.text) == "ac")
        for client in ann, bob:
            client.put(messages.update(client.doc.get_update()))
            client.put(messages.step_two(client.doc.get_update()))
        ann.text.insert(0, "!")
        await until(lambda: str(bob.text) == "!ac")
    entries = await entries_of(backend)
    assert {entry.replica for entry in entries} == {ann.client_id}
    assert len(entries) <= 3


async def test_what_was_written_off_line_in_two_tabs_becomes_a_log_for_each():
    backend = MemoryBackend()
    async with doors_of(backend) as served:
        one, other = new_doc(11), new_doc(12)
        for turn in range(6):
            writer, reader = (one, other) if turn % 2 else (other, one)
            text = writer.get("text", type=pycrdt.Text)
            text.insert(len(text) // 2, "ab")
            del text[0:1]
            reader.apply_update(writer.get_update(reader.get_state()))
        ann = served.y(user="ann")
        await until(lambda: ann.synced)
        ann.doc.apply_update(one.get_update())
        bob = served.y(user="bob")
        await until(lambda: bob.synced and len(bob.text) == 6)
        assert str(bob.text) == str(one.get("text", type=pycrdt.Text))
    entries = await entries_of(backend)
    assert {entry.replica for entry in entries} == {11, 12}
    assert all(check_structs(entry) is not None for entry in entries)
    assert {entry.user for entry in entries if entry.seq == 1} == {"ann"}


async def test_only_deletions_go_into_the_log_of_who_deleted():
    backend = MemoryBackend()
    async with doors_of(backend) as served:
        ann, bob, eve = served.y(user="ann"), served.y(user="bob"), served.y(user="eve")
        await until(lambda: ann.synced and bob.synced and eve.synced)
        ann.text.insert(0, "abc")
        await until(lambda: str(bob.text) == "abc" == str(eve.text))
        bob.show('{"name": "bob"}')
        del bob.text[0:1]
        await until(lambda: str(ann.text) == "bc")
        del eve.text[0:1]  # of whom no id is known
        await until(lambda: str(ann.text) == "c")
    first, second, third = await entries_of(backend)
    assert (second.replica, second.user) == (bob.client_id, "bob")
    assert second.dependencies == ((ann.client_id, 1, first.hash),)
    assert third.user == "eve"
    assert third.replica not in {ann.client_id, bob.client_id, eve.client_id}


async def test_nobody_writes_in_the_name_of_somebody_else():
    backend = MemoryBackend()
    async with doors_of(backend) as served:
        ann = served.y(user="ann", client_id=77)
        await until(lambda: ann.synced)
        ann.text.insert(0, "mine")
        bob = served.y(user="bob")
        await until(lambda: str(bob.text) == "mine")
        forged = new_doc(77)
        forged.apply_update(bob.doc.get_update())
        forged.get("text", type=pycrdt.Text).insert(0, "not ")
        before = await backend.state("board")
        bob.put(messages.update(forged.get_update()))
        await until(lambda: bob.end.closed and bob.refusals)
        assert bob.end.code == 4403
        assert len(bob.refusals) == 1
        assert await backend.state("board") == before
        assert str(ann.text) == "mine"


async def test_nobody_writes_in_the_name_of_a_device():
    backend = MemoryBackend()
    key = DeviceKey.generate()
    await backend.bind(Device(2**52 + 5, key.public, "bob"))
    async with doors_of(backend) as served:
        bob = served.y(user="bob", client_id=2**52 + 5)
        await until(lambda: bob.synced)
        bob.text.insert(0, "as if from his device")
        await until(lambda: bob.end.closed)
        assert bob.end.code == 4403
    assert await entries_of(backend) == []


async def test_nobody_goes_on_with_the_log_of_a_replica():
    async with doors_of() as served, native(served) as (replica, connection):

        class Board(Document):
            text: Text

        board = replica.document(Board, "board")
        board.text.append("native")
        await connection.synced()
        eve = served.y(user="py")
        await until(lambda: str(eve.text) == "native")
        forged = new_doc(replica.id)
        forged.apply_update(eve.doc.get_update())
        forged.get("text", type=pycrdt.Text).insert(0, "not ")
        eve.put(messages.update(forged.get_update()))
        await until(lambda: eve.end.closed)
        assert eve.end.code == 4403
        assert str(board.text) == "native"


async def test_a_gap_is_asked_for_and_what_is_behind_it_is_not_stored():
    backend = MemoryBackend()
    async with doors_of(backend) as served:
        ann = served.y()
        await until(lambda: ann.synced)
        other = new_doc(5)
        text = other.get("text", type=pycrdt.Text)
        text += "first"
        state = other.get_state()
        text += " second"
        ann.hold(other.get_update())  # it holds it, and says only the second half
        ann.put(messages.update(other.get_update(state)))
        await until(lambda: served.doors.rooms)
        bob = served.y()
        await until(lambda: str(bob.text) == "first second")
    assert [check_structs(entry) for entry in await entries_of(backend)] == [0]


async def test_what_cannot_be_read_ends_the_connection_only():
    async with doors_of() as served:
        ann, eve = served.y(), served.y()
        await until(lambda: ann.synced and eve.synced)
        eve.put(messages.update(b"\x01\x01\x05\x00\xff\xff"))
        await until(lambda: eve.end.closed)
        assert eve.end.code == 4403
        mallory = served.y()
        mallory.put(b"\xff")
        await until(lambda: mallory.end.closed)
        assert mallory.end.code == 4400
        ann.text.insert(0, "on")
        late = served.y()
        await until(lambda: str(late.text) == "on")


async def test_a_text_of_megabytes_becomes_several_entries():
    backend = MemoryBackend()
    async with doors_of(backend) as served:
        ann = served.y()
        await until(lambda: ann.synced)
        ann.text.insert(0, "😀" * 300_000)
        bob = served.y()
        await until(lambda: len(bob.text) == 1_200_000)
    entries = await entries_of(backend)
    assert len(entries) > 3
    assert [entry.seal is not None for entry in entries] == [False] * (len(entries) - 1) + [True]


async def test_the_same_key_seals_after_a_restart(tmp_path):
    async def write(word: str) -> None:
        async with SqliteBackend(tmp_path / "server.db") as backend, doors_of(backend) as served:
            ann = served.y(client_id=9)
            await until(lambda: ann.synced)
            ann.text.insert(0, word)
            late = served.y()
            await until(lambda: word in str(late.text))

    await write("one")
    await write("two")
    async with SqliteBackend(tmp_path / "server.db") as backend:
        entries = await entries_of(backend)
    assert [entry.seq for entry in entries] == [1, 2]
    prover = Prover(lambda replica: entries[0])
    assert prover.proved(entries, {}) == 2


async def test_who_may_not_read_is_told_so_once_and_for_all():
    policy = PatternPolicy([Rule(Level.WRITE, ("ann/**",), users=frozenset({"ann"}))])
    async with doors_of(policy=policy) as served:
        bob = served.y("ann/diary", user="bob")
        await until(lambda: bob.end.closed and bob.refusals)
        assert bob.end.closed == (4403, "no rule lets you read this document")
        assert bob.refusals == ["no rule lets you read this document"]
        assert not bob.synced
        assert len(served.doors.rooms) == 0


async def test_who_may_only_read_reads_on_and_writes_nothing():
    policy = PatternPolicy(
        [Rule(Level.READ, ("**",), everybody=True), Rule(Level.WRITE, ("**",), frozenset({"ann"}))]
    )
    backend = MemoryBackend()
    async with doors_of(backend, policy=policy) as served:
        ann, bob = served.y(user="ann"), served.y(user="bob")
        await until(lambda: ann.synced and bob.synced)
        bob.text.insert(0, "no")
        bob.text.insert(0, "no ")
        await until(lambda: bob.refusals)
        ann.text.insert(0, "yes")
        await until(lambda: "yes" in str(bob.text))
        assert bob.refusals == ["no rule lets you write this document"]
        assert bob.end.closed is None
    assert {entry.user for entry in await entries_of(backend)} == {"ann"}


async def test_a_judged_change_is_taken_back_from_its_author():
    class NoShouting:
        def may_read(self, user, document):
            return ALLOWED

        may_write = may_read

        def judge(self, action, view):
            said.append((action.user, action.name, action.replica))
            return refused("no shouting") if action.user == "bob" else ALLOWED

    said: list[tuple[str | None, str, int]] = []
    backend = MemoryBackend()
    async with doors_of(backend, policy=NoShouting()) as served:
        ann, bob = served.y(user="ann"), served.y(user="bob")
        await until(lambda: ann.synced and bob.synced)
        ann.text.insert(0, "quiet")
        await until(lambda: str(bob.text) == "quiet")
        bob.text.insert(5, "LOUD")
        await until(lambda: str(bob.text) == "quiet")
        assert str(ann.text) == "quiet"
        assert bob.end.closed is None
        del bob.text[0:1]  # this cannot be taken back
        await until(lambda: bob.end.closed)
        assert bob.end.closed == (4403, "no shouting")
        late = served.y()
        await until(lambda: late.synced)
        assert str(late.text) == "quiet"
    assert said[0] == ("ann", "yjs", ann.client_id)
    assert [entry.refusal for entry in await entries_of(backend)] == [None, *["no shouting"] * 2]


async def test_storage_that_fails_loses_nothing():
    class Failing(MemoryBackend):
        fails = False

        async def append(self, document, entries):
            if self.fails:
                raise StorageError("the disk is full", path="server.db")
            return await super().append(document, entries)

    backend = Failing()
    async with doors_of(backend) as served:
        ann, bob = served.y(), served.y()
        await until(lambda: ann.synced and bob.synced)
        backend.fails = True
        ann.text.insert(0, "kept by ann")
        await until(lambda: ann.end.closed)
        assert ann.end.code == 1013
        assert str(bob.text) == ""
        backend.fails = False
        again = served.y(client_id=1234)
        again.doc.apply_update(ann.doc.get_update())  # as its own, in the next connection
        await until(lambda: str(bob.text) == "kept by ann")


async def test_a_slow_reader_slows_nobody_and_gets_the_difference():
    limits = YjsLimits(recent_bytes_max=2000)
    async with doors_of(limits=limits) as served:
        slow = served.y(buffered=1)
        ann, bob = served.y(), served.y()
        await until(lambda: ann.synced and bob.synced and slow.synced)
        slow.pause()
        for number in range(300):
            ann.text.insert(0, f"{number} " + "x" * 50)
            start = f"{number} "
            await until(partial(lambda start: str(bob.text).startswith(start), start))
        (room,) = served.doors.rooms.open()
        assert room.recent.kept_bytes < 3000
        updates = slow.updates
        slow.resume()
        await until(lambda: str(slow.text) == str(bob.text))
        assert slow.updates - updates < 20


async def test_who_takes_nothing_is_closed():
    limits = YjsLimits(silence_timeout_s=0.1, keep_alive_s=0.05)
    async with doors_of(limits=limits) as served:
        slow = served.y(buffered=0)
        slow.pause()
        await until(lambda: slow.end.closed)
        assert slow.end.code == 1013


async def test_silence_is_filled():
    async with doors_of(limits=YjsLimits(keep_alive_s=0.02)) as served:
        ann = served.y()
        await until(lambda: ann.synced)
        sent = ann.heard
        await until(lambda: ann.heard > sent + 2)


async def test_no_more_rooms_than_may_be():
    async with doors_of(limits=YjsLimits(rooms_max=1)) as served:
        ann = served.y("one")
        await until(lambda: ann.synced)
        bob = served.y("two")
        await until(lambda: bob.end.closed)
        assert bob.end.code == 1013


async def test_what_was_sent_before_the_end_is_stored():
    backend = MemoryBackend()
    async with doors_of(backend) as served:
        ann = served.y()
        await until(lambda: ann.synced)
        ann.text.insert(0, "last words")
        await ann.flush()
        await ann.end.close(1001, "")
        bob = served.y()
        await until(lambda: str(bob.text) == "last words")


async def test_a_spoiled_document_is_read_anew_without_what_spoils_it():
    backend = MemoryBackend()
    async with doors_of(backend) as served:
        ann = served.y()
        await until(lambda: ann.synced)
        ann.text.insert(0, "good")
        bob = served.y()
        await until(lambda: str(bob.text) == "good")
        author = Author(2**52 + 1)
        # Structs at clock 7 of a log that has none: nobody can apply that.
        await backend.append("board", [author.write(update=GAPPED)])
        ann.text.insert(0, "still ")
        await until(lambda: str(bob.text) == "still good")
        late = served.y()
        await until(lambda: str(late.text) == "still good")


async def test_a_room_that_fails_is_opened_anew():
    backend = MemoryBackend()
    async with doors_of(backend) as served:
        ann = served.y()
        await until(lambda: ann.synced)
        (room,) = served.doors.rooms.open()
        room._take = lambda rows: 1 / 0  # type: ignore[method-assign,assignment]
        ann.text.insert(0, "kept")
        await until(lambda: ann.end.closed)
        assert ann.end.code == 1013
        bob = served.y()
        await until(lambda: bob.synced)
        assert str(bob.text) == "kept"
        assert len(served.hub.channels) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"\x05" + ROOT + encoded(b"{no JSON"),
        b"\x00" + encoded(2**40),
        b"\x02" + ROOT + encoded(1, b"1"),  # of which the CRDT library reads one more
        b"\x07" + ROOT + b"\x63",
    ],
)
async def test_what_the_crdt_library_would_not_read_is_never_stored(content):
    backend = MemoryBackend()
    async with doors_of(backend) as served:
        eve = served.y()
        eve.put(messages.update(b"\x01\x01\x05\x00" + content + b"\x00"))
        await until(lambda: eve.end.closed and eve.refusals)
        assert "cannot be read" in eve.refusals[0]
    assert await entries_of(backend) == []


@pytest.mark.parametrize("seed", range(8))
async def test_whatever_they_do_and_however_often_they_are_cut_off_they_converge(seed):
    chance = random.Random(seed)
    backend = MemoryBackend()
    async with doors_of(backend, YjsLimits(recent_bytes_max=100)) as served:
        docs = [new_doc(client) for client in (2**32 - 1, 7, 2**52 + 9)]
        clients = [served.y(doc=doc, user="ann") for doc in docs]
        for _ in range(120):
            who = chance.randrange(3)
            client, length = clients[who], len(clients[who].text)
            match chance.randrange(8):
                case 0:
                    await client.end.close(1006, "")
                case 1 if client.end.closed:
                    clients[who] = served.y(doc=docs[who], user="ann")
                case 2 if length:
                    at = chance.randrange(length)
                    del client.text[at : at + 1]
                case 3:
                    client.doc.get("map", type=pycrdt.Map)[chance.choice("ab")] = [who]
                case 4:
                    await anyio.sleep(0.001)
                case 5:  # met off line, as two tabs of one browser
                    docs[who].apply_update(docs[(who + 1) % 3].get_update(docs[who].get_state()))
                case _:
                    client.text.insert(chance.randrange(length + 1), chance.choice(["a", "bcd"]))
        for client in clients:
            await client.end.close(1006, "")
        clients = [served.y(doc=doc, user="ann") for doc in docs]
        late = served.y()
        await until(lambda: all(client.synced for client in clients))
        found = [docs[0].get("text", type=pycrdt.Text), docs[0].get("map", type=pycrdt.Map)]
        await until(
            lambda: all(
                str(doc.get("text", type=pycrdt.Text)) == str(found[0])
                and doc.get("map", type=pycrdt.Map).to_py() == found[1].to_py()
                and clocks(doc) == clocks(docs[0])
                for doc in (*docs, late.doc)
            )
        )
    entries = await entries_of(backend)
    # At the most one more, for deletions of somebody who had written nothing.
    assert len({entry.replica for entry in entries} - {2**32 - 1, 7, 2**52 + 9}) <= 1
    replayed = new_doc(1)
    for entry in entries:
        check_structs(entry)
        replayed.apply_update(entry.update)
    assert clocks(replayed) == clocks(docs[0])
    assert str(replayed.get("text", type=pycrdt.Text)) == str(found[0])
