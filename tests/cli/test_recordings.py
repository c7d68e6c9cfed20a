from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync.cli.recordings import (
    Causality,
    Operation,
    Patch,
    RecordingError,
    TextTransaction,
    load_structured_session,
    load_text_session,
    matches,
    state_hash,
)

SEQUENTIAL = {
    "startContent": "",
    "endContent": "hé🏮",
    "txns": [{"patches": [[0, 0, "hello"]]}, {"patches": [[1, 4, ""], [1, 0, "é🏮"]]}],
}
CONCURRENT = {
    "kind": "concurrent",
    "endContent": "abc",
    "numAgents": 2,
    "txns": [
        {"agent": 0, "parents": [], "patches": [[0, 0, "a"]]},
        {"agent": 1, "parents": [0], "patches": [[1, 0, "b"]]},
        {"agent": 0, "parents": [0], "patches": [[1, 0, "c"]]},
    ],
}


def write(path: Path, value: Any) -> Path:
    path.write_bytes(gzip.compress(json.dumps(value).encode()))
    return path


def write_lines(path: Path, *values: Any) -> Path:
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, values)).encode()))
    return path


class TestTextSession:
    def test_sequential(self, tmp_path):
        session = load_text_session(write(tmp_path / "short.json.gz", SEQUENTIAL))
        assert (session.name, session.agents, session.concurrent) == ("short", 1, False)
        assert [found.parents for found in session.transactions] == [(), (0,)]
        assert session.transactions[1].patches == (Patch(1, 4, ""), Patch(1, 0, "é🏮"))
        assert session.end == "hé🏮"

    def test_first_of_a_sequential_one_knows_its_end(self, tmp_path):
        session = load_text_session(write(tmp_path / "s.json.gz", SEQUENTIAL))
        assert session.first(1).end == "hello"
        assert session.first(2) is session

    def test_first_of_a_concurrent_one_does_not(self, tmp_path):
        session = load_text_session(write(tmp_path / "s.json.gz", CONCURRENT))
        assert session.end == "abc"
        assert session.first(2).end is None
        assert len(session.first(2).transactions) == 2

    def test_need_not_be_compressed(self, tmp_path):
        path = tmp_path / "s.json"
        path.write_text(json.dumps(SEQUENTIAL))
        assert load_text_session(path).end == "hé🏮"

    @pytest.mark.parametrize(
        "wrong",
        [
            [],
            {},
            {**SEQUENTIAL, "startContent": "before"},
            {**SEQUENTIAL, "txns": [{"patches": [[0, 0]]}]},
            {**SEQUENTIAL, "txns": [{"patches": [["x", 0, ""]]}]},
            {**CONCURRENT, "numAgents": 1},
            {**CONCURRENT, "txns": [{"agent": 0, "parents": [0], "patches": []}]},
            {**CONCURRENT, "txns": [{"agent": 0, "parents": ["x"], "patches": []}]},
        ],
    )
    def test_what_is_not_one(self, tmp_path, wrong):
        with pytest.raises(RecordingError, match=r"s\.json\.gz is not a"):
            load_text_session(write(tmp_path / "s.json.gz", wrong))

    @pytest.mark.parametrize("data", [b"", b"\x1f\x8b\x08 cut", b"\xff\xfe", b"{"])
    def test_what_is_not_even_json(self, tmp_path, data):
        path = tmp_path / "s.json.gz"
        path.write_bytes(data)
        with pytest.raises(RecordingError, match=r"s\.json\.gz is not a"):
            load_text_session(path)


class TestStructuredSession:
    header = {"dataset": "small", "replicas": 2, "end_state_sha256": "ab" * 32}
    change = {
        "agent": 1,
        "parents": [],
        "ops": [["set", ["a", "é"], {"x": 1}], ["del", ["b"]], ["add", ["c"], 1.5]],
        "state": "0123456789abcdef",
    }

    def test_reads(self, tmp_path):
        path = write_lines(tmp_path / "s.jsonl.gz", self.header, self.change, {"end_state": {}})
        session = load_structured_session(path)
        assert (session.name, session.agents, session.end_hash) == ("small", 2, "ab" * 32)
        [transaction] = session.transactions
        assert transaction.state == "0123456789abcdef"
        assert transaction.operations == (
            Operation("set", '["a", "é"]', {"x": 1}),
            Operation("del", '["b"]', None),
            Operation("add", '["c"]', "1.5"),
        )

    def test_what_people_decided_and_when(self, tmp_path):
        def conflict(path: str, resolved: Any, **more: Any) -> dict[str, Any]:
            found = {"kind": "reg", "path": [path], "writes": [], "resolved": resolved}
            return {**found, "three_way": "both_changed", **more}

        merge = {
            **self.change,
            "parents": [0],
            "time": 1429044137,
            "conflicts": [
                conflict("a", {"value": None}),
                conflict("b", {"deleted": True}),
                conflict("c", {"value": 1}, three_way="one_side_net_change"),
                conflict("d", {"present": True}, kind="member"),
                {"kind": "reg", "path": ["e"], "writes": [], "resolved": {"value": 1}},
            ],
        }
        path = write_lines(tmp_path / "s.jsonl.gz", self.header, self.change, merge)
        before, after = load_structured_session(path).transactions
        assert (before.time, before.decisions) == (None, ())
        assert after.time == 1429044137
        assert after.decisions == (
            Operation("set", '["a"]', None),
            Operation("del", '["b"]', None),
        )

    def test_first_does_not_know_its_end(self, tmp_path):
        later = {**self.change, "parents": [0]}
        path = write_lines(tmp_path / "s.jsonl.gz", self.header, self.change, later)
        assert load_structured_session(path).first(1).end_hash is None

    @pytest.mark.parametrize(
        "wrong",
        [
            {},
            {**change, "agent": 2},
            {**change, "parents": [0]},
            {**change, "ops": [["burn", ["a"]]]},
            {**change, "ops": [["set"]]},
            {**change, "time": "noon"},
            {**change, "conflicts": [{"kind": "reg", "three_way": "both_changed"}]},
        ],
    )
    def test_what_is_not_one(self, tmp_path, wrong):
        path = write_lines(tmp_path / "s.jsonl.gz", self.header, wrong)
        with pytest.raises(RecordingError, match=r"s\.jsonl\.gz is not a"):
            load_structured_session(path)

    def test_a_header_alone(self, tmp_path):
        with pytest.raises(RecordingError, match="is not a structured session"):
            load_structured_session(write_lines(tmp_path / "s.jsonl.gz", self.header))


class TestStateHash:
    def test_empty_sets_do_not_count(self):
        assert state_hash({"[]": 1}, {'["a"]': []}) == state_hash({"[]": 1}, {})

    def test_neither_order_counts(self):
        one = state_hash({"b": 1, "a": 2}, {"s": ['"y"', '"x"']})
        assert one == state_hash({"a": 2, "b": 1}, {"s": ['"x"', '"y"']})

    def test_a_recorded_beginning_suffices(self):
        assert matches("0123456789abcdef" + "00" * 24, "0123456789abcdef")
        assert not matches("0123456789abcdee" + "00" * 24, "0123456789abcdef")


@st.composite
def histories(draw: st.DrawFn) -> list[TextTransaction]:
    """Draw transactions of three agents, each of whom only ever learns more."""
    past: dict[int, set[int]] = {}
    last: dict[int, int] = {}
    history: list[TextTransaction] = []
    for index in range(draw(st.integers(1, 15))):
        agent = draw(st.integers(0, 2))
        seen = draw(st.sets(st.integers(0, index - 1), max_size=3)) if index else set()
        if agent in last:
            seen.add(last[agent])
        history.append(TextTransaction(agent, tuple(sorted(seen)), ()))
        past[index] = {index}.union(*(past[parent] for parent in seen))
        last[agent] = index
    return history


class TestCausality:
    @given(histories())
    def test_gives_each_agent_exactly_its_past(self, history):
        causality = Causality(history)
        past: list[set[int]] = []
        held: dict[int, set[int]] = {}
        for index, transaction in enumerate(history):
            missing = causality.advance(index)
            assert missing == sorted(missing)
            holding = held.setdefault(transaction.agent, set())
            assert holding.isdisjoint(missing)
            holding.update(missing)
            assert holding == set().union(*(past[parent] for parent in transaction.parents))
            holding.add(index)
            past.append(set(holding))
            assert set(causality.lacking(transaction.agent)) == set(range(len(history))) - holding

    def test_who_has_seen_nothing_lacks_everything(self):
        history = [TextTransaction(0, (), ()), TextTransaction(1, (0,), ())]
        assert Causality(history).lacking(1) == [0, 1]

    def test_refuses_an_agent_that_forgets(self):
        history = [TextTransaction(0, (), ()), TextTransaction(0, (), ())]
        causality = Causality(history)
        causality.advance(0)
        with pytest.raises(RecordingError, match="transaction 1: its agent's own past"):
            causality.advance(1)
