"""What does not converge is found, in few steps, with a script that shows it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crdtsync import Counter, Document, Record, Table, action
from crdtsync.document.live import LiveDocument
from crdtsync.testing import (
    DivergenceError,
    History,
    check_convergence,
    histories,
)
from tests.document.boards import ORDER, Board
from tests.testing.broken import Arrivals, Hall, Typist, two_seats_at_the_most

ROOT = Path(__file__).parents[2]
SELL_ONLY = {"sold": st.nothing()}


def script_of(error: BaseException) -> str:
    """Return the script in an error's notes."""
    (note,) = [note for note in error.__notes__ if note.startswith("Reproduce it with:")]
    return note.partition("\n\n")[2]


def run(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    file = folder / "script.py"
    file.write_text(script, "utf-8")
    return subprocess.run(
        [sys.executable, "-X", "utf8", str(file)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={"PYTHONPATH": str(ROOT)},
        check=False,
    )


def test_replicas_that_differ_are_found_and_the_script_shows_it(tmp_path: Path) -> None:
    with pytest.raises(DivergenceError, match="replicas 0 and 1 differ in writers") as caught:
        check_convergence(Arrivals, replicas=2)
    script = script_of(caught.value)
    assert "from tests.testing.broken import Arrivals" in script
    assert script.count(".name = ") == 2
    done = run(script, tmp_path)
    assert str(caught.value) in done.stderr
    assert done.returncode == 1


def test_a_promise_that_each_replica_keeps_and_all_together_do_not(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="seats were sold") as caught:
        check_convergence(Hall, when_healed=two_seats_at_the_most, values=SELL_ONLY)
    script = script_of(caught.value)
    assert script.count(".sell()") == 3
    assert script.rstrip().splitlines()[-1].strip() == "two_seats_at_the_most(fleet[0])"
    done = run(script, tmp_path)
    assert "seats were sold" in done.stderr
    assert done.returncode == 1


def test_a_promise_for_all_times_is_found_broken_before_the_end() -> None:
    with pytest.raises(AssertionError, match="3 of 2 seats were sold") as caught:
        check_convergence(Hall, always=two_seats_at_the_most, values=SELL_ONLY)
    script = script_of(caught.value)
    assert "fleet.heal()" not in script or script.endswith("two_seats_at_the_most(fleet[0])\n")


def test_a_mistake_in_an_action_is_not_taken_for_a_refusal(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="slice indices") as caught:
        check_convergence(Typist)
    done = run(script_of(caught.value), tmp_path)
    assert "slice indices" in done.stderr


def test_a_core_that_loses_entries_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    apply = LiveDocument.apply

    def lossy(self: LiveDocument, entries: Any) -> None:
        apply(self, [entry for entry in entries if entry.seq != 2])

    monkeypatch.setattr(LiveDocument, "apply", lossy)
    with pytest.raises(DivergenceError):
        check_convergence(Hall, replicas=2)


def test_a_core_that_forgets_at_a_restart_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    load = LiveDocument.load

    def forgetful(self: LiveDocument) -> None:
        entries = self.journal.entries
        monkeypatch.setattr(self.journal, "entries", lambda *args: iter(list(entries(*args))[:1]))
        load(self)
        monkeypatch.undo()
        monkeypatch.setattr(LiveDocument, "load", forgetful)

    monkeypatch.setattr(LiveDocument, "load", forgetful)
    with pytest.raises(DivergenceError, match=r"restart differ|not sound"):
        check_convergence(Hall, replicas=2)


class Row(Record):
    label: str


class Sheet(Document):
    total: Counter
    rows: Table[Row]

    @action
    def label(self, key: str, label: str) -> None:
        self.rows[key].label = label


def test_an_action_may_refuse() -> None:
    check_convergence(Sheet, max_examples=30)


@settings(max_examples=20, deadline=None)
@given(histories(Sheet, replicas=2))
def test_a_history_can_be_played(history: History) -> None:
    with history.play() as fleet:
        fleet.heal()
        fleet.check()
        assert len(fleet) == 2


def test_a_board_of_everything_converges() -> None:
    check_convergence(
        Board, max_examples=25, values={"tasks/*/status": st.sampled_from(ORDER)}, max_steps=40
    )
