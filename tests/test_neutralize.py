"""A neutralized update leaves its places and nothing else, held against pycrdt."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import pycrdt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync.update import neutralize
from crdtsync.update.reader import Reader

SECRET = "SECRET"
PIECES = [SECRET, "é😀", "x", f"😀{SECRET}"]
VALUES: list[Callable[[], Any]] = [
    lambda: SECRET,
    SECRET.encode,
    lambda: [SECRET, {SECRET: [None, True, 2**60, 1.5, 3]}],
    lambda: pycrdt.Text(f"{SECRET}😀"),
    lambda: pycrdt.Array([1.0, SECRET, pycrdt.Map({"key": SECRET})]),
    lambda: pycrdt.Map({"key": pycrdt.Array([SECRET])}),
]
EMPTY = b"\x00\x00"


class Entry(NamedTuple):
    """A transaction: what it wrote, and the entries that its author knew."""

    author: int
    update: bytes
    deletions: bytes
    before: int
    after: int
    known: frozenset[int]
    slots: dict[str, Any]
    unslotted: frozenset[str]


class History:
    """Replicas that write and hear of each other; all that they wrote, in one causal order."""

    def __init__(self, replicas: int) -> None:
        self.docs = [new_doc(number + 1) for number in range(replicas)]
        self.known: list[set[int]] = [set() for _ in self.docs]
        self.entries: list[Entry] = []

    def act(self, author: int, edits: Iterable[tuple[str, int, int]]) -> None:
        doc = self.docs[author]
        seen: list[tuple[bytes, bytes]] = []
        earlier, before = slots(doc), clock(doc.get_state(), author + 1)
        subscription = doc.observe(lambda event: seen.append((event.update, event.delete_set)))
        with doc.transaction():
            for number, (kind, a, b) in enumerate(edits):
                EDITS[kind](doc, a, b, f"{author}.{len(self.entries)}.{number}")
        doc.unobserve(subscription)
        if not seen:
            return
        now = slots(doc)
        entry = Entry(
            author,
            *seen[0],
            before,
            clock(doc.get_state(), author + 1),
            frozenset(self.known[author]),
            {key: value for key, value in now.items() if key not in earlier},
            frozenset(earlier.keys() - now.keys()),
        )
        self.known[author].add(len(self.entries))
        self.entries.append(entry)

    def pull(self, reader: int, writer: int) -> None:
        for number in sorted(self.known[writer] - self.known[reader]):
            self.docs[reader].apply_update(self.entries[number].update)
        self.known[reader] |= self.known[writer]

    def shuffled(self, rng: random.Random) -> list[int]:
        """Return the numbers of all entries in an order that puts each behind what it knew."""
        done: list[int] = []
        while len(done) < len(self.entries):
            ready = [
                number
                for number, entry in enumerate(self.entries)
                if number not in done and entry.known <= set(done)
            ]
            done.append(rng.choice(ready))
        return done


def clock(state: bytes, client: int) -> int:
    """Return a client's clock in a state vector."""
    decoder = pycrdt.Decoder(state)
    for _ in range(decoder.read_var_uint()):
        found, value = decoder.read_var_uint(), decoder.read_var_uint()
        if found == client:
            return value
    return 0


def new_doc(client: int) -> pycrdt.Doc[Any]:
    doc: pycrdt.Doc[Any] = pycrdt.Doc(client_id=client)
    doc["slots"] = pycrdt.Map()
    doc["text"] = pycrdt.Text()
    doc["items"] = pycrdt.Array()
    doc["page"] = pycrdt.XmlFragment()
    return doc


def slots(doc: pycrdt.Doc[Any]) -> dict[str, Any]:
    found: dict[str, Any] = doc["slots"].to_py()
    return found


def visible(doc: pycrdt.Doc[Any]) -> tuple[Any, ...]:
    return slots(doc), doc["text"].diff(), doc["items"].to_py(), tree(doc["page"])


def tree(node: Any) -> Any:
    """Return what a piece of the page shows; its own text has attributes in any order."""
    if isinstance(node, pycrdt.XmlText):
        return node.diff()
    children = [tree(child) for child in node.children]
    if isinstance(node, pycrdt.XmlFragment):
        return children
    return node.tag, dict(node.attributes), children


# Edits: each takes two numbers to choose by, and a key that nobody used before.


def set_slot(doc: pycrdt.Doc[Any], a: int, b: int, fresh: str) -> None:
    delete_slots(doc, a, b, fresh)
    doc["slots"][f"{a % 3}@{fresh}"] = VALUES[b % 3]()


def delete_slots(doc: pycrdt.Doc[Any], a: int, b: int, fresh: str) -> None:
    for key in list(doc["slots"]):
        if key.startswith(f"{a % 3}@"):
            del doc["slots"][key]


def stops(text: Any) -> list[int]:
    """Return the offsets between the characters and the embeds of a text."""
    found = [0]
    for piece, _ in text.diff():
        for part in piece if isinstance(piece, str) else " ":
            found.append(found[-1] + len(part.encode()))
    return found


def write(text: Any, a: int, b: int) -> None:
    at = stops(text)
    attributes = {"bold": SECRET} if isinstance(text, pycrdt.Text) and b % 5 == 0 else None
    text.insert(at[a % len(at)], PIECES[b % len(PIECES)], attributes)


def insert_text(doc: pycrdt.Doc[Any], a: int, b: int, fresh: str) -> None:
    write(doc["text"], a, b)


def embed(doc: pycrdt.Doc[Any], a: int, b: int, fresh: str) -> None:
    at = stops(doc["text"])
    doc["text"].insert_embed(at[a % len(at)], {SECRET: SECRET})


def delete_text(doc: pycrdt.Doc[Any], a: int, b: int, fresh: str) -> None:
    start, stop = span(doc, a, b)
    if start < stop:
        del doc["text"][start:stop]


def format_text(doc: pycrdt.Doc[Any], a: int, b: int, fresh: str) -> None:
    start, stop = span(doc, a, b)
    if start < stop:
        doc["text"].format(start, stop, {SECRET: [None, True, SECRET][b % 3]})


def span(doc: pycrdt.Doc[Any], a: int, b: int) -> tuple[int, int]:
    at = stops(doc["text"])
    start, stop = sorted((at[a % len(at)], at[(a + b % 4) % len(at)]))
    return start, stop


def insert_item(doc: pycrdt.Doc[Any], a: int, b: int, fresh: str) -> None:
    items = doc["items"]
    items.insert(a % (len(items) + 1), VALUES[b % len(VALUES)]())


def delete_item(doc: pycrdt.Doc[Any], a: int, b: int, fresh: str) -> None:
    if len(doc["items"]):
        del doc["items"][a % len(doc["items"])]


def edit_within(doc: pycrdt.Doc[Any], a: int, b: int, fresh: str) -> None:
    """Write into a shared type inside the list."""
    found = [
        item for item in doc["items"] if isinstance(item, pycrdt.Text | pycrdt.Array | pycrdt.Map)
    ]
    match found[a % len(found)] if found else None:
        case pycrdt.Text() as text:
            write(text, a, b)
        case pycrdt.Array() as array:
            array.insert(b % (len(array) + 1), VALUES[b % len(VALUES)]())
            if a % 3 == 0:
                del array[0]
        case pycrdt.Map() as map_:
            map_[fresh] = VALUES[b % len(VALUES)]()


def edit_page(doc: pycrdt.Doc[Any], a: int, b: int, fresh: str) -> None:
    """Go down the page as long as there are elements, and change something there."""
    node = doc["page"]
    while a % 3 and len(node.children):
        child = node.children[a % len(node.children)]
        a //= 3
        if isinstance(child, pycrdt.XmlText):
            at = a % (len(child) + 1) if str(child).isascii() else 0
            child.insert(at, PIECES[b % len(PIECES)])
            return
        node = child
    children = node.children
    match b % 5:
        case 0 if len(children):
            del children[a % len(children)]
        case 1 if isinstance(node, pycrdt.XmlElement):
            node.attributes[fresh] = SECRET
        case 2:
            children.insert(a % (len(children) + 1), pycrdt.XmlText(SECRET))
        case _:
            inner: list[Any] = [pycrdt.XmlElement("p"), pycrdt.XmlText("é😀")]
            element = pycrdt.XmlElement(SECRET, {"level": SECRET}, inner)
            children.insert(a % (len(children) + 1), element)


EDITS: dict[str, Callable[[pycrdt.Doc[Any], int, int, str], None]] = {
    edit.__name__: edit
    for edit in (
        set_slot,
        delete_slots,
        insert_text,
        embed,
        delete_text,
        format_text,
        insert_item,
        delete_item,
        edit_within,
        edit_page,
    )
}
numbers = st.integers(0, 200)
actions = st.tuples(
    st.integers(0, 2),
    st.lists(st.tuples(st.sampled_from(sorted(EDITS)), numbers, numbers), min_size=1, max_size=4),
)
pulls = st.tuples(st.integers(0, 2), st.integers(0, 2))


@st.composite
def histories(draw: st.DrawFn) -> History:
    history = History(3)
    for first, second in draw(st.lists(actions | pulls, min_size=1, max_size=14)):
        if isinstance(second, int):
            history.pull(first, second)
        else:
            history.act(first, second)
    return history


def replayed(updates: list[bytes], order: Iterable[int]) -> pycrdt.Doc[Any]:
    doc = new_doc(99)
    for number in order:
        doc.apply_update(updates[number])
    return doc


def undone(entry: Entry) -> tuple[bytes, bytes]:
    """Return an entry's insertions without its deletions, and deletions of just these."""
    assert entry.update.endswith(entry.deletions)
    inserts = entry.update[: len(entry.update) - len(entry.deletions)] + b"\x00"
    if entry.before == entry.after:
        return inserts, EMPTY
    encoder = b"".join(
        pycrdt.write_var_uint(number)
        for number in (0, 1, entry.author + 1, 1, entry.before, entry.after - entry.before)
    )
    return inserts, encoder


@given(histories(), st.data())
def test_just_the_refused_entry_is_absent(history: History, data: st.DataObject) -> None:
    """The model makes the entry's insertions and deletes them at last; not its deletions."""
    if not history.entries:
        return
    refused = data.draw(st.integers(0, len(history.entries) - 1), label="refused")
    rng = data.draw(st.randoms(use_true_random=False))
    entry = history.entries[refused]
    updates = [entry.update for entry in history.entries]
    original = replayed(updates, range(len(updates)))
    inserts, removal = undone(entry)
    updates[refused] = inserts
    model = replayed([*updates, removal], range(len(updates) + 1))

    updates[refused] = neutralize(entry.update)
    docs = [replayed(updates, history.shuffled(rng)) for _ in range(3)]
    docs.append(replayed([docs[0].get_update()], [0]))  # as a snapshot
    for doc in docs:
        assert visible(doc) == visible(model)
        for author in range(len(history.docs)):
            assert clock(doc.get_state(), author + 1) == clock(original.get_state(), author + 1)
    others = [other for number, other in enumerate(history.entries) if number != refused]
    deleted = {key for other in others for key in other.unslotted}
    assert slots(docs[0]) == {
        key: value for other in others for key, value in other.slots.items() if key not in deleted
    }


@given(histories())
def test_nothing_of_the_content_remains(history: History) -> None:
    for entry in history.entries:
        result = neutralize(entry.update)
        assert SECRET.encode() not in result
        assert len(result) <= len(entry.update)
        assert neutralize(result) == result
        assert neutralize(result + b"whatever follows") == result


def typed(*pieces: str) -> list[bytes]:
    """Return the updates of a replica that writes one piece after the other."""
    doc = new_doc(1)
    updates: list[bytes] = []
    subscription = doc.observe(lambda event: updates.append(event.update))
    for piece in pieces:
        doc["text"] += piece
    doc.unobserve(subscription)
    return updates


@pytest.mark.parametrize("refused", range(3))
def test_what_the_same_replica_wrote_next_stands(refused: int) -> None:
    pieces = ["a😀", "bé", "c"]
    updates = typed(*pieces)
    updates[refused] = neutralize(updates[refused])
    del pieces[refused]
    assert str(replayed(updates, range(3))["text"]) == "".join(pieces)


def test_what_is_put_into_a_refused_list_goes_with_it() -> None:
    ann, bob = new_doc(1), new_doc(2)
    ann["items"].append(pycrdt.Array(["one"]))
    refused = ann.get_update()
    bob.apply_update(refused)
    before = bob.get_state()
    bob["items"][0].append(pycrdt.Map({"key": pycrdt.Text("two")}))
    bob["text"] += "stands"
    doc = replayed([neutralize(refused), bob.get_update(before)], range(2))
    assert doc["items"].to_py() == []
    assert str(doc["text"]) == "stands"
    assert doc.get_state() == bob.get_state()


def test_a_replica_that_applied_the_original_has_to_rebuild() -> None:
    """The clocks are known there, so what is left of the update says nothing new."""
    updates = typed("refused", "next")
    doc = replayed(updates, range(2))
    doc.apply_update(neutralize(updates[0]))
    assert str(doc["text"]) == "refusednext"
    rebuilt = replayed([neutralize(updates[0]), updates[1]], range(2))
    assert str(rebuilt["text"]) == "next"


def applied(data: bytes) -> bytes:
    doc: pycrdt.Doc[Any] = pycrdt.Doc()
    doc.apply_update(data)
    return doc.get_update()


def outcome(call: Callable[[bytes], bytes], data: bytes) -> bytes | None:
    try:
        return call(data)
    except ValueError:
        return None


@given(histories(), st.data())
def test_damaged_updates_are_refused_or_keep_their_clocks(
    history: History, data: st.DataObject
) -> None:
    if not history.entries:
        return
    damaged = bytearray(data.draw(st.sampled_from(history.entries)).update)
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    check_damaged(bytes(damaged))


@given(st.binary(max_size=40))
def test_any_bytes_are_refused_or_come_to_an_update(data: bytes) -> None:
    check_damaged(data)
    check_damaged(b"\x01\x02\x05\x00" + data)


def check_damaged(damaged: bytes) -> None:
    result = outcome(neutralize, damaged)
    if result is None:
        return
    assert len(result) <= len(damaged)
    assert neutralize(result) == result
    assert outcome(applied, result) is not None
    reader = Reader(damaged)
    for _ in range(reader.number()):
        reader.section()
    accepted = outcome(pycrdt.get_state, damaged)
    if accepted is not None and not reader.disputed:
        assert ends(accepted) == ends(pycrdt.get_state(result))


def ends(state: bytes) -> int:
    return clock(state, 5)
