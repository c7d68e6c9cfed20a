"""Steps: what may happen to a fleet, drawn without knowing what state it is in."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from crdtsync.document import Document
from crdtsync.testing.actions import Values, actions
from crdtsync.testing.edit import Call, Edit
from crdtsync.testing.fleet import Fleet

__all__ = ["Act", "Deliver", "Merge", "Restart", "SetClock", "Step", "steps"]

_YEARS_MS = 3 * 365 * 86_400_000
_INDENT = "    "


class Step(Protocol):
    """Something that happens to a fleet."""

    def line(self, fleet: Fleet[Any], /) -> str:
        """Return Python that lets it happen to what is called `fleet`; "" if it cannot."""
        ...


class Act(NamedTuple):
    """One or several edits, as one action.

    Attributes:
        who: the replica.
        edits: what is done there.
    """

    who: int
    edits: tuple[Edit | Call, ...]

    def line(self, fleet: Fleet[Any], /) -> str:
        name = f"fleet[{self.who}]"
        lines = [edit.line(fleet[self.who], name) for edit in self.edits]
        if len(lines) == 1 and isinstance(self.edits[0], Edit):
            return lines[0]
        if len(lines) > 1:
            lines = [f'with {name}.action("several"):', *(_INDENT + line for line in lines)]
        return "\n".join([f"with fleet.attempt({self.who}):", *(_INDENT + line for line in lines)])


class Deliver(NamedTuple):
    """Some entries get from one replica to another, in any order.

    Attributes:
        source: from which.
        target: to which.
        picks: which: even numbers pick among what the target lacks, odd ones among everything.
    """

    source: int
    target: int
    picks: tuple[int, ...]

    def line(self, fleet: Fleet[Any], /) -> str:
        lacking = fleet.lacking(self.target, self.source)
        if not lacking:
            return ""
        held = fleet.held(self.source)
        pools = lacking, held
        picked = [pools[n % 2][n // 2 % len(pools[n % 2])] for n in self.picks]
        return f"fleet.deliver({self.source}, {self.target}, {picked})"


class Merge(NamedTuple):
    """Two replicas exchange everything.

    Attributes:
        one: the one.
        other: the other.
    """

    one: int
    other: int

    def line(self, _: Fleet[Any], /) -> str:
        return "" if self.one == self.other else f"fleet.merge({self.one}, {self.other})"


class Restart(NamedTuple):
    """A replica begins anew from its file.

    Attributes:
        who: which.
        snapshot: whether it keeps its state before.
    """

    who: int
    snapshot: bool

    def line(self, _: Fleet[Any], /) -> str:
        return f"fleet.restart({self.who}{', snapshot=True' if self.snapshot else ''})"


class SetClock(NamedTuple):
    """A replica's wall clock jumps.

    Attributes:
        who: which.
        jump_ms: by how much.
    """

    who: int
    jump_ms: int

    def line(self, fleet: Fleet[Any], /) -> str:
        return f"fleet.set_clock({self.who}, {max(1, fleet.clock(self.who) + self.jump_ms)})"


def steps(
    cls: type[Document], replicas: int = 3, values: Values | None = None
) -> dict[str, SearchStrategy[Any]]:
    """Return what to draw for each kind of step.

    Args:
        cls: the document's class.
        replicas: how many there are.
        values: as for `actions`.
    """
    who = st.integers(0, replicas - 1)
    edits = actions(cls, values).map(lambda edit: (edit,))
    several = st.lists(actions(cls, values), min_size=2, max_size=4).map(tuple)
    picks = st.lists(st.integers(0, 30), min_size=1, max_size=10).map(tuple)
    return {
        "act": st.builds(Act, who, edits | several),
        "exchange": st.builds(Deliver, who, who, picks) | st.builds(Merge, who, who),
        "disturb": st.builds(Restart, who, st.booleans())
        | st.builds(SetClock, who, st.integers(-_YEARS_MS, _YEARS_MS)),
    }
