"""The watch: sees what a strategy looks at besides what it was asked.

A strategy that reads the clock, draws at random or looks at its surroundings answers differently
on another device. Such reading ends in a function of the interpreter's own, so it is seen by the
interpreter's profiler, whatever name it was imported under.
"""

from __future__ import annotations

import gc
import os
import random
import sys
from collections.abc import Callable
from types import BuiltinFunctionType, FrameType
from typing import Any, TypeVar

__all__ = ["peeks"]

T = TypeVar("T")

_CLOCK = "the clock"
_CHANCE = "chance"
_SURROUNDINGS = "its surroundings"

_MODULES = {
    "time": _CLOCK,
    "_random": _CHANCE,
    "posix": _SURROUNDINGS,
    "nt": _SURROUNDINGS,
    "_socket": _SURROUNDINGS,
    "io": _SURROUNDINGS,
    "_io": _SURROUNDINGS,
    "_locale": _SURROUNDINGS,
}
_HARMLESS = frozenset({"fspath", "struct_time", "gmtime", "strptime", "sleep", "text_encoding"})
_NOW = frozenset({"now", "utcnow", "today"})
_CHANCE_OF_ALL = random.random.__self__  # type: ignore[attr-defined]  # behind random.choice & co.
_ENVIRONMENT = type(os.environ).__getitem__.__code__
# They look about for their own sake, not for the answer's.
_INNOCENT = frozenset({"logging", "warnings", "linecache", "tokenize", "traceback", "importlib"})


def peeks(call: Callable[[], T]) -> tuple[T, str | None]:
    """Call a function and say what it looked at that it must not, None if nothing.

    Where something else profiles already, nothing is seen.

    >>> import time
    >>> peeks(lambda: time.time() and 1)
    (1, 'it looked at the clock: time.time()')
    >>> peeks(lambda: max(1, 2))
    (2, None)
    """
    seen: list[str] = []

    def follow(frame: FrameType, event: str, what: Any) -> None:
        if seen:
            return
        if event == "c_call":
            looked = _looked_at(what)
        elif event == "call" and frame.f_code is _ENVIRONMENT:
            looked = f"{_SURROUNDINGS}: os.environ"
        else:
            return
        if looked is not None and not _is_innocent(frame):
            seen.append(f"it looked at {looked}")

    if sys.getprofile() is not None:
        return call(), None
    collects = gc.isenabled()
    gc.disable()  # what others do when garbage is collected is not the strategy's doing
    sys.setprofile(follow)
    try:
        answer = call()
    finally:
        sys.setprofile(None)
        if collects:
            gc.enable()
    return answer, seen[0] if seen else None


def _looked_at(what: Any) -> str | None:
    """Say what a function of the interpreter's own looks at that it must not."""
    name = getattr(what, "__name__", "")
    owner = getattr(what, "__self__", None)
    if name in _NOW and isinstance(owner, type):
        return f"{_CLOCK}: {owner.__name__}.{name}()"
    if owner is _CHANCE_OF_ALL:
        return f"{_CHANCE}: the random module"
    if name in _HARMLESS or not isinstance(what, BuiltinFunctionType):
        return None
    module = getattr(what, "__module__", None) or ""
    looked = _MODULES.get(module)
    if looked is None:
        return None
    if name == "urandom":
        return f"{_CHANCE}: os.urandom()"
    return f"{looked}: {module}.{name}()"


def _is_innocent(frame: FrameType | None) -> bool:
    while frame is not None and frame.f_code is not peeks.__code__:
        module = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if module in _INNOCENT:
            return True
        frame = frame.f_back
    return False
