"""Whatever replicas do, in whatever order what they did arrives: in the end all views are equal.

And equal to a slow replay of the log, and a view kept up to date step by step is equal to one
materialized at once.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from crdtsync import RichText
from crdtsync.testing import DocumentMachine
from tests.document.boards import ORDER, Board

REPLICAS = st.integers(0, 2)


class Page(Board):
    page: RichText


class Convergence(DocumentMachine):
    """What the kit does, and what only we can know of it."""

    document_class = Page
    values = {
        "tasks/*/status": st.sampled_from(ORDER),
        "total": st.nothing(),
    }

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    @rule(who=REPLICAS, n=st.integers(-3, 3))
    def count(self, who: int, n: int) -> None:
        self.run(f"fleet[{who}].total.increment({n})")
        self.total += n

    @rule(who=REPLICAS)
    def fail(self, who: int) -> None:
        page = self.fleet[who]
        before = page.to_dict()
        try:
            with page.action("doomed"):
                page.data = "doomed"
                page.body.append("doomed")
                page.page.append("p", "doomed")
                page.tasks.add(title="doomed")
                raise ZeroDivisionError
        except ZeroDivisionError:
            assert page.to_dict() == before

    @rule(who=REPLICAS)
    def acknowledge(self, who: int) -> None:
        ledger = self.fleet.replicas[who].ledger(self.fleet[who].document_name)
        ledger.flush()
        ledger.acknowledge(ledger.ours)

    @invariant()
    def the_view_is_what_a_new_one_would_be(self) -> None:
        live = self.fleet[0]._live
        shown = live.plain()
        live.view.show(live._doc, live.view.live_slots())
        assert live.plain() == shown

    def finish(self) -> None:
        super().finish()
        assert [int(page.total) for page in self.fleet] == [self.total] * 3


TestConvergence = Convergence.TestCase
TestConvergence.settings = settings(
    stateful_step_count=30, max_examples=max(200, settings().max_examples)
)
