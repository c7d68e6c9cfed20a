"""The pytest plugin: the kit as fixtures.

Every run of pytest loads it where crdtsync is installed, so it stands beside the package as a
module of its own, and imports nothing of it before a test asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

__all__ = ["check_convergence", "check_strategy", "fleet"]


@pytest.fixture
def check_strategy() -> Callable[..., Any]:
    """Return `crdtsync.testing.check_strategy`."""
    from crdtsync import testing  # noqa: PLC0415 - not before a test asks

    return testing.check_strategy


@pytest.fixture
def check_convergence() -> Callable[..., None]:
    """Return `crdtsync.testing.check_convergence`."""
    from crdtsync import testing  # noqa: PLC0415

    return testing.check_convergence


@pytest.fixture
def fleet() -> Iterator[Callable[..., Any]]:
    """Return a function that makes a `crdtsync.testing.Fleet`, closed after the test."""
    from crdtsync import testing  # noqa: PLC0415

    with ExitStack() as stack:
        yield lambda *args, **kwargs: stack.enter_context(testing.Fleet(*args, **kwargs))
