from __future__ import annotations

import gzip
import itertools
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crdtsync.cli.compare_act import act_out
from crdtsync.cli.compare_report import Comparison
from crdtsync.cli.compare_strategies import highest_version, value_strategies
from crdtsync.cli.recordings import load_structured_session, state_hash
from crdtsync.strategies import Candidate, resolver

EMBER, SYMFONY = "ember-package-json", "symfony-framework-bundle-composer"
PAGE = Path(__file__).parents[2] / "docs" / "choosing.md"

Lines = list[dict[str, Any]]


def decided(path: str, **resolved: Any) -> dict[str, Any]:
    return {"kind": "reg", "path": [path], "resolved": resolved, "three_way": "both_changed"}


def dispute() -> Lines:
    """Return a recording in which two change two values at once, and a third merges them."""
    end = state_hash({'["a"]': "2.0", '["n"]': None}, {'["s"]': ['"m"']})
    header = {"dataset": "small", "replicas": 3, "end_state_sha256": end}
    first = [["set", ["a"], "1.0"], ["set", ["b"], "1.0"], ["set", ["n"], None]]
    changes: Lines = [
        {"agent": 0, "parents": [], "time": 100, "ops": [*first, ["add", ["s"], "m"]]},
        {"agent": 0, "parents": [0], "time": 200, "ops": [["set", ["a"], "2.0"], ["del", ["b"]]]},
        {
            "agent": 1,
            "parents": [0],
            "time": 300,
            "ops": [["set", ["a"], "1.1"], ["set", ["b"], "1.1"]],
        },
        {
            "agent": 2,
            "parents": [1, 2],
            "time": 400,
            "ops": [["set", ["a"], "2.0"], ["del", ["b"]]],
            "conflicts": [
                decided("a", value="2.0"),
                decided("b", deleted=True),
                {**decided("n", value=1), "three_way": "one_side_net_change"},
                {**decided("s", deleted=True), "kind": "member"},
            ],
        },
    ]
    return [header, *changes]


def written(path: Path, lines: Lines) -> Path:
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


@pytest.fixture
def recording(tmp_path):
    def write(lines: Lines) -> Path:
        return written(tmp_path / "small.jsonl", lines)

    return write


def compared(path: Path, *others: Any, first: int | None = None) -> Comparison:
    session = load_structured_session(path)
    if first is not None:
        session = session.first(first)
    strategies = {**value_strategies(), **{other.name: other for other in others}}
    return act_out(session, strategies, lambda *_: None)


def alike(comparison: Comparison) -> dict[str, int]:
    return {tally.strategy: tally.alike for tally in comparison.tallies}


def resolve(*values: Any) -> Any:
    return highest_version.resolve([Candidate(value, 1, None, 1, 1) for value in values])


class TestStrategies:
    def test_those_that_decide_values(self):
        found = value_strategies()
        assert found.keys() >= {"lww", "fww", "keep-all", "maximum", "minimum", "merge", "ranked"}
        assert found["highest-version"] is highest_version
        assert found.keys().isdisjoint({"add-wins", "remove-wins", "order", "tree", "unique"})

    @pytest.mark.parametrize(
        ("values", "highest"),
        [
            (["10.0", "9.1"], "10.0"),
            (["~2.8|~3.0", "~2.7|~4.0"], "~2.8|~3.0"),
            (["^2.8|^3.0", "^2.8"], "^2.8|^3.0"),
            (["~2.5,>=2.5.4", "~2.5,>=2.5.2"], "~2.5,>=2.5.4"),
            (["2.1.0", "2.1.0-beta.17"], "2.1.0"),
            (["4.4.x-dev", "4.3.*"], "4.4.x-dev"),
            (["^1.0", "~1.0"], "~1.0"),
            (["2.0", "self.version"], "self.version"),
            (["2.0", "1.0", None], None),
            (["2.0", 1], 1),
            (["2.0", "1.0|"], "1.0|"),
        ],
    )
    def test_highest_version(self, values, highest):
        assert resolve(*values) == highest

    @given(
        st.lists(st.one_of(st.none(), st.integers(), st.text("0123456789.|,~^-xdev ")), min_size=1)
    )
    @example(["9" * 5000])
    def test_highest_version_always_chooses_one_of_them(self, values):
        assert resolve(*values) in values


class TestActOut:
    def test_what_each_strategy_chose(self, recording):
        comparison = compared(recording(dispute()))
        assert (comparison.agents, comparison.transactions, comparison.merges) == (3, 4, 1)
        assert (comparison.decided, comparison.in_conflict) == (2, 2)
        found = alike(comparison)
        assert found["lww"] == found["keep-all"] == 0
        assert found["fww"] == 2
        assert found["highest-version"] == found["maximum"] == found["minimum"] == 1
        assert all(tally.agreed and tally.as_recorded for tally in comparison.tallies)

    def test_the_times_are_the_recorded_ones(self, recording):
        lines = dispute()
        lines[2]["time"], lines[3]["time"] = 300, 200
        assert alike(compared(recording(lines)))["lww"] == 2

    @pytest.mark.parametrize("_again", range(3))
    def test_of_equal_times_the_agent_with_the_higher_number_is_the_later(self, recording, _again):
        lines = dispute()
        lines[2]["time"] = lines[3]["time"] = 200
        found = alike(compared(recording(lines)))
        assert (found["lww"], found["fww"]) == (0, 2)

    def test_who_has_seen_a_write_replaces_it_however_wrong_the_clock(self, recording):
        lines = dispute()
        lines[3] |= {"parents": [0, 1], "time": 1}
        lines[4] |= {"parents": [2, 1]}
        comparison = compared(recording(lines))
        assert (comparison.decided, comparison.in_conflict) == (2, 0)
        assert set(alike(comparison).values()) == {0}, "only one write was there"

    def test_a_strategy_that_fails(self, recording):
        @resolver(version=1)
        def demanding(candidates: Sequence[Candidate[str]]) -> str:
            return max(candidate.value + "" for candidate in candidates)

        tally = compared(recording(dispute()), demanding).tallies[-1]
        assert (tally.strategy, tally.alike, tally.failed) == ("demanding", 1, 1)
        assert tally.ok, "the last write holds everywhere"

    def test_a_strategy_that_decides_otherwise_on_every_replica(self, recording):
        numbers = itertools.count()

        @resolver(version=1)
        def moody(candidates: Sequence[Candidate[Any]]) -> Any:
            return str(next(numbers))

        comparison = compared(recording(dispute()), moody, first=3)
        assert {tally.strategy for tally in comparison.tallies if not tally.agreed} == {"moody"}
        assert not comparison.ok

    def test_nothing_need_be_recorded_of_the_end(self, recording):
        comparison = compared(recording(dispute()), first=3)
        assert {tally.as_recorded for tally in comparison.tallies} == {None}
        assert comparison.ok
        assert comparison.decided == 0


class TestCommand:
    def test_in_words(self, run, recording):
        result = run("compare", recording(dispute()))
        assert result.exit_code == 0
        rows = re.findall(r"^ *(\S+) +(\d of 2 \(\d+ %\) ✓) *$", result.stdout, re.MULTILINE)
        assert len(rows) == len(value_strategies())
        assert rows[0] == ("fww", "2 of 2 (100 %) ✓")
        assert ("lww", "0 of 2 (0 %) ✓") in rows
        assert "small: 4 actions acted out again by 3 replicas" in result.stdout
        assert "✓ In the end all replicas agree under every strategy" in result.stdout
        assert max(map(len, result.stdout.splitlines())) <= 80

    def test_as_json(self, run, recording):
        path = recording(dispute())
        report = json.loads(run("compare", path, path, "--json").stdout)
        assert report["ok"] is True
        assert [found["session"] for found in report["recordings"]] == ["small", "small"]
        best = report["recordings"][0]["tallies"][0]
        assert best == {
            "strategy": "fww",
            "alike": 2,
            "failed": 0,
            "agreed": True,
            "as_recorded": True,
        }

    def test_another_end_than_the_recorded_one_is_noticed(self, run, recording):
        lines = dispute()
        lines[0]["end_state_sha256"] = "0" * 64
        result = run("compare", recording(lines))
        assert result.exit_code == 1
        said = " ".join(result.stdout.split())
        assert "✗ lww in small: the state in the end is not the recorded one" in said
        assert "all replicas agree" not in said

    def test_only_the_first(self, run, recording):
        result = run("compare", recording(dispute()), "--first", 2)
        assert result.exit_code == 0
        assert "nothing to decide" in result.stdout
        assert "recorded" not in result.stdout

    def test_what_was_in_no_conflict_is_told(self, run, recording):
        lines = dispute()
        lines[3]["parents"] = [0, 1]
        assert "2 values that people decided" in run("compare", recording(lines)).stdout

    def test_a_recording_without_times_is_refused(self, run, recording):
        lines = dispute()
        del lines[2]["time"]
        result = run("compare", recording(lines))
        assert result.exit_code == 2
        assert "small does not say when transaction 1 was made" in result.stderr

    def test_what_is_no_recording_is_refused(self, run, tmp_path):
        assert run("compare", written(tmp_path / "x.jsonl", [{}])).exit_code == 2
        assert run("compare").exit_code == 2


def recorded_decisions(path: Path, first: int | None = None) -> list[tuple[list[Any], Any]]:
    """Return, for each value that people decided, what was written (by time), and the decision."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        changes = [json.loads(line) for line in file][1:-1]
    return [
        (
            [
                (changes[write["txn"]]["time"], write["txn"], write.get("value"))
                for write in conflict["writes"]
            ],
            conflict["resolved"].get("value"),
        )
        for change in changes[:first]
        for conflict in change.get("conflicts", ())
        if conflict.get("three_way") == "both_changed"
    ]


@pytest.mark.parametrize("name", [EMBER, SYMFONY])
def test_the_beginning(data, name):
    path = data / "structured" / f"{name}.jsonl.gz"
    comparison = compared(path, first=150)
    assert comparison.ok
    decisions = recorded_decisions(path, first=150)
    assert comparison.decided == comparison.in_conflict == len(decisions) > 0
    found = alike(comparison)
    assert found["lww"] == sum(max(writes)[2] == value for writes, value in decisions)
    assert found["fww"] == sum(min(writes)[2] == value for writes, value in decisions)


def test_a_recording_in_which_nothing_is_to_be_decided(data):
    comparison = compared(data / "structured" / "linguist-languages.jsonl.gz", first=60)
    assert comparison.ok
    assert comparison.decided == 0


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("name", "count"), [(SYMFONY, 321), (EMBER, 35)])
def test_the_whole(data, name, count):
    """Find the numbers that the documentation tells, and those that came with the recordings."""
    page = PAGE.read_text("utf-8")
    scope: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(block, scope)
    path = data / "structured" / f"{name}.jsonl.gz"
    comparison = compared(path, scope["deleted_or_highest"])
    assert comparison.decided == comparison.in_conflict == count
    assert not any(tally.failed for tally in comparison.tallies)
    found = alike(comparison)
    assert f"{found.pop('deleted_or_highest')} of {count} " in page
    told = re.findall(rf"^\| `([\w-]+)` \|.*?(\d+) of {count} ", page, re.MULTILINE)
    assert {strategy: int(number) for strategy, number in told} == found
    with gzip.open(path, "rt", encoding="utf-8") as file:
        recorded = json.loads(file.readline())["resolutions"]
    assert found["lww"] == recorded["reg:both_changed/last_write_by_author_time"]
    assert found["fww"] == recorded["reg:both_changed/first_write_by_author_time"]
    assert [tally.strategy for tally in comparison.tallies if not tally.ok] == []
