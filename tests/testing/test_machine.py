"""The machine: histories as a state machine of hypothesis, with rules of one's own."""

from __future__ import annotations

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from crdtsync import Counter, Document
from crdtsync.testing import DivergenceError, DocumentMachine, document_machine
from tests.testing.broken import Arrivals

FEW = settings(
    max_examples=30, stateful_step_count=10, deadline=None, phases=[Phase.generate], database=None
)


class Sheet(Document):
    total: Counter
    name: str = ""


def test_a_machine_can_be_given_rules_and_knowledge_of_ones_own() -> None:
    totals: list[int] = []

    class Counting(DocumentMachine):
        document_class = Sheet
        replicas = 2
        values = {"total": st.nothing()}

        def __init__(self) -> None:
            super().__init__()
            self.total = 0

        @rule(who=st.integers(0, 1), n=st.integers(1, 3))
        def count(self, who: int, n: int) -> None:
            self.run(f"fleet[{who}].total.increment({n})")
            self.total += n

        def finish(self) -> None:
            super().finish()
            totals.append(self.total)
            assert int(self.fleet[1].total) == self.total

    run_state_machine_as_test(Counting, settings=FEW)
    assert max(totals) > 3


def test_what_pytest_collects() -> None:
    machine = document_machine(Sheet, replicas=2)
    assert machine.__name__ == "SheetMachine"
    run_state_machine_as_test(machine, settings=FEW)


def test_what_does_not_converge_is_found_with_a_script() -> None:
    machine = document_machine(Arrivals, replicas=2)
    with pytest.raises(DivergenceError, match="differ in writers") as caught:
        run_state_machine_as_test(machine, settings=FEW)
    assert "with Fleet(Arrivals, replicas=2) as fleet:" in "".join(caught.value.__notes__)
