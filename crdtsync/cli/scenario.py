"""What happens in `crdtsync demo`: three devices, a server that dies, and what comes of it.

Nothing here is staged but the plot. The server is a process of its own, each device has a store of
its own, the server is really killed, and what is reported is read from the documents and their
logs. `play` returns plain facts; `crdtsync.cli.scenario_tables` shows them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from crdtsync import Replica
from crdtsync.cli.board import Board
from crdtsync.cli.output import replica_name
from crdtsync.cli.plot import (
    DECISION,
    DESKTOP,
    EXPECTED,
    MEANWHILE,
    PLAN,
    RULES,
    USERS,
    Deed,
)
from crdtsync.cli.server_process import ServerProcess, local_url
from crdtsync.transport import Connection, ConnectionState

__all__ = ["Device", "Report", "Settlement", "Writing", "play"]

DOCUMENT = "garden-party"
PATIENCE_S = 60

_PAUSE_S = 0.02
"""Between two things that people do, so that their times can be told apart."""


@dataclass(frozen=True, slots=True)
class Writing:
    """One entry of the log: who did what, when."""

    time: int
    device: str
    user: str | None
    action: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Settlement:
    """One conflict, or one concurrent change that a CRDT type merged.

    Attributes:
        what: the field.
        writings: (device, time, what it wrote), in the order of time.
        outcome: what all see now.
        rule: why.
        strategy: name of the conflict strategy; None where the type itself merges.
    """

    what: str
    writings: tuple[tuple[str, int, str], ...]
    outcome: Any
    rule: str
    strategy: str | None


@dataclass(frozen=True, slots=True)
class Device:
    """One replica in the end."""

    name: str
    user: str
    replica: str
    entries: int
    state_vector: dict[str, int]
    view_hash: str


@dataclass(frozen=True, slots=True)
class Report:
    """What the demo saw.

    Attributes:
        url: where the server listened.
        start: the board on all devices before the server was killed.
        offline: each device's board while there was no server.
        offline_states: the state of each device's connection then.
        meanwhile: what was done while there was no server.
        online: the board on each device, after the server had come back.
        settled: what conflicted, and what came of it.
        decision: the action by which a person settled the conflict that was kept.
        devices: the replicas in the end.
        problems: what is not as it must be; empty if all is well.
        seconds: how long all of it took.
    """

    url: str
    start: dict[str, Any]
    offline: dict[str, dict[str, Any]]
    offline_states: dict[str, ConnectionState]
    meanwhile: tuple[Writing, ...]
    online: dict[str, dict[str, Any]]
    settled: tuple[Settlement, ...]
    decision: Writing
    devices: tuple[Device, ...]
    problems: tuple[str, ...]
    seconds: float


class _Party:
    """The three devices."""

    def __init__(self, replicas: Mapping[str, Replica]) -> None:
        self.boards = {name: found.document(Board, DOCUMENT) for name, found in replicas.items()}
        self.names = {replica.id: name for name, replica in replicas.items()}
        self.replicas = replicas

    async def do(self, *deeds: Deed) -> None:
        for device, action, arguments in deeds:
            getattr(self.boards[device], action)(*arguments)
            await anyio.sleep(_PAUSE_S)

    def views(self) -> dict[str, dict[str, Any]]:
        return {name: board.to_dict() for name, board in self.boards.items()}

    def writings(self, after: int = 0) -> tuple[Writing, ...]:
        """Return what was done after a time, as Bob's log tells it, in the order of time."""
        log = self.boards[DESKTOP].log
        found = [
            Writing(
                entry.time,
                self.names[entry.replica],
                log.user_of(entry.replica),
                entry.name,
                entry.arguments,
            )
            for entry in log
            if entry.time > after
        ]
        return tuple(sorted(found, key=lambda writing: (writing.time, writing.device)))

    def devices(self) -> tuple[Device, ...]:
        return tuple(
            Device(
                name,
                USERS[name],
                replica_name(self.replicas[name].id),
                len(board.log),
                {name: board.state_vector[replica] for replica, name in self.names.items()},
                board.view_hash(),
            )
            for name, board in self.boards.items()
        )


async def play(folder: Path) -> Report:
    """Play it through, with all files in a folder.

    Raises:
        CrdtSyncError: it could not be played.
        TimeoutError: it did not come to its end.
    """
    began = time.perf_counter()
    server = ServerProcess(folder / "server.db", local_url(folder))
    with _devices(folder) as replicas:
        party = _Party(replicas)
        await anyio.to_thread.run_sync(server.start)
        try:
            with anyio.fail_after(PATIENCE_S):
                return await _acts(party, server, began)
        finally:
            server.kill()


async def _acts(party: _Party, server: ServerProcess, began: float) -> Report:
    async with AsyncExitStack() as stack:
        connections = {
            name: await stack.enter_async_context(replica.connect(server.url))
            for name, replica in party.replicas.items()
        }
        await party.do(*PLAN)
        await _all_synced(connections)
        start = party.boards[DESKTOP].to_dict()
        cut = max(entry.time for entry in party.boards[DESKTOP].log)

        server.kill()
        await party.do(*MEANWHILE)
        await _all_offline(connections)
        offline = party.views()
        states = {name: connection.state for name, connection in connections.items()}

        await anyio.to_thread.run_sync(server.start)
        await _all_synced(connections)
        online = party.views()
        meanwhile = party.writings(after=cut)
        settled = tuple(_settlements(party, meanwhile))

        await party.do(DECISION)
        await _all_synced(connections)
    decision = party.writings()[-1]
    devices = party.devices()
    return Report(
        url=server.url,
        start=start,
        offline=offline,
        offline_states=states,
        meanwhile=meanwhile,
        online=online,
        settled=settled,
        decision=decision,
        devices=devices,
        problems=tuple(_problems(party, online, devices)),
        seconds=time.perf_counter() - began,
    )


async def _all_synced(connections: Mapping[str, Connection]) -> None:
    """Wait until all have pushed, then until all have what the others pushed."""
    for _ in range(2):
        async with anyio.create_task_group() as group:
            for connection in connections.values():
                group.start_soon(connection.synced)


async def _all_offline(connections: Mapping[str, Connection]) -> None:
    """Wait until every device has noticed that there is no server."""
    while any(  # noqa: ASYNC110 - states are read, not awaited
        connection.state == "online" for connection in connections.values()
    ):
        await anyio.sleep(0.005)


def _settlements(party: _Party, meanwhile: tuple[Writing, ...]) -> Iterator[Settlement]:
    board = party.boards[DESKTOP]
    for conflict in sorted(board.conflicts(), key=lambda conflict: conflict.path):
        writings = tuple(
            (party.names[found.replica], found.time, str(found.value))
            for found in conflict.candidates
        )
        rule = RULES.get(conflict.strategy, conflict.strategy)
        what = _label(conflict.path)
        yield Settlement(what, writings, conflict.chosen, rule, conflict.strategy)
    lanterns, music = board.tasks["lanterns"], board.tasks["music"]
    merged: tuple[tuple[str, str, tuple[str, ...], str, Any], ...] = (
        ("votes", "lanterns", ("vote",), "votes", int(lanterns.votes)),
        ("tags", "lanterns", ("tag", "untag"), "tags", sorted(lanterns.tags)),
        ("notes", "lanterns", ("note", "correct"), "notes", str(lanterns.notes)),
        ("task music", "music", ("remove_task", "retitle"), "tasks", music.title),
    )
    for what, task, actions, rule, outcome in merged:
        writings = tuple(
            (writing.device, writing.time, in_words(writing))
            for writing in meanwhile
            if writing.action in actions and writing.arguments.get("task") == task
        )
        yield Settlement(what, writings, outcome, RULES[rule], None)


def in_words(writing: Writing) -> str:
    """Say what an action did, shortly."""
    found = writing.arguments
    match writing.action:
        case "vote":
            return f"{found['votes']:+d}"
        case "tag":
            return f"+ {found['tag']}"
        case "untag":
            return f"− {found['tag']}"  # noqa: RUF001 - a minus sign, for people
        case "note":
            return f"+ {found['text']!r}"
        case "correct":
            return f"{found['old']!r} → {found['new']!r}"
        case "remove_task":
            return "removed"
        case "move":
            return str(found["status"])
        case _:
            return str(found.get("title", found.get("name")))


def _label(path: tuple[str, ...]) -> str:
    return {"name": "board name"}.get(path[-1], path[-1])


def _problems(
    party: _Party, online: dict[str, dict[str, Any]], devices: tuple[Device, ...]
) -> Iterator[str]:
    """Say what differs though it must not."""
    first_name, *others = party.boards
    for name in others:
        if online[name] != online[first_name]:
            yield f"{name} saw another board than {first_name} after the server had come back"
    for device in devices[1:]:
        if device.state_vector != devices[0].state_vector:
            yield f"{device.name} holds another log than {devices[0].name}"
        if device.view_hash != devices[0].view_hash:
            yield f"{device.name} shows another board than {devices[0].name}"
    lanterns = online[first_name]["tasks"].get("lanterns", {})
    for field, expected in EXPECTED.items():
        if lanterns.get(field) != expected:
            yield f"the field {field} is {lanterns.get(field)!r}, not {expected!r}"
    if "music" not in online[first_name]["tasks"]:
        yield "the task that Bob worked on is gone"
    for name, board in party.boards.items():
        if any(conflict.path == ("name",) for conflict in board.conflicts()):
            yield f"on {name} the board's name is in conflict still, though Ann has decided it"
        if problems := party.replicas[name].verify():
            yield f"the store of {name} does not verify: {problems[0].message}"


@contextmanager
def _devices(folder: Path) -> Iterator[dict[str, Replica]]:
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(Replica(folder / _file_name(name), user=user))
            for name, user in USERS.items()
        }


def _file_name(device: str) -> str:
    return device.lower().replace("'s ", "-") + ".db"
