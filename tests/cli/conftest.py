from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from crdtsync import Replica
from crdtsync.cli import main
from crdtsync.cli.board import Board

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    """Run a command line; an exception that is not an exit is the test's own."""
    runner = CliRunner()

    def invoke(*arguments: object) -> Result:
        result = runner.invoke(
            main, [str(argument) for argument in arguments], prog_name="crdtsync"
        )
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Make Bob's store of a board in which Ann's and Bob's names are in conflict."""
    path = tmp_path / "bob.db"
    with Replica(tmp_path / "ann.db", user="ann") as ann, Replica(path, user="bob") as bob:
        hers, his = ann.document(Board, "party"), bob.document(Board, "party")
        hers.add_task("lanterns", "Buy lanterns", "Ask Zoë 🏮", ["shop"])
        ann.merge(bob)
        hers.name_board("Garden [bold]party")
        his.name_board("Summer party")
        ann.merge(bob)
    return path
