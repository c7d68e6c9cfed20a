"""Stock Yjs clients under Node, and a server with all its doors for them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

_HERE = Path(__file__).parent
_FIELDS = _HERE.parents[1] / "crdtsync/server/web/static/crdtsync-fields.js"
_PROVIDER = "@hocuspocus/provider"


class Peer:
    """Node with stock Yjs clients, which does what it is told in JavaScript."""

    def __init__(self, process: Process) -> None:
        assert process.stdout is not None
        self._process = process
        self._answers = BufferedByteReceiveStream(process.stdout)

    async def run(self, code: str, **values: Any) -> Any:
        """Run the body of an async function; return what it returns.

        Args:
            code: in JavaScript. `kept` holds what is to be found again later.
            values: constants for it.
        """
        constants = "".join(f"const {name} = {json.dumps(v)};\n" for name, v in values.items())
        assert self._process.stdin is not None
        await self._process.stdin.send(json.dumps(constants + code).encode() + b"\n")
        with anyio.fail_after(60):
            answer = json.loads(await self._answers.receive_until(b"\n", 64 * 1024 * 1024))
        assert "error" not in answer, answer["error"]
        return answer["value"]


@pytest.fixture(scope="session")
def node_folder() -> Path:
    """Return a folder with the clients installed; skip where there is no Node."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("Node and its npm are not installed")
    package = (_HERE / "package.json").read_bytes()
    name = hashlib.sha256(package).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"crdtsync-yjs-{os.getuid()}-{name}"
    if not (folder / "installed").exists():
        folder.mkdir(exist_ok=True)
        shutil.copy(_HERE / "package.json", folder)
        subprocess.run(
            [npm, "install", "--no-audit", "--no-fund", "--no-package-lock"],
            cwd=folder,
            check=True,
            capture_output=True,
            timeout=280,
        )
        (folder / "installed").touch()
    for script in *_HERE.glob("*.mjs"), _FIELDS:
        shutil.copy(script, folder)
    return folder


@pytest.fixture(scope="session")
def node(node_folder: Path) -> str:
    """Return the Node that the packages have brought, new enough for all of them."""
    return str(node_folder / "node_modules" / ".bin" / "node")


@pytest.fixture
def provider() -> str:
    """Return the package that has the Hocuspocus provider."""
    return _PROVIDER


@pytest.fixture
async def peer(node: str, node_folder: Path, provider: str) -> AsyncIterator[Peer]:
    """Start Node."""
    async with running_peer(node, node_folder, provider) as started:
        yield started


@asynccontextmanager
async def running_peer(node: str, folder: Path, provider: str) -> AsyncIterator[Peer]:
    """Start Node, and end it."""
    command = [node, "peer.mjs", provider]
    process = await anyio.open_process(command, cwd=folder, stderr=sys.stderr)
    try:
        yield Peer(process)
    finally:
        process.kill()
        with anyio.CancelScope(shield=True):
            await process.aclose()
