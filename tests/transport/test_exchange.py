"""What passes between a replica and a server in one session, without I/O."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from crdtsync.document import Document
from crdtsync.errors import LocalProtocolError, RefusedError
from crdtsync.keys import DeviceKey
from crdtsync.log import EMPTY_UPDATE, Cursor, Entry, Head, decode_entry, make_entry, with_seal
from crdtsync.replica import Replica
from crdtsync.seal import make_seal
from crdtsync.selection import PRIORITY, Documents, Selection
from crdtsync.sync import ClientProtocol, ServerProtocol, WireLimits, encode_frame
from crdtsync.sync.frames import (
    Check,
    Entries,
    Frame,
    Goodbye,
    Hello,
    Pong,
    Push,
    Select,
    Subscribe,
    Unsubscribe,
)
from crdtsync.transport.exchange import Exchange
from crdtsync.transport.greeting import client_id
from crdtsync.transport.intake import ADVANCE_MAX
from crdtsync.transport.queries import Queries
from crdtsync.transport.status import ConnectionEvent
from tests.server.authors import Author
from tests.transport.scripted import EPOCH, heads_of, unix_ms

F = TypeVar("F", bound=Frame)


class Board(Document):
    name: str = ""


class Table:
    """A replica's exchange and a server's protocol, back to back.

    Attributes:
        came: what has arrived at the server.
        told: what the application was told.
        queries: what it asks for.
    """

    def __init__(
        self, replica: Replica, limits: WireLimits | None = None, documents: Documents | None = None
    ) -> None:
        self.replica = replica
        self.client = ClientProtocol(limits)
        self.server = ServerProtocol(limits)
        self.came: list[Frame] = []
        self.told: list[ConnectionEvent] = []
        self.queries = Queries(documents, replica.user)
        self.exchange = Exchange(replica, self.client, "here", self.queries, self.told.append)
        replica.subscribe(self.exchange.touch)
        self.exchange.greeting.hello("token")
        self.run()
        self.server.welcome(epoch=EPOCH, time=unix_ms())
        self.run()

    def run(self) -> None:
        """Carry everything both ways until there is no more."""
        while True:
            more = self.exchange.work()
            up, down = self.client.data_to_send(), self.server.data_to_send()
            for payload in up:
                self.came += self.server.receive(payload)
            for payload in down:
                self.exchange.receive(payload)
            self.exchange.settle()
            if not (more or up or down):
                return

    def take(self, kind: type[F]) -> list[F]:
        """Return what has arrived of one kind."""
        found: list[F] = [frame for frame in self.came if isinstance(frame, kind)]
        self.came = [frame for frame in self.came if not isinstance(frame, kind)]
        return found

    def live(
        self, document: str = "board", heads: dict[int, Head] | None = None, mode: str = "vector"
    ) -> None:
        """Answer a subscription."""
        self.server.subscribed(document, heads or {}, mode)
        self.run()

    def send(self, after: int, *entries: Entry | bytes, document: str = "board") -> None:
        """Queue entries for the client, each with an offset of its own."""
        datas = tuple(one if isinstance(one, bytes) else one.data for one in entries)
        upto = after + len(datas)
        self.server.send_payload(encode_frame(Entries(document, after, upto, datas)))


@pytest.fixture
def replica() -> Iterator[Replica]:
    with Replica(user="ann") as replica:
        replica.ledger("board")
        yield replica


def act(replica: Replica, count: int = 1, document: str = "board") -> None:
    board = replica.document(Board, document)
    for number in range(count):
        board.name = f"{number}"


# Greeting and documents.


def test_hello_says_who_is_there(replica: Replica) -> None:
    [hello] = Table(replica).take(Hello)
    assert (hello.user, hello.replica, hello.token) == ("ann", replica.id, "token")
    assert hello.client == client_id(replica.id)
    assert hello.software.startswith("crdtsync/")


def test_all_documents_are_asked_for_also_new_ones(replica: Replica) -> None:
    replica.ledger("another")
    table = Table(replica)
    assert {frame.document for frame in table.take(Subscribe)} == {"another", "board"}
    act(replica, document="new")
    table.run()
    [asked] = table.take(Subscribe)
    assert asked.document == "new"
    assert asked.heads == replica.ledger("new").heads


def test_only_the_documents_wanted_are_asked_for(replica: Replica) -> None:
    table = Table(replica, documents=["board", "not here yet"])
    act(replica, document="private")
    table.run()
    assert {frame.document for frame in table.take(Subscribe)} == {"board", "not here yet"}
    assert "not here yet" in replica.names()


def test_many_documents_are_asked_for_in_several_blocks(replica: Replica) -> None:
    names = {f"document {number}" for number in range(200)}
    for name in names:
        replica.ledger(name)
    assert {frame.document for frame in Table(replica).take(Subscribe)} == names | {"board"}


def test_the_most_urgent_documents_are_asked_for_first(replica: Replica) -> None:
    names = [f"document {number}" for number in range(200)]
    priorities = {name: number * 7 % 5 for number, name in enumerate(names)}
    asked = Table(replica, documents=priorities).take(Subscribe)
    assert {frame.document: frame.priority for frame in asked} == priorities
    assert [frame.priority for frame in asked] == sorted(priorities.values())


def test_what_a_query_wants_sooner_is_asked_for_again_unless_it_is_here(replica: Replica) -> None:
    for name in ("here", "live", "new"):
        replica.ledger(name)
    table = Table(replica)
    table.live("here")
    table.live("live")
    table.server.complete("here", 0, {})
    table.run()
    table.take(Subscribe)
    answer = table.queries.open(Selection({"live": 0, "new": 1, "here": 2, "board": PRIORITY}), [])
    table.run()
    again = [(frame.document, frame.priority) for frame in table.take(Subscribe)]
    assert again == [("live", 0), ("new", 1)]
    assert not table.exchange.followers["live"].live
    table.live("live")
    table.send(0, Author(5, "live").write(), document="live")
    table.server.complete("live", 1, {})
    table.run()
    assert replica.ledger("live").vector == {5: 1}
    assert answer.documents == {"live": 0, "new": 1, "here": 2, "board": PRIORITY}


def test_what_has_ended_is_asked_no_more(replica: Replica) -> None:
    table = Table(replica)
    one = table.queries.open(Selection("a/*"), [])
    two = table.queries.open(Selection(["b/*", "c"]), [])
    table.run()
    [first, second] = table.take(Select)
    assert [first.selectors, second.selectors] == [{"a/*": PRIORITY}, {"b/*": PRIORITY}]
    table.server.tell_selected(first.id, {"a/1": PRIORITY})
    table.run()
    assert "a/1" in one.documents
    assert "a/1" not in two.documents
    del one
    table.server.tell_selected(first.id, {"a/2": PRIORITY})  # this has crossed the end
    table.run()
    assert table.take(Select) == [Select(first.id, {})]
    assert "a/2" not in table.exchange.followers


def test_a_cursor_is_used_in_its_epoch_only(replica: Replica) -> None:
    ledger = replica.ledger("board")
    ledger.receive([Author(5).write().data], Cursor(EPOCH, 4))
    [asked] = Table(replica).take(Subscribe)
    assert asked.cursor == Cursor(EPOCH, 4)
    ledger.receive([], Cursor(b"another epoch...", 9))
    [asked] = Table(replica).take(Subscribe)
    assert asked.cursor is None


# Down.


def test_entries_are_stored_with_the_cursor_and_their_credit_is_given_back(
    replica: Replica,
) -> None:
    table = Table(replica, WireLimits(credit_bytes=2000))
    table.live()
    author = Author(5)
    offset = 0
    for _ in range(20):
        table.send(offset, *author.write_many(5))
        offset += 5
        table.run()
    ledger = replica.ledger("board")
    assert ledger.heads[5] == author.head
    assert ledger.cursor == Cursor(EPOCH, 100)
    assert table.server.credit > 1000


def test_small_frames_of_one_turn_are_stored_together(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = Table(replica)
    table.live()
    ledger, calls = replica.ledger("board"), []
    receive = ledger.receive

    def counted(datas: list[bytes], cursor: Cursor | None = None, *, prove: bool = False) -> object:
        calls.append((len(datas), cursor))
        return receive(datas, cursor, prove=prove)

    monkeypatch.setattr(ledger, "receive", counted)
    author = Author(5)
    for offset in range(10):
        table.send(offset, author.write())
    table.run()
    assert calls == [(10, Cursor(EPOCH, 10))]


def test_the_echo_of_our_own_pushes_is_not_worth_a_transaction_each_time(
    replica: Replica,
) -> None:
    table = Table(replica)
    table.live()
    ledger = replica.ledger("board")
    table.send(0, Author(5).write())
    table.run()
    for offset in range(1, 3):
        table.server.send_payload(encode_frame(Entries("board", offset, offset + 1, ())))
        table.run()
    assert ledger.cursor == Cursor(EPOCH, 1)
    table.exchange.tick()
    assert ledger.cursor == Cursor(EPOCH, 3)
    table.server.send_payload(encode_frame(Entries("board", 3, 4 + ADVANCE_MAX, ())))
    table.run()
    assert ledger.cursor == Cursor(EPOCH, 4 + ADVANCE_MAX)


def test_what_came_from_the_server_is_not_pushed_back(replica: Replica) -> None:
    table = Table(replica)
    table.live()
    table.send(0, *Author(5).write_many(3))
    table.run()
    act(replica)
    table.run()
    [push] = table.take(Push)
    assert len(push.entries) == 1


def test_a_bad_entry_ends_its_document_and_no_other(replica: Replica) -> None:
    replica.ledger("other")
    table = Table(replica, WireLimits(credit_bytes=100))
    table.live("board")
    table.live("other")
    good, later = Author(5), Author(6, "other")
    table.send(0, good.write(), b"no entry")
    table.run()
    assert replica.ledger("board").vector == {5: 1}
    assert replica.ledger("board").cursor is None
    [event] = table.told
    assert (event.kind, event.document) == ("failed", "board")
    assert table.take(Unsubscribe) == [Unsubscribe("board")]
    table.send(0, later.write(), document="other")
    table.run()
    assert replica.ledger("other").vector == {6: 1}
    act(replica)
    table.run()
    assert table.take(Push) == []
    with pytest.raises(RefusedError, match="board"):
        table.exchange.is_proved("board", table.exchange.ask("board"), {})
    table.exchange.tick()
    table.run()
    assert {frame.document for frame in table.take(Check)} == {"other"}


def test_a_hole_is_healed_by_asking_again_without_the_cursor(replica: Replica) -> None:
    author = Author(5)
    one, two, three = author.write_many(3)
    ledger = replica.ledger("board")
    ledger.receive([one.data], Cursor(EPOCH, 2))  # the cursor says that entry 2 is here
    table = Table(replica)
    table.take(Subscribe)
    table.live(heads=heads_of(three), mode="cursor")
    table.send(2, three)
    table.server.complete("board", 3, heads_of(three))
    table.run()
    assert [event.kind for event in table.told] == ["gap"]
    [again] = table.take(Subscribe)
    assert again.cursor is None
    assert again.heads == heads_of(one)
    table.live(heads=heads_of(three))
    table.send(0, two, three)
    table.server.complete("board", 3, heads_of(three))
    table.run()
    assert ledger.heads == heads_of(three)
    assert table.exchange.followers["board"].proved_at is not None
    # A server that says so again is not asked for ever.
    table.server.complete("board", 3, heads_of(Author(9).write()))
    table.run()
    assert table.take(Subscribe) == []


# Up.


def test_what_the_server_lacks_is_pushed_in_order_after_it_is_safe(replica: Replica) -> None:
    author = Author(5)
    replica.ledger("board").receive([entry.data for entry in author.write_many(3)])
    act(replica, 4)
    table = Table(replica)
    assert table.take(Push) == []
    table.live(heads=heads_of(author.entries[0]))
    pushes = table.take(Push)
    sent = [data for push in pushes for data in push.entries]
    assert sent[:2] == [entry.data for entry in author.entries[1:]]
    assert len(sent) == 6
    assert replica.ledger("board").sent == 4
    table.run()
    assert table.take(Push) == []


def test_pushes_keep_to_the_servers_limits_and_credit(replica: Replica) -> None:
    act(replica, 50)
    table = Table(replica, WireLimits(push_entries_max=7, credit_bytes=500))
    table.live()
    count = 0
    while pushes := table.take(Push):
        assert table.client.credit <= 0 or count + len(pushes[-1].entries) >= 50
        for push in pushes:
            assert len(push.entries) <= 7
            count += len(push.entries)
            table.server.returned(push.size)
        table.run()
    assert count == 50


def test_documents_take_turns(replica: Replica) -> None:
    for name in ("board", "other"):
        replica.document(Board, name)
        for _ in range(3):
            with replica.document(Board, name).action("big", pad="x" * 60_000):
                replica.document(Board, name).name = "big"
    table = Table(replica)
    table.server.subscribed("board", {}, "vector")
    table.server.subscribed("other", {}, "vector")
    table.run()
    assert len({push.document for push in table.take(Push)[:2]}) == 2


def test_receipts_are_kept(replica: Replica) -> None:
    act(replica, 3)
    table = Table(replica)
    table.live()
    table.server.receipt("board", replica.id, 2, 2)
    table.server.receipt("board", replica.id, 3, 3, [(3, "may not")])
    table.run()
    assert replica.ledger("board").acknowledged == 3
    [event] = table.told
    assert (event.kind, event.document) == ("rejected", "board")
    assert "may not" in event.detail


def test_heads_of_the_server_are_receipts_too(replica: Replica) -> None:
    act(replica, 3)
    ledger = replica.ledger("board")
    table = Table(replica)
    table.live(heads=dict(ledger.heads))
    assert ledger.acknowledged == 3
    assert table.take(Push) == []


@pytest.fixture
def copied(tmp_path: Path) -> Iterator[tuple[Replica, list[Entry], list[Entry]]]:
    """A store with two entries, sealed and known to the server, and three that a copy added."""
    with Replica(tmp_path / "a.db", user="ann") as replica:
        act(replica, 2)
        ledger = replica.ledger("board")
        [part] = ledger.parts(ledger.missing({}, 10**6), 100)
        both = [decode_entry(one.data) for one in part]
    shutil.copy(tmp_path / "a.db", tmp_path / "b.db")
    with Replica(tmp_path / "b.db", user="ann") as copy:
        act(copy, 3)
        ledger = copy.ledger("board")
        [part] = ledger.parts(ledger.missing({copy.id: 2}, 10**6), 100)
        theirs = [decode_entry(one.data) for one in part]
    with Replica(tmp_path / "a.db", user="ann") as replica:
        act(replica, 3)
        yield replica, both, theirs


@pytest.mark.parametrize("sealed_heads", [2, 3, 5])
def test_a_fork_of_our_log_is_mended(
    copied: tuple[Replica, list[Entry], list[Entry]], sealed_heads: int
) -> None:
    replica, both, theirs = copied
    old, board = replica.id, replica.document(Board, "board")
    name, server = board.name, [*both, *theirs][:sealed_heads]
    table = Table(replica)
    if sealed_heads == 2:
        table.live(heads=heads_of(*server))
        assert [len(push.entries) for push in table.take(Push)] == [3]
        table.server.failed("board", "fork", "another entry 3 is held")
        server = [*both, *theirs]
    elif sealed_heads == 3:
        server[-1] = with_seal(theirs[0], make_seal(_key(replica), "board", old, theirs[0]))
        table.live(heads=heads_of(*server))
    else:
        table.live(heads=heads_of(*server))
    table.run()
    *_, asked = table.take(Subscribe)
    assert asked.heads == {}
    assert table.take(Push) == []
    table.server.subscribed("board", heads_of(*server), "vector")
    table.send(0, *server)
    table.run()
    assert [event.kind for event in table.told] == ["mended"]
    assert table.exchange.greeting.outdated
    assert [goodbye.code for goodbye in table.take(Goodbye)] == ["rotated"]
    assert replica.id != old
    ledger = replica.ledger("board")
    assert ledger.vector == {old: 2, replica.id: 3}
    assert ledger.heads[old].hash == both[-1].hash
    assert board.name == name
    assert replica.verify() == []


def _key(replica: Replica) -> DeviceKey:
    assert replica.key is not None
    return replica.key


def test_a_branch_that_nobody_has_sealed_is_not_believed(
    copied: tuple[Replica, list[Entry], list[Entry]],
) -> None:
    """Else a server could have us write anew what others have, so that it would count twice."""
    replica, both, _ = copied
    forged = make_entry("board", replica.id, Head(2, both[-1].hash), 1, "evil", EMPTY_UPDATE)
    for bad in (forged, with_seal(forged, bytes(64))):
        old = replica.id
        table = Table(replica)
        table.live(heads=heads_of(bad))
        table.live(heads=heads_of(bad))
        table.send(0, *both, bad)
        table.server.complete("board", 3, heads_of(bad))
        table.run()
        [event] = table.told
        assert (event.kind, replica.id) == ("failed", old)
        assert replica.ledger("board").vector == {old: 5}


def test_a_fork_of_another_log_ends_the_document(replica: Replica) -> None:
    other = Author(5).write()
    replica.ledger("board").receive([other.data])
    table = Table(replica)
    table.live(heads={5: Head(1, bytes(32))})
    [event] = table.told
    assert event.kind == "failed"
    assert event.detail.startswith("fork")


def test_a_fork_that_is_not_ours_is_found_not_to_be(replica: Replica) -> None:
    act(replica)
    ledger = replica.ledger("board")
    ledger.receive([Author(5).write().data])
    table = Table(replica)
    table.live(heads=dict(ledger.heads) | {5: Head(1, bytes(32))})
    [_, asked] = table.take(Subscribe)
    assert set(asked.heads) == {5}
    table.live(heads=dict(ledger.heads) | {5: Head(1, bytes(32))})
    table.server.complete("board", 1, {})
    table.run()
    [event] = table.told
    assert event.detail.startswith("fork")
    assert replica.ledger("board").vector == {replica.id: 1, 5: 1}


def test_a_fork_is_seen_by_the_answer_to_a_check(
    copied: tuple[Replica, list[Entry], list[Entry]],
) -> None:
    """The copy was faster: what it pushed is not to be taken for ours."""
    replica, both, theirs = copied
    table = Table(replica)
    table.live(heads=heads_of(*both))
    table.exchange.ask("board")
    table.run()
    [check] = table.take(Check)
    table.server.heads("board", heads_of(*theirs), check.nonce)
    table.run()
    assert replica.ledger("board").acknowledged == 2
    [_, asked] = table.take(Subscribe)
    assert asked.heads == {}


def test_a_log_is_not_mended_in_the_middle_of_an_action(
    copied: tuple[Replica, list[Entry], list[Entry]],
) -> None:
    replica, both, theirs = copied
    old, board = replica.id, replica.document(Board, "board")
    table = Table(replica)
    with board.action("long"):
        table.live(heads=heads_of(*theirs))
        table.live(heads=heads_of(*theirs))
        table.send(0, *both, *theirs)
        table.run()
        assert [goodbye.code for goodbye in table.take(Goodbye)] == ["rotated"]
        assert not table.exchange.greeting.outdated
        board.name = "long"
    assert replica.ledger("board").vector == {old: 6}
    table = Table(replica)
    table.live(heads=heads_of(*theirs))
    table.live(heads=heads_of(*theirs))
    table.send(0, *both, *theirs)
    table.run()
    assert replica.ledger("board").vector == {old: 2, replica.id: 4}
    assert board.name == "long"


def test_what_was_said_of_earlier_pushes_does_not_end_the_document(replica: Replica) -> None:
    act(replica, 2)
    table = Table(replica)
    table.live()
    table.server.failed("board", "fork", "of the first")
    table.run()
    table.server.failed("board", "fork", "of the second")
    table.run()
    assert len(table.take(Subscribe)) == 3
    assert table.told == []


def test_after_a_misfit_everything_is_computed_again_once(replica: Replica) -> None:
    act(replica, 5)
    ledger = replica.ledger("board")
    table = Table(replica, WireLimits(push_entries_max=1))
    table.live(heads=heads_of(*list(ledger.entries())[:3]))
    assert [len(push.entries) for push in table.take(Push)] == [1, 1]
    for _ in range(2):  # one for each push
        table.server.heads("board", heads_of(*list(ledger.entries())[:1]))
    table.run()
    assert table.take(Push) == []
    [check] = table.take(Check)
    table.server.heads("board", heads_of(*list(ledger.entries())[:1]), check.nonce)
    table.run()
    assert len(table.take(Push)) == 4
    assert table.told == []


def test_endless_misfits_wait_until_the_server_has_got_further(replica: Replica) -> None:
    act(replica)
    others = Author(5).write_many(2)
    table = Table(replica)
    table.live()
    for waits in range(2):
        rounds = 0
        while table.take(Push):
            rounds += 1
            assert rounds < 10
            table.server.heads("board", {})
            table.run()
            [check] = table.take(Check)
            table.server.heads("board", {}, check.nonce)
            table.run()
        assert [event.kind for event in table.told] == ["stuck"] * (waits + 1)
        act(replica)
        table.run()
        assert table.take(Push) == []  # also what was done since
        table.send(waits, others[waits])
        table.run()


def test_what_no_server_takes_ends_its_document(replica: Replica) -> None:
    board = replica.document(Board, "board")
    with board.action("big", pad="x" * 5000):
        board.name = "big"
    limits = WireLimits(frame_bytes_max=1024, message_bytes_max=4096)
    table = Table(replica, limits)
    table.live()
    [event] = table.told
    assert event.kind == "failed"
    assert "4,096" in event.detail


def test_a_document_that_the_server_fails_is_left_alone(replica: Replica) -> None:
    act(replica)
    table = Table(replica)
    table.server.failed("board", "malformed", "it is odd")
    table.run()
    act(replica)
    table.run()
    assert [event.detail for event in table.told] == ["malformed: it is odd"]
    assert table.take(Push) == []


# Proof.


def test_a_proof_begins_after_it_was_asked_for(replica: Replica) -> None:
    table = Table(replica)
    exchange = table.exchange
    first = exchange.ask("board")
    table.live()
    [check] = table.take(Check)
    second = exchange.ask("board")  # while the first is under way
    table.run()
    assert table.take(Check) == []
    author = Author(5)
    entry = author.write()
    table.server.heads("board", heads_of(entry), check.nonce)
    table.run()
    assert not exchange.is_proved("board", first, {})  # the entry has not come yet
    table.send(0, entry)
    table.run()
    assert exchange.is_proved("board", first, {})
    assert not exchange.is_proved("board", second, {})
    [check] = table.take(Check)
    table.server.heads("board", heads_of(entry), check.nonce)
    table.run()
    assert exchange.is_proved("board", second, {})
    assert exchange.followers["board"].proved_at is not None


def test_a_proof_needs_our_entries_at_the_server(replica: Replica) -> None:
    table = Table(replica)
    table.live()
    act(replica, 2)
    number = table.exchange.ask("board")
    table.run()
    follower = table.exchange.followers["board"]
    assert follower.unsent == 0
    [check] = table.take(Check)
    table.server.heads("board", {}, check.nonce)
    table.run()
    assert not table.exchange.is_proved("board", number, {replica.id: 2})
    assert follower.proved_at is None
    table.server.receipt("board", replica.id, 2, 2)
    table.run()
    assert table.exchange.is_proved("board", number, {replica.id: 2})
    # Now that ours are there, one more question proves that both hold the same.
    [check] = table.take(Check)
    table.server.heads("board", dict(replica.ledger("board").heads), check.nonce)
    table.run()
    assert follower.proved_at is not None


def test_a_check_under_way_is_asked_again_when_the_document_begins_anew(replica: Replica) -> None:
    table = Table(replica)
    table.live()
    number = table.exchange.ask("board")
    table.run()
    table.take(Check)
    table.server.complete("board", 0, heads_of(Author(5).write()))  # a hole: it asks again
    table.run()
    table.live()
    [check] = table.take(Check)
    table.server.heads("board", {}, check.nonce)
    table.run()
    assert table.exchange.is_proved("board", number, {})


def test_time_brings_a_ping_and_checks_of_some_documents_in_turn(replica: Replica) -> None:
    for number in range(30):
        replica.ledger(f"document {number}")
    table = Table(replica)
    for name in replica.names():
        table.server.subscribed(name, {}, "vector")
    table.run()
    seen: set[str] = set()
    for _ in range(2):
        table.exchange.tick()
        table.run()
        for check in table.take(Check):
            seen.add(check.document)
            table.server.heads(check.document, {}, check.nonce)
        table.run()
    assert seen == set(replica.names())


def test_pings_are_answered(replica: Replica) -> None:
    table = Table(replica)
    nonce = table.server.ping()
    table.run()
    [pong] = table.take(Pong)
    assert pong.nonce == nonce
    assert pong.time > 1_600_000_000_000


def test_before_welcome_nothing_is_sent(replica: Replica) -> None:
    protocol = ClientProtocol()
    exchange = Exchange(replica, protocol, "here", Queries(), lambda event: None)
    exchange.touch("board")
    assert not exchange.work()
    exchange.tick()
    assert protocol.data_to_send() == []
    exchange.greeting.hello(None)
    with pytest.raises(LocalProtocolError):
        exchange.greeting.hello(None)
