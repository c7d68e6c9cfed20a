from __future__ import annotations

import datetime as dt
import decimal
import doctest
import json
import uuid

import click
import pytest
from click.testing import CliRunner

from crdtsync.cli import output
from crdtsync.cli.output import CommandGroup, StageBars, clock_time, plain, replica_name
from crdtsync.clock import pack
from crdtsync.errors import StorageError, TransportError


def failing(error: BaseException) -> click.Group:
    group = CommandGroup()

    @group.command()
    def fail() -> None:
        raise error

    return group


class TestErrors:
    def test_one_line_and_an_exit_code(self):
        error = StorageError("the disk is full;\nnothing was changed", path="a.db")
        result = CliRunner().invoke(failing(error), ["fail"])
        assert result.exit_code == 3
        assert result.stderr == "crdtsync: a.db: the disk is full; nothing was changed\n"

    def test_those_of_a_task_group_too(self):
        inner = ExceptionGroup("tasks", [TransportError("cut"), TransportError("cut")])
        error = ExceptionGroup("tasks", [inner, StorageError("gone", path="a.db")])
        result = CliRunner().invoke(failing(error), ["fail"])
        assert result.exit_code == 3
        assert result.stderr == "crdtsync: cut\ncrdtsync: a.db: gone\n"

    def test_our_own_bugs_are_not_hidden(self):
        error = ExceptionGroup("tasks", [TransportError("cut"), ZeroDivisionError()])
        result = CliRunner().invoke(failing(error), ["fail"])
        assert isinstance(result.exception, ExceptionGroup)


class TestPlain:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ({"a": [1, 2.5, None, True, "é"]}, {"a": [1, 2.5, None, True, "é"]}),
            (("a", b"\xff"), ["a", "ff"]),
            (dt.datetime(2026, 6, 5, tzinfo=dt.UTC), "2026-06-05T00:00:00+00:00"),
            (dt.date(2026, 6, 5), "2026-06-05"),
            (decimal.Decimal("1.10"), "1.10"),
            (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
            (float("nan"), "nan"),
            (float("inf"), "inf"),
            (2**70, 2**70),
        ],
    )
    def test_everything_a_document_holds(self, value, expected):
        assert plain(value) == expected
        assert json.loads(json.dumps(plain(value))) == expected


def test_examples():
    assert doctest.testmod(output).failed == 0


def test_names_and_times_have_one_width():
    assert len(replica_name(1)) == len(replica_name(2**53 - 1)) == 14
    assert len(clock_time(pack(0))) == len(clock_time(pack(1_800_000_000_123))) == 12


def test_progress_is_silent_without_a_terminal(capsys):
    with StageBars() as progress:
        progress("work", 1, 2)
        progress("work", 2, 2)
    assert capsys.readouterr() == ("", "")


def test_help_names_every_command(run):
    result = run("--help")
    assert result.exit_code == 0
    for command in ("demo", "serve", "show", "log", "verify"):
        [line] = [line for line in result.output.splitlines() if line.startswith(f"  {command} ")]
        assert not line.endswith("...")
    assert run("--version").output.startswith("crdtsync, version ")
