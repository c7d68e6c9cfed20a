"""An erased entry: its content is gone, what it took away stays away, all else is as it was."""

from __future__ import annotations

import random
from typing import Any

import pycrdt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync import Counter, Document, List, Map, Record, Replica, Set, Table, Text, field
from crdtsync.document.erasure import erase
from crdtsync.document.slots import Slot, encode_slot, slot_key
from crdtsync.errors import MalformedEntryError
from crdtsync.log import (
    EMPTY_HEAD,
    EMPTY_UPDATE,
    ERASED,
    REFUSED,
    Cursor,
    Entry,
    Head,
    decode_entry,
    make_entry,
    with_clamp,
    with_seal,
)
from crdtsync.refusal import neutral_form, refuse
from crdtsync.strategies import KeepAll, Merge, RemoveWins
from crdtsync.update.reader import Reader

SECRET = "SECRET"
CURSOR = Cursor(bytes(16), 1)


class Task(Record):
    title: str = ""
    notes: Text


class Board(Document):
    name: str = field(default="", strategy=KeepAll())
    plain: object = None
    story: str = field(default="", strategy=Merge())
    total: Counter
    tags: Set[str]
    gone: Set[str] = field(presence=RemoveWins())
    body: Text
    items: List[object]
    options: Map[object]
    tasks: Table[Task]


def erased_on(replica: Replica, entry: Entry, reason: str = "by order") -> Entry:
    """Have a replica hear from its server that an entry was erased."""
    ledger = replica.ledger("b")
    erased = erase(entry, reason, ledger.heads)
    ledger.receive([erased.data], CURSOR)
    return erased


def nth(board: Board, number: int = -1) -> Entry:
    entries: list[Entry] = [*board.log]
    return entries[number]


def everything(board: Board) -> None:
    """Write something everywhere, in one action."""
    with board.action("write", secret=SECRET):
        board.name = board.story = SECRET
        board.plain = {SECRET: [SECRET]}
        board.body.append(SECRET)
        board.body.format(0, 3, note=SECRET)
        board.items.append(SECRET)
        board.items.append({SECRET: [SECRET]})
        board.items.append(SECRET.encode())
        board.tasks.add(key="t", title=SECRET, notes=SECRET)


def test_the_content_is_gone_and_header_hash_seal_and_clamp_stay() -> None:
    with Replica(user="ann") as replica:
        board = replica.document(Board, "b")
        everything(board)
        entry = with_seal(with_clamp(nth(board), 5), bytes(64))
        erased = erase(entry, "by order", replica.ledger("b").heads)
        assert SECRET.encode() not in erased.data
        assert (erased.erasure, erased.refusal, erased.arguments) == ("by order", None, {})
        assert erased[:6] == entry[:6]
        assert (erased.hash, erased.seal, erased.when) == (entry.hash, bytes(64), 5)
        assert erased.user == "ann"
        assert decode_entry(erased.data) == erased
        assert erase(erased, "again", {}) is erased
        refused = refuse(entry, "no")
        assert erase(refused, "by order", {}).erasure == "by order"


def test_everybody_shows_it_without_and_nobody_keeps_it() -> None:
    with Replica(user="ann") as ann, Replica(user="bob") as bob:
        hers, his = ann.document(Board, "b"), bob.document(Board, "b")
        everything(hers)
        ann.merge(bob)
        original = nth(hers)
        hers.total.increment()
        his.tags.add("stays")
        ann.merge(bob)
        for replica, board in (ann, hers), (bob, his):
            heard: list[Any] = []
            board.observe(heard.append)
            erased_on(replica, original)
            assert SECRET not in str(board.to_dict())
            assert board.to_dict()["tasks"] == {}
            assert (int(board.total), set(board.tags)) == (1, {"stays"})
            assert board.refusals() == []
            assert [entry.erasure for change in heard for entry in change.entries] == ["by order"]
            assert replica.verify() == []
        assert hers.to_dict() == his.to_dict()
        # The original that comes from a restored device changes nothing.
        ann.ledger("b").receive([original.data])
        assert nth(hers, 0).erasure == "by order"
        with Replica() as new:
            ann.merge(new)
            new.ledger("b").receive([original.data])
            assert new.document(Board, "b").to_dict() == his.to_dict()


def test_what_it_deleted_stays_deleted() -> None:
    with Replica() as replica:
        board = replica.document(Board, "b")
        with board.action("before"):
            board.name = board.plain = "old"
            board.body.append("old text")
            board.items.append("old")
            board.tags.add("old")
            board.tasks.add(key="t", title="old", notes="old")
        with board.action("replace"):
            board.name = board.plain = SECRET
            board.body.delete(0, 8)
            board.items.clear()
            board.tags.discard("old")
            del board.tasks["t"]
        erased_on(replica, nth(board))
        shown = board.to_dict()
        assert (shown["name"], shown["plain"], shown["body"]) == ("", None, "")
        assert (shown["items"], shown["tags"], shown["tasks"]) == ([], [], {})


def test_what_it_replaced_elsewhere_does_not_come_back_when_something_else_is_refused() -> None:
    """Of two writes over another's the first is refused, the second erased."""
    with Replica() as ann, Replica() as bob:
        hers, his = ann.document(Board, "b"), bob.document(Board, "b")
        for what in ("plain", "name"):
            setattr(hers, what, "hers")
        ann.merge(bob)
        for text in ("refused", SECRET):
            with his.action("write"):
                his.plain = his.name = text
        bob.ledger("b").refuse(bob.id, 1, "no")
        assert his.plain == his.name == SECRET
        erased_on(bob, nth(his))
        assert his.to_dict()["plain"] is None
        assert his.candidates("name") == ()


@pytest.mark.parametrize("action", ["delete", "gone"])
def test_a_tombstone_stands(action: str) -> None:
    with Replica() as ann, Replica() as bob:
        hers, his = ann.document(Board, "b"), bob.document(Board, "b")
        hers.tasks.add(key="t", title="x")
        hers.gone.add("x")
        ann.merge(bob)
        with his.action("remove"):
            his.plain = SECRET
            if action == "delete":
                del his.tasks["t"]
            else:
                his.gone.discard("x")
                hers.gone.add("x")
        entry = nth(his)
        bob.merge(ann)
        before = [board.to_dict() for board in (hers, his)]
        for replica in ann, bob:
            assert SECRET.encode() not in erased_on(replica, entry).data
        for board, shown in zip((hers, his), before, strict=True):
            assert board.to_dict() == shown | {"plain": None}


def test_a_slot_can_hide_nothing_that_it_only_claims_to_have_seen() -> None:
    """What is kept of a slot are numbers of writes that there are, and nothing else."""
    tale = int.from_bytes(SECRET.encode(), "big")
    made = []
    for slot in (
        Slot(9, 7, 1, 0, [[7, 1], [5, tale]]),
        Slot(9, 7, 1, 0, "x", seen={5: tale}),
        Slot(9, 7, 1, 0, "x", seen={tale % 2**53: 1}),
        Slot(9, 7, 1, 0, "x", schema=tale, seen={5: 1}),
        Slot(9, 7, tale, 0, "x", seen={5: 1}),
        Slot(tale, 7, 1, 0, "x", seen={5: 1}),
    ):
        doc: pycrdt.Doc[Any] = pycrdt.Doc(client_id=7)
        doc.get("slots", type=pycrdt.Map)[slot_key("plain", 7, 0)] = encode_slot(slot)
        made.append(make_entry("b", 7, EMPTY_HEAD, 9, "write", doc.get_update()))
    heads = {5: Head(3, bytes(32))}
    for entry in made:
        assert SECRET.encode() not in erase(entry, "no", heads).data


def test_an_update_that_nobody_can_read_becomes_none() -> None:
    entry = make_entry("b", 7, EMPTY_HEAD, 1, "a", b"\x01\x01\x07\x00\xff")
    assert erase(entry, "no", {}).update == EMPTY_UPDATE


def test_who_may_not_write_cannot_delete_by_it_either() -> None:
    with Replica() as replica:
        board = replica.document(Board, "b")
        board.name = "stands"
        board.name = SECRET
        erased = erase(nth(board), "by order", replica.ledger("b").heads)
        assert not erased.update.endswith(b"\x00")
        powerless = refuse(erased, "you may only read this")
        assert (powerless.erasure, powerless.update[-1]) == ("by order", 0)
        # Of two erased forms the server's holds, for those who have heard of the other as well.
        ledger = replica.ledger("b")
        ledger.receive([erased.data], CURSOR)
        assert board.name == ""
        ledger.receive([powerless.data])
        assert board.name == ""
        ledger.receive([powerless.data], CURSOR)
        assert board.name == "stands"
        assert replica.verify() == []


@pytest.mark.parametrize("mark", [REFUSED, ERASED])
@pytest.mark.parametrize("held", [True, False])
def test_nobody_writes_under_the_cover_of_a_mark(mark: str, held: bool) -> None:
    """The hash says nothing of what is left of a marked entry, so that must write nothing."""
    with Replica() as ann, Replica() as bob:
        hers, his = ann.document(Board, "b"), bob.document(Board, "b")
        hers.name = "hers"
        if held:
            ann.merge(bob)
        with Replica() as forger:
            board = forger.document(Board, "b")
            board.name = "forged"
            forged = nth(board).update.replace(_varuint(forger.id), _varuint(ann.id))
        entry = neutral_form(nth(hers), forged, mark, "no")
        with pytest.raises(MalformedEntryError, match="still writes something"):
            bob.ledger("b").receive([entry.data], CURSOR)
        assert his.name == ("hers" if held else "")
        assert bob.verify() == []


def _varuint(value: int) -> bytes:
    return pycrdt.write_var_uint(value)


def test_a_marked_entry_may_come_before_what_it_names() -> None:
    """It is checked when all that it knew of is here."""
    with Replica() as ann, Replica() as bob, Replica() as third:
        hers, his = ann.document(Board, "b"), bob.document(Board, "b")
        hers.plain = "hers"
        ann.merge(bob)
        his.plain = SECRET
        erased = erase(nth(his), "by order", bob.ledger("b").heads)
        assert len(erased.update) > len(refuse(nth(his), "no").update) + 8  # it hides hers
        ledger = third.ledger("b")
        assert ledger.receive([erased.data]).held == 1
        ledger.receive([nth(hers).data])
        assert [entry.erasure for entry in third.document(Board, "b").log] == [None, "by order"]


def ends(update: bytes) -> tuple[int, ...]:
    reader = Reader(update)
    if not reader.number():
        return ()
    client, clock, structs = reader.section()
    return client, clock, sum(struct.length for struct in structs)


KINDS = [
    "name",
    "plain",
    "tags",
    "gone",
    "body",
    "delete text",
    "items",
    "pop",
    "option",
    "unset",
    "task",
    "drop",
]


def act(board: Board, kind: str, dice: random.Random, mark: str) -> None:
    key = f"t{dice.randrange(2)}"
    match kind:
        case "name" | "plain":
            setattr(board, kind, mark)
        case "tags" | "gone":
            chosen: Set[str] = getattr(board, kind)
            element = str(dice.randrange(2))
            (chosen.discard if element in chosen else chosen.add)(element)
        case "body":
            board.body.insert(dice.randint(0, len(board.body)), mark)
        case "delete text" if len(board.body):
            start = dice.randrange(len(board.body))
            board.body.delete(start, min(start + 5, len(board.body)))
        case "items":
            board.items.insert(dice.randint(0, len(board.items)), mark)
        case "pop" if len(board.items):
            del board.items[dice.randrange(len(board.items))]
        case "option":
            board.options[key] = mark
        case "unset":
            board.options.pop(key, None)
        case "task" if key in board.tasks:
            board.tasks[key].title = mark
        case "task":
            board.tasks.add(key=key, title=mark, notes=mark)
        case "drop" if key in board.tasks:
            del board.tasks[key]


def marks_in(board: Board) -> set[str]:
    """Return the marks of all that is to be seen, characters of texts one by one."""
    shown: list[Any] = [str(board.body), *board.items, *board.options.values()]
    shown += [c.value for name in ("name", "plain") for c in board.candidates(name)]
    for task in board.tasks.values():
        shown += [str(task.notes), *(c.value for c in task.candidates("title"))]
    return set("".join(filter(None, shown)))


@given(
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from([*KINDS, "merge"])), max_size=25),
    st.randoms(use_true_random=False),
    st.data(),
)
def test_just_its_own_content_is_gone_everywhere(
    steps: list[tuple[int, str]], dice: random.Random, data: st.DataObject
) -> None:
    """Every action writes a letter of its own, so what is to be seen tells whose it is."""
    group = [Replica() for _ in range(3)]
    boards = [replica.document(Board, "b") for replica in group]
    letters = {}
    for number, (who, kind) in enumerate(steps):
        if kind == "merge":
            group[who].merge(group[dice.randrange(3)])
            continue
        letter, seq = chr(0x4E00 + number), group[who].ledger("b").next_seq
        act(boards[who], kind, dice, letter)
        letters[group[who].id, seq] = letter
    for replica in group:
        for other in group:
            replica.merge(other)
    entries = [*boards[0].log]
    if not entries:
        return
    entry = data.draw(st.sampled_from(entries))
    letter = letters[entry.replica, entry.seq]
    before = [marks_in(board) for board in boards]
    erased = [erased_on(replica, entry) for replica in group]
    assert len({one.data for one in erased}) == 1
    assert letter.encode() not in erased[0].data
    assert ends(erased[0].update) == ends(entry.update)
    for board, marks, replica in zip(boards, before, group, strict=True):
        now = marks_in(board)
        assert letter not in now
        assert now <= marks  # nothing has come back
        if b"tasks/t" not in entry.update:  # else a record may be gone that was there by it
            assert marks - now <= {letter}
        assert board.to_dict() == boards[0].to_dict()
        assert replica.verify() == []
    for replica in group:
        replica.close()
