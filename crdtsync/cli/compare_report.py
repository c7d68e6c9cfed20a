"""What came of asking strategies about a recorded history."""

from __future__ import annotations

from dataclasses import dataclass, field

from crdtsync.cli.replay_report import Stage

__all__ = ["Comparison", "Tally"]


@dataclass(slots=True)
class Tally:
    """How one strategy fared in one recording.

    Attributes:
        strategy: its name.
        alike: how often it had chosen what people then chose.
        failed: how often it failed, so that the last write stood there.
        agreed: whether in the end all replicas showed the same.
        as_recorded: whether that was the recorded state; None where nobody recorded it.
    """

    strategy: str
    alike: int = 0
    failed: int = 0
    agreed: bool = True
    as_recorded: bool | None = None

    @property
    def ok(self) -> bool:
        """Whether all that must hold does."""
        return self.agreed and self.as_recorded is not False


@dataclass(slots=True)
class Comparison:
    """What came of one recording.

    Attributes:
        session: the recording's name.
        agents: how many replicas acted.
        transactions: how many actions they took.
        merges: how many of those were merges.
        decided: how many values people had to decide in them.
        in_conflict: how many of those were in conflict in the document too.
        tallies: the strategies.
        stages: the work.
    """

    session: str
    agents: int
    transactions: int
    merges: int
    decided: int
    in_conflict: int
    tallies: list[Tally]
    stages: list[Stage] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether all that must hold does."""
        return all(tally.ok for tally in self.tallies)
