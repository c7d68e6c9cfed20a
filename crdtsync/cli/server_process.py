"""A real `crdtsync serve`, in a process of its own, for the demo and the replay of recordings."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import TracebackType

from crdtsync.errors import TransportError

__all__ = ["ServerProcess", "local_url"]

START_TIMEOUT_S = 30
STOP_TIMEOUT_S = 30

_SOCKET_PATH_LENGTH_MAX = 100
"""A Unix socket's path has 108 bytes on Linux, 104 on macOS; some go to the closing zero."""


def local_url(folder: Path) -> str:
    """Return an address to listen on: a Unix socket in the folder, or TCP where there are none."""
    path = folder / "server.sock"
    if sys.platform == "win32" or len(str(path).encode()) > _SOCKET_PATH_LENGTH_MAX:
        return "tcp://127.0.0.1:0"
    return f"unix://{path}"


class ServerProcess:
    """Starts, kills and stops a server. Its data stays in the file, its address stays the same.

    Args:
        data: the server's file.
        listen: the address; `url` is the one that the server says it got.
    """

    def __init__(self, data: Path, listen: str) -> None:
        self.url = listen
        self._data = data
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> ServerProcess:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.stop()
        else:
            self.kill()

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the process and wait until it listens.

        Raises:
            TransportError: it ended instead; says what it said.
        """
        command = [sys.executable, "-m", "crdtsync.cli", "serve"]
        command += ["--listen", self.url, "--data", str(self._data)]
        with tempfile.TemporaryFile("w+") as said:
            process = subprocess.Popen(  # noqa: S603 - this very program
                command, stdout=subprocess.PIPE, stderr=said, text=True
            )
            assert process.stdout is not None
            deadline = threading.Timer(START_TIMEOUT_S, process.kill)
            deadline.start()
            line = process.stdout.readline().strip()
            deadline.cancel()
            if not line:
                process.stdout.close()
                code = process.wait()
                said.seek(0)
                reason = said.read().strip() or "it said nothing"
                raise TransportError(f"the server ended at once (exit code {code}): {reason}")
        self.url = line
        self._process = process

    def kill(self) -> None:
        """End the process as a power cut would: `kill -9`."""
        if self._process is not None:
            self._process.kill()
            self._finish()

    def stop(self) -> None:
        """Ask the process to end, and see that it does so cleanly.

        Raises:
            TransportError: it did not.
        """
        if self._process is None:
            return
        self._process.terminate()
        code = self._finish()
        if code != 0 and sys.platform != "win32":
            raise TransportError(f"the server ended with exit code {code} when asked to stop")

    def _finish(self) -> int:
        assert self._process is not None
        process, self._process = self._process, None
        with process:  # closes its pipe, and waits
            try:
                return process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                return process.wait()
