from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from crdtsync import Replica
from crdtsync.cli.fleet import Fleet
from crdtsync.cli.recordings import state_hash
from crdtsync.cli.replay_text import Manuscript

TEXT: dict[str, Any] = {
    "kind": "concurrent",
    "endContent": "Zoë 🏮🏮 und Ann!",
    "numAgents": 3,
    "txns": [
        {"agent": 0, "parents": [], "patches": [[0, 0, "Zoe 🏮🏮"], [2, 1, "ë"]]},
        {"agent": 1, "parents": [0], "patches": [[6, 0, " und Ann"]]},
        {"agent": 0, "parents": [0], "patches": [[3, 0, "?"]]},
        {"agent": 2, "parents": [1, 2], "patches": [[3, 1, ""], [14, 0, "!"]]},
        {"agent": 1, "parents": [3], "patches": []},
        {"agent": 0, "parents": [4], "patches": [[0, 1, "Z"]]},
    ],
}


def structured() -> list[Any]:
    end = state_hash({'["a"]': 3, '["c"]': {"x": None}}, {'["s"]': ['"n"']})
    header = {"dataset": "small", "replicas": 3, "end_state_sha256": end}
    state = {"state": state_hash({'["a"]': 1, '["b"]': 1}, {'["s"]': ['"m"']})[:16]}
    base = [["set", ["a"], 1], ["set", ["b"], 1], ["add", ["s"], "m"]]
    changes = [
        {"agent": 0, "parents": [], "ops": base, **state},
        {"agent": 1, "parents": [0], "ops": [["set", ["a"], 2], ["rem", ["s"], "m"]]},
        {"agent": 2, "parents": [0], "ops": [["set", ["a"], 3], ["del", ["b"]]]},
        {"agent": 0, "parents": [0], "ops": [["set", ["b"], 2], ["add", ["s"], "n"]]},
        {
            "agent": 2,
            "parents": [1, 2, 3],
            "ops": [["set", ["a"], 3], ["del", ["b"]], ["set", ["c"], {"x": None}]],
            "state": end[:16],
        },
        {"agent": 1, "parents": [4], "ops": []},
    ]
    return [header, *changes, {"end_state": {}}]


@pytest.fixture
def trace(tmp_path):
    path = tmp_path / "talk.json.gz"

    def write(**changes):
        path.write_bytes(gzip.compress(json.dumps({**TEXT, **changes}).encode()))
        return path

    return write


@pytest.fixture
def records(tmp_path):
    path = tmp_path / "file.jsonl.gz"

    def write(lines):
        path.write_bytes(gzip.compress("\n".join(map(json.dumps, lines)).encode()))
        return path

    return write


class TestTrace:
    def test_everyone_has_the_recorded_text(self, run, trace):
        result = run("demo", "--trace", trace(), "--json")
        assert result.exit_code == 0
        report = json.loads(result.stdout)
        assert report["ok"] is True
        assert (report["agents"], report["transactions"]) == (3, 6)
        assert report["entries"] == 5, "an action that changes nothing is not logged"
        assert all(check["holds"] for check in report["checks"])
        assert any("exactly the recorded" in check["claim"] for check in report["checks"])
        assert all(stage["rate"] > 0 for stage in report["stages"])

    def test_in_words(self, run, trace):
        result = run("demo", "--trace", trace())
        assert result.exit_code == 0
        assert "talk" in result.stdout
        assert (
            f"✓ the text of {len(TEXT['endContent'])} characters is exactly the recorded one"
            in result.stdout
        )
        assert max(map(len, result.stdout.splitlines())) <= 80

    def test_another_text_than_the_recorded_one_is_noticed(self, run, trace):
        result = run("demo", "--trace", trace(endContent="Zoë"))
        assert result.exit_code == 1
        assert "✗ the text of 3 characters" in result.stdout

    def test_only_the_first(self, run, trace):
        result = run("demo", "--trace", trace(), "--first", 3, "--json")
        assert result.exit_code == 0
        assert json.loads(result.stdout)["entries"] == 3

    def test_sequential(self, run, tmp_path):
        path = tmp_path / "alone.json"
        transactions = [{"patches": [[0, 0, "naïve"]]}, {"patches": [[2, 1, "i"], [5, 0, "té"]]}]
        session = {"startContent": "", "endContent": "naiveté", "txns": transactions}
        path.write_text(json.dumps(session))
        result = run("demo", "--trace", path)
        assert result.exit_code == 0
        assert "exactly the recorded" in result.stdout

    def test_keeps_the_stores_if_asked(self, run, trace, tmp_path):
        folder = tmp_path / "stores"
        assert run("demo", "--trace", trace(), "--keep", folder).exit_code == 0
        with Replica.open_read_only(folder / "agent-2.db") as replica:
            document = replica.document(Manuscript, "recording")
            assert document.body == TEXT["endContent"]
            assert document.log.user_of(replica.id) == "agent 2"

    def test_a_patch_outside_the_text_is_refused(self, run, trace):
        result = run("demo", "--trace", trace(txns=[{**TEXT["txns"][0], "patches": [[1, 0, "x"]]}]))
        assert result.exit_code == 2
        assert "transaction 0 of talk" in result.stderr

    def test_an_agent_that_forgets_is_refused(self, run, trace):
        transactions = [*TEXT["txns"], {"agent": 0, "parents": [], "patches": []}]
        result = run("demo", "--trace", trace(txns=transactions))
        assert result.exit_code == 2
        assert "transaction 6: its agent's own past" in result.stderr


class TestRecords:
    def test_everyone_has_the_recorded_state(self, run, records):
        result = run("demo", "--records", records(structured()), "--json")
        report = json.loads(result.stdout)
        assert report["checks"]
        assert result.exit_code == 0
        assert report["summary"]["conflicts_met"] == 1
        assert report["summary"]["settled_as_the_strategy_did"] == 1
        claims = [check["claim"] for check in report["checks"]]
        assert any("recorded sha256" in claim for claim in claims)

    def test_another_state_is_noticed(self, run, records):
        lines = structured()
        lines[0]["end_state_sha256"] = "0" * 64
        lines[1]["state"] = "0" * 16
        result = run("demo", "--records", records(lines))
        assert result.exit_code == 1
        assert "first after 0" in " ".join(result.stdout.split())


class TestFleet:
    def test_has_few_open_and_forgets_nothing(self, tmp_path):
        with Fleet(tmp_path, Manuscript, "page", open_max=2) as fleet:
            ids = []
            for number in range(4):
                member = fleet.get(number)
                member.document.body.append(f"I am {number}")
                ids.append(member.replica.id)
            for number in range(4):
                member = fleet.get(number)
                assert member.replica.id == ids[number]
                assert member.document.body == f"I am {number}"
            fleet.close([3])
            Replica(tmp_path / "agent-3.db").close()
