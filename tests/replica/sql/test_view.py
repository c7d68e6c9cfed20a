"""SQL views: what another program sees, and when."""

from __future__ import annotations

import contextlib
import datetime
import decimal
import logging
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import apsw
import pytest

from crdtsync import Counter, Document, List, Record, Replica, Set, Table, Text, field
from crdtsync.errors import SchemaError, StorageError
from crdtsync.replica import SqlView
from crdtsync.replica.sql.mirror import Mirror
from tests.document.boards import Board
from tests.replica.sql.tables import expected, found


class Everything(Document):
    text: str = ""
    whole: int = 0
    fraction: float = 0.0
    yes: bool = False
    raw: bytes = b""
    when: datetime.datetime | None = None
    day: datetime.date | None = None
    price: decimal.Decimal | None = None
    id: uuid.UUID | None = None
    items: list[Any] | None = None
    anything: object = None


def read(path: Path, statement: str) -> list[Any]:
    with contextlib.closing(apsw.Connection(str(path))) as connection:
        return list(connection.execute(statement))


def write(path: Path, *statements: str) -> None:
    with contextlib.closing(apsw.Connection(str(path))) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def check(replica: Replica, view: SqlView, cls: type[Document] = Board) -> None:
    documents = [document for document in replica.documents() if type(document) is cls]
    rows = expected(documents, cls.__crdtsync_schema__, view.tables[0])
    assert found(replica.path, view.tables) == rows


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.db"


@pytest.fixture
def replica(path: Path) -> Iterator[Replica]:
    with Replica(path, user="ann") as replica:
        yield replica


# --- values and names -----------------------------------------------------------------------------


def test_every_kind_of_value(replica: Replica, path: Path) -> None:
    view = replica.sql_view(Everything)
    one, other = (replica.document(Everything, name) for name in ("one", "other"))
    zone = datetime.timezone(datetime.timedelta(hours=2))
    with one.action("fill"):
        one.text = "añ😀\0'\""
        one.whole = -(2**63)
        one.fraction = 0.1
        one.yes = True
        one.raw = b"\x00\xff"
        one.when = datetime.datetime(2026, 6, 5, 12, 0, tzinfo=zone)
        one.day = datetime.date(2026, 6, 5)
        one.price = decimal.Decimal("1.50")
        one.id = uuid.UUID(int=5)
        one.items = [1, 2**70, None, True, b"\xff", {"a": decimal.Decimal(2)}, float("inf")]
        one.anything = "123"
    with other.action("fill"):
        other.whole = 2**63
        other.fraction = float("nan")
        other.when = datetime.datetime.max.replace(tzinfo=datetime.timezone.min)
        other.anything = float("-inf")
    rows = read(path, "SELECT * FROM everything ORDER BY document")
    assert rows[0] == (
        "one",
        "añ😀\0'\"",
        -(2**63),
        0.1,
        1,
        b"\x00\xff",
        "2026-06-05T10:00:00+00:00",
        "2026-06-05",
        "1.50",
        "00000000-0000-0000-0000-000000000005",
        '[1, 1180591620717411303424, null, true, "ff", {"a": "2"}, "inf"]',
        "123",
    )
    assert rows[1][2:4] == ("9223372036854775808", "nan")
    assert rows[1][11] == float("-inf")
    assert read(
        path, "SELECT date('2026-06-05', '+1 day'), strftime('%H', \"when\") FROM everything"
    )
    check(replica, view, Everything)


def test_lists_sets_and_maps_are_json(replica: Replica, path: Path) -> None:
    replica.sql_view(Board)
    board = replica.document(Board, "b")
    board.tasks.add(key="t", title="x", tags={"home", "shop"}, marks={"b": 2})
    found = read(path, "SELECT value FROM board_tasks, json_each(tags) ORDER BY value")
    assert found == [("home",), ("shop",)]
    board.tasks["t"].marks["a"] = [1]
    found = read(path, "SELECT m.key, value FROM board_tasks, json_each(marks) m")
    assert found == [("a", "[1]"), ("b", 2)]


def test_names_that_sql_takes_for_something_else(replica: Replica, path: Path) -> None:
    class Group(Record):
        select: str = ""
        Select: str = ""
        tables_key: int = 0

    class Drawer(Record):
        order: Table[Group]
        document: str = ""

    class Order(Document):
        document: str = ""
        DOCUMENT: str = ""
        tables: Table[Drawer]
        tables_order: Table[Drawer]

    view = replica.sql_view(Order)
    order = replica.document(Order, "o")
    order.document, order.DOCUMENT = "small", "large"
    table = order.tables.add(key="k/'\"", document="inner")
    table.order.add(key="g", select="s", Select="S")
    order.tables_order.add(key="k", document="x")
    assert view.tables[:2] == ["order", "order_tables"]
    assert len({name.lower() for name in view.tables}) == 5
    assert read(path, 'SELECT * FROM "order"') == [("o", "small", "large")]
    [nested] = read(
        path, 'SELECT "tables_key", "key", "select", "Select_2" FROM order_tables_order'
    )
    assert nested == ("k/'\"", "g", "s", "S")
    del order.tables["k/'\""]
    assert read(path, "SELECT * FROM order_tables_order") == []


@pytest.mark.parametrize("name", ["Entries", "Meta", "Sqlite", "Logs"])
def test_a_name_that_is_taken_is_not_taken_over(replica: Replica, path: Path, name: str) -> None:
    cls: Any = type(
        name, (Document,), {"__module__": __name__, "__annotations__": {"x": str}, "x": ""}
    )
    if name == "Sqlite":
        with pytest.raises(SchemaError, match="another name"):
            replica.sql_view(cls, "sqlite_x")
    else:
        with pytest.raises(SchemaError, match="another name"):
            replica.sql_view(cls)
    assert replica.sql_view(cls, name="mine").tables == ["mine"]
    replica.document(cls, "d").x = "y"
    assert read(path, "SELECT * FROM mine") == [("d", "y")]
    with pytest.raises(SchemaError, match="another class"):
        replica.sql_view(Board, "mine")
    assert replica.verify() == []


# --- who may do what ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE board SET name = 'x'",
        "DELETE FROM board",
        "INSERT INTO board(document) VALUES('x')",
        "INSERT OR REPLACE INTO board(document) VALUES('b')",
    ],
)
def test_others_only_read(replica: Replica, path: Path, statement: str) -> None:
    replica.sql_view(Board)
    replica.document(Board, "b").name = "x"
    with pytest.raises(apsw.SQLError, match="crdtsync_alone_writes_here"):
        write(path, statement)


def test_a_store_that_is_only_looked_at_takes_no_view(replica: Replica, path: Path) -> None:
    with Replica.open_read_only(path) as looking, pytest.raises(StorageError, match="looked at"):
        looking.sql_view(Board)


SPOILED: list[list[str]] = [
    ["DROP TABLE board"],
    ["DROP TABLE board_tasks_steps"],
    ["ALTER TABLE board_tasks RENAME COLUMN title TO name"],
    ["ALTER TABLE board ADD COLUMN more"],
    ["DROP TRIGGER board_update", "UPDATE board SET name = 'forged'"],
    ["CREATE TRIGGER t BEFORE UPDATE ON board BEGIN SELECT RAISE(ABORT, 'no'); END"],
    ["DROP TABLE board", "CREATE TABLE board(document)"],
    ["DROP TABLE board", "CREATE VIEW board AS SELECT 1 AS document"],
]


@pytest.mark.parametrize("statements", SPOILED, ids=str)
def test_tables_that_were_tampered_with_are_made_anew_when_opened(
    path: Path, statements: list[str]
) -> None:
    with Replica(path) as replica:
        replica.sql_view(Board)
        replica.document(Board, "b").add("task")
    write(path, *statements)
    with Replica(path) as replica:
        if "CREATE VIEW" in statements[-1]:  # it is somebody's own, now
            with pytest.raises((SchemaError, StorageError)):
                replica.sql_view(Board)
            return
        check(replica, replica.sql_view(Board))


@pytest.mark.parametrize("statements", SPOILED[:4], ids=str)
def test_tables_that_are_spoiled_while_we_work_harm_no_action(
    replica: Replica, path: Path, caplog: pytest.LogCaptureFixture, statements: list[str]
) -> None:
    view = replica.sql_view(Board)
    board, other = replica.document(Board, "b"), replica.document(Board, "c")
    key = board.add("task")
    other.name = "other"
    write(path, *statements)
    with caplog.at_level(logging.CRITICAL), board.action("all"):
        board.name = "goes on"
        board.tasks[key].title = "renamed"
        board.tasks[key].steps.add(label="first")
    if "ADD COLUMN" in statements[0]:  # no harm, until the next time
        view.rebuild()
    check(replica, view)
    assert replica.verify() == []


# --- in step --------------------------------------------------------------------------------------


def test_nothing_is_done_where_no_view_is_asked_for(replica: Replica, path: Path) -> None:
    board = replica.document(Board, "b")
    assert board._live.together is nullcontext
    assert replica.ledger("b").together is nullcontext
    assert board._live.view.touched is None


def test_a_view_catches_up_with_what_was_done_without_it(path: Path) -> None:
    with Replica(path) as replica:
        replica.document(Board, "b").add("before")
        check(replica, replica.sql_view(Board))
    with Replica(path) as replica, Replica() as bob:
        replica.document(Board, "b").add("meanwhile")
        replica.merge(bob)
        bob.document(Board, "b").name = "from elsewhere"
        replica.merge(bob)
        replica.document(Board, "c").name = "new"
    with Replica(path) as replica:
        view = replica.sql_view(Board)
        assert view.documents() == ["b", "c"]
        check(replica, view)
        assert replica.sql_view(Board) is view


def test_a_refusal_without_the_view_is_caught_up_with(path: Path) -> None:
    with Replica(path) as replica:
        replica.sql_view(Board)
        replica.document(Board, "b").name = "too long"
    with Replica(path) as replica:
        replica.ledger("b").refuse(replica.id, 1, "no")
    assert read(path, "SELECT name FROM board") == [("too long",)]
    with Replica(path) as replica:
        check(replica, replica.sql_view(Board))
    assert read(path, "SELECT name FROM board") == [("Untitled",)]


def test_what_is_up_to_date_is_not_written_again(path: Path) -> None:
    with Replica(path) as replica:
        replica.sql_view(Board)
        replica.document(Board, "b").add("task")
    write(path, "DROP TRIGGER board_update")
    before = read(path, "SELECT sql FROM sqlite_schema WHERE name = 'board_insert'")
    write(path, "UPDATE sql_documents SET position = position")
    with Replica(path) as replica:
        replica.sql_view(Board)
    assert read(path, "SELECT sql FROM sqlite_schema WHERE name = 'board_insert'") == before


def test_the_tables_follow_the_class(path: Path) -> None:
    def version(number: int) -> Any:
        class Item(Record):
            title: str = ""

        class Shelf(Document):
            schema_version = number
            label: str = (
                "old"
                if number == 1
                else field(default="new", upcasts={1: lambda value: value.upper()})
            )

        class Longer(Shelf):
            items: Table[Item]

        Longer.__name__ = "Shelf"
        return Shelf if number == 1 else Longer

    old, new = version(1), version(2)
    with Replica(path) as replica:
        replica.sql_view(old)
        replica.document(old, "s").label = "x"
        replica.document(old, "t")
    assert set(read(path, "SELECT * FROM shelf")) == {("s", "x"), ("t", "old")}
    with Replica(path) as replica:
        view = replica.sql_view(new)
        assert view.tables == ["shelf", "shelf_items"]
        replica.document(new, "s").items.add(key="i", title="y")
        check(replica, view, new)
    assert set(read(path, "SELECT * FROM shelf")) == {("s", "X"), ("t", "new")}
    with Replica(path) as replica:
        assert replica.sql_view(old).tables == ["shelf"]
    assert read(path, "SELECT name FROM sqlite_schema WHERE name LIKE 'shelf_items%'") == []


def test_a_document_opened_without_its_class_joins_with_it(path: Path) -> None:
    with Replica(path) as replica:
        replica.document(Board, "b").name = "x"
    with Replica(path) as replica:
        replica.document(Document, "b")
        view = replica.sql_view(Board)
        replica.document(Board, "b").name = "y"
        check(replica, view)


def test_query(replica: Replica) -> None:
    view = replica.sql_view(Board)
    replica.document(Board, "b").add("task")
    assert view.query("SELECT title AS t, 1 FROM board_tasks WHERE title = ?", ["task"]) == [
        {"t": "task", "1": 1}
    ]
    assert view.query("SELECT * FROM board WHERE 0") == []
    for statement in ("DROP TABLE board", "UPDATE board SET name = 'x'", "no sql"):
        with pytest.raises(StorageError):
            view.query(statement)
    replica.document(Board, "b").name = "still written"
    check(replica, view)


def test_another_program_reads_what_is_there(replica: Replica, path: Path) -> None:
    replica.sql_view(Board)
    replica.document(Board, "b").add("task", ["home"])
    code = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]);"
        "print(c.execute('SELECT title, tags FROM board_tasks').fetchall());"
        "c.execute('DELETE FROM board')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=False
    )
    assert done.stdout == """[('task', '["home"]')]\n"""
    assert "no such function: crdtsync_alone_writes_here" in done.stderr
    replica.document(Board, "b").name = "goes on"
    assert replica.verify() == []


def test_drop(replica: Replica, path: Path) -> None:
    board = replica.document(Board, "b")
    view = replica.sql_view(Board)
    board.name = "x"
    view.drop()
    assert read(path, "SELECT name FROM sqlite_schema WHERE name LIKE 'board%'") == []
    board.name = "y"
    again = replica.sql_view(Board)
    assert again is not view
    check(replica, again)


def test_observers_hear_when_the_tables_show_it(replica: Replica, path: Path) -> None:
    replica.sql_view(Board)
    board = replica.document(Board, "b")
    heard: list[Any] = []

    def hear(change: Any) -> None:
        heard.append((change.origin, read(path, "SELECT name FROM board")))
        if board.name != "answered":
            board.name = "answered"

    board.observe(hear)
    with Replica() as bob:
        board.name = "asked"
        assert heard == [("local", [("asked",)]), ("local", [("answered",)])]
        replica.merge(bob)
        bob.document(Board, "b").name = "remote"
        replica.merge(bob)
    assert heard[2:] == [("remote", [("remote",)]), ("local", [("answered",)])]


def test_what_arrives_inside_an_action_is_shown_after_it(replica: Replica, path: Path) -> None:
    view = replica.sql_view(Board)
    board = replica.document(Board, "b")
    board.name = "x"
    with Replica() as bob:
        replica.merge(bob)
        bob.document(Board, "b").body.append("remote")
        with board.action("act"):
            board.name = "y"
            replica.merge(bob)
            assert read(path, "SELECT name, body FROM board") == [("x", "")]
            [(position,)] = read(path, "SELECT position FROM sql_documents")
            assert position < replica.ledger("b").position  # a crash now is caught up with
        assert read(path, "SELECT name, body FROM board") == [("y", "remote")]
        check(replica, view)


@pytest.mark.parametrize("when", ["local", "remote"])
def test_what_fails_leaves_log_document_and_tables_as_they_were(
    replica: Replica, path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    view = replica.sql_view(Board)
    board = replica.document(Board, "b")
    board.add("kept")
    heard: list[Any] = []
    board.observe(heard.append)
    before = board.to_dict(), board.state_vector, found(path, view.tables)

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    with Replica() as bob:
        replica.merge(bob)
        bob.document(Board, "b").add("more")
        mirror = view._mirrors["b"]
        with monkeypatch.context() as patch:
            patch.setattr(mirror, "_write_record", fail)
            with pytest.raises(KeyboardInterrupt):
                if when == "local":
                    board.add("lost")
                else:
                    replica.merge(bob)
        assert (board.to_dict(), board.state_vector, found(path, view.tables)) == before
        assert heard == []
        replica.merge(bob)
        board.add("works again")
        check(replica, view)
        assert len(board.tasks) == 3
        assert replica.verify() == []


def test_of_an_action_only_what_changed_is_written(replica: Replica) -> None:
    class Row(Record):
        title: str = ""
        body: Text
        votes: Counter
        links: List[str]
        tags: Set[str]

    class Sheet(Document):
        title: str = ""
        notes: Text
        rows: Table[Row]

    replica.sql_view(Sheet)
    sheet = replica.document(Sheet, "s")
    for number in range(50):
        sheet.rows.add(key=str(number), body="long text")
    statements: list[str] = []
    connection = replica._store.file.connection

    def note(_: object, sql: str, __: object) -> bool:
        statements.append(sql)
        return True

    connection.exec_trace = note
    sheet.rows["7"].votes.increment()
    connection.exec_trace = None
    written = [sql for sql in statements if "sheet" in sql]
    assert written == [
        'UPDATE "sheet_rows" SET "votes" = ? WHERE "document" = ? AND "key" = ?',
    ]


def test_after_a_mending_and_under_a_new_id(replica: Replica, path: Path) -> None:
    view = replica.sql_view(Board)
    boards = [replica.document(Board, name) for name in ("one", "two")]
    for board in boards:
        board.name = "before"
        board.add("first")
        board.total.increment(2)
    replica.mend("one", replica.id, 1)
    check(replica, view)
    assert read(path, "SELECT count(*) FROM sql_documents WHERE position IS NULL") == [(0,)]
    for board in boards:
        board.add("second")
        check(replica, view)
    replica.rotate()
    boards[1].total.increment(1)
    check(replica, view)
    assert read(path, "SELECT total FROM board ORDER BY total") == [(2,), (3,)]


def test_a_mending_that_could_not_be_shown_is_shown_when_the_store_is_opened_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Replica(path, user="ann") as replica:
        replica.sql_view(Board)
        board = replica.document(Board, "one")
        board.name = "before"
        board.add("first")

        def fail(*_: object) -> None:
            raise OSError("no")

        with monkeypatch.context() as patched, pytest.raises(OSError, match="no"):
            patched.setattr(Mirror, "write_all", fail)
            replica.mend("one", replica.id, 1)
    with Replica(path, user="ann") as replica:
        view = replica.sql_view(Board)
        check(replica, view)
        assert replica.document(Board, "one").name == "before"
