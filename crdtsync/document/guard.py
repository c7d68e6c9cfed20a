"""The guard: asks an app's strategy, and lets nothing that it does wrong reach the document.

A strategy that raises, never ends, changes what it was given, or returns what the field cannot hold
has failed; its caller then takes the last write. Whether it failed must be the same on every
replica. So what takes too long is measured in steps of the interpreter, never in seconds.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, ParamSpec, TypeVar

from crdtsync.codec import check_value, copy_value, encode
from crdtsync.document.schema import FieldSpec
from crdtsync.strategy import Candidate, Strategy

__all__ = ["STEPS_MAX", "StrategyError", "admits", "bounded", "bounded_by", "choose"]

P = ParamSpec("P")
T = TypeVar("T")

STEPS_MAX = 1_000_000
"""Lines of Python that one answer may take."""


class StrategyError(Exception):
    """What a strategy did wrong, in a sentence."""


class _TooLong(BaseException):
    """Ends a strategy; not an `Exception`, so that it does not end in the strategy's own hands."""


def choose(strategy: Strategy, spec: FieldSpec, candidates: Sequence[Candidate[Any]]) -> Any:
    """Return the value that a strategy gives a field, as a copy of its own.

    Raises:
        StrategyError: it gave none, or did what no strategy may do.
    """
    shared = any(type(candidate.value) in _MUTABLE for candidate in candidates)
    given = tuple(map(_copy, candidates)) if shared else tuple(candidates)
    value = bounded(strategy.resolve, given)
    if shared and _were_changed(given, candidates):
        raise StrategyError("it changed the candidates that it was given")
    try:
        check_value(value)
    except (TypeError, ValueError) as error:
        raise StrategyError(f"what it returned cannot be stored: {error}") from error
    if not (admits(spec, value) or any(type(value) is type(c.value) for c in candidates)):
        wanted = " or ".join(cls.__name__ for cls in spec.types or ())
        raise StrategyError(f"it returned a {type(value).__name__} for a field of {wanted}")
    return copy_value(value)


def admits(spec: FieldSpec, value: Any) -> bool:
    """Tell whether a field's annotation admits a value, as far as can be told."""
    return spec.types is None or isinstance(value, spec.types)


def bounded(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a part of a strategy.

    Raises:
        StrategyError: it raised, or took more than `STEPS_MAX` steps.
    """
    return bounded_by(STEPS_MAX, call, *args, **kwargs)


def bounded_by(limit: int, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a part of a strategy that may take so many steps.

    Where something else traces already, a debugger say, the steps are not counted.

    Raises:
        StrategyError: it raised, or took more.
    """
    steps = 0

    def count(_frame: FrameType, _event: str, _argument: object) -> Any:
        nonlocal steps
        steps += 1
        if steps > limit:
            raise _TooLong
        return count

    traced = sys.gettrace() is not None
    if not traced:
        sys.settrace(count)
    try:
        return call(*args, **kwargs)
    except _TooLong:
        raise StrategyError(f"it did not end within {limit:,} steps") from None
    except Exception as error:
        raise StrategyError(f"{type(error).__name__}: {error}") from error
    finally:
        if not traced:
            sys.settrace(None)


_MUTABLE = frozenset({list, dict})


def _were_changed(given: Sequence[Candidate[Any]], candidates: Sequence[Candidate[Any]]) -> bool:
    """Tell whether candidates are stored as others. NaN is not equal even to itself."""
    try:
        return list(map(_content, given)) != list(map(_content, candidates))
    except Exception:  # what was put in cannot be stored, or holds itself
        return True


def _content(candidate: Candidate[Any]) -> bytes:
    return encode([candidate.value, candidate.base and candidate.base.value])


def _copy(candidate: Candidate[Any]) -> Candidate[Any]:
    base = candidate.base
    if base is not None:
        base = base._replace(value=copy_value(base.value))
    return candidate._replace(value=copy_value(candidate.value), base=base)
