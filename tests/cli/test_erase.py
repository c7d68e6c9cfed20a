"""`crdtsync erase`: which entry is meant."""

from __future__ import annotations

import anyio
import pytest

from crdtsync.cli.output import replica_name
from crdtsync.replica import Replica
from crdtsync.server import SqliteBackend, serve
from crdtsync.server.backends.outside import list_erasures
from crdtsync.transport import connect
from tests.document.boards import Board


@pytest.fixture
def data(tmp_path):
    return tmp_path / "server.db"


@pytest.fixture
def ann(data, tmp_path):
    """Hand two entries in, and return who wrote them."""

    async def hand_in(replica):
        async with SqliteBackend(data) as backend, anyio.create_task_group() as tasks:
            [url] = await tasks.start(serve, backend, [f"unix://{tmp_path}/socket"])
            async with connect(replica, url) as connection:
                await connection.synced()
            tasks.cancel_scope.cancel()

    with Replica(user="ann") as replica:
        board = replica.document(Board, "board")
        board.name = "one"
        board.name = "two"
        anyio.run(hand_in, replica)
        return replica.id


def test_an_entry_is_named_as_the_log_shows_it(run, data, ann):
    assert run("erase", "--data", data).output == "nothing was erased\n"
    end = replica_name(ann)[-6:]
    result = run("erase", "--data", data, "board", f"{end}:1", "--reason", "a secret")
    assert result.exit_code == 0
    assert result.output.endswith(": erased\n")
    assert [one[:3] for one in list_erasures(data)] == [("board", ann, 1)]


def test_an_end_that_is_nobodys_erases_nothing(run, data, ann):
    end = f"{(ann + 1) % 16**6:06x}"
    result = run("erase", "--data", data, "board", f"{end}:1", "--reason", "a secret")
    assert result.exit_code == 2
    assert f"no device's id ends in '{end}'" in result.stderr
    assert list_erasures(data) == []


def test_a_whole_id_may_be_of_one_that_is_still_to_come(run, data, ann):
    whole = replica_name(ann ^ 1)
    result = run("erase", "--data", data, "board", f"{whole}:1", "--reason", "a secret")
    assert result.exit_code == 1
    assert "not here; erased as soon as it comes" in result.output
    assert [one[:3] for one in list_erasures(data)] == [("board", ann ^ 1, 1)]


def test_half_a_name_is_none(run, data, ann):
    result = run("erase", "--data", data, "board", "--reason", "a secret")
    assert result.exit_code == 2
    assert "REPLICA:SEQ" in result.stderr
