"""Entries that build on more than they say: they take effect on all replicas alike, or on none."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pycrdt
import pytest

from crdtsync import Replica
from crdtsync.codec import encode
from crdtsync.document.crdt import clocks
from crdtsync.structs import varuint
from tests.adversary.forger import Forger
from tests.document.boards import Board

EVIL = 2**52 + 1


def insert_beside(doc: pycrdt.Doc[Any]) -> None:
    doc.get("body", type=pycrdt.Text).insert(3, "EVIL")


def delete_some(doc: pycrdt.Doc[Any]) -> None:
    del doc.get("body", type=pycrdt.Text)[2:5]


def insert_first_and_beside(doc: pycrdt.Doc[Any]) -> None:
    """The first struct can be applied at once, the second cannot."""
    doc.get("other", type=pycrdt.Text).insert(0, "first")
    insert_beside(doc)


def put_into_a_nested_type(doc: pycrdt.Doc[Any]) -> None:
    doc.get("items", type=pycrdt.Array).append("EVIL")
    insert_beside(doc)


def insert_what_we_read_otherwise(doc: pycrdt.Doc[Any]) -> bytes:
    """Contents of a kind in which the CRDT library sees a text more than are counted."""
    neighbour = next(iter(set(clocks(doc)) - {EVIL}))
    place = varuint(neighbour) + varuint(2)
    return b"\x01\x01" + varuint(EVIL) + b"\x00\x82" + place + b'\x00\x03"x"' + b"\x00"


LIES: list[Any] = [insert_beside, delete_some, insert_first_and_beside, put_into_a_nested_type]
LIES.append(insert_what_we_read_otherwise)


def honest() -> tuple[Replica, Board]:
    replica = Replica(user="ann")
    board = replica.document(Board, "b")
    board.body.append("abc")
    board.name = "x"
    board.body.append("def")
    return replica, board


def insert_in_front(doc: pycrdt.Doc[Any]) -> None:
    doc.get("body", type=pycrdt.Text).insert(0, "!")


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("opened", ["live", "reloaded", "from snapshots"])
def test_a_lie_about_dependencies_takes_effect_alike_everywhere(lie: Any, opened: str) -> None:
    with honest()[0] as ann:
        hers = list(ann.ledger("b").entries())
        evil = Forger(EVIL)
        evil.see(*[entry.update for entry in hers])
        if lie is insert_what_we_read_otherwise:
            lies = [evil.write(lie(evil.doc)), evil.write()]
        else:
            lies = [evil.edit(lie), evil.edit(insert_in_front)]
        shown = []
        for order in set(permutations([0, 1, 2, 2])):
            pending = {0: [hers[:2]], 1: [[hers[2]]], 2: [[lies[0]], [lies[1]]]}
            with Replica(user="reader") as replica:
                board = replica.document(Board, "b")
                for which in order:
                    replica.ledger("b").receive([e.data for e in pending[which].pop(0)])
                    if opened == "from snapshots":
                        board._live.take_snapshot()
                    if opened != "live":
                        board._live.load()
                shown.append(board.to_dict() | {"clocks": board._live.crdt_clocks})
                assert board._live.without_effect == {}
                assert board.state_vector == {ann.id: 3, EVIL: 2}
        assert all(one == shown[0] for one in shown)


def test_who_writes_into_another_s_slot_writes_no_history() -> None:
    """The conflict names the slot's device; the log says who it was; the next write settles it."""
    with honest()[0] as ann, Replica(user="bob") as bob:
        hers, his = ann.document(Board, "b"), bob.document(Board, "b")
        evil = Forger(EVIL, user="eve")
        evil.see(*[entry.update for entry in ann.ledger("b").entries()])
        slot = encode([2**60, 2**60, "EVIL", None, 1, [[ann.id, 2**60], [bob.id, 2**60]]])
        bob.merge(ann)
        forged = evil.edit(lambda doc: doc.get("slots", type=pycrdt.Map).__setitem__(
            f"name@{ann.id:x}.5", slot
        ))  # fmt: skip
        ann.ledger("b").receive([forged.data])
        his.name = "his"
        ann.merge(bob)
        assert his.to_dict() == hers.to_dict()
        assert his.conflicts() == hers.conflicts()
        author = next(entry for entry in hers.log if b"EVIL" in entry.update)
        assert author.replica == EVIL
        hers.name = "settled"
        ann.merge(bob)
        assert his.to_dict() == hers.to_dict()
        assert (his.name, his.conflicts()) == ("settled", [])
