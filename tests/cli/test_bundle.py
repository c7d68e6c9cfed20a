from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from crdtsync import Replica
from crdtsync.cli.board import Board
from tests.cli.conftest import Run


class TestExport:
    def test_all_and_back(self, run, store, tmp_path):
        result = run("export", store, "-o", tmp_path / "b")
        assert result.exit_code == 0
        assert "✓ 3 entries of 1 document, " in result.output
        result = run("import", tmp_path / "b", tmp_path / "new.db")
        assert result.exit_code == 0
        assert "✓ 3 new entries of 3 in 1 document" in result.output
        shown = [run("show", path, "party").output for path in (store, tmp_path / "new.db")]
        assert shown[0] == shown[1]
        again = run("import", tmp_path / "b", tmp_path / "new.db")
        assert "✓ 0 new entries of 3" in again.output

    def test_one_document_while_a_program_has_the_store_open(self, run, store, tmp_path):
        with Replica(store) as replica:
            replica.document(Board, "other").name_board("x")
            told = json.loads(run("export", store, "other", "-o", tmp_path / "b", "--json").output)
        assert (told["documents"], told["entries"], told["damage"]) == (1, 1, [])
        assert told["bytes"] == (tmp_path / "b").stat().st_size
        told = json.loads(run("import", tmp_path / "b", tmp_path / "new.db", "--json").output)
        assert (told["new"], told["missing"], told["problem"]) == (1, {}, None)

    def test_through_pipes(self, store, tmp_path):
        command = [sys.executable, "-m", "crdtsync.cli"]
        out = subprocess.run(
            [*command, "export", store, "-o", "-"], capture_output=True, check=True
        )
        assert "3 entries" in out.stderr.decode()
        done = subprocess.run(
            [*command, "import", "-", tmp_path / "new.db"],
            input=out.stdout,
            capture_output=True,
            check=True,
        )
        assert "3 new entries" in done.stdout.decode()

    def test_a_document_that_is_not_there(self, run, store, tmp_path):
        result = run("export", store, "none", "-o", tmp_path / "b")
        assert result.exit_code == 2
        assert "party" in result.stderr
        assert not (tmp_path / "b").exists()

    def test_nowhere_to_write(self, run, store, tmp_path):
        result = run("export", store, "-o", tmp_path / "no" / "b")
        assert result.exit_code == 3
        assert "cannot be written" in result.stderr

    @pytest.mark.parametrize("name", ["bob.db", "ann.db"])
    def test_never_in_the_place_of_a_store(self, run, store, tmp_path, name):
        before = (tmp_path / name).read_bytes()
        result = run("export", store, "-o", tmp_path / name)
        assert result.exit_code == 3
        assert "this is a store, not a bundle" in result.stderr
        assert (tmp_path / name).read_bytes() == before

    @pytest.mark.parametrize("arguments", [("export", "a"), ("import", "a")])
    def test_called_wrongly(self, run, arguments):
        assert run(*arguments).exit_code == 2


class TestImport:
    @pytest.fixture
    def bundle(self, run: Run, store: Path, tmp_path: Path) -> Path:
        assert run("export", store, "-o", tmp_path / "b").exit_code == 0
        return tmp_path / "b"

    def test_a_bundle_that_is_cut_off(self, run, bundle, tmp_path):
        bundle.write_bytes(bundle.read_bytes()[:-100])
        result = run("import", bundle, tmp_path / "new.db")
        assert result.exit_code == 1
        assert "cut off" in result.output
        assert "✗ missing in party: " in result.output
        told = json.loads(run("import", bundle, tmp_path / "new.db", "--json").output)
        assert "cut off" in told["problem"]
        assert {"replica", "first", "last"} == set(told["missing"]["party"][0])

    def test_something_else(self, run, store, tmp_path):
        (tmp_path / "b").write_bytes(b"something else altogether")
        result = run("import", tmp_path / "b", store)
        assert result.exit_code == 1
        assert "not a bundle" in " ".join(result.output.split())  # wherever the line was broken

    def test_no_such_file(self, run, tmp_path):
        assert run("import", tmp_path / "none", tmp_path / "new.db").exit_code == 3
