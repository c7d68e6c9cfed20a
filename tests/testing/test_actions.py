"""Actions: edits of every kind of field, and lines that run whatever the document holds."""

from __future__ import annotations

import datetime
import typing
from collections.abc import Callable
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, NewType
from uuid import UUID

import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from crdtsync import Document, Record, Replica, RichText, Table, action
from crdtsync.codec import check_value
from crdtsync.document.schema import Kind
from crdtsync.testing import actions
from crdtsync.testing.content import content
from crdtsync.testing.edit import Call, Edit
from tests.document.boards import Board

NAMES = {"datetime": datetime, "Decimal": Decimal, "UUID": UUID, "inf": float("inf")}
Name = NewType("Name", str)


class Colour(Enum):
    RED = 1


class Everything(Board):
    page: RichText


def first(cls: type[Document], wanted: Callable[..., bool]) -> Edit:
    """Return the simplest edit of a class that is wanted."""
    edits = actions(cls).filter(lambda edit: isinstance(edit, Edit))
    found = find(edits, wanted)
    assert isinstance(found, Edit)
    return found


def test_every_kind_of_field_is_edited_at_every_depth() -> None:
    for kind in typing.get_args(Kind):
        assert first(Everything, lambda edit, kind=kind: edit.kind == kind).kind == kind
    deepest = first(Board, lambda edit: len(edit.rows) == 2)
    assert [row.table for row in deepest.rows] == ["tasks", "steps"]


@pytest.mark.parametrize("cls", [Board, Everything])
@settings(deadline=None)
@given(data=st.data())
def test_whatever_is_drawn_can_be_done_to_whatever_is_there(
    cls: type[Document], data: st.DataObject
) -> None:
    with Replica() as replica:
        document = replica.document(cls, "document")
        for edit in data.draw(st.lists(actions(cls), max_size=12)):
            exec(edit.line(document), NAMES | {"document": document})


class Task(Record):
    title: str
    owner: str = "nobody"


class Plan(Document):
    tasks: Table[Task]

    @action
    def finish(self, key: str, at: datetime.datetime, how: str = "well") -> None:
        self.tasks[key].title = how

    @action
    def paint(self, colour: Colour) -> None:
        self.tasks.clear()  # type: ignore[attr-defined]

    @action
    def hide(self, colour: Colour = Colour.RED) -> None:
        pass

    def helper(self, text: str) -> None:
        raise AssertionError("this is no action")


def test_own_actions_are_called_if_their_arguments_can_be_drawn() -> None:
    calls = st.one_of(actions(Plan)).filter(lambda edit: isinstance(edit, Call))
    finish = find(calls, lambda call: call.action == "finish")
    assert set(finish.arguments) >= {"key", "at"}
    assert find(calls, lambda call: call.action == "hide").arguments == {}
    with pytest.raises(NoSuchExample):
        find(
            calls,
            lambda call: call.action in {"paint", "helper"},
            settings=settings(max_examples=200),
        )


def test_an_action_finds_the_keys_that_are_there() -> None:
    with Replica() as replica:
        plan = replica.document(Plan, "plan")
        key = plan.tasks.add(title="Rest").key
        calls = actions(Plan).filter(lambda edit: isinstance(edit, Call))
        found = find(calls, lambda call: f"key={key!r}" in call.line(plan))
        exec(found.line(plan, "plan"), NAMES | {"plan": plan})
        assert plan.tasks[key].title != "Rest"


def test_a_new_record_is_given_what_it_needs() -> None:
    with Replica() as replica:
        plan = replica.document(Plan, "plan")
        line = first(Plan, lambda edit: edit.field == "owner").line(plan)
        assert line.startswith("document.tasks.add(key='a', title=")


def test_what_is_drawn_can_be_said_by_path() -> None:
    values = {"tasks/*/title": st.just("this"), "finish(how)": st.just("that")}
    drawn = actions(Plan, values)

    @settings(max_examples=50)
    @given(drawn)
    def check(edit: Any) -> None:
        if isinstance(edit, Call):
            assert edit.arguments.get("how", "that") == "that"
        elif edit.field == "title":
            assert edit.arguments == ("this",)

    check()
    with pytest.raises(ValueError, match="Plan has no field 'tasks/title'"):
        actions(Plan, {"tasks/title": st.just("")})


@pytest.mark.parametrize(
    "hint",
    [
        *(str, int, bool, float, bytes, datetime.datetime, datetime.date, Decimal, UUID, object),
        *(Any, list, dict, list[int], dict[str, list[bool]], int | None, Annotated[int, "years"]),
        *(Literal["a", 1], Name, typing.Optional[str]),  # noqa: UP045
    ],
    ids=str,
)
def test_what_an_annotation_admits_is_drawn_and_can_be_stored(hint: Any) -> None:
    drawn = content(hint)
    assert drawn is not None

    @settings(max_examples=20)
    @given(drawn)
    def check(value: Any) -> None:
        check_value(value)

    check()


@pytest.mark.parametrize("hint", [None, Colour, set[int], list[Colour], int | Colour])
def test_what_an_annotation_does_not_tell_is_not_drawn(hint: Any) -> None:
    assert content(hint) is None
