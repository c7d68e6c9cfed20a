"""Observers: told of every change once, after it is durable, in order."""

from __future__ import annotations

import logging

import anyio
import pytest

from crdtsync import Change, Replica
from tests.document.boards import Board


def test_local_and_remote_changes_are_told_with_their_entries_and_paths() -> None:
    one, other = Replica(user="ann"), Replica(user="bob")
    board, copy = one.document(Board, "b"), other.document(Board, "b")
    seen: list[Change] = []
    cancel = board.observe(seen.append)
    with board.action("both"):
        board.name = "x"
        board.body.append("y")
    copy.tasks.add(key="t/1", title="z", notes="n", tags=["a"])
    copy.body.append("remote")
    copy.tasks["t/1"].notes.append("more")
    one.merge(other)
    local, remote = seen
    assert (local.origin, remote.origin) == ("local", "remote")
    assert [entry.name for entry in local.entries] == ["both"]
    assert set(local.paths) == {("name",), ("body",)}
    assert [entry.name for entry in remote.entries] == ["add", "append", "append"]
    assert {("tasks", "t/1"), ("tasks", "t/1", "title"), ("tasks", "t/1", "tags")} <= set(
        remote.paths
    )
    assert ("body",) in remote.paths
    copy.tasks["t/1"].notes.append("again")
    one.merge(other)
    assert seen[-1].paths == (("tasks", "t/1", "notes"),)
    cancel()
    board.name = "unheard"
    assert len(seen) == 3


def test_repeats_tell_nothing() -> None:
    one, other = Replica(), Replica()
    board, copy = one.document(Board, "b"), other.document(Board, "b")
    seen: list[Change] = []
    copy.observe(seen.append)
    board.name = "x"
    one.merge(other)
    one.merge(other)
    other.ledger("b").receive([entry.data for entry in board.log])
    assert len(seen) == 1


def test_an_observer_may_act_and_one_that_fails_disturbs_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    board = Replica().document(Board, "b")
    seen: list[object] = []

    def react(change: Change) -> None:
        if ("name",) in change.paths:
            board.data = board.name

    def fail(change: Change) -> None:
        raise RuntimeError("observer broke")

    board.observe(react)
    board.observe(fail)
    board.observe(lambda change: seen.append(change.paths))
    with caplog.at_level(logging.ERROR):
        board.name = "x"
    assert board.data == "x"
    assert seen == [(("name",),), (("data",),)]
    assert "observer broke" in caplog.text


async def test_changes_are_a_stream_that_misses_nothing() -> None:
    board = Replica().document(Board, "b")
    stream = board.changes()
    board.name = "before the first look"
    seen: list[str] = []
    async with anyio.create_task_group() as tasks:

        async def act() -> None:
            for number in range(5):
                board.data = number
                await anyio.lowlevel.checkpoint()

        tasks.start_soon(act)
        with anyio.fail_after(30):
            async for change in stream:
                seen.append(change.entries[0].name + str(change.paths[0][0]))
                if len(seen) == 6:
                    break
    assert seen == ["setname"] + ["setdata"] * 5
    await stream.aclose()  # type: ignore[attr-defined]
    assert not board._live.observers
