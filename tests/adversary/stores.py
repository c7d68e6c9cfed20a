"""A replica's and a server's file, for others to spoil."""

from __future__ import annotations

from pathlib import Path

import anyio

from crdtsync import Replica
from tests.adversary.forger import Forger
from tests.adversary.house import house
from tests.document.boards import Board

__all__ = ["make_stores"]


def make_stores(folder: Path) -> tuple[Path, Path]:
    """Return the files of ann and of the server: two people's work, seals, and a refused entry."""
    anyio.run(_make, folder)
    for name in "ann.db", "server.db":
        assert not Path(f"{folder / name}-wal").exists()
    return folder / "ann.db", folder / "server.db"


async def _make(folder: Path) -> None:
    with Replica(folder / "ann.db", user="ann") as ann, Replica(user="bob") as bob:
        hers, his = ann.document(Board, "b"), bob.document(Board, "b")
        async with house(folder) as home:
            for number in range(5):
                hers.name = f"name {number}"
                his.body.append(f"text {number} ")
                hers.total.increment()
                if number % 2:
                    await home.sync(ann, bob)
            with hers.action("forbidden"):
                hers.name = "refused"
            with his.action("forbidden"):
                his.body.append("refused")
            key = his.add("task", tags=["a", "b"])
            his.tasks[key].notes.append("notes")
            await home.sync(ann, bob)
            for number in range(8):
                hers.tasks[key].votes.increment(number + 1)
            ann.document(Board, "other").items.append("something")
            evil = Forger(2**52 + 1, "b", "eve")
            await (await home.enter(evil)).answer([evil.write(), evil.write(b"\x00\x00")])
            await home.sync(ann)
