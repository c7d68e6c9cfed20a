"""In a store's files nothing is left of what was erased, whatever came before and after."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from crdtsync import Document, Replica, Text
from crdtsync.document.erasure import erase
from crdtsync.log import Cursor

CURSOR = Cursor(bytes(16), 1)
MARK = "what nobody may keep "


class Page(Document):
    name: str = ""
    body: Text


@pytest.mark.parametrize("seed", range(12))
def test_nothing_of_it_is_in_the_files(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    secret = MARK * dice.choice([1, 3, 100, 1000])
    count = dice.randrange(1, 120)
    secret_at = dice.randrange(count)
    with Replica(tmp_path / "a.db") as replica:
        page, ledger = replica.document(Page, "p"), replica.ledger("p")
        for number in range(count):
            written = secret if number == secret_at else "x" * dice.choice([1, 50, 900, 5000])
            with page.action("write", text=written):
                page.name = written
                page.body.append(written)
            if dice.random() < 0.1:
                page._live.take_snapshot()
            if dice.random() < 0.1:
                ledger.missing({}, 1000)  # seals the newest, which is stored anew
        entry = [*page.log][secret_at]
        files = list(tmp_path.iterdir())
        assert any(MARK.encode() in file.read_bytes() for file in files)
        ledger.receive([erase(entry, "by order", ledger.heads).data], CURSOR)
        assert not any(MARK.encode() in file.read_bytes() for file in tmp_path.iterdir())
        assert replica.verify() == []
