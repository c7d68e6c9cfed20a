"""What we did is taken back, what others did stays."""

from __future__ import annotations

import datetime
import decimal
import math
import uuid
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crdtsync import Replica, RichText, Set, field
from crdtsync.errors import ActionError
from crdtsync.strategies import RemoveWins
from crdtsync.testing import actions
from tests.document.boards import Board


class Page(Board):
    page: RichText
    labels: Set[str] = field(presence=RemoveWins())


EDITS = actions(Page, {"tasks/*/status": st.sampled_from(["todo", "doing", "done"])})


def look(page: Any) -> Any:
    """Return all that can be seen, formatting included."""
    return (
        page.to_dict(),
        page.body.runs(),
        {key: task.notes.runs() for key, task in page.tasks.items()},
        page.page.to_xml(),
    )


class Done(NamedTuple):
    """An action of ours, with what was seen before it and after it.

    Its time is what names it: that stays where the entry is written anew.
    """

    time: int
    before: Any
    after: Any


class Model:
    """Two stacks of views: what undo and redo have to show."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.done: list[Done] = []
        self.undone: list[Done] = []

    def act(self, edit: Any) -> None:
        before, seq = look(self.page), self._next
        line = edit.line(self.page)
        exec(line, {"document": self.page, **_NAMES})
        if self._next > seq:
            self.done.append(Done(self._time(seq), before, look(self.page)))
            self.undone.clear()

    def undo(self) -> None:
        self._turn(self.page.undo, self.done, self.undone)

    def redo(self) -> None:
        self._turn(self.page.redo, self.undone, self.done)

    @property
    def _next(self) -> int:
        number: int = self.page._live.journal.next_seq
        return number

    def _time(self, seq: int) -> int:
        journal = self.page._live.journal
        time: int = journal.at(journal.replica, seq).time
        return time

    def _turn(self, turn: Any, source: list[Done], target: list[Done]) -> None:
        seq, expected = self._next, look(self.page)
        found = turn()
        for number in range(seq, self._next):
            taken = source.pop()
            assert expected == taken.after
            expected = taken.before
            target.append(Done(self._time(number), taken.after, taken.before))
            if found is not None and number < self._next - 1:
                assert taken.before == taken.after  # it was passed over
            elif found is not None:
                assert found.entry.time == taken.time
        assert look(self.page) == expected
        if found is None:
            assert not source
        assert (self.page.can_undo, self.page.can_redo) == (bool(self.done), bool(self.undone))


_NAMES = {
    "datetime": datetime,
    "Decimal": decimal.Decimal,
    "UUID": uuid.UUID,
    "inf": math.inf,
    "nan": math.nan,
}
TURNS = st.sampled_from(["undo", "undo", "redo", "load", "acknowledge", "rotate", "mend"])


@settings(max_examples=150)
@given(st.lists(EDITS | TURNS, max_size=12))
def test_undo_and_redo_are_two_stacks(script: list[Any]) -> None:
    replica = Replica(user="ann")
    page: Any = replica.document(Page, "page")
    ledger, model = replica.ledger("page"), Model(page)
    for step in script:
        match step:
            case "undo":
                model.undo()
            case "redo":
                model.redo()
            case "load":
                page._live.load()
            case "acknowledge":
                ledger.acknowledge(ledger.ours)
            case "rotate":
                replica.rotate()
            case "mend":
                replica.mend("page", replica.id, ledger.acknowledged)
            case _:
                model.act(step)
    while page.can_undo:
        model.undo()
    assert look(page) == look(Replica().document(Page, "page"))
    while page.can_redo:
        model.redo()
    assert look(page) == (look(page) if not model.done else model.done[-1].after)


@settings(max_examples=60)
@given(st.lists(EDITS, min_size=1, max_size=6))
def test_undo_right_after_an_action(script: list[Any]) -> None:
    page: Any = Replica(user="ann").document(Page, "page")
    model = Model(page)
    for step in script:
        model.act(step)
        if model.done:
            model.undo()
            model.redo()
            assert page.can_undo


@pytest.fixture
def pair() -> tuple[Any, Any, Any]:
    """Two pages and a function that lets them meet."""
    ann, ben = Replica(user="ann"), Replica(user="ben")
    one, two = ann.document(Page, "page"), ben.document(Page, "page")

    def meet() -> None:
        ann.merge(ben)
        assert look(one) == look(two)

    return one, two, meet


def test_an_empty_document() -> None:
    page: Any = Replica().document(Page, "page")
    assert page.undo() is None
    assert page.redo() is None
    assert not page.can_undo
    assert not page.can_redo
    assert len(page.log) == 0


def test_something_new_ends_what_can_be_redone() -> None:
    page: Any = Replica().document(Page, "page")
    page.name = "a"
    page.undo()
    page.name = "b"
    assert not page.can_redo
    assert page.redo() is None
    page.undo()
    assert page.name == "Untitled"


def test_it_is_logged_and_names_what_it_undid(tmp_path: Path) -> None:
    with Replica(tmp_path / "r.db") as replica:
        page: Any = replica.document(Page, "page")
        page.body.append("one ")
        page.body.append("two")
        undone = page.undo()
        assert (undone.name, undone.entry.seq) == ("append", 2)
        newest = list(page.log)[-1]
        assert (newest.name, newest.arguments) == ("undo", {"of": [replica.id, 2]})
    with Replica(tmp_path / "r.db") as replica:
        page = replica.document(Page, "page")
        assert page.can_redo
        redone = page.redo()
        assert redone.name == "undo"
        assert str(page.body) == "one two"
        page.undo()
        page.undo()
        assert str(page.body) == ""


def test_not_inside_an_action() -> None:
    page: Any = Replica().document(Page, "page")
    page.name = "a"
    with pytest.raises(ActionError, match="an action of its own"), page.action("outer"):
        page.undo()
    assert page.name == "a"


def test_a_refused_action_is_not_undone() -> None:
    page: Any = Replica().document(Page, "page")
    page.name = "a"
    page.name = "b"
    page._live.journal.refuse(page._live.journal.replica, 2, "no")
    assert page.undo().entry.seq == 1
    assert page.name == "Untitled"
    page._live.journal.refuse(page._live.journal.replica, 3, "no")
    assert page.name == "a"
    assert page.undo().entry.seq == 1
    assert page.name == "Untitled"


def test_what_others_wrote_since_stays(pair: Any) -> None:
    one, two, meet = pair
    one.name = "ann"
    meet()
    two.name = "ben"
    meet()
    assert one.undo() is None
    assert one.name == "ben"
    assert two.undo() is not None
    assert two.name == "ann"


def test_what_others_wrote_beside_it_stays(pair: Any) -> None:
    one, two, meet = pair
    one.name = "first"
    meet()
    one.name, two.name = "ann", "ben"
    meet()
    assert len(one.conflicts()) == 1
    one.undo()
    meet()
    assert two.name == "ben"
    assert not two.conflicts()
    assert two.candidates("name")[0].user == "ben"
    one.redo()
    meet()
    assert one.name == "ben"


def test_only_ones_own_actions(pair: Any) -> None:
    one, two, meet = pair
    one.name = "ann"
    meet()
    assert two.undo() is None
    assert two.name == "ann"


def test_the_sum_of_others_stays(pair: Any) -> None:
    one, two, meet = pair
    one.total.increment(3)
    two.total.increment(10)
    meet()
    one.total.increment(100)
    two.total.increment(1)
    one.undo()
    meet()
    assert int(two.total) == 14
    one.undo()
    meet()
    assert int(two.total) == 11


def test_an_element_that_others_put_in_too_stays(pair: Any) -> None:
    one, two, meet = pair
    one.members.add(1)
    two.members.add(1)
    one.members.add(2)
    meet()
    one.undo()
    one.undo()
    meet()
    assert set(two.members) == {1}
    two.undo()
    meet()
    assert set(one.members) == set()


def test_a_record_that_others_have_worked_on_stays(pair: Any) -> None:
    one, two, meet = pair
    one.tasks.add(key="a", title="mine", notes="mine")
    one.tasks.add(key="b", title="mine")
    meet()
    two.tasks["a"].notes.append(" and theirs")
    meet()
    one.undo()
    one.undo()
    meet()
    assert list(two.tasks) == ["a"]
    assert str(two.tasks["a"].notes) == "mine and theirs"
    assert two.tasks["a"].title == "mine"


def test_work_elsewhere_keeps_a_record_that_is_undone(pair: Any) -> None:
    one, two, meet = pair
    one.tasks.add(key="a", title="mine", notes="mine")
    meet()
    two.tasks["a"].status = "doing"
    one.undo()
    assert "a" not in one.tasks
    meet()
    assert one.tasks["a"].to_dict()["notes"] == "mine"
    assert one.tasks["a"].title == "mine"


def test_a_deleted_record_comes_back_whole(pair: Any) -> None:
    one, two, meet = pair
    one.tasks.add(key="a", title="t", notes="some text", tags=["x"], links=[1, "two"])
    one.tasks["a"].steps.add(key="s", label="step")
    meet()
    before = look(one)
    del one.tasks["a"]
    meet()
    one.undo()
    meet()
    assert look(two) == before
    one.redo()
    meet()
    assert "a" not in two.tasks


def test_a_record_that_others_deleted_too_stays_away(pair: Any) -> None:
    one, two, meet = pair
    one.tasks.add(key="a")
    meet()
    del one.tasks["a"]
    del two.tasks["a"]
    meet()
    one.undo()
    meet()
    assert "a" not in one.tasks


def test_typing_in_a_record_that_is_gone_does_not_bring_it_back(pair: Any) -> None:
    one, two, meet = pair
    two.tasks.add(key="a", title="t")
    meet()
    one.tasks["a"].notes.append("mine")
    one.tasks["a"].title = "mine"
    meet()
    del two.tasks["a"]
    meet()
    one.undo()
    one.undo()
    meet()
    assert "a" not in two.tasks


LETTERS = st.sampled_from(["insert", "insert", "delete"])
TYPED = st.tuples(
    st.sampled_from(["one", "one", "two", "meet", "undo", "redo"]),
    LETTERS,
    st.floats(0, 1, exclude_max=True),
    st.integers(1, 4),
)


@pytest.mark.parametrize("kind", ["body", "items"])
@settings(max_examples=120)
@given(script=st.lists(TYPED, max_size=25))
def test_the_characters_of_others_all_stay(kind: str, script: list[Any]) -> None:
    """Ann inserts and deletes as she likes; Ben inserts. Undone, nothing but Ben's is left."""
    ann, ben = Replica(user="ann"), Replica(user="ben")
    one, two = ann.document(Page, "page"), ben.document(Page, "page")
    written: list[str] = []
    for who, verb, place, length in script:
        if who == "meet":
            ann.merge(ben)
            assert look(one) == look(two)
        elif who in {"undo", "redo"}:
            getattr(one, who)()
        else:
            _type(one if who == "one" else two, kind, who, verb, place, length, written)
    while one.can_undo:
        one.undo()
    ann.merge(ben)
    assert look(one) == look(two)
    assert sorted(getattr(one, kind)) == sorted(written)
    while one.can_redo:
        one.redo()
    ann.merge(ben)
    assert look(one) == look(two)


def _type(
    page: Any, kind: str, who: str, verb: str, place: float, length: int, written: list[str]
) -> None:
    target = getattr(page, kind)
    at = int(place * (len(target) + 1))
    if verb == "delete" and who == "one":
        stop = min(len(target), at + length)
        if stop > at:
            target.delete(at, stop) if kind == "body" else target.__delitem__(slice(at, stop))
        return
    letters = [chr((0x1F600 if who == "one" else 0x41) + at % 26) for _ in range(length)]
    if who == "two":
        written += letters
    if kind == "body":
        target.insert(at, "".join(letters))
    else:
        target[at:at] = letters


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(["one", "two", "meet", "undo", "redo"]), EDITS)))
def test_replicas_converge_whatever_is_undone(script: list[Any]) -> None:
    ann, ben = Replica(user="ann"), Replica(user="ben")
    one, two = ann.document(Page, "page"), ben.document(Page, "page")
    for what, edit in script:
        match what:
            case "meet":
                ann.merge(ben)
            case "undo" | "redo":
                getattr(one, what)()
                getattr(two, what)()
            case _:
                page = one if what == "one" else two
                exec(edit.line(page), {"document": page, **_NAMES})
    ann.merge(ben)
    assert look(one) == look(two)
    fresh = Replica()
    fresh.merge(ann)
    assert look(fresh.document(Page, "page")) == look(one)


def test_a_text_is_restored_where_it_stood(pair: Any) -> None:
    one, two, meet = pair
    one.body.append("Hello brave world")
    meet()
    one.body.delete(6, 12)
    two.body.insert(0, ">> ")
    two.body.insert(len(two.body), "!")
    meet()
    one.undo()
    meet()
    assert str(two.body) == ">> Hello brave world!"


def test_formatting(pair: Any) -> None:
    one, two, meet = pair
    one.body.append("Hello world")
    one.body.format(0, 5, bold=True)
    meet()
    two.body.format(3, 8, em={})
    one.body.delete(2, 7)
    meet()
    one.undo()
    meet()
    assert one.body.runs()[0] == ("Hello", {"bold": True})
    assert str(two.body) == "Hello world"
    one.undo()
    assert not any("bold" in attributes for _, attributes in one.body.runs())


def test_rich_text_of_ones_own(pair: Any) -> None:
    one, two, meet = pair
    one.page.append("p", "one")
    one.page.append("p", "two")
    meet()
    one.undo()
    meet()
    assert two.page.to_xml() == "<p>one</p>"
    two.page.append("p", "three")
    meet()
    assert one.undo() is None
    assert one.page.to_xml() == "<p>one</p><p>three</p>"


def test_deep_in_a_log_it_begins_near(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crdtsync.document.materialize._ENTRIES_PER_TRANSACTION", 7)
    monkeypatch.setattr("crdtsync.document.rewind._NEAR", 7)
    page: Any = Replica().document(Page, "page")
    views = [look(page)]
    for number in range(40):
        page.body.append(f"{number} ")
        page.total.increment(number)
        views.append(look(page))
    for expected in reversed(views[:-1]):
        page.undo()
        page.undo()
        assert look(page) == expected
    assert page._live.near is not None


@pytest.mark.parametrize(
    "value", [None, 5, [], [[1]], [[[1], 2]], {"name": [[[], 1], 3]}, [[1, 0, 2]]]
)
def test_what_an_app_logs_under_that_name_does_no_harm(value: Any) -> None:
    page: Any = Replica().document(Page, "page")
    us = page._live.journal.replica
    page.body.append("one")
    page.name = "one"
    for of in (value, [us, 1]):
        with page.action("undo", of=of, restores=value, again=value):
            page.body.append("two")
    while page.undo() is not None:
        pass
    assert page.name == "Untitled"
