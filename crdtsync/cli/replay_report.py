"""What a replay of a recorded session did, how fast, and what it found."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from crdtsync.cli.output import StageProgress

__all__ = ["Check", "ReplayReport", "Stage", "Stopwatch"]


@dataclass(frozen=True, slots=True)
class Stage:
    """A piece of the work: how much of what was done, and how long it took."""

    name: str
    count: int
    unit: str
    seconds: float

    @property
    def rate(self) -> float:
        """How many in a second."""
        return self.count / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class Check:
    """Something that must hold, and whether it does."""

    claim: str
    holds: bool


@dataclass(slots=True)
class ReplayReport:
    """What a replay did and found.

    Attributes:
        session: the recording's name.
        agents: how many replicas acted.
        transactions: how many actions they took.
        entries: how many of those changed something, and are in the log.
        view_hash: what all show in the end.
        summary: what is worth knowing about the recording, by name.
        stages: the work.
        checks: what must hold.
    """

    session: str
    agents: int
    transactions: int
    entries: int = 0
    view_hash: str = ""
    summary: dict[str, int] = field(default_factory=dict)
    stages: list[Stage] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether all that must hold does."""
        return all(check.holds for check in self.checks)

    def check(self, claim: str, holds: bool) -> None:
        """Note something that must hold."""
        self.checks.append(Check(claim, holds))

    def stage(self, name: str, total: int, unit: str, progress: StageProgress) -> Stopwatch:
        """Time a stage for as long as the returned context lasts."""
        return Stopwatch(name, total, unit, progress, self.stages)


class Stopwatch:
    """Times a stage, and tells of its progress a few times a second.

    Call it with how much is done so far.
    """

    _EVERY_S = 0.1

    def __init__(
        self, name: str, total: int, unit: str, progress: StageProgress, stages: list[Stage]
    ) -> None:
        self._name, self._total, self._unit = name, total, unit
        self._progress, self._stages = progress, stages
        self._began = self._told = 0.0

    def __enter__(self) -> Stopwatch:
        self._progress(self._name, 0, self._total)
        self._began = self._told = time.perf_counter()
        return self

    def __call__(self, done: int) -> None:
        now = time.perf_counter()
        if now - self._told >= self._EVERY_S:
            self._told = now
            self._progress(self._name, done, self._total)

    def __exit__(self, *exc_info: object) -> None:
        seconds = time.perf_counter() - self._began
        self._progress(self._name, self._total, self._total)
        self._stages.append(Stage(self._name, self._total, self._unit, seconds))
