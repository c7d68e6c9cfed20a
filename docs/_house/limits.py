"""The directive `limits`: a table of the named limits of a class, with their defaults."""

from __future__ import annotations

import dataclasses
import inspect
import re
from importlib import import_module

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

_ATTRIBUTE = re.compile(r"^    (\w+): ((?:.+\n?)(?:        .+\n?)*)", re.MULTILINE)
_UNITS = {1024**3: "GiB", 1024**2: "MiB", 1024: "KiB"}
_DAY_S = 24 * 3600


def shown(name: str, value: float) -> str:
    """Write a limit with the unit that its name ends in.

    >>> shown("frame_bytes_max", 256 * 1024), shown("lag_age_max_s", 180 * 24 * 3600)
    ('256 KiB', '180 days')
    >>> shown("ping_interval_s", 20), shown("retry_after_ms", 5000), shown("logs_max", 10_000)
    ('20 s', '5 000 ms', '10 000')
    """
    if "bytes" in name:
        for size, unit in _UNITS.items():
            if value >= size and value % size == 0:
                return f"{value // size} {unit}"
        return f"{value} bytes"
    if name.endswith("_s") and "_per_" not in name:
        return f"{value / _DAY_S:g} days" if value >= _DAY_S else f"{value:g} s"
    number = f"{value:,}".replace(",", " ")
    return f"{number} ms" if name.endswith("_ms") else number


def rows(cls: type) -> list[tuple[str, str, str]]:
    """Return of each limit its name, its default, and what the class's docstring says of it."""
    told = dict(_ATTRIBUTE.findall(inspect.getdoc(cls) or ""))
    assert dataclasses.is_dataclass(cls)
    return [
        (field.name, shown(field.name, field.default), " ".join(told[field.name].split()))
        for field in dataclasses.fields(cls)
        if field.default is not dataclasses.MISSING
    ]


def table(cls: type) -> str:
    """Write the limits of a class as a table in Markdown."""
    lines = ["| limit | default | what it bounds |", "|---|---|---|"]
    lines += [f"| `{name}` | {default} | {what} |" for name, default, what in rows(cls)]
    return "\n".join(lines)


class LimitsDirective(SphinxDirective):
    """Shows the limits of the class whose full name is given."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        module, _, name = self.arguments[0].rpartition(".")
        return self.parse_text_to_nodes(table(getattr(import_module(module), name)))


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx of the directive."""
    app.add_directive("limits", LimitsDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
