"""Every strategy that is registered keeps the laws, and documents that use it converge.

None is known here by its name.
"""

from __future__ import annotations

from importlib import metadata
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st

from crdtsync import Document, Record, Set, Table, field
from crdtsync.strategy import GROUP, load_strategy
from crdtsync.testing import check_convergence, check_strategy
from crdtsync.testing.content import anything

VALUES = st.sampled_from(["a", "b", "ü/1"]) | anything()  # often the key of a record
EXAMPLES = settings().max_examples // 2
NAMES = sorted({point.name for point in metadata.entry_points(group=GROUP)})


@pytest.mark.parametrize("name", NAMES)
def test_it_keeps_the_laws(name: str) -> None:
    assert len(check_strategy(load_strategy(name)).where) == 2


@pytest.mark.parametrize("name", NAMES)
def test_documents_that_use_it_converge(name: str) -> None:
    strategy = load_strategy(name)
    fields = hasattr(strategy, "resolve")
    cls = _fields(strategy) if fields else _records(strategy)
    check_convergence(
        cls, max_examples=EXAMPLES, values={"rows/*/value": VALUES} if fields else None
    )
    if fields and hasattr(strategy, "present"):
        check_convergence(_records(strategy), max_examples=EXAMPLES)


def _fields(strategy: Any) -> type[Document]:
    """Return a document in which a strategy decides fields, of records too."""

    class Row(Record):
        value: object = field(default=None, strategy=strategy)

    class Sheet(Document):
        rows: Table[Row]

    if hasattr(strategy, "index"):
        return Sheet

    class Whole(Sheet):
        anything: object = field(default=None, strategy=strategy)
        words: str = field(default="", strategy=strategy)
        number: int = field(default=0, strategy=strategy)
        several: dict[str, int] = field(default={}, strategy=strategy)

    return Whole


def _records(presence: Any) -> type[Document]:
    """Return a document in which a strategy decides records and elements, at two depths."""

    class Cell(Record):
        text: str = ""

    class Row(Record):
        number: int = 0
        tags: Set[int] = field(presence=presence)
        cells: Table[Cell] = field(presence=presence)

    class Sheet(Document):
        members: Set[int] = field(presence=presence)
        rows: Table[Row] = field(presence=presence)

    return Sheet
