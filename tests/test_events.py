"""The list of events: it is all that can be logged, it is used as it says, and the docs hold it."""

from __future__ import annotations

import ast
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

import crdtsync
from crdtsync import events, telemetry
from crdtsync.events import CONNECTION, EVENTS, Event
from crdtsync.transport.status import ConnectionState

ROOT = Path(__file__).parents[1]
PACKAGE = Path(crdtsync.__file__).parent
DOCUMENTED = (ROOT / "docs" / "observability.md").read_text("utf-8")
SETS_LOGGING_UP = {"cli/output.py", "cli/serve.py"}
NAMED = {value.name: name for name, value in vars(events).items() if isinstance(value, Event)}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if name != "events.py":
            yield name, ast.parse(path.read_text("utf-8"))


def calls() -> Iterator[tuple[str, str, set[str | None]]]:
    """Yield (module, event's name in `crdtsync.events`, keywords) of all that is logged."""
    for module, tree in modules():
        for node in ast.walk(tree):
            match node:
                case ast.Call(
                    func=ast.Attribute(
                        value=ast.Attribute(value=ast.Name(id="events"), attr=name), attr="log"
                    )
                ):
                    yield module, name, {keyword.arg for keyword in node.keywords}
                case ast.Call(
                    func=ast.Attribute(
                        value=ast.Subscript(
                            value=ast.Attribute(value=ast.Name(id="events"), attr="CONNECTION")
                        ),
                        attr="log",
                    )
                ):
                    yield module, "CONNECTION", {keyword.arg for keyword in node.keywords}


def sentence(event: Event) -> str:
    return re.sub(r"%\((\w+)\)\S*[rsdf]", r"*\1*", event.message).strip()


def event_rows() -> list[str]:
    return [
        f"| `{event.name}` | `{event.logger}` | {logging.getLevelName(event.level).lower()} | "
        f"{', '.join(event.fields)} | {sentence(event)} |"
        for event in EVENTS
    ]


def metric_rows() -> list[str]:
    return [
        f"| `{one.name}` | {one.sort} | {one.unit} | {one.attribute} | {one.description} |"
        for one in telemetry.METRICS
    ]


def documented(first: str) -> list[str]:
    """Return the rows of a table in the docs whose head begins so."""
    _, table = DOCUMENTED.split(f"| {first} |", 1)
    lines = table.split("\n\n", 1)[0].splitlines()
    return lines[2:]


def test_nobody_else_uses_logging() -> None:
    found = {
        module
        for module, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Import) and any(one.name == "logging" for one in node.names)
    }
    assert found == SETS_LOGGING_UP


def test_each_event_is_logged_somewhere_with_all_its_fields() -> None:
    fields = {name: set(getattr(events, name).fields) for name in NAMED.values()}
    fields["CONNECTION"] = set(CONNECTION["online"].fields)
    seen = set()
    for module, name, keywords in calls():
        assert keywords == fields[name], f"{module}: {name}"
        seen.add(name)
    assert seen == set(fields)


def test_every_kind_of_connection_event_is_there() -> None:
    kinds: set[str] = set(get_args(ConnectionState))
    for _, tree in modules():
        for node in ast.walk(tree):
            match node:
                case ast.Call(
                    func=ast.Name(id="ConnectionEvent"), args=[ast.Constant(value=str(kind)), *_]
                ):
                    kinds.add(kind)
    assert set(CONNECTION) == kinds | {"activated", "downgraded", "retired"}


def test_names_are_told_apart() -> None:
    assert len({event.name for event in EVENTS}) == len(EVENTS)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.name)
def test_a_record_has_the_fields_and_says_the_sentence(
    event: Event, caplog: pytest.LogCaptureFixture
) -> None:
    used = set(re.findall(r"%\((\w+)\)", event.message))
    assert used <= set(event.fields)
    numbers = set(re.findall(r"%\((\w+)\)\.?\d*[df]", event.message))
    fields = {name: 7 if name in numbers else f"<{name}>" for name in event.fields}
    caplog.set_level(logging.DEBUG)
    event.log(**fields)
    (record,) = caplog.records
    assert (record.name, record.levelno) == (event.logger, event.level)
    assert vars(record)["event"] == event.name
    assert {name: vars(record)[name] for name in fields} == fields
    assert all(str(fields[name]) in record.getMessage() for name in used)
    assert record.filename == Path(__file__).name, "a record tells where it comes from"


def test_what_is_not_wanted_costs_no_record(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "crdtsync.server")
    events.CLIENT_DOWNGRADED.log(connection="1", reason="")
    assert caplog.records == []


def test_the_docs_list_the_events() -> None:
    assert documented("event") == event_rows()


def test_the_docs_list_the_metrics() -> None:
    assert documented("metric") == metric_rows()
