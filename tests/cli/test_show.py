from __future__ import annotations

import json

import pytest

from crdtsync import Replica
from crdtsync.cli.board import Board

BOARD = "crdtsync.cli.board:Board"


class TestDocuments:
    def test_lists_them(self, run, store):
        result = run("show", store)
        assert result.exit_code == 0
        assert "used by bob" in result.output
        assert "party" in result.output

    def test_as_json(self, run, store):
        found = json.loads(run("show", store, "--json").output)
        assert found["user"] == "bob"
        [document] = found["documents"]
        assert document["document"] == "party"
        assert document["entries"] == 3
        assert sorted(document["state_vector"].values()) == [1, 2]
        assert found["replica"] in document["state_vector"]


class TestView:
    def test_with_the_class(self, run, store):
        result = run("show", store, "party", "--class", BOARD)
        assert result.exit_code == 0
        assert "Buy lanterns" in result.output
        assert "Ask Zoë 🏮" in result.output

    def test_says_what_is_in_conflict_and_who_wrote_it(self, run, store):
        output = run("show", store, "party", "--class", BOARD).output
        assert "in conflict: name" in output
        assert "ann  'Garden [bold]party'" in output
        assert "bob  'Summer party'" in output

    def test_says_how_an_apps_own_strategies_are_known(self, run, tmp_path):
        path = tmp_path / "ann.db"
        with Replica(path, user="ann") as ann, Replica(user="bob") as bob:
            boards = ann.document(Board, "party"), bob.document(Board, "party")
            boards[0].add_task("lanterns", "Buy lanterns", "", [])
            ann.merge(bob)
            for board, status in zip(boards, ("doing", "done"), strict=True):
                board.tasks["lanterns"].status = status
            ann.merge(bob)
        without, with_class = (
            run("show", path, "party"),
            run("show", path, "party", "--class", BOARD),
        )
        assert "furthest failed" in without.output
        assert "--class MODULE:CLASS" in without.output
        assert "failed" not in with_class.output
        assert "--class" not in with_class.output

    def test_as_json_it_is_the_documents_own(self, run, store):
        found = json.loads(run("show", store, "party", "--class", BOARD, "--json").output)
        with Replica(store) as replica:
            board = replica.document(Board, "party")
            assert found["view"] == board.to_dict()
            assert found["view_hash"] == board.view_hash()
        [conflict] = found["conflicts"]
        assert (conflict["path"], conflict["strategy"]) == (["name"], "keep-all")
        assert {c["user"]: c["value"] for c in conflict["candidates"]} == {
            "ann": "Garden [bold]party",
            "bob": "Summer party",
        }

    def test_without_the_class_the_fields_are_there(self, run, store):
        result = run("show", store, "party")
        assert result.exit_code == 0
        assert "Buy lanterns" in result.output
        assert json.loads(run("show", store, "party", "--json").output)["view"]

    def test_while_a_program_has_it_open(self, run, store):
        with Replica(store) as replica:
            replica.document(Board, "party").name_board("Open")
            assert "Open" in run("show", store, "party", "--class", BOARD).output

    def test_changes_nothing(self, run, store):
        before = store.read_bytes()
        run("show", store, "party", "--class", BOARD)
        assert store.read_bytes() == before


class TestBadInput:
    def test_no_such_file(self, run, tmp_path):
        result = run("show", tmp_path / "none.db")
        assert result.exit_code == 3
        assert "there is no such file" in result.stderr
        assert not (tmp_path / "none.db").exists()

    def test_not_a_store(self, run, tmp_path):
        (tmp_path / "page.html").write_text("<p>" * 1000)
        result = run("show", tmp_path / "page.html")
        assert result.exit_code == 3
        assert result.stderr.count("\n") == 1
        assert "not a crdtsync store" in result.stderr

    def test_no_such_document(self, run, store):
        result = run("show", store, "picnic")
        assert result.exit_code == 2
        assert "no document 'picnic'; its documents: party" in result.stderr

    @pytest.mark.parametrize(
        "name", ["Board", "no.such.module:Board", "crdtsync.cli.board:Bored", "json:JSONDecoder"]
    )
    def test_no_such_class(self, run, store, name):
        assert run("show", store, "party", "--class", name).exit_code == 2
