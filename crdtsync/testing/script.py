"""Scripts: what happened to a fleet, as Python that makes it happen again.

The lines are no report of what was done. They are what is run, one by one, so a script that was
printed does the same.
"""

from __future__ import annotations

import datetime
import decimal
import math
import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from crdtsync.document import Document
from crdtsync.testing.fleet import Fleet
from crdtsync.testing.step import Step

__all__ = ["Promise", "Script"]

Promise = Callable[[Any], object]
"""Raises if a document is not as the app promises: what is asserted of it."""

_NAMES = {
    "datetime": (datetime, "import datetime"),
    "Decimal": (decimal.Decimal, "from decimal import Decimal"),
    "UUID": (uuid.UUID, "from uuid import UUID"),
    "inf": (math.inf, "from math import inf"),
    "nan": (math.nan, "from math import nan"),
}
"""What the lines name: as it is, and how a script gets it."""


class Script:
    """Runs lines of Python on a fleet, and keeps them.

    Args:
        cls: the document's class.
        replicas: how many there are.
        always: what must hold of every replica's document after each line.
        when_healed: what must hold of every replica's document when all have everything.

    Attributes:
        fleet: the fleet; `fleet` in the lines.
    """

    def __init__(
        self,
        cls: type[Document],
        replicas: int = 3,
        *,
        always: Promise | None = None,
        when_healed: Promise | None = None,
    ) -> None:
        self.fleet: Fleet[Any] = Fleet(cls, replicas)
        self._cls = cls
        self._always = always
        self._when_healed = when_healed
        self._lines: list[str] = []
        self._names = {name: what for name, (what, _) in _NAMES.items()} | {"fleet": self.fleet}
        for promise in filter(None, (always, when_healed)):
            self._names[promise.__name__] = promise

    def run(self, line: str) -> None:
        """Run a line and keep it; nothing for an empty one.

        Raises:
            Exception: whatever it raises, and what a broken promise raises, with the script that
                leads there as a note.
        """
        if not line:
            return
        self._run(line)
        self._demand(self._always)

    def follow(self, steps: Iterable[Step]) -> None:
        """Run what steps come to, one after the other; see `run`."""
        for step in steps:
            self.run(step.line(self.fleet))

    def finish(self) -> None:
        """Let all replicas have everything, and check what must hold then.

        Raises:
            DivergenceError: replicas differ.
            Exception: what a broken promise raises.
        """
        self._run("fleet.heal()")
        self._run("fleet.check()")
        self._demand(self._always)
        self._demand(self._when_healed)

    def _demand(self, promise: Promise | None) -> None:
        if promise is not None:
            for who in range(len(self.fleet)):
                self._run(f"{promise.__name__}(fleet[{who}])", keep=False)

    def _run(self, line: str, *, keep: bool = True) -> None:
        self._lines.append(line)
        try:
            exec(line, self._names)  # noqa: S102 - the lines are our own
        except Exception as error:
            error.add_note(f"Reproduce it with:\n\n{self}")
            raise
        if not keep:
            self._lines.pop()

    def __str__(self) -> str:
        lines = [line for part in self._lines for line in part.split("\n")]
        begin = f"with Fleet({self._cls.__name__}, replicas={len(self.fleet)}) as fleet:"
        body = "\n".join([begin, *(f"    {line}" for line in lines or ["pass"])])
        return "\n".join([*self._imports(body), "", body, ""])

    def _imports(self, body: str) -> Iterator[str]:
        """Yield what makes the names known that a script uses."""
        used = set(re.findall(r"[^\W\d]\w*", body))
        yield from (how for name, (_, how) in _NAMES.items() if name in used)
        yield "from crdtsync.testing import Fleet"
        named: list[Any] = [self._cls, self._always, self._when_healed]
        for item in dict.fromkeys(filter(None, named)):
            if item.__name__ in used:
                yield _import(item)


def _import(item: Any) -> str:
    if item.__qualname__.isidentifier() and item.__module__ != "__main__":
        return f"from {item.__module__} import {item.__name__}"
    return f"# and {item.__name__}, as {item.__module__} makes it"
