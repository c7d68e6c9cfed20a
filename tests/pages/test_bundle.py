"""What the wheel holds of others' JavaScript is what its lock file says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

import crdtsync.server.web

_WEB = Path(crdtsync.server.web.__file__).parent


def test_it_is_built_anew_byte_for_byte(tmp_path: Path) -> None:
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("Node is not installed")
    shutil.copytree(_WEB / "bundle", tmp_path / "bundle")
    for command in ["npm", "ci", "--no-audit", "--no-fund"], ["node", "build.mjs", "out"]:
        subprocess.run(
            command,
            cwd=tmp_path / "bundle",
            check=True,
            capture_output=True,
            timeout=280,
            env=os.environ,
        )
    for name in "yjs.js", "yjs.LICENSES.txt":
        built = (tmp_path / "bundle" / "out" / name).read_bytes()
        assert built == (_WEB / "static" / name).read_bytes()


def test_the_lock_file_names_no_registry() -> None:
    packages = json.loads((_WEB / "bundle" / "package-lock.json").read_text("utf-8"))["packages"]
    assert all("resolved" not in package for package in packages.values())
    assert all("integrity" in package for name, package in packages.items() if name)
