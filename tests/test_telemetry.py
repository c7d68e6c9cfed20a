"""What is counted is what has happened; with the SDK it is exported, without the API it is not."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter as Tally
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, NumberDataPoint
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from crdtsync import Document, Replica
from crdtsync.errors import AuthenticationError
from crdtsync.server import Hub, MemoryBackend, ServerLimits, SqliteBackend
from crdtsync.server.access import AllowAll, Decision, JudgedAction, refused
from crdtsync.server.access.policy import View
from crdtsync.server.authentication import DevelopmentAuthenticator, Identity
from crdtsync.server.limits import ConnectionLimits
from crdtsync.server.snapshots import take_snapshot
from crdtsync.sync import WireLimits
from crdtsync.telemetry import METRICS, SERVER_QUEUED, Counter, Gauge
from crdtsync.transport import Connection, FrameStream, connect, memory_pair

Totals: TypeAlias = dict[tuple[str, str], float]


class Note(Document):
    text: str = ""


class Watch:
    """What OpenTelemetry would export."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.spans = InMemorySpanExporter()
        metrics.set_meter_provider(MeterProvider([self.reader]))
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self.spans))
        trace.set_tracer_provider(provider)

    def totals(self) -> Totals:
        """Return the value of each metric, or how often it was recorded, by name and kind."""
        found: Totals = {}
        data = self.reader.get_metrics_data()
        assert data is not None
        for resource in data.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in metric.data.data_points:
                        kind = "".join(map(str, (point.attributes or {}).values()))
                        if isinstance(point, NumberDataPoint):
                            found[metric.name, kind] = point.value
                        else:
                            found[metric.name, kind] = point.count
        return found


@pytest.fixture(scope="session")
def exported() -> Watch:
    return Watch()  # a process has one provider, once and for all


@pytest.fixture
def gain(exported: Watch) -> Callable[..., float]:
    """Return by how much a metric has grown since the test began."""
    before = exported.totals()
    exported.spans.clear()

    def since(name: str, kind: str = "") -> float:
        key = f"crdtsync.{name}", kind
        return exported.totals().get(key, 0) - before.get(key, 0)

    return since


class RefusesRudeness(AllowAll):
    def may_read(self, user: Identity, document: str) -> Decision:
        return refused("private") if document == "private" else super().may_read(user, document)

    def judge(self, action: JudgedAction, view: View) -> Decision:
        return refused("rude") if action.name == "rude" else super().judge(action, view)


class KnowsMallory(DevelopmentAuthenticator):
    async def authenticate(self, token: str | None, *, user: str | None) -> Identity:
        if user == "mallory":
            raise AuthenticationError("not you")
        return await super().authenticate(token, user=user)


LIMITS = ServerLimits(
    wire=WireLimits(ping_interval_s=0.05, handshake_timeout_s=0.4),
    connection=ConnectionLimits(active_max=1),
    retry_after_ms=1,
)


class Server:
    def __init__(self, hub: Hub, backend: SqliteBackend, tasks: anyio.abc.TaskGroup) -> None:
        self.hub, self.backend, self._tasks = hub, backend, tasks

    async def stream(self) -> FrameStream:
        ours, theirs = memory_pair()
        self._tasks.start_soon(self.hub.serve, theirs)
        return ours

    @asynccontextmanager
    async def joined(self, replica: Replica) -> Any:
        async with connect(replica, self.stream, limits=LIMITS.wire) as connection:
            with anyio.fail_after(20):
                await connection.synced()
            yield connection


@pytest.fixture
async def server(tmp_path: Path) -> Any:
    async with (
        SqliteBackend(tmp_path / "server.db") as backend,
        Hub(backend, LIMITS, policy=RefusesRudeness(), authenticator=KnowsMallory()) as hub,
        anyio.create_task_group() as tasks,
    ):
        yield Server(hub, backend, tasks)
        tasks.cancel_scope.cancel()


async def become(truth: Callable[[], bool]) -> None:
    with anyio.fail_after(20):
        while not truth():  # noqa: ASYNC110 - a total tells nobody that it grows
            await anyio.sleep(0.01)


def test_actions_and_what_came_from_elsewhere(gain: Callable[..., float]) -> None:
    with Replica(user="ann") as ann, Replica(user="bob") as bob:
        hers, his = ann.document(Note, "note"), bob.document(Note, "note")
        hers.text, his.text = "hers", "his"
        hers.text = "hers again"
        assert gain("replica.actions") == 3
        assert gain("replica.append.duration") == 2  # the first of each
        assert gain("replica.conflicts") == 0
        ann.merge(bob)
        assert gain("replica.actions") == 3
        assert gain("replica.entries", "in") == 3
        assert gain("replica.conflicts") == 2  # each of them has got it
        with Replica(user="eve") as eve:
            eve.document(Note, "note").text = "eve's"
            ann.merge(eve)
        assert gain("replica.conflicts") == 3  # eve has got one; ann's has only grown
        hers.text = "settled"
        bob.merge(ann)
        assert gain("replica.conflicts") == 3


def test_an_action_that_did_not_happen_does_not_count(gain: Callable[..., float]) -> None:
    with Replica(user="ann") as ann:
        note = ann.document(Note, "note")
        with pytest.raises(ZeroDivisionError), note.action("fails"):
            note.text = str(1 // 0)
    assert gain("replica.actions") == gain("replica.append.duration") == 0


async def test_the_way_through_a_server(
    server: Server, gain: Callable[..., float], exported: Watch
) -> None:
    with Replica(user="ann") as ann, Replica(user="bob") as bob:
        for text in "abc":
            ann.document(Note, "note").text = text
        bob.document(Note, "note")
        async with server.joined(ann):
            assert gain("replica.entries", "out") == 3
            assert gain("server.entries", "in") == 3
            assert gain("server.append.duration") >= 1
            assert gain("server.connections", "replica") == 1
            async with server.joined(bob):
                assert gain("server.entries", "out") == 3
                assert gain("replica.entries", "in") == 3
                assert gain("server.connections", "replica") == 2
        await become(lambda: gain("server.connections", "replica") == 0)
        assert gain("replica.connection.events", "online") == 2
        assert gain("replica.connection.events", "closed") == 2
        assert gain("server.clones") == 0
    names = Tally(span.name for span in exported.spans.get_finished_spans())
    assert names["crdtsync.connect"] == names["crdtsync.synced"] == 2
    assert (
        names["crdtsync.commit"] == gain("server.commit.duration") == gain("server.commit.writes")
    )


async def test_a_clone(server: Server, gain: Callable[..., float]) -> None:
    with Replica(user="ann") as ann, Replica(user="bob") as bob:
        ann.document(Note, "note").text = "known"
        async with server.joined(ann):
            assert await take_snapshot(server.backend, "note") is not None
        await server.hub.keep()
        bob.document(Note, "note")
        async with server.joined(bob):
            assert bob.document(Note, "note").text == "known"
        assert gain("server.clones") == gain("replica.connection.events", "cloned") == 1


async def test_refusals(
    server: Server, gain: Callable[..., float], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "crdtsync")
    with Replica(user="ann") as ann, Replica(user="mallory") as mallory:
        note = ann.document(Note, "note")
        with note.action("rude"):
            note.text = "rude"
        ann.document(Note, "private")
        async with connect(ann, server.stream) as connection:
            await become(lambda: gain("replica.connection.events", "failed") == 1)
            await become(lambda: gain("replica.connection.events", "rejected") == 1)
            assert connection.state == "online"
        assert gain("server.refusals", "document") == 1
        assert gain("server.refusals", "entry") == 1
        assert gain("server.refusals", "connection") == 0
        async with connect(mallory, server.stream):
            await become(lambda: gain("replica.connection.events", "refused") == 1)
        assert gain("server.refusals", "connection") == 1
    (record,) = [one for one in caplog.records if vars(one).get("event") == "entry_refused"]
    told = ("document", "replica", "seq", "user", "reason")
    assert [vars(record)[field] for field in told] == ["note", f"{ann.id:x}", 1, "ann", "rude"]


async def test_downgrades(server: Server, gain: Callable[..., float]) -> None:
    with Replica(user="ann") as first, Replica(user="ann") as second:
        first.document(Note, "note").text = "one"
        async with server.joined(first):
            pass
        await server.hub.keep()
        assert gain("server.downgrades") == 0
        second.document(Note, "note")
        async with server.joined(second):
            await become(lambda: gain("replica.connection.events", "activated") == 1)
        assert gain("server.downgrades") == 1


async def test_what_comes_and_goes(server: Server, exported: Watch) -> None:
    with Replica(user="ann") as ann:
        note = ann.document(Note, "note")
        note.text = "a"
        async with server.joined(ann) as connection:
            assert isinstance(connection, Connection)
            key = "crdtsync.replica.unacknowledged", ""
            session = connection._session
            assert session is not None
            before = exported.totals()[key]
            note.text = "b"
            session.exchange.tick()  # at the next ping it would be told by itself
            assert exported.totals()[key] == before + 1
            server.hub._measure()
            totals = exported.totals()
            assert totals["crdtsync.server.cached", ""] > 0
            assert totals["crdtsync.server.queued", ""] == server.hub.memory.used
            assert totals["crdtsync.server.lag", ""] == 0


async def test_a_server_that_has_stopped_counts_no_more() -> None:
    async with Hub(MemoryBackend()) as hub:
        hub._measure()
        assert hub in SERVER_QUEUED._values
    assert hub not in SERVER_QUEUED._values


def test_each_metric_is_exported_under_its_name(exported: Watch) -> None:
    names = {name for name, _ in exported.totals()}
    assert {one.name for one in METRICS if not one.attribute and one.sort != "histogram"} <= names
    assert all(name in {one.name for one in METRICS} for name in names if "crdtsync" in name)


def test_threads_lose_no_count() -> None:
    counter = Counter("test.threads", "1", "Counts.")

    def count() -> None:
        for _ in range(5_000):
            counter.add()

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter._read() == {"": 20_000}


class Owner:
    """Has something."""


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from("ab"), st.integers(0, 9))))
def test_a_gauge_is_the_sum_of_what_its_owners_said_last(said: list[tuple[int, str, int]]) -> None:
    gauge = Gauge("test.gauge", "1", "A sum.", "kind")
    owners = [Owner(), Owner(), Owner()]
    last: dict[tuple[int, str], int] = {}
    for number, kind, value in said:
        gauge.set(owners[number], value, kind)
        last[number, kind] = value
    for alive in (2, 1, 0):
        sums: dict[str, int] = {}
        for (number, kind), value in last.items():
            if number <= alive:
                sums[kind] = sums.get(kind, 0) + value
        assert gauge._read() == sums
        owners.pop()


def run(code: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_without_the_extra_everything_works_and_nothing_is_counted() -> None:
    out = run(
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from crdtsync import Document, Replica, telemetry\n"
        "class Note(Document):\n"
        "    text: str = ''\n"
        "with Replica() as replica, telemetry.span('step'):\n"
        "    replica.document(Note, 'note').text = 'a'\n"
        "print(telemetry.is_on, telemetry.now(), telemetry.ACTIONS._read())"
    )
    assert out == "False 0.0 {'': 0}"


def test_the_sdk_is_not_needed_and_not_imported() -> None:
    out = run("import sys, crdtsync; print('opentelemetry.sdk' in sys.modules)")
    assert out == "False"


@pytest.mark.skipif(sys.platform == "win32", reason="signals as Unix has them")
def test_a_server_started_by_opentelemetry_exports_when_it_stops(tmp_path: Path) -> None:
    instrument = Path(sys.executable).with_name("opentelemetry-instrument")
    command = f"{instrument} --metrics_exporter console --traces_exporter console"
    command += f" --logs_exporter none {sys.executable} -m crdtsync.cli serve"
    command += f" --listen unix://{tmp_path}/s --data {tmp_path}/server.db"
    with subprocess.Popen(
        command.split(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.terminate()
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert "crdtsync.server.downgrades" in out
    assert "crdtsync.replica.actions" in out
