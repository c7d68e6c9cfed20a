"""Recorded sessions, acted out again by real replicas through a real server.

One replica per agent, one action per transaction, concurrency as recorded: before a transaction,
its agent's replica is given exactly the entries in its causal past, straight from the others'
logs. Then every replica goes on line, until all hold everything; then all are closed and opened
again from disk, the server too, and a replica that was not there before gets it all from the
server. What must hold at each step is checked, and what does not hold is reported.

A *performance* says how one kind of session is acted out: `crdtsync.cli.replay_text` and
`crdtsync.cli.replay_structured`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import anyio

from crdtsync import Document
from crdtsync.cli.fleet import Fleet, Member
from crdtsync.cli.output import StageProgress
from crdtsync.cli.recordings import Causality, Transaction
from crdtsync.cli.replay_report import Check, ReplayReport, Stage, Stopwatch
from crdtsync.cli.server_process import ServerProcess, local_url
from crdtsync.vector import join

__all__ = ["Performance", "replay"]

DOCUMENT = "recording"
ONLINE_MAX = 16
"""Replicas that are connected at the same time."""
WATCH_EVERY_S = 0.2

D = TypeVar("D", bound=Document)


class Performance(Protocol[D]):
    """How the sessions of one kind are acted out.

    Attributes:
        kind: the document's class.
        name: of the session.
        agents: how many replicas it takes.
        transactions: causes before effects.
    """

    kind: type[D]
    name: str
    agents: int

    @property
    def transactions(self) -> Sequence[Transaction]:
        """The transactions, causes before effects."""
        ...

    def act(self, document: D, index: int) -> None:
        """Do what was done in a transaction, as one action."""
        ...

    def summary(self) -> dict[str, int]:
        """Return what was met on the way."""
        ...

    def end_checks(self, document: D) -> Iterator[Check]:
        """Compare the document in the end with the recording."""
        ...


class Sight(NamedTuple):
    """What one replica holds and shows."""

    vector: dict[int, int]
    view_hash: str


async def replay(
    performance: Performance[D], folder: Path, progress: StageProgress
) -> ReplayReport:
    """Act a session out, with all files in a folder.

    Raises:
        CrdtSyncError: it could not be acted out.
    """
    with (
        Fleet(folder, performance.kind, DOCUMENT) as fleet,
        ServerProcess(folder / "server.db", local_url(folder)) as server,
    ):
        return await _Replay(performance, fleet, server, progress).run()


class _Replay:
    """One replay under way."""

    def __init__(
        self,
        performance: Performance[Any],
        fleet: Fleet[Any],
        server: ServerProcess,
        progress: StageProgress,
    ) -> None:
        self._performance = performance
        self._fleet = fleet
        self._server = server
        self._progress = progress
        transactions = performance.transactions
        self._agents = _latest_first(transactions)
        self._report = ReplayReport(performance.name, len(self._agents), len(transactions))
        self._vectors: dict[int, dict[int, int]] = {}
        """What each agent's replica held after the last action."""

    async def run(self) -> ReplayReport:
        report = self._report
        self._act_out()
        everything = self._everything()
        report.entries = sum(everything.values())
        sights = await self._synchronize(everything)
        first = sights[self._agents[0]]
        report.view_hash = first.view_hash
        report.check(
            f"every replica holds all {report.entries:,} entries",
            all(sight.vector == everything for sight in sights.values()),
        )
        report.check(
            "every replica shows the same, byte for byte",
            all(sight.view_hash == first.view_hash for sight in sights.values()),
        )
        report.checks += self._performance.end_checks(self._fleet.get(self._agents[0]).document)
        self._fleet.close()
        await anyio.to_thread.run_sync(self._server.stop)
        report.check(
            "the same again after everything was closed and read back from disk",
            self._read_back() == sights,
        )
        await anyio.to_thread.run_sync(self._server.start)
        report.check(
            "a new replica gets the same from the restarted server",
            await self._newcomer() == first,
        )
        report.summary = self._performance.summary()
        return report

    def _act_out(self) -> None:
        """Do every transaction on its agent's replica, each with exactly its causal past."""
        transactions, act = self._performance.transactions, self._performance.act
        self._fleet.muster(self._agents)
        causality = Causality(transactions)
        shared = len(self._agents) > 1
        kept: list[bytes | None] = []
        received, receiving = 0, 0.0
        with self._stage("act it out", len(transactions), "actions") as step:
            for index, transaction in enumerate(transactions):
                member = self._fleet.get(transaction.agent)
                missing = causality.advance(index)
                if missing:
                    began = time.perf_counter()
                    datas = [data for data in map(kept.__getitem__, missing) if data is not None]
                    member.ledger.receive(datas)
                    received += len(datas)
                    receiving += time.perf_counter() - began
                before = member.ledger.vector if shared else {}
                act(member.document, index)
                if shared:
                    kept.append(_new_entry(member, before))
                step(index + 1)
        if received:
            acting = self._report.stages.pop()
            alone = replace(acting, seconds=acting.seconds - receiving)
            past = Stage("give each its past", received, "entries", receiving)
            self._report.stages += [alone, past]
        for agent in self._agents:
            self._vectors[agent] = self._fleet.get(agent).ledger.vector

    def _everything(self) -> dict[int, int]:
        everything: dict[int, int] = {}
        for vector in self._vectors.values():
            everything = join(everything, vector)
        return everything

    async def _synchronize(self, everything: dict[int, int]) -> dict[int, Sight]:
        """Bring all on line, a bounded number at a time, until every one holds everything."""
        sights: dict[int, Sight] = {}
        lacking = sum(
            self._report.entries - sum(vector.values()) for vector in self._vectors.values()
        )
        total = self._report.entries + lacking
        with self._stage("through the server", total, "entries") as step:
            done, behind = 0, self._agents
            for _ in range(2):
                for batch in _batches(behind, ONLINE_MAX):
                    done += await self._visit(batch, sights, done, step)
                behind = [agent for agent in behind if sights[agent].vector != everything]
        return sights

    async def _visit(
        self, agents: Sequence[int], sights: dict[int, Sight], done: int, step: Stopwatch
    ) -> int:
        """Bring some agents on line until they are in step with the server.

        Args:
            agents: who.
            sights: where to note what they hold and show then.
            done: how many entries others have sent and received before.
            step: told of how many it is altogether.

        Returns:
            How many entries they sent and received.
        """
        members = {agent: self._fleet.get(agent) for agent in agents}
        ledgers = [member.ledger for member in members.values()]
        before = sum(ledger.count + ledger.acknowledged for ledger in ledgers)

        def passed() -> int:
            return sum(ledger.count + ledger.acknowledged for ledger in ledgers) - before

        async def watch() -> None:
            while True:
                await anyio.sleep(WATCH_EVERY_S)
                step(done + passed())

        async with anyio.create_task_group() as watching:
            watching.start_soon(watch)
            async with anyio.create_task_group() as visiting:
                for member in members.values():
                    visiting.start_soon(self._meet, member)
            watching.cancel_scope.cancel()
        for agent, member in members.items():
            sights[agent] = _sight(member)
        return passed()

    async def _meet(self, member: Member[Any]) -> None:
        async with member.replica.connect(self._server.url) as connection:
            await connection.synced()

    def _read_back(self) -> dict[int, Sight]:
        """Return what each replica holds and shows, opened anew."""
        sights: dict[int, Sight] = {}
        entries = self._report.entries
        total = entries * len(self._agents)
        with self._stage("read back from disk", total, "entries") as step:
            for agent in self._agents:
                sights[agent] = _sight(self._fleet.get(agent))
                step(entries * len(sights))
        return sights

    async def _newcomer(self) -> Sight:
        """Return the sight of a replica that nobody but the server told anything."""
        newcomer = self._performance.agents
        sights: dict[int, Sight] = {}
        with self._stage("a new replica", self._report.entries, "entries") as step:
            await self._visit([newcomer], sights, 0, step)
        return sights[newcomer]

    def _stage(self, name: str, total: int, unit: str) -> Stopwatch:
        return self._report.stage(name, total, unit, self._progress)


def _sight(member: Member[Any]) -> Sight:
    return Sight(member.ledger.vector, member.document.view_hash())


def _new_entry(member: Member[Any], before: dict[int, int]) -> bytes | None:
    """Return the entry that has been written since; None if the action changed nothing."""
    found = member.ledger.missing(before, bytes_max=1)
    return found[0].data if found else None


def _latest_first(transactions: Sequence[Transaction]) -> list[int]:
    """Return the agents, those first who were at work last: they hold most of the history."""
    last = {transaction.agent: index for index, transaction in enumerate(transactions)}
    return sorted(last, key=lambda agent: -last[agent])


def _batches(items: Sequence[int], size: int) -> Iterator[list[int]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
