"""Who wrote what stands in a document."""

from __future__ import annotations

import html
import re
from typing import Any

from crdtsync import Counter, Document, List, Record, Replica, Set, Table, Text, field
from crdtsync.notebook import authorship
from crdtsync.notebook.values import ROWS_MAX
from crdtsync.strategies import KeepAll


class Task(Record):
    title: str = field(default="", strategy=KeepAll())
    votes: Counter
    tags: Set[str]
    notes: Text


class Board(Document):
    name: str = "Untitled"
    steps: List[str]
    tasks: Table[Task]


def rows(shown: str) -> dict[str, str]:
    """Return what is said of each field, without times, colours and ids."""
    found = {}
    for row in re.findall(r"<tr><th scope=\"row\">(.*?)</tr>", shown):
        name, *cells = re.split(r"</th>|</td>", row)
        text = re.sub(r"<time.*?</time>|<code.*?</code>", "", " | ".join(cells))
        text = re.sub(r"<[^>]+>", "", re.sub(r"</?q>", '"', text.replace("<br/>", "; ")))
        found[re.sub(r"<[^>]+>", "", name)] = re.sub(r"\s+", " ", html.unescape(text))
    return found


def test_each_field_has_its_writers() -> None:
    ann, ben = Replica(user="ann"), Replica(user="ben")
    hers, his = ann.document(Board, "b"), ben.document(Board, "b")
    hers.tasks.add(key="t", title="milk", notes="two litres")
    hers.steps.append("buy")
    ann.merge(ben)
    hers.tasks["t"].title, his.tasks["t"].title = "oat milk", "rye milk"
    hers.tasks["t"].votes += 2
    his.tasks["t"].votes -= 1
    his.tasks["t"].tags.add("<shop>")
    his.tasks["t"].notes.append(", please")
    ann.merge(ben)
    for board in (hers, his):
        said = rows(authorship(board))
        assert said["name"].strip(" |") == "Untitled"
        assert "oat milk ● ann" in said["tasks / t / title"]
        assert "rye milk ● ben" in said["tasks / t / title"]
        assert "+2 ● ann" in said["tasks / t / votes"]
        assert "-1 ● ben" in said["tasks / t / votes"]
        assert "<shop> ● ben" in said["tasks / t / tags"]
        assert '"two litres" ● ann' in said["tasks / t / notes"]
        assert '", please" ● ben' in said["tasks / t / notes"]
        assert said["steps"].strip(" |") == "buy"


def test_a_change_is_marked_with_all_that_is_in_it() -> None:
    board = Replica(user="ann").document(Board, "b")
    board.tasks.add(key="t", title="milk")
    board.tasks.add(key="u", title="bread")
    marked = rows(authorship(board, changed=[("tasks", "t"), ("name",)]))
    assert [name for name in marked if name.startswith("●")] == [
        "● name",
        *(f"● tasks / t / {name}" for name in ("title", "votes", "tags", "notes")),
    ]


def test_a_replica_keeps_its_colour_in_the_past() -> None:
    ann, ben = sorted([Replica(user="ann"), Replica(user="ann")], key=lambda one: one.id)
    first, later = ann.document(Board, "b"), ben.document(Board, "b")
    later.name = "later id"
    ann.merge(ben)
    first.steps.append("lower id")
    before = first.at((ben.id, 1))
    assert "var(--lane1)" in authorship(first)
    assert "var(--lane1)" in authorship(before)
    assert "var(--lane0)" not in authorship(before)


def test_a_large_document_is_cut() -> None:
    board: Any = Replica(user="ann").document(Board, "b")
    with board.action("fill"):
        for number in range(ROWS_MAX):
            board.tasks.add(title=f"t{number}")
    said = authorship(board)
    assert f"… and {2 + 4 * ROWS_MAX - ROWS_MAX:,} more" in said


def test_many_writers_of_one_field_are_cut() -> None:
    board = Replica(user="ann").document(Board, "b")
    board.tasks.add(key="t")
    for number in range(30):
        board.tasks["t"].notes.insert(0, f"{number},")
    assert "… and more" in authorship(board)
