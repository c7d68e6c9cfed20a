"""The pytest plugin: fixtures where crdtsync is installed, at no cost before a test asks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crdtsync import Document
from crdtsync.strategies import LastWriterWins


class Light(Document):
    on: bool = False


def test_it_imports_nothing_before_a_test_asks() -> None:
    code = (
        "import sys, _crdtsync_pytest\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}"
        " & {'crdtsync', 'hypothesis', 'pycrdt'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_its_fixtures_are_there(
    check_strategy: object, check_convergence: object, fleet: object
) -> None:
    assert all(map(callable, (check_strategy, check_convergence, fleet)))


def test_a_strategy_is_checked(check_strategy: Callable[..., Any]) -> None:
    assert "resolve" in check_strategy(LastWriterWins(), max_examples=5).asked


def test_a_document_is_checked(check_convergence: Callable[..., None]) -> None:
    check_convergence(Light, max_examples=5, max_steps=5)


def test_replicas_are_made_and_let_go(fleet: Callable[..., Any]) -> None:
    pair, other = fleet(Light, replicas=2), fleet(Light)
    pair[0].on = True
    pair.merge(0, 1)
    assert pair[1].on
    assert not other[1].on
    assert len(other) == 3


def test_a_failure_reads_well(tmp_path: Path) -> None:
    file = tmp_path / "test_app.py"
    file.write_text(
        "from crdtsync.strategies import resolver\n"
        "from hypothesis import strategies as st\n"
        "@resolver(version=1)\n"
        "def newest(found):\n"
        "    return list({c.value for c in found})[0]\n"
        "def test_newest(check_strategy):\n"
        "    check_strategy(newest, st.text('abcdef', min_size=1))\n",
        "utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(file)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "strategy 'newest' breaks the law 'everywhere'" in done.stdout
    assert "strategy.resolve((" in done.stdout
    assert "hypothesis/core.py" not in done.stdout
