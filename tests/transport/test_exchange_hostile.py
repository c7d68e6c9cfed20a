"""What a server may say to an exchange, in any order: its errors are its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync.document import Document
from crdtsync.errors import RefusedError, RemoteProtocolError
from crdtsync.log import Cursor, Head
from crdtsync.replica import Replica
from crdtsync.selection import Selection
from crdtsync.sync import encode_frame
from crdtsync.sync.awareness import Sighting
from crdtsync.sync.frames import (
    Complete,
    Credit,
    Entries,
    Failed,
    Frame,
    Goodbye,
    Heads,
    Ping,
    Pong,
    Push,
    Receipt,
    Shown,
    Subscribe,
    Subscribed,
    Unsubscribe,
)
from tests.server.authors import Author
from tests.transport.scripted import EPOCH, heads_of
from tests.transport.test_exchange import Table

BAD = b"no entry"


class Board(Document):
    name: str = ""


FOLLOWING: dict[str, Callable[[Table], None]] = {
    "entries": lambda table: table.send(1, Author(5).write()),
    "complete": lambda table: table.server.complete("board", 3, heads_of(Author(5).write())),
    "failed": lambda table: table.server.failed("board", "malformed", "it says so too"),
    "heads": lambda table: table.server.heads("board", {}),
    "receipt": lambda table: table.server.receipt("board", table.replica.id, 1, 1),
    "subscribed": lambda table: table.server.subscribed("board", {}, "vector"),
    "shown": lambda table: table.server.shown("board", [Sighting(7, "{}", "ann")]),
    "goodbye": lambda table: table.server.goodbye("stopping", "the server stops", 10),
}


@pytest.mark.parametrize("what", FOLLOWING)
def test_what_comes_with_a_bad_entry_is_passed_over(what: str) -> None:
    """It went through the protocol before the entry was looked at."""
    with Replica(user="ann") as replica:
        replica.document(Board, "board").name = "mine"
        table = Table(replica)
        table.live()
        presence = table.exchange.presences.of("board")
        table.run()
        table.came.clear()
        number = table.exchange.ask("board")
        table.send(0, BAD)
        FOLLOWING[what](table)
        table.run()
        ledger = replica.ledger("board")
        assert [event.kind for event in table.told] == ["failed"]
        assert table.take(Subscribe) == []
        assert ledger.vector == {replica.id: 1}
        assert ledger.cursor is None
        assert ledger.acknowledged == 0
        assert not presence.others
        assert not table.exchange.followers["board"].live
        assert (table.exchange.goodbye is not None) is (what == "goodbye")
        with pytest.raises(RefusedError):
            table.exchange.is_proved("board", number, {})


def test_nothing_behind_a_bad_entry_is_stored() -> None:
    """A cursor beyond it would hide it from the sessions to come."""
    good, other = Author(5), Author(6)
    with Replica(user="ann") as replica:
        replica.ledger("board")
        table = Table(replica)
        table.live()
        # Too much for one transaction: each of these frames is stored by itself.
        table.send(0, *good.write_many(3, size=60_000), BAD)
        table.send(4, *other.write_many(3, size=60_000))
        table.run()
        assert replica.ledger("board").heads == heads_of(good.entries[-1])
        assert replica.ledger("board").cursor is None
        assert table.take(Unsubscribe) == [Unsubscribe("board")]


# Any conversation. Documents, replicas and numbers are few, so that frames meet.

_author = Author(5)
_good = _author.write_many(4)
_fork = Author(5).write(size=3)
_far = Author(6)
_far.write()
_pool = [*(entry.data for entry in _good), _fork.data, _far.write().data, BAD]
_pool.append(Author(5, "elsewhere").write().data)
_hashes = [*(entry.hash for entry in _good), _fork.hash]

names = st.sampled_from(["board", "other", "unknown"])
small = st.integers(0, 6)
heads = st.dictionaries(
    st.sampled_from([5, 6]),
    st.builds(Head, st.integers(1, 5), st.sampled_from(_hashes)),
    max_size=2,
)
entries = st.lists(st.sampled_from(_pool), max_size=4).map(tuple)
frames: st.SearchStrategy[Frame] = st.one_of(
    st.builds(Subscribed, names, heads, st.just("vector")),
    st.builds(
        lambda name, after, datas: Entries(name, after, after + len(datas), datas),
        names,
        small,
        entries,
    ),
    st.builds(Complete, names, st.just(0), small, heads),
    st.builds(Receipt, names, st.sampled_from([5, 7]), st.integers(1, 9), small, st.just(())),
    st.builds(Heads, small, names, heads),
    st.builds(
        Shown,
        names,
        st.lists(
            st.builds(Sighting, st.integers(0, 3), st.none() | st.just("[]"), st.just("ann")),
            max_size=3,
        ).map(tuple),
    ),
    st.builds(Failed, names, st.just("code"), st.just("reason")),
    st.builds(Credit, st.integers(1, 1000)),
    st.builds(Ping, small),
    st.builds(Pong, small, small),
    st.builds(Goodbye, st.sampled_from(["stopping", "fork"]), st.just(""), st.none() | small),
    st.builds(Push, names, st.just((BAD,)), st.none()),
)
Step: TypeAlias = Frame | str
STEPS = ["settle", "work", "work", "act", "ask", "tick", "new", "show", "hide"]
steps: st.SearchStrategy[list[Step]] = st.lists(frames | st.sampled_from(STEPS), max_size=25)


@given(steps, st.integers(0, 3))
def test_whatever_a_server_says_only_a_protocol_error_comes_out(
    steps: list[Step], live: int
) -> None:
    with Replica(user="ann") as replica:
        boards = [replica.document(Board, name) for name in ("board", "other")]
        table = Table(replica)
        for name in ("board", "other")[:live]:
            table.live(name)
        exchange, own = table.exchange, 0
        for step in steps:
            try:
                if isinstance(step, str):
                    own += _do(step, table, boards[0])
                else:
                    exchange.receive(encode_frame(step))
            except RemoteProtocolError:
                assert table.client.closed
                break
        exchange.settle()
        exchange.work()
        table.client.data_to_send()
        assert replica.ledger("board").vector.get(replica.id, 0) == own
        for name in ("board", "other"):
            ledger = replica.ledger(name)
            assert ledger.cursor is None or ledger.cursor.epoch == EPOCH
            assert ledger.acknowledged <= own
            for entry in ledger.entries():  # raises where a chain does not hold
                assert entry.document == name
            follower = exchange.followers[name]
            assert follower.failure is None or not follower.live
        assert replica.verify() == []


def _do(step: str, table: Table, board: Board) -> int:
    """Do one thing on the client's side; return how many entries the board has got by it."""
    exchange = table.exchange
    if step == "act":
        board.name += "x"
        return 1
    if step == "settle":
        exchange.settle()
    elif step == "work":
        exchange.work()
    elif step == "tick":
        exchange.tick()
    elif step == "new":
        table.replica.ledger("new")
    elif step == "show":
        exchange.presences.of("board").update(at=1)
    elif step == "hide":
        exchange.presences.of("board").close()
    elif not table.client.closed:
        exchange.ask("board")
    return 0


def test_a_cursor_is_stored_with_what_it_covers_only() -> None:
    with Replica(user="ann") as replica:
        replica.ledger("board")
        table = Table(replica)
        table.live()
        author = Author(5)
        author.write()
        table.send(0, author.write())  # its predecessor is missing: it is held, in memory
        table.run()
        assert replica.ledger("board").cursor is None
        table.send(1, author.entries[0])
        table.run()
        assert replica.ledger("board").cursor == Cursor(EPOCH, 2)


def test_a_server_cannot_name_what_was_not_asked_for() -> None:
    """Else it could have what is private pushed to it."""
    with Replica(user="ann") as replica:
        replica.document(Board, "diary").name = "private"
        table = Table(replica, documents={"board/*": 5, "home/{user}/*": 7})
        names = {"diary": 5, "board/1": 5, "board/2": 4, "home/bob/x": 7, "home/ann/x": 7}
        table.server.tell_selected(0, names)
        table.run()
        assert [asked.document for asked in table.take(Subscribe)] == ["board/1", "home/ann/x"]
        assert table.queries.known


def test_a_server_that_names_documents_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crdtsync.transport.queries.NAMED_MAX", 3)
    with Replica(user="ann") as replica:
        table = Table(replica, documents="board/*")
        answer = table.queries.open(Selection("board/*"), ())
        table.run()
        for start in range(0, 10, 2):
            names = {f"board/{number}": 100 for number in range(start, start + 2)}
            table.server.tell_selected(1, names)
            table.run()
        assert len(table.exchange.followers) == len(answer.documents) == 3
        failed = answer.take()
        assert failed is not None
        assert failed.code == "limit"

    with Replica(user="ann") as replica:
        table = Table(replica)
        table.server.tell_subscriptions({f"board/{number}": 1 for number in range(10)})
        table.run()
        assert len(table.exchange.followers) == 3
