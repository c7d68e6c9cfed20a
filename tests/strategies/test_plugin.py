"""A strategy of somebody else's: in a distribution of its own, really installed, found by name."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

MODULE = '''
class Longest:
    """The longest text holds."""

    name = "longest"
    version = 2

    def __init__(self, tie="last"):
        self.parameters = {} if tie == "last" else {"tie": tie}

    def resolve(self, candidates):
        return max(reversed(candidates), key=lambda candidate: len(candidate.value)).value


class Longest1(Longest):
    """As it was in version 1: the longest, but never more than five characters."""

    version = 1

    def resolve(self, candidates):
        return super().resolve(candidates)[:5]
'''

PROGRAM = """
import sys
from crdtsync import Document, Replica, field
from crdtsync.strategy import load_strategy

version, folder = int(sys.argv[1]), sys.argv[2]

class Note(Document):
    schema_version = version
    title: str = field(default="", strategy=load_strategy("longest", version))

with Replica(f"{folder}/a.db", user="ann") as ann, Replica(f"{folder}/b.db", user="bob") as bob:
    here, there = ann.document(Note, "note"), bob.document(Note, "note")
    if sys.argv[3] == "write":
        here.title, there.title = "a longer title", "short"
        ann.merge(bob)
    conflict, = here.conflicts()
    assert here.title == there.title
    print(here.title, "|", conflict.strategy, "|", conflict.error)
"""


def build_wheel(folder: Path) -> Path:
    """Write a distribution by hand: nothing has to be downloaded to install it."""
    info = "crdtsync_longest-2.0.dist-info"
    files = {
        "crdtsync_longest.py": MODULE,
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: crdtsync-longest\nVersion: 2.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
        f"{info}/entry_points.txt": "[crdtsync.strategies]\n"
        "longest = crdtsync_longest:Longest\nlongest.1 = crdtsync_longest:Longest1\n",
    }
    record = ""
    for name, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
        record += f"{name},sha256={digest.decode()},{len(text.encode())}\n"
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
    wheel = folder / "crdtsync_longest-2.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return wheel


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the distribution into a folder of its own."""
    folder = tmp_path_factory.mktemp("plugin")
    site = folder / "site"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    wheel = str(build_wheel(folder))
    subprocess.run([*pip, "--no-index", "--no-deps", "--target", str(site), wheel], check=True)
    return site


def run(*command: str, site: Path | None) -> str:
    environment = {**os.environ, "PYTHONPATH": "" if site is None else str(site)}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def program(version: int, folder: Path, step: str, site: Path) -> str:
    return run(sys.executable, "-c", PROGRAM, str(version), str(folder), step, site=site)


def show(folder: Path, site: Path | None) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(
        run("crdtsync", "show", str(folder / "a.db"), "note", "--json", site=site)
    )
    return shown


def test_an_installed_strategy_decides(site: Path, tmp_path: Path) -> None:
    assert program(2, tmp_path, "write", site) == "a longer title | longest | None"
    assert show(tmp_path, site)["view"] == {"title": "a longer title"}
    without = show(tmp_path, None)
    assert without["view"] == {"title": "short"} or without["conflicts"][0]["error"]
    assert "'longest'" in without["conflicts"][0]["error"]


def test_an_older_version_that_is_installed_decides_what_was_written_under_it(
    site: Path, tmp_path: Path
) -> None:
    assert program(1, tmp_path, "write", site) == "a lon | longest | None"
    assert program(2, tmp_path, "read", site) == "a lon | longest | None"


def test_what_is_not_there_is_named(site: Path) -> None:
    code = (
        "from crdtsync.strategy import load_strategy\n"
        "for wanted in [('longest', 3), ('shortest',), ('longest', 2, {'no': 1})]:\n"
        "    try: load_strategy(*wanted)\n"
        "    except Exception as error: print(type(error).__name__, error)\n"
    )
    third, none, odd = run(sys.executable, "-c", code, site=site).splitlines()
    assert third == "SchemaError strategy 'longest' is installed in version 2, not 3"
    assert none.startswith("SchemaError no strategy is installed under the name 'shortest'")
    assert "longest" in none
    assert odd.startswith("SchemaError strategy 'longest' cannot be made with {'no': 1}")
