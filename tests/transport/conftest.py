"""Fixtures for connections."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.transport.home import HOMES, Home


@pytest.fixture(params=HOMES)
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    return Home(request.param, tmp_path)


@pytest.fixture(autouse=True)
def _silent_event_loop(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail where asyncio logs what nobody caught, such as a socket closed under its reader."""
    yield
    assert [one for one in caplog.get_records("call") if one.name == "asyncio"] == []
