"""Fixtures and hypothesis profiles for the whole suite."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("dev", deadline=None)
settings.register_profile(
    "ci", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if "CI" in os.environ else "dev"))

_DATA = Path(os.environ.get("CRDTSYNC_DATA", Path(__file__).parents[1] / ".." / "shared" / "data"))


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run every async test on both event loops."""
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def data() -> Path:
    """Return the folder of recorded sessions; skip where there is none."""
    if not _DATA.is_dir():
        pytest.skip(f"no recorded sessions in {_DATA} (set CRDTSYNC_DATA to their folder)")
    return _DATA
