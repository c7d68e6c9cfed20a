"""Open documents, and what the store remembers of their classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from crdtsync.document import Counter, Document
from crdtsync.errors import SchemaError
from crdtsync.replica import Replica
from crdtsync.replica.descriptions import Descriptions
from tests.document.boards import Board


class Other(Document):
    title: str = ""


class Votes(Document):
    title: Counter


def test_a_document_is_opened_once() -> None:
    with Replica() as replica:
        board = replica.document(Board, "a")
        assert replica.document(Board, "a") is board
        assert replica.document(Document, "a") is board
        with pytest.raises(SchemaError, match="open as Board"):
            replica.document(Other, "a")
        assert replica.documents() == [board]


def test_what_is_open_without_its_class_gets_it_later() -> None:
    with Replica() as replica:
        without = replica.document(Document, "a")
        board = replica.document(Board, "a")
        assert board is not without
        assert replica.documents() == [board]
        board.name = "kept"
        with pytest.raises(SchemaError, match="open as Board"):
            replica.document(Other, "a")


def test_a_class_that_failed_to_open_leaves_the_way_to_another(tmp_path: Path) -> None:
    with Replica(tmp_path / "a.db") as replica:
        replica.document(Other, "a").title = "kept"
    with Replica(tmp_path / "a.db") as replica:
        with pytest.raises(SchemaError, match="title"):
            replica.document(Votes, "a")
        assert not replica.is_open("a")
        assert replica.document(Other, "a").title == "kept"


def test_only_where_nothing_is_known_others_are_believed() -> None:
    told, ours = Other.__crdtsync_schema__.describe(), Board.__crdtsync_schema__.describe()
    with Replica() as replica:
        descriptions, ledger = Descriptions(replica._store), replica.ledger("a")
        assert descriptions.of(ledger) is None
        assert descriptions.class_of(ledger) is Document
        descriptions.learn(ledger, "nonsense")
        assert descriptions.of(ledger) is None
        descriptions.learn(ledger, told)
        assert descriptions.of(ledger) == told
        descriptions.learn(ledger, ours)
        assert descriptions.of(ledger) == told
        descriptions.declare(ledger, Board.__crdtsync_schema__)
        assert descriptions.of(ledger) == ours


def test_a_store_that_is_looked_at_remembers_nothing_new(tmp_path: Path) -> None:
    with Replica(tmp_path / "a.db") as replica:
        replica.document(Other, "a").title = "kept"
    with Replica.open_read_only(tmp_path / "a.db") as replica:
        before = Descriptions(replica._store).of(replica.ledger("a"))
        replica.document(Board, "a")
        assert Descriptions(replica._store).of(replica.ledger("a")) == before
