"""An action happens whole or not at all, and is in the log before anyone sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync import Document, Replica, action
from crdtsync.errors import ActionError, LimitError, SchemaError, StorageError
from tests.document.boards import Board


class BoomError(Exception):
    pass


def state(board: Board) -> tuple[Any, ...]:
    """Return all that a failed action must leave as it was."""
    live = board._live
    return (
        board.to_dict(),
        live._doc.get_update(),
        [entry.data for entry in board.log],
        board.state_vector,
        len(board.log),
        [str(board.body), list(board.items), list(board.members), int(board.total)],
    )


def filled() -> Board:
    board = Replica(user="ann").document(Board, "b")
    key = board.add("one", ["x"])
    board.tasks[key].notes.append("nötes")
    board.body.append("body 😀")
    board.items.extend([1, 2, 3])
    board.members |= {"ann"}
    board.total += 5
    return board


def change_everything(board: Board) -> None:
    (key,) = board.tasks
    board.name = "changed"
    board.tasks[key].title = "changed"
    board.tasks[key].votes += 1
    board.tasks[key].tags.add("new")
    board.tasks[key].notes.insert(0, "new ")
    board.tasks[key].links.append("l")
    board.tasks[key].steps.add(label="s")
    board.body.delete(0, 4)
    board.items.move(0, 2)
    board.members.clear()
    board.total -= 7
    board.tasks.add(title="two")
    del board.tasks[key]


def test_an_exception_in_the_body_leaves_everything_exactly_as_it_was() -> None:
    board = filled()
    before = state(board)
    seen: list[object] = []
    board.observe(seen.append)
    with pytest.raises(BoomError), board.action("doomed"):
        change_everything(board)
        raise BoomError
    assert state(board) == before
    assert seen == []
    change_everything(board)  # and the document goes on working
    assert board._live.journal.count == before[4] + 13


@pytest.mark.parametrize("failure", [apsw.FullError, apsw.IOError, KeyboardInterrupt])
def test_a_failing_store_leaves_everything_exactly_as_it_was(
    failure: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    board = filled()
    before = state(board)
    seen: list[object] = []
    board.observe(seen.append)
    table = board._live.journal._store.logs  # type: ignore[attr-defined]

    def fail(*_: object) -> None:
        raise failure("no")

    with monkeypatch.context() as patch:
        patch.setattr(table, "insert", fail)
        expected = KeyboardInterrupt if failure is KeyboardInterrupt else StorageError
        with pytest.raises(expected), board.action("doomed"):
            change_everything(board)
    assert state(board) == before
    assert seen == []
    change_everything(board)
    assert board._live.journal.count == before[4] + 13


def test_an_action_is_in_the_log_before_anyone_sees_it() -> None:
    board = filled()
    lengths: list[tuple[int, str]] = []
    table = board._live.journal._store.logs  # type: ignore[attr-defined]
    insert = table.insert
    views: list[str] = []

    def spy(*args: Any) -> None:
        views.append(board.name)
        insert(*args)

    table.insert = spy
    board.observe(lambda change: lengths.append((len(board.log), board.name)))
    count = len(board.log)
    board.name = "new"
    assert views == ["Untitled"]
    assert lengths == [(count + 1, "new")]


def test_the_body_sees_its_own_edits() -> None:
    board = filled()
    with board.action("edit"):
        change_everything(board)
        assert board.name == "changed"
        assert str(board.body) == " 😀"
        assert list(board.items) == [2, 3, 1]
        assert len(board.members) == 0
        assert int(board.total) == -2
        assert [board.tasks[key].title for key in board.tasks] == ["two"]
    assert str(board.body) == " 😀"


def test_one_action_is_one_entry_with_its_name_and_arguments() -> None:
    board = filled()
    key = board.add("two", tags=["t"])
    entry = list(board.log)[-1]
    assert (entry.name, entry.arguments) == ("add", {"title": "two", "tags": ["t"]})
    with board.action("rename", key=key):
        board.tasks[key].title = "three"
        board.tasks[key].status = "done"
    entry = list(board.log)[-1]
    assert (entry.name, entry.arguments) == ("rename", {"key": key})
    board.name = "bare"
    entry = list(board.log)[-1]
    assert (entry.name, entry.arguments) == ("set", {"path": "name"})


def test_an_action_without_effect_leaves_no_entry() -> None:
    board = filled()
    count = len(board.log)
    with board.action("nothing"):
        pass
    board.total.increment(0)
    board.body.append("")
    assert len(board.log) == count


def test_nested_actions_are_one_and_a_failed_inner_one_leaves_no_trace() -> None:
    board = filled()
    count = len(board.log)
    with board.action("outer"):
        board.name = "outer"
        with pytest.raises(BoomError), board.action("inner"):
            board.name = "inner"
            board.total += 100
            board.body.append("inner")
            board.tasks.add(title="inner")
            raise BoomError
        with pytest.raises(TypeError, match="cannot be stored"):
            board.tasks.add(title="half", tags=[{1}])
        board.add("inner action")
    assert len(board.log) == count + 1
    assert board.name == "outer"
    assert int(board.total) == 5
    assert str(board.body) == "body 😀"
    assert sorted(task.title for task in board.tasks.values()) == ["inner action", "one"]


def test_values_that_cannot_be_stored_are_refused_where_they_are_given() -> None:
    board = filled()
    before = state(board)
    attempts: list[Callable[[], object]] = [
        lambda: setattr(board, "data", (1, 2)),
        lambda: setattr(board, "data", {1: 2}),
        lambda: setattr(board, "data", object()),
        lambda: board.members.add([1]),
        lambda: board.total.increment(1.5),  # type: ignore[arg-type]
        lambda: board.tasks.add(titel="typo"),
        lambda: setattr(board, "nmae", "typo"),
        lambda: board.action("x", argument={1, 2}).__enter__(),
    ]
    for attempt in attempts:
        with pytest.raises((TypeError, ValueError, AttributeError)):
            attempt()
    with pytest.raises(ActionError, match="use increment"):
        board.total = 3  # type: ignore[assignment]
    assert state(board) == before


def test_an_action_that_is_too_large_is_refused_whole() -> None:
    board = filled()
    before = state(board)
    with pytest.raises(LimitError, match="entry_bytes_max=491,520"):
        board.body.append("x" * 600_000)
    with pytest.raises(LimitError, match="name_length_max"), board.action("n" * 1000):
        board.name = "x"
    assert state(board) == before


def test_handles_of_a_deleted_record_refuse_to_act() -> None:
    board = filled()
    (task,) = board.tasks.values()
    del board.tasks[task.key]
    count = len(board.log)
    for attempt in (
        lambda: setattr(task, "title", "x"),
        lambda: task.notes.append("x"),
        task.votes.increment,
        lambda: task.steps.add(label="x"),
    ):
        with pytest.raises(ActionError, match="was deleted"):
            attempt()
    assert len(board.log) == count
    with pytest.raises(KeyError):
        board.tasks[task.key]


def test_asynchronous_actions_are_refused_when_they_are_declared() -> None:
    with pytest.raises(SchemaError, match="asynchronous"):

        class Bad(Document):
            @action
            async def act(self) -> None: ...


async def test_another_task_neither_sees_nor_joins_an_open_action() -> None:
    """In the CRDT library a second task silently joins an open transaction."""
    one, other = Replica(), Replica()
    board, copy = one.document(Board, "b"), other.document(Board, "b")
    copy.body.append("remote ")
    opened, looked = anyio.Event(), anyio.Event()
    seen: list[object] = []

    async def bystander() -> None:
        await opened.wait()
        seen.append(board.name)
        with pytest.raises(ActionError, match="must not await"):
            board.name = "bystander"
        one.merge(other)  # entries from elsewhere wait until the action has ended
        seen.append(str(board.body))
        looked.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bystander)
        with board.action("slow"):
            board.name = "slow"
            board.body.append("local")
            opened.set()
            await looked.wait()
    assert seen == ["Untitled", ""]
    assert board.name == "slow"
    one.merge(other)
    assert str(board.body) == str(copy.body)
    assert "local" in board.body
    assert "remote" in board.body


def test_an_action_is_begun_where_its_body_begins() -> None:
    board = filled()
    early, late = board.action("early"), board.action("late")
    with early:
        board.name = "early"
        with pytest.raises(ActionError, match="where its body begins"), late:
            pass
    assert board.name == "early"


def test_a_store_that_fails_altogether_closes_the_document(monkeypatch: pytest.MonkeyPatch) -> None:
    board = filled()
    ledger = board._live.journal

    def fail(*_: object, **__: object) -> None:
        raise StorageError("gone", path="nowhere")

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "record", fail)
        patch.setattr(ledger, "entries", fail)
        with pytest.raises(StorageError) as caught:
            board.name = "x"
    assert "is closed" in caught.value.__notes__[0]
    with pytest.raises(ActionError, match="is closed"):
        board.name = "y"


edits = st.recursive(
    st.tuples(st.sampled_from(["name", "data", "x", "y"]), st.integers(0, 9)),
    lambda inner: st.lists(inner, max_size=4).map(lambda parts: ("part", parts, len(parts) % 2)),
    max_leaves=12,
)


@given(st.lists(edits, max_size=6))
def test_a_part_that_fails_leaves_what_was_staged_before(script: list[Any]) -> None:
    board = Replica().document(Board, "b")
    model: dict[str, Any] = {"name": "Untitled", "data": None, "members": set()}

    def act(steps: list[Any]) -> None:
        for step in steps:
            if step[0] == "part":
                before = {**model, "members": set(model["members"])}
                try:
                    with board.action("part"):
                        act(step[1])
                        if step[2]:
                            raise KeyError
                except KeyError:
                    model.update(before)
            elif step[0] in {"x", "y"}:
                {0: board.members.discard, 1: board.members.add}[step[1] % 2](step[0])
                {0: model["members"].discard, 1: model["members"].add}[step[1] % 2](step[0])
            else:
                setattr(board, step[0], str(step[1]))
                model[step[0]] = str(step[1])

    with board.action("all"):
        act(script)
        assert (board.name, board.data, set(board.members)) == tuple(model.values())
    assert (board.name, board.data, set(board.members)) == tuple(model.values())
