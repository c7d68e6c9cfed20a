from __future__ import annotations

import json
from typing import Any

from click.testing import Result

from crdtsync import Replica
from crdtsync.cli.board import Board
from crdtsync.cli.output import replica_name
from crdtsync.clock import pack
from crdtsync.log import EMPTY_HEAD, EMPTY_UPDATE, make_entry, with_clamp
from crdtsync.refusal import refuse


def lines(result: Result) -> list[Any]:
    return [json.loads(line) for line in result.output.splitlines()]


class TestLog:
    def test_tells_who_did_what(self, run, store):
        result = run("log", store)
        assert result.exit_code == 0
        assert "name_board" in result.output
        assert "name='Garden [bold]party'" in " ".join(result.output.split())

    def test_as_json_lines(self, run, store):
        entries = lines(run("log", store, "party", "--json"))
        assert [entry["action"] for entry in entries] == ["add_task", "name_board", "name_board"]
        assert entries[0]["user"] == "ann"
        assert entries[0]["arguments"]["notes"] == "Ask Zoë 🏮"
        assert entries[0]["seq"] == 1
        assert {entry["user"] for entry in entries[1:]} == {"ann", "bob"}
        assert all(entry["time"].endswith("+00:00") for entry in entries)
        assert len({entry["hash"] for entry in entries}) == 3

    def test_tells_what_an_entry_had_seen(self, run, store):
        first, *later = lines(run("log", store, "--json"))
        [his] = [entry for entry in later if entry["user"] == "bob"]
        assert his["dependencies"] == [{"replica": first["replica"], "seq": 1}]

    def test_tells_what_was_undone_as_it_names_entries(self, run, tmp_path):
        with Replica(tmp_path / "a.db", user="ann") as ann:
            board = ann.document(Board, "board")
            board.name_board("Party")
            board.undo()
            board.redo()
            name = replica_name(ann.id)[-6:]
        output = run("log", tmp_path / "a.db").output
        assert output.count(f"{name}:1") == 1
        assert output.count(f"{name}:2") == 1
        assert "restores" not in output

    def test_only_the_newest(self, run, store):
        everything = lines(run("log", store, "--json"))
        assert lines(run("log", store, "--json", "--limit", 2)) == everything[1:]
        assert lines(run("log", store, "--json", "--limit", 9)) == everything

    def test_no_such_document(self, run, store):
        assert run("log", store, "picnic").exit_code == 2

    def test_no_such_file(self, run, tmp_path):
        assert run("log", tmp_path / "none.db").exit_code == 3

    def test_tells_what_a_server_has_made_of_an_entry(self, run, tmp_path):
        time, clamp = pack(2_000_000_000_000), pack(1_700_000_000_000)
        entry = make_entry("d", 7, EMPTY_HEAD, time, "write", EMPTY_UPDATE, arguments={"x": 1})
        with Replica(tmp_path / "a.db") as replica:
            replica.ledger("d").receive([refuse(with_clamp(entry, clamp), "not here").data])
        [told] = lines(run("log", tmp_path / "a.db", "--json"))
        assert told["time"].startswith("2023-11-14")
        assert told["its clock"].startswith("2033-05-18")
        assert told["refused"] == "not here"
        assert "[refused: not here]" in " ".join(run("log", tmp_path / "a.db").output.split())
