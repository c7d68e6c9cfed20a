"""What can get into another process, by name and by value."""

from __future__ import annotations

import base64
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from crdtsync.strategies import LastWriterWins
from crdtsync.testing.travel import pack_object, unpack_object
from tests.testing import wrong

ROOT = Path(__file__).parents[2]
LIMIT = 7


def elsewhere(item: Any, expression: str) -> str:
    """Return what an expression of `item` is in a fresh interpreter."""
    code = (
        "import base64, sys; from crdtsync.testing.travel import unpack_object\n"
        "item = unpack_object(base64.b64decode(sys.argv[1]))\n"
        f"print({expression})"
    )
    data = base64.b64encode(pack_object(item)).decode()
    done = subprocess.run(
        [sys.executable, "-c", code, data],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=True,
    )
    return done.stdout.strip()


def test_what_is_found_by_name_goes_by_name() -> None:
    assert elsewhere(LastWriterWins(), "type(item).__name__") == "LastWriterWins"
    assert elsewhere(wrong.Limit(3), "item.at") == "3"


def test_a_function_that_its_decorator_hides_goes_by_value() -> None:
    assert elsewhere(wrong.iterates_a_set, "item.name, item.version") == "iterates_a_set 1"


def test_a_function_goes_with_what_it_uses() -> None:
    step = 2

    def inner(n: int, *, by: int = 10) -> int:
        return max(n * step + by, LIMIT) if n else outer(1)

    def outer(n: int) -> int:
        return inner(n) + int(os.path.sep == "/" or os.path.sep != "/")

    assert elsewhere(outer, "item(0), item(3)") == f"{inner(1) + 2} {outer(3)}"


def test_a_class_that_was_made_in_a_function_does_not_go() -> None:
    class Local:
        pass

    with pytest.raises(Exception, match="Local"):
        pack_object(Local())


def test_a_class_of_a_script_does_not_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wrong.Limit, "__module__", "__main__")
    with pytest.raises(pickle.PicklingError, match="cannot be imported from a script"):
        pack_object(wrong.Limit())


def test_a_module_that_no_path_leads_to_is_found_by_its_file(tmp_path: Path) -> None:
    file = tmp_path / "hidden_strategies.py"
    file.write_text("class Hidden:\n    answer = 42\n", "utf-8")
    data = pickle.dumps(({"hidden_strategies": str(file)}, b"chidden_strategies\nHidden\n."))
    try:
        assert unpack_object(data).answer == 42
    finally:
        sys.modules.pop("hidden_strategies", None)
