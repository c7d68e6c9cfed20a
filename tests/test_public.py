"""The public face: what `__all__` lists is there, is sorted, and says what it is for."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import crdtsync
import crdtsync.strategies
import crdtsync_strategies


def _names() -> list[str]:
    names = []
    for package in (crdtsync, crdtsync_strategies):
        names.append(package.__name__)
        names += [
            module.name
            for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
            if not module.name.endswith("__main__")
        ]
    return names


MODULES = _names()
SORTED = ["crdtsync", "crdtsync.errors", "crdtsync.strategies"]
WORDS = [
    "crdtsync.errors",
    "crdtsync.limits",
    "crdtsync.codec",
    "crdtsync.clock",
    "crdtsync.vector",
    "crdtsync.identity",
    "crdtsync.log",
    "crdtsync.strategy",
]


def read(name: str) -> tuple[ModuleType, ast.Module, list[str]]:
    module = importlib.import_module(name)
    assert module.__file__ is not None
    source = ast.parse(Path(module.__file__).read_text("utf-8"))
    return module, source, list(getattr(module, "__all__", []))


def defined(source: ast.Module) -> set[str]:
    """Return the names that a module's own statements make."""
    names: set[str] = set()
    for node in source.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {
                part.id
                for target in targets
                for part in ast.walk(target)
                if isinstance(part, ast.Name)
            }
    return names


def imported(source: ast.Module) -> set[str]:
    """Return the names that a module imports from others."""
    return {
        alias.asname or alias.name
        for node in source.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


@pytest.mark.parametrize("name", MODULES)
def test_what_all_lists_is_there_once(name: str) -> None:
    module, _, listed = read(name)
    assert len(set(listed)) == len(listed)
    assert [item for item in listed if not hasattr(module, item)] == []
    if name in SORTED:
        assert listed == sorted(listed)


@pytest.mark.parametrize("name", MODULES)
def test_all_lists_what_the_module_makes_or_a_package_passes_on(name: str) -> None:
    module, source, listed = read(name)
    passes_on = hasattr(module, "__path__") or name == "crdtsync.strategies"
    allowed = defined(source) | (imported(source) if passes_on else set())
    assert set(listed) - allowed == set()


@pytest.mark.parametrize("name", WORDS)
def test_the_lowest_floor_lists_every_class_and_function_it_makes(name: str) -> None:
    _, source, listed = read(name)
    made = {
        node.name
        for node in source.body
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_")
    }
    assert made <= set(listed)


@pytest.mark.parametrize("name", MODULES)
def test_every_module_class_and_function_says_what_it_is_for(name: str) -> None:
    module, _, listed = read(name)
    assert module.__doc__
    for item in listed:
        value = getattr(module, item)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert value.__doc__, f"{name}.{item}"
            assert not value.__doc__.startswith(f"{item}("), f"{name}.{item}: generated docstring"


def test_the_front_door() -> None:
    fixed = {"Counter", "Document", "List", "Record", "Replica", "Set", "Table", "Text"}
    assert fixed | {"action", "field"} <= set(crdtsync.__all__)


def test_the_strategies_front_door_passes_on_all_that_is_bundled() -> None:
    door = crdtsync.strategies
    assert set(crdtsync_strategies.__all__) <= set(door.__all__)
    assert {"Candidate", "Presence", "Removal", "Strategy"} <= set(door.__all__)
    for item in crdtsync_strategies.__all__:
        assert getattr(door, item) is getattr(crdtsync_strategies, item)


def test_importing_the_package_brings_no_server_no_faces_and_no_event_loop() -> None:
    code = (
        "import sys, crdtsync\n"
        "heavy = {'trio', 'rich', 'click', 'crdtsync.server', 'crdtsync.transport'}\n"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
