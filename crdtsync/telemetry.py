"""Telemetry: what crdtsync counts and times, handed to OpenTelemetry where that is installed.

Without the extra `telemetry` nothing is counted: each call ends at a check for None. With it, a
count is an addition under a lock. OpenTelemetry reads the totals when they are exported, not when
something happens, because its own counters would cost an action a tenth of its time. Nothing is
exported before the application, or `opentelemetry-instrument`, has set up a provider.

No metric names a document, a replica or a user: there may be any number of them, and each would be
a time series of its own. The log does: see `crdtsync.events`. What is measured stands at the end of
this file, and in `docs/observability.md`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import version
from time import perf_counter
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Meter, Observation
    from opentelemetry.trace import Tracer

__all__ = ["METRICS", "Counter", "Gauge", "Histogram", "is_on", "now", "span"]

_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
_COUNTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)

_meter: Meter | None = None
_tracer: Tracer | None = None
try:
    from opentelemetry import metrics as _metrics
    from opentelemetry import trace as _trace
except ImportError:
    pass
else:
    _meter = _metrics.get_meter("crdtsync", version("crdtsync"))
    _tracer = _trace.get_tracer("crdtsync", version("crdtsync"))

_lock = threading.Lock()

is_on: bool = _meter is not None
"""Whether there is anybody to count for: something that costs more than a count asks first."""

now: Callable[[], float] = float if _meter is None else perf_counter
"""Return the time in seconds since some moment; always 0 where nothing is timed."""


class Metric:
    """One thing that is measured.

    Args:
        name: its name in OpenTelemetry.
        unit: what is counted, as UCUM has it.
        description: a sentence for people.
        attribute: the name of what tells its kinds apart; none: there are no kinds.

    Attributes:
        sort: what OpenTelemetry calls such an instrument.
    """

    sort: str

    def __init__(self, name: str, unit: str, description: str, attribute: str = "") -> None:
        self.name = name
        self.unit = unit
        self.description = description
        self.attribute = attribute

    def _observe(self, _: CallbackOptions) -> Iterator[Observation]:
        for kind, value in self._read().items():
            yield _metrics.Observation(value, {self.attribute: kind} if self.attribute else None)

    def _read(self) -> dict[str, int]:
        raise NotImplementedError


class Counter(Metric):
    """Counts what has happened since the process began. Any thread may.

    >>> Counter("example.rain", "{drop}", "Drops that have fallen.").add(3)
    """

    sort = "counter"

    def __init__(self, name: str, unit: str, description: str, attribute: str = "") -> None:
        super().__init__(name, unit, description, attribute)
        self._totals: dict[str, int] = {} if attribute else {"": 0}
        if _meter is not None:
            _meter.create_observable_counter(name, [self._observe], unit, description)

    def add(self, count: int = 1, kind: str = "") -> None:
        """Count some more, of a kind where there are kinds."""
        if _meter is not None:
            with _lock:
                self._totals[kind] = self._totals.get(kind, 0) + count

    def _read(self) -> dict[str, int]:
        with _lock:
            return dict(self._totals)


class Gauge(Metric):
    """How much there is at present: the sum of what its owners have said last.

    An owner that is gone, or forgotten, counts no more.
    """

    sort = "up-down counter"

    def __init__(self, name: str, unit: str, description: str, attribute: str = "") -> None:
        super().__init__(name, unit, description, attribute)
        self._values: WeakKeyDictionary[object, dict[str, int]] = WeakKeyDictionary()
        if _meter is not None:
            _meter.create_observable_up_down_counter(name, [self._observe], unit, description)

    def set(self, owner: object, value: int, kind: str = "") -> None:
        """Say how much an owner has now."""
        if _meter is not None:
            with _lock:
                self._values.setdefault(owner, {})[kind] = value

    def forget(self, owner: object) -> None:
        """Count an owner no more, though somebody may still hold it."""
        with _lock:
            self._values.pop(owner, None)

    def _read(self) -> dict[str, int]:
        totals: dict[str, int] = {} if self.attribute else {"": 0}
        with _lock:
            for values in self._values.values():
                for kind, value in values.items():
                    totals[kind] = totals.get(kind, 0) + value
        return totals


class Histogram(Metric):
    """How often something was how much."""

    sort = "histogram"

    def __init__(self, name: str, unit: str, description: str, bounds: Sequence[float]) -> None:
        super().__init__(name, unit, description)
        self._instrument = (
            None
            if _meter is None
            else _meter.create_histogram(
                name, unit, description, explicit_bucket_boundaries_advisory=bounds
            )
        )

    def record(self, value: float) -> None:
        """Take note that it was so much."""
        if self._instrument is not None:
            self._instrument.record(value)

    def since(self, began: float) -> None:
        """Take note of how long something took that began at a time which `now` had returned."""
        if self._instrument is not None:
            self._instrument.record(perf_counter() - began)


def span(name: str, **attributes: str | int) -> AbstractContextManager[object]:
    """Return the context of a span: a step in a trace. An exception that leaves it is noted there.

    >>> with span("example", entries=3):
    ...     pass
    """
    if _tracer is None:
        return nullcontext()
    named = {f"crdtsync.{key}": value for key, value in attributes.items()}
    return _tracer.start_as_current_span(f"crdtsync.{name}", attributes=named)


ACTIONS = Counter("crdtsync.replica.actions", "{action}", "Actions done here.")
APPENDS = Histogram(
    "crdtsync.replica.append.duration",
    "s",
    "How long it took to make an action's entry and to store it; one in eight is timed.",
    _SECONDS,
)
ENTRIES = Counter(
    "crdtsync.replica.entries",
    "{entry}",
    "Entries stored that came from elsewhere, and entries sent to a server.",
    "direction",
)
CONFLICTS = Counter(
    "crdtsync.replica.conflicts", "{conflict}", "Fields of open documents that became contested."
)
CONNECTION_EVENTS = Counter(
    "crdtsync.replica.connection.events",
    "{event}",
    "What happened to connections, as `connection.events()` tells it.",
    "kind",
)
UNACKNOWLEDGED = Gauge(
    "crdtsync.replica.unacknowledged",
    "{entry}",
    "Own entries that are not known to be durable at the server, as of the last ping.",
)
BEHIND = Gauge(
    "crdtsync.replica.behind",
    "{entry}",
    "Entries that the server is known to hold and the replica does not, as of the last ping.",
)

SERVER_CONNECTIONS = Gauge(
    "crdtsync.server.connections", "{connection}", "Connections that are served.", "kind"
)
SERVER_ENTRIES = Counter(
    "crdtsync.server.entries",
    "{entry}",
    "Entries stored, from whatever clients; and entries sent to replicas.",
    "direction",
)
SERVER_LAG = Gauge(
    "crdtsync.server.lag",
    "{entry}",
    "Entries that connections follow and were not sent yet, over all connections.",
)
SERVER_QUEUED = Gauge(
    "crdtsync.server.queued", "By", "Bytes made ready for connections, and not taken yet."
)
SERVER_CACHED = Gauge("crdtsync.server.cached", "By", "Bytes of encoded entries kept in memory.")
SERVER_APPENDS = Histogram(
    "crdtsync.server.append.duration",
    "s",
    "How long it took until entries that were let in were durable.",
    _SECONDS,
)
SERVER_COMMITS = Histogram(
    "crdtsync.server.commit.duration", "s", "How long one transaction took.", _SECONDS
)
SERVER_WRITES = Histogram(
    "crdtsync.server.commit.writes", "{write}", "Writes that one transaction held.", _COUNTS
)
SERVER_CLONES = Counter(
    "crdtsync.server.clones", "{clone}", "Documents that were begun to be sent as a clone."
)
SERVER_DOWNGRADES = Counter(
    "crdtsync.server.downgrades", "{connection}", "Connections that became inactive."
)
SERVER_REFUSALS = Counter(
    "crdtsync.server.refusals",
    "{refusal}",
    "Connections turned away, documents ended or not opened, and entries stored without effect.",
    "of",
)

METRICS: tuple[Metric, ...] = tuple(
    value for value in list(globals().values()) if isinstance(value, Metric)
)
"""All of them."""
