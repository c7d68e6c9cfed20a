"""Moments on the command line: a time, or an entry."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any, TypeAlias

import click

from crdtsync import Document

__all__ = ["MOMENT", "CliMoment", "resolve"]

CliMoment: TypeAlias = dt.datetime | tuple[str, int]


_ENTRY = re.compile(r"([0-9a-fA-F]+):([0-9]+)")


class _MomentType(click.ParamType):  # type: ignore[type-arg]  # generic in the stubs only
    name = "moment"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> CliMoment:
        """Read an ISO time (local, where it names no zone), or REPLICA:SEQ."""
        entry = _ENTRY.fullmatch(value)
        if entry is not None:
            return entry[1].lower(), int(entry[2])
        try:
            return dt.datetime.fromisoformat(value).astimezone()
        except ValueError:
            self.fail(
                f"{value!r} is neither a time, such as 2026-03-01T12:30, nor an entry, such as "
                "3f2a1c:17 (the end of a replica's id and the entry's number, see `log`)",
                param,
                ctx,
            )


MOMENT = _MomentType()


def resolve(document: Document, moment: CliMoment) -> dt.datetime | tuple[int, int]:
    """Return the moment as the library takes it.

    Raises:
        click.UsageError: the document holds no such entry.
    """
    if isinstance(moment, dt.datetime):
        return moment
    end, seq = moment
    held = document.state_vector
    found = [replica for replica in held if f"{replica:x}".endswith(end)]
    if len(found) != 1:
        said = "no replica's id ends" if not found else f"the ids of {len(found)} replicas end"
        raise click.UsageError(f"{said} in {end!r}; `crdtsync log` shows them")
    if not 1 <= seq <= held[found[0]]:
        raise click.UsageError(
            f"there is no entry {seq} of replica {end}: its log has {held[found[0]]}"
        )
    return found[0], seq
