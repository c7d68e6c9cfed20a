"""The same strategy in other processes, as other devices run it.

They have other hash seeds, time zones, folders and environments, and another past: they were asked
other questions before. All that differs between two devices, and none of it may show in an answer.
A process that does not answer in time is killed, so a strategy that never ends is found out
wherever it hangs.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from crdtsync.codec import DEPTH_MAX, decode, encode
from crdtsync.document.guard import StrategyError, bounded
from crdtsync.testing.question import Question, unpack
from crdtsync.testing.travel import pack_object, unpack_object

__all__ = ["Answer", "Process", "answer", "main", "processes"]

_SURROUNDINGS = (
    {"PYTHONHASHSEED": "1", "TZ": "Asia/Kathmandu", "LC_ALL": "C", "LANG": "C"},
    {"PYTHONHASHSEED": "2", "TZ": "Pacific/Honolulu", "HOME": tempfile.gettempdir()},
)
_MAIN = "from crdtsync.testing.elsewhere import main; main()"
_LENGTH_BYTES = 4


class Answer(NamedTuple):
    """What came of a question.

    Attributes:
        value: the answer, encoded; None if there is none that counts.
        failure: why there is none.
    """

    value: bytes | None
    failure: str | None

    def __str__(self) -> str:
        if self.value is None:
            return f"no answer: {self.failure}"
        return f"the answer {decode(self.value, depth_max=DEPTH_MAX + 2)!r}"


def answer(strategy: Any, question: Question) -> Answer:
    """Ask a strategy, and look whether what it says can be an answer at all."""
    try:
        value = bounded(question.ask, strategy)
    except StrategyError as error:
        return Answer(None, str(error))
    problem = question.unsound(value)
    if problem is not None:
        return Answer(None, f"it returned {value!r}; {problem}")
    return Answer(encode(value), None)


class Process:
    """A process in which a strategy is asked.

    Args:
        where: what is different there, in words.
        reader: where its answers come from.
        writer: where its questions go.
        kill: ends it.
        timeout_s: how long it may take for an answer.

    Attributes:
        where: as above.
        is_lost: it died, or had to be killed.
    """

    def __init__(
        self,
        where: str,
        reader: IO[bytes],
        writer: IO[bytes],
        kill: Callable[[], object],
        timeout_s: float,
    ) -> None:
        self.where = where
        self.is_lost = False
        self._reader = reader
        self._writer = writer
        self._kill = kill
        self._timeout_s = timeout_s

    def ask(self, data: bytes) -> Answer:
        """Send a packed question and wait for the answer."""
        late = threading.Event()

        def give_up() -> None:
            late.set()
            self._kill()

        timer = threading.Timer(self._timeout_s, give_up)
        timer.start()
        try:
            _send(self._writer, data)
            return Answer(*decode(_receive(self._reader)))
        except (EOFError, OSError):
            self.is_lost = True
            took = f"it did not end within {self._timeout_s:g} s"
            return Answer(None, took if late.is_set() else "it ended the process")
        finally:
            timer.cancel()
            timer.join()

    def close(self) -> None:
        """End it."""
        with contextlib.suppress(OSError):
            self._writer.close()
        self._kill()
        self._reader.close()


@contextlib.contextmanager
def processes(strategy: Any, timeout_s: float) -> Iterator[list[Process]]:
    """Start what processes there can be for a strategy: fresh interpreters, or else a fork.

    Nobody has asked the strategy anything there.

    Args:
        strategy: what they ask.
        timeout_s: how long each may take for an answer.
    """
    with contextlib.ExitStack() as stack:
        yield _fresh(strategy, timeout_s, stack) or _forked(strategy, timeout_s, stack)


def _fresh(strategy: Any, timeout_s: float, stack: contextlib.ExitStack) -> list[Process]:
    """Start fresh interpreters; none if the strategy does not get there."""
    try:
        data = pack_object(strategy)
    except Exception:  # whatever pickle meets in an object of the app's
        return []
    started = [_start(surroundings, timeout_s) for surroundings in _SURROUNDINGS]
    for process in started:
        stack.callback(process.close)
    ready = [process.ask(data) for process in started]
    return [] if any(answer.failure for answer in ready) else started


def _start(surroundings: dict[str, str], timeout_s: float) -> Process:
    path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
    process = subprocess.Popen(  # noqa: S603 - this interpreter
        [sys.executable, "-c", _MAIN],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=tempfile.gettempdir(),
        env=os.environ | {"PYTHONPATH": path} | surroundings,
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def kill() -> None:
        process.kill()
        process.wait()

    told = ", ".join(f"{name}={value}" for name, value in surroundings.items())
    return Process(f"a process with {told}", process.stdout, process.stdin, kill, timeout_s)


def _forked(strategy: Any, timeout_s: float, stack: contextlib.ExitStack) -> list[Process]:
    """Start a process that is a copy of this one; none where that cannot be done."""
    if not hasattr(os, "fork"):
        return []
    questions, to_questions = os.pipe()
    from_answers, answers = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads: the child needs none
        child = os.fork()
    if child == 0:
        try:
            os.close(to_questions)
            os.close(from_answers)
            serve(strategy, os.fdopen(questions, "rb"), os.fdopen(answers, "wb"))
        finally:
            os._exit(0)
    os.close(questions)
    os.close(answers)
    gone = threading.Event()

    def kill() -> None:
        if not gone.is_set():
            gone.set()
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)

    files = os.fdopen(from_answers, "rb"), os.fdopen(to_questions, "wb")
    process = Process("a process of its own", *files, kill, timeout_s)
    stack.callback(process.close)
    return [process]


def serve(strategy: Any, questions: IO[bytes], answers: IO[bytes]) -> None:
    """Answer questions until there are no more, each after a decoy."""
    with contextlib.suppress(EOFError):
        while True:
            question = unpack(_receive(questions))
            answer(strategy, question.decoy())
            _send(answers, encode(list(answer(strategy, question))))


def main() -> None:
    """Be the other process: take a strategy from the standard input, then questions about it."""
    questions, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)  # what a strategy prints must not get among the answers
    try:
        strategy = unpack_object(_receive(questions))
    except Exception as error:
        _send(answers, encode([None, f"{type(error).__name__}: {error}"]))
        return
    _send(answers, encode([None, None]))
    serve(strategy, questions, answers)


def _send(file: IO[bytes], data: bytes) -> None:
    file.write(len(data).to_bytes(_LENGTH_BYTES, "big") + data)
    file.flush()


def _receive(file: IO[bytes]) -> bytes:
    return _exactly(file, int.from_bytes(_exactly(file, _LENGTH_BYTES), "big"))


def _exactly(file: IO[bytes], size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise EOFError
    return data
