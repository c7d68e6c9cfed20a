"""Histories of real documents, as several replicas write them."""

from __future__ import annotations

import random
from collections.abc import Callable

from crdtsync import Replica
from tests.document.boards import Board

__all__ = ["act", "history"]

EVERYTHING = 10**9

ACTS: list[Callable[[Board, random.Random], object]] = [
    lambda board, dice: setattr(board, "name", f"n{dice.randrange(9)}"),
    lambda board, dice: board.add(f"t{dice.randrange(9)}"),
    lambda board, dice: board.body.insert(dice.randint(0, len(board.body)), "añ😀"),
    lambda board, dice: board.body.delete(0, min(2, len(board.body))),
    lambda board, dice: board.items.insert(dice.randint(0, len(board.items)), dice.randrange(9)),
    lambda board, dice: board.items.clear(),
    lambda board, dice: board.total.increment(dice.randrange(5)),
    lambda board, dice: board.members.add(dice.randrange(4)),
    lambda board, dice: board.members.discard(dice.randrange(4)),
]


def act(board: Board, dice: random.Random) -> None:
    """Do something to a board, a task of it included if there is one."""
    keys = list(board.tasks)
    choice = dice.randrange(len(ACTS) + (4 if keys else 0))
    if choice < len(ACTS):
        ACTS[choice](board, dice)
        return
    key = dice.choice(keys)
    task = board.tasks[key]
    match choice - len(ACTS):
        case 0:
            task.status = dice.choice(["todo", "doing", "done"])
        case 1:
            task.notes.append("note ")
        case 2:
            task.votes.increment()
        case _:
            del board.tasks[key]


def history(seed: int, replicas: int = 3, steps: int = 24) -> list[Board]:
    """Let several replicas act and exchange parts of their logs at random, then all of them."""
    dice = random.Random(seed)
    group = [Replica(user=f"user {number}") for number in range(replicas)]
    boards = [replica.document(Board, "board") for replica in group]
    for _ in range(steps):
        if dice.random() < 0.7:
            act(dice.choice(boards), dice)
        else:
            source, target = dice.sample(group, 2)
            found = source.ledger("board").missing(
                target.ledger("board").vector, dice.choice([1, 800, EVERYTHING])
            )
            target.ledger("board").receive([entry.data for entry in found])
    for source in group:
        for target in group:
            source.merge(target)
    return boards
