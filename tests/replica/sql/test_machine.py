"""After any history, what another program reads in the tables is what the documents show."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from crdtsync import Document, Record, RichText, Set, Table, Text, field
from crdtsync.strategies import KeepAll, RemoveWins, Tree, Unique
from crdtsync.testing import DocumentMachine
from tests.document.boards import ORDER, Board
from tests.replica.sql.tables import expected, found

REPLICAS = st.integers(0, 2)


class Page(Board):
    page: RichText


class Leaf(Record):
    label: str = ""


class Branch(Record):
    name: str = field(default="", strategy=Unique())
    parent: str | None = field(default=None, strategy=Tree())
    notes: Text
    leaves: Table[Leaf]
    tags: Set[str] = field(presence=RemoveWins())


class Grove(Document):
    title: str = field(default="", strategy=KeepAll())
    branches: Table[Branch]
    dead: Table[Leaf] = field(presence=RemoveWins())


class SqlMachine(DocumentMachine):
    """One replica shows its tables all the time, one only in the end, one never."""

    name = ""

    @rule(who=REPLICAS)
    def acknowledge(self, who: int) -> None:
        ledger = self.fleet.replicas[who].ledger("document")
        ledger.flush()
        ledger.acknowledge(ledger.ours)

    @rule(who=REPLICAS, data=st.data())
    def refuse(self, who: int, data: st.DataObject) -> None:
        ledger = self.fleet.replicas[who].ledger("document")
        first, last = ledger.acknowledged + 1, ledger.next_seq - 1
        if first <= last:
            ledger.refuse(ledger.replica, data.draw(st.integers(first, last)), "no")

    @rule(who=REPLICAS)
    def rotate(self, who: int) -> None:
        self.fleet.replicas[who].rotate()

    @rule(who=REPLICAS)
    def restart_quietly(self, who: int) -> None:
        self.fleet.restart(who)

    @invariant()
    def the_tables_show_what_the_document_shows(self) -> None:
        self.compare(0)

    def compare(self, who: int) -> None:
        replica = self.fleet.replicas[who]
        view = replica.sql_view(self.document_class)
        schema = self.document_class.__crdtsync_schema__
        rows = expected([self.fleet[who]], schema, view.tables[0])
        assert found(replica.path, view.tables) == rows

    def finish(self) -> None:
        self.compare(1)
        for replica in self.fleet.replicas:  # refusals travel through servers only
            for other in self.fleet.replicas:
                entries = replica.ledger("document").missing({}, 10**9)
                other.ledger("document").receive([entry.data for entry in entries])
        super().finish()
        self.compare(0)
        self.compare(1)


class PageTables(SqlMachine):
    document_class = Page
    values = {"tasks/*/status": st.sampled_from(ORDER)}


class GroveTables(SqlMachine):
    document_class = Grove
    values = {
        "branches/*/name": st.sampled_from(["a", "b", "c"]),
        "branches/*/parent": st.sampled_from([None, "a", "b", "c"]),
    }


TestPage = PageTables.TestCase
TestGrove = GroveTables.TestCase
for case in (TestPage, TestGrove):
    case.settings = settings(stateful_step_count=25, max_examples=max(60, settings().max_examples))
