from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import apsw
import pytest


def damage(path: Path, statement: str, *values: object) -> None:
    """Change a stored file behind crdtsync's back."""
    connection = apsw.Connection(str(path))
    connection.execute(statement, values)
    connection.close()


class TestVerify:
    def test_a_sound_store(self, run, store):
        result = run("verify", store)
        assert result.exit_code == 0
        assert "3 entries in 1 document:" in result.output

    def test_as_json(self, run, store):
        found = json.loads(run("verify", store, "--json").output)
        assert found["problems"] == []
        assert found["documents"] == {"party": 3}

    def test_a_changed_entry(self, run, store):
        [(place, data)] = read(store, "SELECT place, data FROM entries ORDER BY place LIMIT 1")
        changed = data.replace(b"Buy lanterns", b"Buy fireworks"[:12])
        assert changed != data
        damage(store, "UPDATE entries SET data = ? WHERE place = ?", changed, place)
        result = run("verify", store)
        assert result.exit_code == 1
        assert "✗" in result.output

    def test_a_changed_entry_as_json(self, run, store):
        damage(
            store, "UPDATE entries SET data = x'00' WHERE place = (SELECT max(place) FROM entries)"
        )
        result = run("verify", store, "--json")
        assert result.exit_code == 1
        found = json.loads(result.output)["problems"]
        assert found[0]["document"] == "party"
        assert found[0]["message"]

    def test_a_missing_entry(self, run, store):
        damage(store, "DELETE FROM entries WHERE place = (SELECT min(place) FROM entries)")
        assert run("verify", store).exit_code == 1

    def test_no_such_file(self, run, tmp_path):
        assert run("verify", tmp_path / "none.db").exit_code == 3

    @pytest.mark.parametrize("arguments", [(), ("a", "b"), ("--what", "a")])
    def test_called_wrongly(self, run, arguments):
        assert run("verify", *arguments).exit_code == 2


def read(path: Path, statement: str) -> list[Any]:
    connection = apsw.Connection(str(path), apsw.SQLITE_OPEN_READONLY)
    try:
        return list(connection.execute(statement))
    finally:
        connection.close()
