"""Updates that several clients wrote, taken apart: the parts together are the whole."""

from typing import Any

import pycrdt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync.document.crdt import clocks
from crdtsync.update import NESTING_MAX, deleting, divide
from crdtsync.update.reader import Reader

TEXTS = st.text(st.sampled_from("abcé😀漢"), min_size=1, max_size=6)
ACTS = st.tuples(
    st.integers(0, 3),  # who
    st.sampled_from(["type", "erase", "push", "set", "nest", "xml", "meet"]),
    st.integers(0, 20),
    TEXTS,
)


def docs() -> list[pycrdt.Doc[Any]]:
    return [pycrdt.Doc(client_id=client) for client in (7, 3, 2**31, 2**52 + 1)]


def act(group: list[pycrdt.Doc[Any]], who: int, kind: str, at: int, text: str) -> None:
    doc = group[who]
    typed = doc.get("text", type=pycrdt.Text)
    values = doc.get("list", type=pycrdt.Array)
    fields = doc.get("map", type=pycrdt.Map)
    if kind == "type":
        plain = str(typed)
        typed.insert(len(plain[:at].encode()), text)
    elif kind == "erase" and str(typed):
        plain = str(typed)
        start = min(at, len(plain) - 1)
        first = len(plain[:start].encode())
        del typed[first : first + len(plain[start].encode())]
    elif kind == "push":
        with doc.transaction():
            for value in (text, 1.5, None, [text, {"k": True}], b"bytes")[: at % 6]:
                values.insert(min(at, len(values)), value)
    elif kind == "set":
        fields[text[0]] = text
    elif kind == "nest":
        fields[text[0]] = pycrdt.Map({"deep": pycrdt.Text(text)})
    elif kind == "xml":
        xml = doc.get("xml", type=pycrdt.XmlFragment)
        element = xml.children.insert(min(at, len(xml.children)), pycrdt.XmlElement("p"))
        element.attributes["style"] = text
        element.children.append(pycrdt.XmlText(text))
    elif kind == "meet":
        other = group[at % len(group)]
        other.apply_update(doc.get_update(other.get_state()))


def played(acts: list[Any]) -> list[pycrdt.Doc[Any]]:
    group = docs()
    for one in acts:
        act(group, *one)
    return group


def contents(doc: pycrdt.Doc[Any]) -> Any:
    return (
        doc.get("text", type=pycrdt.Text).diff(),
        doc.get("list", type=pycrdt.Array).to_py(),
        doc.get("map", type=pycrdt.Map).to_py(),
        str(doc.get("xml", type=pycrdt.XmlFragment)),
    )


@given(st.lists(ACTS, max_size=30), st.sampled_from([1, 8, 100, 10_000]))
def test_the_parts_in_their_order_are_the_whole(acts: list[Any], bytes_max: int) -> None:
    writer, holder, *_ = played(acts)
    whole: pycrdt.Doc[Any] = pycrdt.Doc(client_id=99)
    parted: pycrdt.Doc[Any] = pycrdt.Doc(client_id=99)
    for doc in whole, parted:
        doc.apply_update(holder.get_update())
    update = writer.get_update()  # all that it has, held or not
    division = divide(update, clocks(parted), bytes_max)
    assert division.complete
    for part in division.parts:
        before = clocks(parted)
        assert before.get(part.client, 0) == part.clock
        assert all(before.get(client, 0) for client in part.references)
        assert part.client not in part.references
        parted.apply_update(part.update)
        assert clocks(parted) == before | {part.client: part.end}
    parted.apply_update(deleting(division.deletions))
    whole.apply_update(update)
    assert contents(parted) == contents(whole)
    assert clocks(parted) == clocks(whole)
    again: pycrdt.Doc[Any] = pycrdt.Doc()
    again.apply_update(parted.get_update())  # which leaves out what waits for something
    assert clocks(again) == clocks(whole)
    assert divide(update, clocks(whole), bytes_max).parts == []


@given(st.lists(ACTS, max_size=30), st.integers(0, 5))
def test_what_is_held_in_part_is_trimmed_and_no_more(acts: list[Any], cut: int) -> None:
    writer, *_ = played(acts)
    update, all_ = writer.get_update(), clocks(writer)
    for client, clock in all_.items():
        held = {**all_, client: clock // (cut + 1)}
        division = divide(update, held, 10_000)
        assert [(p.client, p.clock, p.end) for p in division.parts] == (
            [(client, held[client], clock)] if clock > held[client] else []
        )


@given(st.lists(ACTS, max_size=30))
def test_what_builds_on_something_missing_is_left_out(acts: list[Any]) -> None:
    writer, *_ = played(acts)
    state = clocks(writer)
    if len(state) < 2:
        return
    first = min(state)
    held = {client: clock for client, clock in state.items() if client == first}
    update = writer.get_update(pycrdt.Doc().get_state())
    without = pycrdt.get_update(update, _state({first: state[first]}))
    division = divide(without, {}, 10_000)
    complete: pycrdt.Doc[Any] = pycrdt.Doc()
    complete.apply_update(without)
    reached: dict[int, int] = {}
    for part in division.parts:
        reached[part.client] = part.end
    assert reached == {client: clock for client, clock in clocks(complete).items() if clock}
    assert divide(without, held, 10_000).complete


def _state(vector: dict[int, int]) -> bytes:
    from crdtsync.update.encoding import encoded

    return encoded(len(vector), *(number for pair in vector.items() for number in pair))


def test_a_long_text_is_split_between_characters() -> None:
    doc: pycrdt.Doc[Any] = pycrdt.Doc(client_id=5)
    doc["text"] = pycrdt.Text("x" + "😀" * 5000)
    division = divide(doc.get_update(), {}, 1000)
    assert len(division.parts) > 10
    assert all(len(part.update) < 1050 for part in division.parts)
    again: pycrdt.Doc[Any] = pycrdt.Doc()
    for part in division.parts:
        again.apply_update(part.update)
    assert str(again.get("text", type=pycrdt.Text)) == "x" + "😀" * 5000


def test_half_a_character_that_is_held_leaves_a_mark_as_in_yjs() -> None:
    doc: pycrdt.Doc[Any] = pycrdt.Doc(client_id=5)
    doc["text"] = pycrdt.Text("😀b")
    (part,) = divide(doc.get_update(), {5: 1}, 1000).parts
    assert (part.clock, part.end) == (1, 3)
    assert "\ufffdb".encode() in part.update


def test_an_update_with_two_sections_of_one_client_is_refused() -> None:
    section = b"\x01\x05\x00\x04\x01\x01t\x01a"
    with pytest.raises(ValueError, match="two sections"):
        divide(b"\x02" + section + section + b"\x00", {}, 100)


def test_bytes_behind_an_update_are_refused() -> None:
    with pytest.raises(ValueError, match="alike"):
        divide(b"\x00\x00\x00", {}, 100)


@given(st.binary(max_size=60))
def test_any_bytes_are_divided_or_refused(data: bytes) -> None:
    try:
        division = divide(data, {}, 100)
    except ValueError:
        return
    for part in division.parts:
        reader = Reader(part.update)
        assert reader.number() == 1
        assert reader.section()[:2] == (part.client, part.clock)
        assert reader.deletions() == {}
        assert reader.ended


def test_deep_values_are_refused() -> None:
    depth = NESTING_MAX + 2
    value = b"u\x01" * depth + b"~"
    with pytest.raises(ValueError, match="deeper"):
        divide(b"\x01\x01\x05\x00\x08\x01\x01a\x01" + value + b"\x00", {}, 100)


def test_clients_that_build_on_each_other_by_turns_are_taken_by_turns() -> None:
    group = docs()[:2]
    for turn in range(20):
        writer, reader = group[turn % 2], group[1 - turn % 2]
        text = writer.get("text", type=pycrdt.Text)
        text.insert(len(text) // 2, "x")
        reader.apply_update(writer.get_update(reader.get_state()))
    parted: pycrdt.Doc[Any] = pycrdt.Doc()
    division = divide(group[0].get_update(), {}, 1000)
    assert len(division.parts) == 20
    for part in division.parts:
        parted.apply_update(part.update)
        assert clocks(parted)[part.client] == part.end
