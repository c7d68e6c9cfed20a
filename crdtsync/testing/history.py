"""Histories: what may happen to replicas of a document, and the check that they agree in the end.

Replicas work off line, exchange entries in part, twice and in any order, restart from their files,
and never agree on the time. In the end they get everything, and must be the same.

Source: Claessen and Hughes, "QuickCheck", ICFP 2000; Hughes, Pierce, Arts, Norell, "Mysteries of
Dropbox", ICST 2016 (the same for file synchronizers).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from crdtsync.document import Document
from crdtsync.testing.actions import Values
from crdtsync.testing.fleet import Fleet
from crdtsync.testing.script import Promise, Script
from crdtsync.testing.step import Step, steps

__all__ = ["History", "check_convergence", "histories"]


class History(NamedTuple):
    """Something that may happen to a fleet.

    Attributes:
        cls: the document's class.
        replicas: how many there are.
        steps: what happens, one after the other.
    """

    cls: type[Document]
    replicas: int
    steps: tuple[Step, ...]

    def play(self) -> Fleet[Any]:
        """Let it happen, and return the fleet as it is then; close it.

        Raises:
            Exception: what a step raises, with a script as a note.
        """
        script = Script(self.cls, self.replicas)
        try:
            script.follow(self.steps)
        except BaseException:
            script.fleet.close()
            raise
        return script.fleet


def histories(
    cls: type[Document], *, replicas: int = 3, values: Values | None = None, max_steps: int = 30
) -> SearchStrategy[History]:
    """Draw histories of a document class: what several replicas do, and what they exchange.

    Args:
        cls: the class.
        replicas: how many there are.
        values: what to draw for single fields and arguments, as for `actions`.
        max_steps: how long a history is at the most.
    """
    drawn = steps(cls, replicas, values)
    step = st.sampled_from([*drawn, "act"]).flatmap(drawn.__getitem__)
    # A length first, because hypothesis keeps lists much shorter than they may be.
    lists = st.integers(0, max_steps).flatmap(
        lambda length: st.lists(step, min_size=length, max_size=length)
    )
    return st.builds(History, st.just(cls), st.just(replicas), lists.map(tuple))


def check_convergence(
    cls: type[Document],
    *,
    replicas: int = 3,
    values: Values | None = None,
    always: Promise | None = None,
    when_healed: Promise | None = None,
    max_examples: int = 100,
    max_steps: int = 30,
) -> None:
    """Check that replicas of a document agree in the end, whatever happens to them.

    Agreement is more than equal views: the state vectors and the conflicts are equal too, a replay
    of the log gives the same, and what is stored is sound.

    Args:
        cls: the document's class.
        replicas: how many there are.
        values: what to draw for single fields and arguments, as for `actions`.
        always: raises if a document is not as promised, at any time, on any replica.
        when_healed: the same, once all replicas have everything.
        max_examples: how many histories to try.
        max_steps: how long each is at the most.

    Raises:
        DivergenceError: they differ, or were not what they had been after a restart. A note has the
            shortest history found, as a script.
        Exception: what a promise, or an action of the document's own, raises, with such a note.

    >>> from crdtsync import Counter
    >>> class Score(Document):
    ...     points: Counter
    >>> check_convergence(Score, max_examples=5, max_steps=5)
    """

    @settings(
        max_examples=max_examples,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        verbosity=Verbosity.quiet,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(histories(cls, replicas=replicas, values=values, max_steps=max_steps))
    def look(history: History) -> None:
        script = Script(cls, replicas, always=always, when_healed=when_healed)
        with script.fleet:
            script.follow(history.steps)
            script.finish()

    look()
