"""Displays: each kind of object that a notebook shows, as one card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import singledispatch
from typing import Any

from crdtsync.document import (
    Change,
    Conflict,
    Counter,
    Document,
    List,
    Log,
    Map,
    PastAction,
    Record,
    RichText,
    Set,
    Table,
    Text,
)
from crdtsync.log import Entry
from crdtsync.notebook.markup import Markup, join, tag
from crdtsync.notebook.theme import STYLE, lane
from crdtsync.notebook.values import ROWS_MAX, chips, clock_time, cut, table, value_html
from crdtsync.replica import Replica

__all__ = ["html_of", "replica_html", "replica_places", "show", "tabulate"]


def show(value: Any) -> Markup:
    """Return anything of crdtsync's as a display: also lists of conflicts, and state vectors.

    >>> from crdtsync import Replica
    >>> "no conflicts" in show([])
    True
    """
    return html_of(value)


def tabulate(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Markup:
    """Return rows as a display.

    Args:
        columns: their headings.
        rows: of values, the first of which names the row; text and markup are shown as they are.

    >>> "3 ms" in tabulate(("until", "median"), [("shown", "3 ms")])
    True
    """
    return _card(table(columns, rows, len(rows)))


@singledispatch
def html_of(value: Any) -> Markup:
    """Return an object as a display."""
    return _card(value_html(value))


def _card(*parts: object) -> Markup:
    return tag("div", STYLE, *parts, class_="crdtsync")


def _title(kind: str, name: object = "", note: str = "") -> Markup:
    said: list[object] = [tag("span", kind, class_="dim")]
    if name:
        said.append(tag("span", name, class_="title"))
    if note:
        said.append(tag("span", note, class_="dim"))
    return tag("div", join(said, " "))


def _counted(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def replica_html(replica: int, user: str | None, place: int | None = None) -> Markup:
    """Return who a replica is: its user, the end of its id, and its colour if it has a place."""
    name = join([user or "?", " ", tag("code", f"{replica & 0xFFFF:04x}", title=f"{replica:x}")])
    if place is None:
        return name
    return join([tag("span", "● ", style=f"color:{lane(place)}", aria_hidden="true"), name])


# Documents and what is in them.


@html_of.register
def _document(document: Document) -> Markup:
    held = f"{_counted(len(document.log), 'entry', 'entries')}, "
    held += _counted(len(document.state_vector), "replica")
    conflicts = document.conflicts()
    parts = [_title(type(document).__name__, document.document_name, held), _fields(document)]
    if conflicts:
        parts.append(_conflicts_table(conflicts))
    return _card(*parts)


@html_of.register
def _record(record: Record) -> Markup:
    return _card(_title(type(record).__name__, record.key), _fields(record))


@html_of.register
def _table(records: Table) -> Markup:  # type: ignore[type-arg]
    note = _counted(len(records), "record")
    return _card(_title("table", records._node.path, note), _records(records))


@html_of.register(Text)
@html_of.register(RichText)
@html_of.register(List)
@html_of.register(Map)
@html_of.register(Set)
@html_of.register(Counter)
def _handle(handle: Any) -> Markup:
    return _card(_title(type(handle).__name__, handle._node.path), _cell(handle))


def _fields(owner: Document | Record) -> Markup:
    """Return the fields of a record, or of a document, as rows of a table."""
    fields = owner._node.schema.fields
    if not fields:
        values = owner.to_dict()
        rows = ((name, value_html(value)) for name, value in values.items())
        return table(("field", "value"), rows, len(values))
    rows = ((name, _cell(getattr(owner, name))) for name in fields)
    return table(("field", "value"), rows, len(fields))


def _records(records: Any) -> Markup:
    """Return a table's records as rows."""
    names = list(records._node.schema.fields)
    rows = (
        (tag("code", record.key), *(_cell(getattr(record, name)) for name in names))
        for record in records.values()
    )
    return table(("key", *names), rows, len(records))


def _cell(value: Any) -> Markup:
    """Return what stands in a field."""
    if isinstance(value, Table):
        return _records(value) if len(value) else tag("span", "no records", class_="dim")
    if isinstance(value, Set | List):
        return chips(value)
    if isinstance(value, Map):
        rows = ((key, value_html(held)) for key, held in value.items())
        return table(("key", "value"), rows, len(value)) if value else chips(value)
    if isinstance(value, Counter):
        return join([f"{int(value):,}"])
    if isinstance(value, Text | RichText):
        return value_html(str(value))
    return value_html(value)


# Logs.


@html_of.register
def _log(log: Log) -> Markup:
    """Show the newest entries, the newest first."""
    count = len(log)
    places = replica_places(log)
    rows = (
        (
            f"{action.entry.seq:,}",
            replica_html(
                action.entry.replica,
                log.user_of(action.entry.replica),
                places[action.entry.replica],
            ),
            clock_time(action.entry.when),
            action.name,
            _arguments(action),
        )
        for action in reversed(log.newest(ROWS_MAX))
    )
    columns = ("number", "who", "when (UTC)", "action", "with")
    title = _title("log of", log.document, _counted(count, "entry", "entries"))
    return _card(title, table(columns, rows, count))


def replica_places(log: Log) -> dict[int, int]:
    """Return each replica's place among all that have written: its colour, everywhere.

    In a document of the past those count that wrote later.
    """
    known = sorted({*log.state_vector, *log._journal.users})
    return {replica: place for place, replica in enumerate(known)}


def _arguments(action: PastAction) -> Markup:
    if action.entry.refusal is not None:
        return tag("span", f"refused: {cut(action.entry.refusal)}", class_="bad")
    said = (
        join([tag("span", f"{name} ", class_="dim"), value_html(value)])
        for name, value in action.arguments.items()
    )
    return join(said, ", ")


@html_of.register
def _entry(entry: Entry) -> Markup:
    size = f"{len(entry.data):,} bytes"
    rows = [
        ("document", entry.document),
        ("replica", tag("code", f"{entry.replica:x}")),
        ("number", f"{entry.seq:,}"),
        ("when (UTC)", clock_time(entry.when)),
        ("arguments", value_html(entry.arguments)),
        ("hash", tag("code", entry.hash.hex())),
        ("sealed", "yes" if entry.seal else "no"),
    ]
    if entry.refusal is not None:
        rows.append(("refused", tag("span", cut(entry.refusal), class_="bad")))
    return _card(_title("entry", entry.name, size), table(("", ""), rows, len(rows)))


@html_of.register
def _past_action(action: PastAction) -> Markup:
    return _entry(action.entry)


@html_of.register
def _change(change: Change) -> Markup:
    paths = [" / ".join(path) for path in change.paths]
    return _card(_title(f"{change.origin} change", change.document), chips(paths))


# Conflicts.


@html_of.register(list)
def _conflicts(values: list[Any]) -> Markup:
    if not values:
        return _card(tag("span", "no conflicts", class_="dim"))
    if all(isinstance(value, Conflict) for value in values):
        note = _counted(len(values), "field")
        return _card(_title("in conflict", "", note), _conflicts_table(values))
    return _card(chips(values))


@html_of.register
def _conflict(conflict: Conflict) -> Markup:
    return _card(_conflicts_table([conflict]))


def _conflicts_table(conflicts: list[Conflict]) -> Markup:
    rows = (
        (" / ".join(conflict.path), _candidates(conflict), _reason(conflict))
        for conflict in conflicts
    )
    return table(("in conflict", "who wrote what", "why"), rows, len(conflicts))


def _candidates(conflict: Conflict) -> Markup:
    lines = []
    for found in conflict.candidates:
        chosen = found.value == conflict.chosen
        mark = "→ " if chosen else "  "
        who = replica_html(found.replica, found.user)
        line = join([mark, value_html(found.value), " by ", who, " at ", clock_time(found.time)])
        lines.append(tag("span", line, class_="chosen" if chosen else None))
    return join(lines, tag("br"))


def _reason(conflict: Conflict) -> Markup:
    said: list[object] = [tag("code", conflict.strategy), " ", conflict.reason]
    if conflict.error is not None:
        said += [tag("br"), tag("span", conflict.error, class_="bad")]
    return join(said)


# Replicas and vectors.


@html_of.register(Mapping)
def _vector(vector: Mapping[int, int]) -> Markup:
    """Show a state vector: anything that maps whole numbers to whole numbers."""
    if not all(type(item) is int for pair in vector.items() for item in pair):
        return _card(value_html(dict(vector)))
    rows = (
        (tag("code", f"{replica:x}"), f"{seq:,}")
        for replica, seq in sorted(vector.items(), key=lambda pair: -pair[1])
    )
    note = _counted(sum(vector.values()), "entry", "entries")
    return _card(
        _title("state vector", "", note), table(("replica", "held up to"), rows, len(vector))
    )


@html_of.register
def _replica(replica: Replica) -> Markup:
    names = replica.names()
    rows = []
    for name in names[: ROWS_MAX + 1]:
        ledger = replica.ledger(name)
        own = ledger.next_seq - 1
        rows.append(
            (name, f"{ledger.count:,}", f"{len(ledger.heads):,}", f"{own - ledger.acknowledged:,}")
        )
    columns = ("document", "entries", "replicas", "not at the server yet")
    title = _title("replica of", replica.user or "nobody", f"{replica.id:x}")
    return _card(title, table(columns, rows, len(names)))
