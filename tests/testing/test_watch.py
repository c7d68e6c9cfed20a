"""What a strategy must not look at is seen, under whatever name; what it may is not."""

from __future__ import annotations

import datetime
import json
import locale
import logging
import os
import random
import secrets
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from random import choice
from time import monotonic as tick

import pytest

from crdtsync.testing.watch import peeks


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (time.time_ns, "the clock: time.time_ns()"),
        (tick, "the clock: time.monotonic()"),
        (datetime.date.today, "the clock: date.today()"),
        (lambda: datetime.datetime.now(datetime.UTC), "the clock: datetime.now()"),
        (lambda: choice([1, 2]), "chance: the random module"),
        (random.SystemRandom().random, "chance: os.urandom()"),
        (secrets.token_bytes, "chance: os.urandom()"),
        (uuid.uuid4, "chance: os.urandom()"),
        (lambda: os.environ.get("HOME"), "its surroundings: os.environ"),
        (os.getpid, "its surroundings: posix.getpid()"),
        (lambda: Path("/nowhere").exists(), "its surroundings: posix.stat()"),
        (lambda: Path(os.devnull).read_text("utf-8"), "its surroundings: io.open()"),
        (lambda: locale.strcoll("a", "b"), "its surroundings: _locale.strcoll()"),
    ],
)
def test_a_peek_is_seen(call: Callable[[], object], told: str) -> None:
    _, peeked = peeks(lambda: call() and None)
    assert peeked is not None
    assert peeked.replace("_io.", "io.").replace("nt.", "posix.") == f"it looked at {told}"


@pytest.mark.parametrize(
    "call",
    [
        lambda: max([3, 1, 2]),
        lambda: json.dumps({"a": 1}),
        lambda: random.Random(1).choice([1, 2]),
        lambda: datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC).isoformat(),
        lambda: time.gmtime(0),
        lambda: uuid.uuid5(uuid.NAMESPACE_URL, "x"),
        lambda: logging.getLogger("crdtsync.test").debug("seen"),
    ],
    ids=["max", "json", "a generator of its own", "a date", "gmtime", "uuid5", "logging"],
)
def test_what_depends_on_its_input_only_is_no_peek(call: Callable[[], object]) -> None:
    assert peeks(call) == (call(), None)


def test_where_something_else_profiles_nothing_is_seen() -> None:
    import sys

    sys.setprofile(lambda *_: None)
    try:
        assert peeks(time.time)[1] is None
        assert sys.getprofile() is not None
    finally:
        sys.setprofile(None)
