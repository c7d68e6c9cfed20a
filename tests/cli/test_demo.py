from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from typing import Any

import pytest

from crdtsync import Replica
from crdtsync.cli import scenario
from crdtsync.cli.board import Board
from crdtsync.cli.plot import EXPECTED
from crdtsync.cli.server_process import ServerProcess


@pytest.fixture(scope="module")
def story():
    """Play the story once, as a person would see it without a terminal."""
    return subprocess.run(
        [sys.executable, "-m", "crdtsync.cli", "demo"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


class TestStory:
    def test_ends_well(self, story):
        assert (story.returncode, story.stderr) == (0, "")
        assert "nothing lost" in story.stdout
        assert story.stdout.count("✓") == 4
        assert "✗" not in story.stdout

    def test_fits_eighty_columns(self, story):
        assert max(map(len, story.stdout.splitlines())) <= 80

    def test_shows_every_kind_of_conflict(self, story):
        for strategy in ("lww", "keep-all", "furthest"):
            assert f"({strategy})" in " ".join(story.stdout.split())

    def test_tells_how_soon_after_one_another_things_were_written(self, story):
        assert "  0.000  " in story.stdout

    def test_as_json(self, run):
        result = run("demo", "--json")
        assert result.exit_code == 0
        report = json.loads(result.stdout)
        assert report["problems"] == []
        assert set(report["offline"]) == {"Ann's laptop", "Ann's phone", "Bob's desktop"}
        views = list(report["online"].values())
        assert views[0] == views[1] == views[2]
        assert len({str(view) for view in report["offline"].values()}) == 3
        assert not {"online", "refused"} & set(report["offline_states"].values())
        assert len({device["view_hash"] for device in report["devices"]}) == 1
        assert len({str(device["state_vector"]) for device in report["devices"]}) == 1
        assert views[0]["tasks"]["lanterns"]["votes"] == 4

    def test_leaves_nothing_behind(self, run, tmp_path, monkeypatch):
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        assert run("demo").exit_code == 0
        assert list(tmp_path.iterdir()) == []

    def test_keeps_the_stores_if_asked(self, run, tmp_path):
        assert run("demo", "--keep", tmp_path / "party").exit_code == 0
        store = tmp_path / "party" / "bob-desktop.db"
        assert run("verify", store).exit_code == 0
        with Replica.open_read_only(store) as replica:
            assert replica.document(Board, scenario.DOCUMENT).name == "Summer party, 5 June"

    def test_keeps_them_nowhere_else(self, run, tmp_path):
        (tmp_path / "mine.txt").write_text("precious")
        result = run("demo", "--keep", tmp_path)
        assert result.exit_code == 2
        assert "not empty" in result.stderr

    def test_fails_where_something_differs(self, run, monkeypatch):
        monkeypatch.setitem(EXPECTED, "votes", 5)
        result = run("demo")
        assert result.exit_code == 1
        assert "✗ the field votes is 4, not 5" in result.stdout


class TestCalledWrongly:
    def test_two_recordings(self, run, tmp_path):
        file = tmp_path / "s.json"
        file.write_text("{}")
        assert run("demo", "--trace", file, "--records", file).exit_code == 2

    @pytest.mark.parametrize("option", ["--trace", "--records"])
    def test_what_is_not_a_recording(self, run, tmp_path, option):
        file = tmp_path / "s.json"
        file.write_text("{}")
        result = run("demo", option, file)
        assert result.exit_code == 2
        assert "s.json is not a" in result.stderr

    def test_no_such_file(self, run, tmp_path):
        assert run("demo", "--trace", tmp_path / "none").exit_code == 2

    def test_first_of_nothing(self, run):
        assert run("demo", "--first", "3").exit_code == 2


def test_no_server_process_is_left_when_it_fails(monkeypatch, run):
    async def fail(*_: object) -> None:
        raise TimeoutError

    processes: list[Any] = []
    kill = ServerProcess.kill

    def note(server: ServerProcess) -> None:
        processes.append(server._process)
        kill(server)

    monkeypatch.setattr(scenario, "_all_synced", fail)
    monkeypatch.setattr(ServerProcess, "kill", note)
    result = run("demo")
    assert result.exit_code == 1
    assert "no end after" in result.stderr
    [process] = processes
    assert process.poll() is not None
