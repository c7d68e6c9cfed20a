"""`history`, `diff` and `show --at`: what the log says of what has passed."""

from __future__ import annotations

import json

import pytest

from crdtsync import Document, Record, Replica, Table, Text
from crdtsync.cli.output import replica_name


class Task(Record):
    title: str = ""
    notes: Text


class Board(Document):
    name: str = ""
    tasks: Table[Task]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "replica.db"
    with Replica(path, user="ann") as replica:
        board = replica.document(Board, "board")
        board.name = "[bold]one"
        board.tasks.add(key="t", title="Buy milk", notes="two litres")
        board.name = "two"
        board.tasks["t"].notes.replace(0, 3, "three")
        del board.tasks["t"]
    return path


@pytest.fixture
def me(file):
    with Replica.open_read_only(file) as replica:
        return replica_name(replica.id)


class TestHistory:
    def test_of_a_field(self, run, file):
        result = run("history", file, "board", "name")
        assert result.exit_code == 0
        assert "'[bold]one'" in result.output
        assert "'two'" in result.output
        assert "ann" in result.output

    def test_of_a_record_and_its_text(self, run, file):
        output = run("history", file, "board", "tasks/t").output
        assert "created" in output
        assert "deleted" in output
        assert "+ 'two litres'" in run("history", file, "board", "tasks/t/notes").output

    def test_as_json(self, run, file, me):
        lines = run("history", file, "board", "name", "--json").output.splitlines()
        found = [json.loads(line) for line in lines]
        assert [one["value"] for one in found] == ["[bold]one", "two"]
        assert [one["before"] for one in found] == ["", "[bold]one"]
        assert [(one["replica"], one["seq"]) for one in found] == [(me, 1), (me, 3)]

    def test_of_nothing(self, run, file):
        result = run("history", file, "board", "nowhere")
        assert result.exit_code == 2
        assert "nothing is declared at 'nowhere'" in result.output

    def test_of_what_was_never_there(self, run, file):
        result = run("history", file, "board", "tasks/none/title")
        assert result.exit_code == 0
        assert result.output == "tasks/none/title: nothing has been written there\n"


class TestDiff:
    def test_between_entries(self, run, file, me):
        output = run("diff", file, "board", f"{me[-6:]}:2", f"{me[-6:]}:4").output
        assert "- '[bold]one'" in output
        assert "+ 'two'" in output
        assert "tasks / t / notes" in output

    def test_until_now(self, run, file, me):
        found = json.loads(run("diff", file, "board", f"{me}:4", "--json").output)
        [gone] = found
        assert gone["path"] == ["tasks", "t"]
        assert gone["before"]["notes"] == "three litres"
        assert gone["after"] is None

    def test_nothing(self, run, file, me):
        assert "nothing differs" in run("diff", file, "board", f"{me}:5").output

    @pytest.mark.parametrize("moment", ["yesterday", "2026-13-01", "zz:1"])
    def test_what_is_no_moment(self, run, file, moment):
        result = run("diff", file, "board", moment)
        assert result.exit_code == 2
        assert "neither a time" in result.output

    @pytest.mark.parametrize("moment", ["ABC:9", "0000000000000000:1"])
    def test_an_entry_that_is_not_there(self, run, file, moment):
        assert run("diff", file, "board", moment).exit_code == 2


class TestShow:
    def test_after_an_entry(self, run, file, me):
        result = run("show", file, "board", "--at", f"{me[-6:]}:2")
        assert "Buy milk" in result.output
        assert "two litres" in result.output

    def test_at_a_time(self, run, file):
        found = json.loads(run("show", file, "board", "--at", "2020-01-01", "--json").output)
        assert found["state_vector"] == {}
        assert found["view"]["tasks"] == {}
        found = json.loads(run("show", file, "board", "--at", "2999-01-01", "--json").output)
        assert found["view"]["name"] == "two"

    def test_of_which_document(self, run, file):
        assert run("show", file, "--at", "2020-01-01").exit_code == 2
