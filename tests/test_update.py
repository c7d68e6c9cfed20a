"""Updates that would end the process are found before they are stored; all others pass."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pycrdt
import pytest

from crdtsync import Replica
from crdtsync.errors import MalformedEntryError
from crdtsync.log import EMPTY_HEAD, make_entry
from crdtsync.update import NESTING_MAX, nests_too_deeply


def nested(depth: int, opening: bytes = b"u\x01") -> bytes:
    """Return an update whose only value is `depth` arrays inside each other."""
    return b"\x01\x01\x05\x00\x08\x01\x04root\x01" + opening * depth + b"~\x00"


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


def test_such_an_entry_is_refused_and_nothing_is_stored() -> None:
    replica = Replica()
    ledger = replica.ledger("b")
    entry = make_entry("b", 5, EMPTY_HEAD, 1, "x", nested(40_000))
    with pytest.raises(MalformedEntryError, match="nests values deeper than 500"):
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
