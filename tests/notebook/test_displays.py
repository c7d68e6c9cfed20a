"""What notebooks show: whole, escaped, bounded."""

from __future__ import annotations

import html.parser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync import (
    Counter,
    Document,
    List,
    Map,
    Record,
    Replica,
    RichText,
    Set,
    Table,
    Text,
    field,
)
from crdtsync.notebook import causal_graph, html_of, show
from crdtsync.notebook.markup import escape, tag
from crdtsync.notebook.values import ROWS_MAX, TEXT_MAX, cut, value_html
from crdtsync.strategies import KeepAll
from crdtsync.testing import values

HOSTILE = "<script>alert('1')</script>&\"\x00"


class Task(Record):
    title: str = ""
    status: str = field(default="todo", strategy=KeepAll())
    votes: Counter
    tags: Set[str]
    steps: List[str]
    notes: Text


class Board(Document):
    name: str = "Untitled"
    anything: Any = None
    tasks: Table[Task]
    story: RichText
    options: Map[object]


class Checker(html.parser.HTMLParser):
    """Knows an HTML tree that is well formed, and what it says."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.said = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open.append(tag)
        self.tags.add(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.said += data


def read(markup: str) -> Checker:
    checker = Checker()
    checker.feed(markup)
    checker.close()
    assert not checker.open
    assert "script" not in checker.tags
    return checker


def two_boards() -> tuple[Board, Board]:
    """Return a board that two people have worked on, on both replicas, with a conflict."""
    ann, bob = Replica(user="ann"), Replica(user=HOSTILE)
    mine, theirs = ann.document(Board, HOSTILE), bob.document(Board, HOSTILE)
    key = mine.tasks.add(title=HOSTILE).key
    ann.merge(bob)
    mine.tasks[key].status = "doing"
    theirs.tasks[key].status = HOSTILE
    theirs.tasks[key].tags.add(HOSTILE)
    ann.merge(bob)
    mine.tasks[key].notes.append("oat")
    mine.options[HOSTILE] = [HOSTILE]
    return mine, theirs


def test_everything_is_shown_and_nothing_of_it_is_markup() -> None:
    board, _ = two_boards()
    (task,) = board.tasks.values()
    shown: list[Any] = [
        board,
        task,
        board.tasks,
        task.tags,
        task.steps,
        task.votes,
        task.notes,
        board.story,
        board.options,
        board.log,
        board.state_vector,
        next(board.log.actions()),
        *board.conflicts(),
    ]
    for each in shown:
        assert read(each._repr_html_()).said.strip()
    for each in (board, task, task.tags, board.log, show(board.conflicts())):
        assert HOSTILE.replace("\x00", "�") in read(each._repr_html_()).said
    assert "no conflicts" in read(show([])).said


def test_a_document_shows_its_conflict_and_what_was_chosen() -> None:
    board, _ = two_boards()
    said = read(board._repr_html_()).said
    assert "in conflict" in said
    assert "keep-all" in said
    assert said.count("→") == 1


def test_a_document_without_a_class_is_shown_as_its_store_remembers_it(tmp_path: Any) -> None:
    with Replica(tmp_path / "a.db", user="ann") as replica:
        replica.document(Board, "b").tasks.add(title="milk")
    with Replica.open_read_only(tmp_path / "a.db") as replica:
        assert "milk" in read(replica.document(Document, "b")._repr_html_()).said
        assert "b" in read(replica._repr_html_()).said


def test_what_is_large_is_cut_and_counted() -> None:
    replica = Replica(user="ann")
    board = replica.document(Board, "b")
    with board.action("fill"):
        for number in range(ROWS_MAX + 7):
            board.tasks.add(title=f"t{number}")
        board.name = "x" * (TEXT_MAX + 123)
    said = read(board._repr_html_()).said
    assert "… and 7 more" in said
    assert "… (123 more)" in said
    for _ in range(ROWS_MAX):
        board.name += "y"
    said = read(board.log._repr_html_()).said
    assert "… and 1 more" in said
    assert len(board.log.newest(3)) == 3
    assert [a.entry for a in board.log.newest(10**6)] == list(board.log)


def test_the_causal_graph_has_a_dot_for_each_entry_and_a_line_for_each_dependency() -> None:
    board, _ = two_boards()
    drawn = causal_graph(board)
    read(drawn)
    entries = list(board.log)
    assert drawn.count("<circle") == len(entries)
    assert drawn.count("<path") == sum(len(entry.dependencies) for entry in entries)
    assert drawn.count("<line") == 2
    assert causal_graph(board, 1).count("<circle") == 1
    assert "0 of 0" in read(causal_graph(Replica().document(Board, "empty"))).said


def test_a_refused_entry_says_so() -> None:
    replica = Replica(user="ann")
    board = replica.document(Board, "b")
    board.name = "secret"
    replica.ledger("b").refuse(replica.id, 1, "this board is <archived>")
    said = read(board.log._repr_html_()).said
    assert "refused: this board is <archived>" in said
    assert 'fill="none"' in causal_graph(board)


@given(values())
def test_any_value_is_shown(value: Any) -> None:
    said = read(html_of(value)).said
    assert len(said) < 4 * TEXT_MAX


@pytest.mark.parametrize("value", [10**5000, -(10**5000), [10**5000]], ids=["a", "b", "c"])
def test_a_number_that_python_does_not_write_is_shown(value: Any) -> None:
    assert "too long" in value_html(value)


@given(st.text())
def test_text_is_said_as_it_is(text: str) -> None:
    checker = read(tag("p", text, title=text))
    control = [*range(9), 11, 12, *range(14, 32), 127, 0xFFFE, 0xFFFF]
    assert checker.said == text.translate(dict.fromkeys(control, "�"))
    assert escape(escape(text)) == escape(text)


@given(st.text(max_size=50), st.integers(1, 20))
def test_cut_tells_how_much_is_left_out(text: str, most: int) -> None:
    shown = cut(text, most)
    assert shown == text if len(text) <= most else shown.endswith(f"({len(text) - most} more)")
