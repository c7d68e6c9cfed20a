"""A program of a user, run as a process: it works, tells what it did, and may die at any moment."""

from __future__ import annotations

import sys
from functools import partial
from typing import NoReturn

import anyio

from crdtsync import Counter, Document, Replica, Set, Text


class Shared(Document):
    total: Counter
    marks: Set[str]
    text: Text


async def work(path: str, name: str, url: str, count: int) -> NoReturn:
    """Act `count` times, with a word for each on standard output; then stay in step for ever."""
    with Replica(path, user=name) as replica:
        shared = replica.document(Shared, "shared")
        async with replica.connect(url) as connection:
            begun = sum(1 for mark in shared.marks if mark.startswith(name))
            for number in range(begun, begun + count):
                with shared.action("work", number=number):
                    shared.marks.add(f"{name}{number}")
                    shared.total.increment()
                    shared.text.append(f"{name}{number} ")
                print("did", f"{name}{number}", flush=True)
                await anyio.sleep(0.002)
            while True:
                await connection.synced()
                print("synced", shared.view_hash(), len(shared.marks), flush=True)
                await anyio.sleep(0.05)


if __name__ == "__main__":
    file, user, server, actions = sys.argv[1:]
    anyio.run(partial(work, file, user, server, int(actions)))
