"""Files that were tampered with: `crdtsync verify` says what is wrong, and where."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import apsw
import pytest
from click.testing import CliRunner, Result

from crdtsync.cli import main
from crdtsync.envelope import is_neutral
from crdtsync.log import Head, decode_entry, make_entry, with_clamp, with_seal
from crdtsync.server import SqliteBackend
from crdtsync.server.erasures import Erasure
from tests.adversary.forger import Forger
from tests.adversary.stores import make_stores

WHICH = ["ann.db", "server.db"]
_LOGS_IN = {
    "ann.db": (
        "SELECT e.place, d.name, l.replica, e.place & 0xffffffffff, e.data FROM entries e "
        "JOIN logs l ON l.id = e.place >> 40 JOIN documents d ON d.id = l.document ORDER BY 1"
    ),
    "server.db": (
        "SELECT e.place, d.name, e.replica, e.seq, e.data FROM entries e "
        "JOIN documents d ON d.id = e.document ORDER BY 1"
    ),
}


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stores")
    make_stores(folder)
    return folder


@pytest.fixture(params=WHICH)
def file(request: pytest.FixtureRequest, stores: Path, tmp_path: Path) -> Path:
    copy = tmp_path / str(request.param)
    copy.write_bytes((stores / str(request.param)).read_bytes())
    return copy


def verify(file: Path, *options: str) -> Result:
    result: Result = CliRunner().invoke(main, ["verify", str(file), *options])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def problems(file: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(verify(file, "--json").output)["problems"]
    return found


def rows(file: Path) -> list[tuple[int, str, int, int, bytes]] | None:
    """Return place, document, replica, seq and bytes of each entry; None if they are unreadable."""
    connection = apsw.Connection(str(file), apsw.SQLITE_OPEN_READONLY)
    try:
        return list(connection.execute(_LOGS_IN[file.name]))
    except (apsw.Error, UnicodeDecodeError):
        return None
    finally:
        connection.close()


def flips(length: int, stride: int, seed: int) -> Iterator[tuple[int, int]]:
    """Yield a byte in each stride, and a bit of it."""
    dice = random.Random(seed)
    for start in range(0, length, stride):
        yield min(length - 1, start + dice.randrange(stride)), 1 << dice.randrange(8)


def test_a_file_that_is_as_it_was_is_sound(file: Path) -> None:
    before = file.read_bytes()
    result = verify(file)
    assert result.exit_code == 0
    assert "30 entries in 2 documents: every chain and seal holds" in result.output
    assert problems(file) == []
    assert file.read_bytes() == before
    entries = [decode_entry(data) for *_, data in rows(file) or ()]
    assert {entry.refusal for entry in entries} == {None, "not this"}
    assert sum(entry.seal is not None for entry in entries) > 5


@pytest.mark.parametrize(
    "stride", [pytest.param(29, id="some"), pytest.param(1, id="all", marks=pytest.mark.slow)]
)
def test_every_byte_of_every_entry_is_watched(file: Path, stride: int) -> None:
    """The place is named: that entry of that replica in that document.

    A server's file has no digest of each entry: there it may be the next one that does not fit.
    """
    last = 1 if file.name == "server.db" else 0
    connection = apsw.Connection(str(file))
    for place, document, replica, seq, data in rows(file) or ():
        for at, bit in flips(len(data), stride, place):
            changed = data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :]
            update = "UPDATE entries SET data = ? WHERE place = ?"
            connection.execute(update, (changed, place))
            found = [
                problem["message"]
                for problem in problems(file)
                if problem["document"] == document
                and int(problem["replica"] or "0", 16) == replica
                and seq <= (problem["seq"] or 0) <= seq + last
            ]
            assert found
            assert all(found)
            connection.execute(update, (data, place))
    connection.close()
    assert problems(file) == []


@pytest.mark.parametrize(
    "stride", [pytest.param(499, id="some"), pytest.param(37, id="many", marks=pytest.mark.slow)]
)
def test_whatever_byte_of_the_file_is_changed(file: Path, stride: int) -> None:
    """No page is left out. It never says that all is well while an entry is not what it was."""
    whole, good = file.read_bytes(), rows(file)
    for at, bit in flips(len(whole), stride, stride):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :])
        changed = rows(file) != good
        result = verify(file)
        assert result.exit_code in {0, 1, 3}
        assert (result.exit_code == 0) is (result.output.startswith("✓"))
        if changed:
            assert result.exit_code != 0, at


def test_what_is_wrong_is_said_in_a_sentence(file: Path) -> None:
    found = rows(file)
    assert found is not None
    place, document, replica, seq, data = found[3]
    connection = apsw.Connection(str(file))
    connection.execute(
        "UPDATE entries SET data = ? WHERE place = ?", (data[:-1] + bytes([data[-1] ^ 1]), place)
    )
    connection.close()
    result = verify(file)
    assert result.exit_code == 1
    told = " ".join(result.output.split())
    where = rf"✗ entry {seq} of replica {replica:014x} in document '{document}': "
    if file.name == "ann.db":
        assert told.startswith(f"{where}its bytes are not those that were written ✗ ")
        assert re.search(
            r"✗ \d+ entries from \d+ to \d+ of replica \w+ in document 'b': expe", told
        )
    else:
        assert told.startswith((where, where.replace(f"entry {seq} ", f"entry {seq + 1} ")))


def test_a_log_that_was_written_anew_is_found_by_its_seals(file: Path) -> None:
    """With chain and digests put right, as nobody can do with the seals."""
    found = rows(file)
    assert found is not None
    connection = apsw.Connection(str(file))
    author = next(r for *_, r, seq, data in found if seq == 3 and not is_neutral(data))
    log = [row for row in found if row[2] == author and row[1] == "b"]
    head = None
    for place, _, _, seq, data in log:
        entry = decode_entry(data)
        if seq < 3:
            head = Head(entry.seq, entry.hash)
            continue
        if entry.refusal is not None:
            break
        assert head is not None
        new = make_entry(
            "b", author, head, entry.time, "rewritten", entry.update, extra=entry.extra,
            dependencies=entry.dependencies,
        )  # fmt: skip
        if entry.seal is not None:
            new = with_seal(new, entry.seal)
        head = Head(new.seq, new.hash)
        connection.execute("UPDATE entries SET data = ? WHERE place = ?", (new.data, place))
        if file.name == "ann.db":
            digest = hashlib.sha256(new.data).digest()[:8]
            connection.execute("UPDATE entries SET digest = ? WHERE place = ?", (digest, place))
    connection.close()
    messages = [p["message"] for p in problems(file) if int(p["replica"] or "0", 16) == author]
    assert "its seal is false" in messages


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE devices SET key = zeroblob(32)", "the key that it is bound to is none"),
        ("UPDATE devices SET key = (SELECT max(key) FROM devices)", "another key than its device"),
        ("UPDATE devices SET user = 'eve'", "its log is in the name of"),
        ("UPDATE entries SET document = document + 9", "its entries are in no document"),
        ("UPDATE entries SET data = cast(data AS TEXT)", "or no bytes"),
        (
            "DELETE FROM marked",
            "is not as it was stored then",
        ),
        (
            "UPDATE marked SET digest = x''",
            "is not as it was stored then",
        ),
        ("UPDATE meta SET value = x'' WHERE name = 'epoch'", "of which epoch its cursors are"),
        ("DELETE FROM entries WHERE seq = 2", "expected entry 2 next"),
    ],
)
def test_what_a_server_knows_besides_is_checked(
    stores: Path, tmp_path: Path, statement: str, message: str
) -> None:
    file = tmp_path / "server.db"
    file.write_bytes((stores / "server.db").read_bytes())
    connection = apsw.Connection(str(file))
    connection.execute(statement)
    connection.close()
    found = problems(file)
    assert any(message in problem["message"] for problem in found), found


def test_a_file_of_something_else_is_none(tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    for content in (b"", b"text", bytes(5000)):
        other.write_bytes(content)
        result = verify(other)
        assert result.exit_code == 3
        assert "this is not a crdtsync store" in result.output


def test_what_was_erased_or_clamped_is_sound_and_its_bytes_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "server.db"
    forger = Forger(2**52 + 1)
    clamped = with_clamp(forger.write(), 1000)

    async def fill() -> None:
        async with SqliteBackend(path) as backend:
            await backend.append("b", [clamped, forger.write(), forger.write()])
            await backend.erase(Erasure("b", forger.replica, 2, "by order"))

    anyio.run(fill)
    assert problems(path) == []
    with contextlib.closing(apsw.Connection(str(path))) as connection:
        data = with_clamp(clamped, 1001).data
        connection.execute("UPDATE entries SET data = ? WHERE seq = 1", (data,))
    (problem,) = problems(path)
    assert (problem["document"], problem["seq"]) == ("b", 1)
    assert "is not as it was stored then" in problem["message"]
