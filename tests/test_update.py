"""Updates are read without trust: what would end the process is found, all else passes.

What neutralized updates do to a document is in `test_neutralize`; here is what they are made of.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pycrdt
import pytest

from crdtsync import Replica
from crdtsync.errors import MalformedEntryError
from crdtsync.log import EMPTY_HEAD, EMPTY_UPDATE, make_entry
from crdtsync.update import NESTING_MAX, nests_too_deeply, neutralize

ROOT = b"\x01\x04root"
VALUE = b"\x08" + ROOT + b"\x01"


def nested(depth: int, opening: bytes = b"u\x01") -> bytes:
    """Return an update whose only value is `depth` arrays inside each other."""
    return b"\x01\x01\x05\x00\x08\x01\x04root\x01" + opening * depth + b"~\x00"


def update(*structs: bytes, client: int = 5, deletions: bytes = b"\x00") -> bytes:
    """Return an update of one client from clock 0 on."""
    return bytes([1, len(structs), client, 0]) + b"".join(structs) + deletions


def genuine(value: Any) -> bytes:
    doc: pycrdt.Doc[Any] = pycrdt.Doc(client_id=5)
    doc.get("root", type=pycrdt.Array).append(value)
    return doc.get_update()


@pytest.mark.parametrize("opening", [b"u\x01", b"v\x01\x01k", b"u\x02\x7d\x01"])
def test_deep_nesting_is_found(opening: bytes) -> None:
    assert not nests_too_deeply(nested(NESTING_MAX, opening))
    assert nests_too_deeply(nested(NESTING_MAX + 1, opening))
    assert nests_too_deeply(nested(40_000, opening))
    assert nests_too_deeply(nested(40_000, opening)[:-2])  # cut short behind them


@pytest.mark.parametrize(
    "value",
    [
        "uv" * 5000,
        ["u"] * 2000,
        [[1, [2]], {"v": {"u": b"uv"}}] * 600,
        {f"u{n}": [1.5, None, True, 2**40, "v"] for n in range(900)},
    ],
    ids=["text", "flat", "shallow", "object"],
)
def test_what_is_only_long_passes(value: Any) -> None:
    update = genuine(value)
    assert update.count(b"u") + update.count(b"v") > NESTING_MAX
    assert not nests_too_deeply(update)


def test_every_kind_of_content_is_read() -> None:
    doc: pycrdt.Doc[Any] = pycrdt.Doc(client_id=5)
    text = doc.get("text", type=pycrdt.Text)
    text.insert(0, "uv" * 400)
    text.format(3, 9, {"bold": True})
    text.insert(400, "v")
    del text[2:9]
    fragment = doc.get("xml", type=pycrdt.XmlFragment)
    fragment.children.append(pycrdt.XmlElement("p", {"level": "2"}, [pycrdt.XmlText("u" * 99)]))
    items = doc.get("items", type=pycrdt.Array)
    items.extend([pycrdt.Map({"u": pycrdt.Array([1, [2]])}), b"uuu", 2**60, 1.25, None])
    del items[1]
    doc.get("slots", type=pycrdt.Map)["v@1.0"] = b"v" * 50
    assert not nests_too_deeply(doc.get_update())


HIDDEN = b"u\x01" * (NESTING_MAX + 1) + b"~"


def behind_json_texts() -> bytes:
    """Return an update in which the CRDT library reads a JSON text that is not counted.

    Who goes by the count sees an embedded text of 16,450 bytes there instead.
    """
    library = VALUE + HIDDEN + b"\x00\x01" + b"\x00"
    embedded = b"\x05\x01\x00\xc2\x80\x01" + library.ljust(16_450, b"\x00")
    return update(b"\x02" + ROOT + b"\x00", embedded, b"\x00\x01")


def behind_an_xml_hook() -> bytes:
    """Return an update in which the CRDT library reads a struct where others read a hook's name.

    The flags of that struct and the client it is next to are a length of 16,264 bytes.
    """
    library = b"\x00\x01" + HIDDEN + b"\x00"
    name = b"\x88\x7f" + library.ljust(16_264, b"\x00")
    return update(b"\x07" + ROOT + b"\x05" + name, b"\x00\x01", client=127)


@pytest.mark.parametrize("data", [behind_json_texts(), behind_an_xml_hook()], ids=["json", "hook"])
def test_values_cannot_hide_where_libraries_differ(data: bytes) -> None:
    doc: pycrdt.Doc[Any] = pycrdt.Doc()
    doc.apply_update(data)
    assert HIDDEN in doc.get_update()
    assert neutralize(data)
    assert nests_too_deeply(data)


def test_such_an_entry_is_refused_and_nothing_is_stored() -> None:
    replica = Replica()
    ledger = replica.ledger("b")
    entry = make_entry("b", 5, EMPTY_HEAD, 1, "x", nested(40_000))
    with pytest.raises(MalformedEntryError, match="nests values deeper than 200"):
        ledger.receive([entry.data])
    assert ledger.count == 0


def test_what_passes_does_not_end_the_process() -> None:
    """The bound leaves room: forty times as deep is what the CRDT library survives here."""
    code = (
        "import pycrdt; from tests.test_update import nested, NESTING_MAX as most;"
        "doc = pycrdt.Doc(); doc.apply_update(nested(most));"
        "print(len(str(doc.get('root', type=pycrdt.Array).to_py())) > most, bool(doc.get_update()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True True\n"


@pytest.mark.parametrize(
    ("struct", "length"),
    [
        (b"\x01" + ROOT + b"\x03", 3),
        (b"\x02" + ROOT + b'\x02\x08"SECRET"\x011', 2),
        (b"\x03" + ROOT + b"\x06SECRET", 1),
        (b"\x04" + ROOT + b"\x0aSECRET\xf0\x9f\x98\x80", 8),
        (b"\x05" + ROOT + b'\x08"SECRET"', 1),
        (b"\x06" + ROOT + b'\x06SECRET\x08"SECRET"', 1),
        (b"\x07" + ROOT + b"\x02", 1),
        (b"\x07" + ROOT + b"\x03\x06SECRET", 1),
        (b"\x07" + ROOT + b"\x05\x06SECRET", 1),
        (b"\x08" + ROOT + b"\x03\x77\x06SECRET\x76\x01\x06SECRET\x74\x06SECRET\x7d\xc5\x01", 3),
        (b"\x08" + ROOT + b"\x03\x7cSECR\x7bSECRETSE\x7aSECRETSE", 3),
        (b"\x09" + ROOT + b"\x06SECRET\x76\x01\x04meta\x77\x06SECRET", 1),
    ],
    ids=[
        "deleted",
        "json",
        "bytes",
        "text",
        "embed",
        "format",
        "map",
        "element",
        "hook",
        "values",
        "numbers",
        "subdocument",
    ],
)
def test_every_kind_of_content_comes_to_its_length(struct: bytes, length: int) -> None:
    expected = update(b"\x01" + ROOT + bytes([length]))
    assert neutralize(update(struct, deletions=b"\x01\x06\x01\x02\x03")) == expected
    doc: pycrdt.Doc[Any] = pycrdt.Doc()
    doc.apply_update(expected)
    assert doc.get_state() == bytes([1, 5, length])


@pytest.mark.parametrize(
    "place",
    [
        b"\x08" + ROOT,
        b"\x28" + ROOT + b"\x03key",
        b"\x08\x00\x07\x81\x01",
        b"\x28\x00\x07\x00\x03key",
        b"\x88\x07\x01",
        b"\x48\xff\xff\xff\xff\xff\xff\xff\x0f\x02",
        b"\xc8\x07\x01\x07\x02",
        b"\xe8\x07\x01\x07\x02",
    ],
    ids=["root", "key", "parent", "parent-key", "left", "right", "both", "both-of-a-key"],
)
def test_the_place_remains(place: bytes) -> None:
    deleted = bytes([place[0] & 0xE0 | 1]) + place[1:] + b"\x01"
    assert neutralize(update(place + b"\x01\x7e")) == update(deleted)


def test_what_is_gone_or_not_here_stays_so() -> None:
    gone, elsewhere = b"\x00\x03", b"\x0a\x04"
    assert neutralize(update(gone, elsewhere, gone)) == update(gone, elsewhere, gone)


def test_empty_structs_are_left_out() -> None:
    empty = [b"\x04" + ROOT + b"\x00", b"\x08" + ROOT + b"\x00", b"\x00\x00", b"\x0a\x00"]
    assert neutralize(update(*empty)) == EMPTY_UPDATE
    assert neutralize(update(*empty, b"\x00\x01", *empty)) == update(b"\x00\x01")


@pytest.mark.parametrize(
    "data", [EMPTY_UPDATE, b"\x00\x01\x05\x02\x00\x01\x04\x03", b"\x01\x00\x05\x07\x00"]
)
def test_without_structs_nothing_is_left(data: bytes) -> None:
    assert neutralize(data) == EMPTY_UPDATE


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "cut short"),
        (b"\x02" + update()[1:], "one client's section, not 2"),
        (b"\xff\xff\xff\xff\xff\xff\xff\x7f\x05\x00", "one client's section"),
        (b"\x80" * 100_000, "numbers of more than 8 bytes"),
        (b"\x01\xff\xff\xff\xff\xff\xff\xff\x7f\x05\x00", "cut short"),
        (update(VALUE + b"\x7e")[:-1], "cut short"),
        (update(VALUE + b"\x7e", deletions=b"\x01\x05\xff\xff\xff\x7f\x00"), "cut short"),
        (update(b"\x08" + ROOT + b"\xff\xff\xff\xff\xff\x7f\x7e", deletions=b""), "cut short"),
        (update(b"\x04" + ROOT + b"\xff\xff\xff\xff\xff\x7fa"), "cut short"),
        (update(b"\x04" + ROOT + b"\x01\xff"), "not UTF-8"),
        (update(b"\x08\x01\x01\xff\x01\x7e"), "not UTF-8"),
        (update(b"\x28\x01\x01a\x01\xff\x01\x7e"), "not UTF-8"),
        (update(VALUE + b"\x05"), "no values of kind 5"),
        (update(VALUE + b"u\x01" * 100_000 + b"~"), f"nests values deeper than {NESTING_MAX}"),
        (update(b"\x09" + ROOT + b"\x00" + b"v\x01\x00" * 501 + b"~"), "nests values deeper"),
        (update(b"\x0b" + ROOT + b"\x01\x05\x00"), "no contents of kind 11"),
        (update(b"\x18" + ROOT + b"\x01\x7e"), "no contents of kind 24"),
        (update(b"\x20" + ROOT + b"\x00\x01"), "no contents of kind 0"),
        (update(b"\x8a\x05\x00\x01"), "no contents of kind 10"),
        (update(b"\x07" + ROOT + b"\x07\x00\x05\x00"), "no shared types of kind 7"),
        (update(b"\x08\x02\x04root\x01\x7e"), "no parents of kind 2"),
    ],
)
def test_what_cannot_be_read_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        neutralize(data)
    assert type(caught.value) is ValueError


def nested_elements(depth: int, *, beside: bool) -> bytes:
    """Return an update that puts elements into each other; with a text before each, if `beside`."""
    doc: pycrdt.Doc[Any] = pycrdt.Doc(client_id=5)
    inside: Any = doc.get("page", type=pycrdt.XmlFragment)
    with doc.transaction():
        for _ in range(depth):
            if beside:
                inside.children.append(pycrdt.XmlText("x"))
            inside = inside.children.append(pycrdt.XmlElement("p"))
    return doc.get_update()


@pytest.mark.parametrize("beside", [False, True])
def test_types_that_are_nested_too_deeply_are_found(beside: bool) -> None:
    assert not nests_too_deeply(nested_elements(NESTING_MAX, beside=beside))
    assert nests_too_deeply(nested_elements(NESTING_MAX + 1, beside=beside))
    assert nests_too_deeply(nested_elements(4000, beside=beside))


def test_many_types_side_by_side_are_not_deep() -> None:
    doc: pycrdt.Doc[Any] = pycrdt.Doc(client_id=5)
    page: Any = doc.get("page", type=pycrdt.XmlFragment)
    with doc.transaction():
        for _ in range(1000):
            page.children.append(pycrdt.XmlElement("p")).children.append(pycrdt.XmlText("go g"))
    assert not nests_too_deeply(doc.get_update())
