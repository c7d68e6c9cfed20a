"""The machine: histories as a state machine of hypothesis, to which rules can be added.

Where the promise to be tested is about fields only, `check_convergence` says the same in one line,
and finds shorter histories.
"""

from __future__ import annotations

from typing import Any, ClassVar

from hypothesis.stateful import RuleBasedStateMachine, rule
from hypothesis.strategies import SearchStrategy

from crdtsync.document import Document
from crdtsync.testing.actions import Values
from crdtsync.testing.fleet import Fleet
from crdtsync.testing.script import Promise, Script
from crdtsync.testing.step import Step, steps

__all__ = ["DocumentMachine", "document_machine"]


class DocumentMachine(RuleBasedStateMachine):
    """Drives a document class over several replicas. Subclass it to add rules of your own.

    Attributes:
        document_class: what is driven. A subclass without one is no machine yet.
        replicas: how many there are.
        values: what to draw for single fields and arguments, as for `actions`.
        always: a function that raises if a document is not as promised, at any time.
        when_healed: the same, of documents that have everything.
        script: what has happened.
    """

    document_class: ClassVar[type[Document]]
    replicas: ClassVar[int] = 3
    values: ClassVar[Values | None] = None
    always: ClassVar[Promise | None] = None
    when_healed: ClassVar[Promise | None] = None
    script: Script

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if hasattr(cls, "document_class"):
            for name, drawn in steps(cls.document_class, cls.replicas, cls.values).items():
                setattr(cls, name, _rule(name, drawn))

    def __init__(self) -> None:
        super().__init__()
        cls = type(self)
        self.script = Script(
            cls.document_class, cls.replicas, always=cls.always, when_healed=cls.when_healed
        )
        self._failed = False

    @property
    def fleet(self) -> Fleet[Any]:
        """The replicas."""
        return self.script.fleet

    def run(self, line: str) -> None:
        """Run a line of Python in which the replicas are called `fleet`, and keep it."""
        try:
            self.script.run(line)
        except BaseException:
            self._failed = True
            raise

    def finish(self) -> None:
        """Let all replicas have everything, and check what must hold then. Add to it."""
        self.script.finish()

    def teardown(self) -> None:
        """Finish, if nothing went wrong before, and close the replicas."""
        try:
            if not self._failed:
                self.finish()
        finally:
            self.fleet.close()


def _rule(name: str, drawn: SearchStrategy[Any]) -> Any:
    def follow(self: DocumentMachine, step: Step) -> None:
        self.run(step.line(self.fleet))

    follow.__name__ = name
    return rule(step=drawn)(follow)


def document_machine(
    cls: type[Document],
    *,
    replicas: int = 3,
    values: Values | None = None,
    always: Promise | None = None,
    when_healed: Promise | None = None,
) -> type[DocumentMachine]:
    """Return a machine for a document class. Its `TestCase` is what pytest collects.

    Args:
        cls: the class.
        replicas: how many there are.
        values: what to draw for single fields and arguments, as for `actions`.
        always: raises if a document is not as promised, at any time, on any replica.
        when_healed: the same, once all replicas have everything.
    """
    body = {
        "__doc__": f"Drives {cls.__name__}.",
        "__module__": cls.__module__,
        "document_class": cls,
        "replicas": replicas,
        "values": values,
        "always": None if always is None else staticmethod(always),
        "when_healed": None if when_healed is None else staticmethod(when_healed),
    }
    return type(f"{cls.__name__}Machine", (DocumentMachine,), body)
