"""Presence on the wire: who is there, and where their cursors are, as Yjs clients say it.

An awareness update is a number of states; each is a client's CRDT id, a clock of its own, and its
state as a JSON text: `null` for one who is gone. A state replaces another of the same client with a
lower clock; the news that a client is gone replaces one with the same clock as well.

Source: y-protocols' `awareness` (`encodeAwarenessUpdate`, `applyAwarenessUpdate`).
Read next: `crdtsync.server.presence`, which keeps states.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple, NoReturn

from crdtsync.errors import RemoteProtocolError
from crdtsync.identity import REPLICA_ID_MAX
from crdtsync.update.encoding import Source, encoded

__all__ = [
    "CLOCK_MAX",
    "NOBODY",
    "SEEN_LENGTH_MAX",
    "STATE_LENGTH_MAX",
    "Awareness",
    "Sighting",
    "check_state",
    "decode_awareness",
    "encode_awareness",
]

_GONE = "null"
CLOCK_MAX = 2**53 - 1
"""What JavaScript counts exactly."""

NOBODY = b"\0"
"""An awareness update without a state."""
STATE_LENGTH_MAX = 16 * 1024
"""Characters of the state that a replica shows of itself."""
SEEN_LENGTH_MAX = 64 * 1024
"""Characters of a state that a replica is told. Larger ones stay among Yjs clients."""


class Awareness(NamedTuple):
    """What is known of one client.

    Attributes:
        client: its CRDT id.
        clock: counts its states.
        state: JSON text; None if it is gone.
    """

    client: int
    clock: int
    state: str | None


class Sighting(NamedTuple):
    """What a replica is told of one client.

    Attributes:
        client: its CRDT id.
        state: JSON text; None if it is gone.
        user: whose it is, as the server knows.
    """

    client: int
    state: str | None
    user: str | None


def encode_awareness(states: Iterable[Awareness]) -> bytes:
    """Encode an awareness update.

    >>> update = encode_awareness([Awareness(7, 3, '{"name":"ann"}'), Awareness(8, 1, None)])
    >>> decode_awareness(update)
    [Awareness(client=7, clock=3, state='{"name":"ann"}'), Awareness(client=8, clock=1, state=None)]
    """
    parts = [part for client, clock, state in states for part in (client, clock, state or _GONE)]
    return encoded(len(parts) // 3, *parts)


def decode_awareness(
    data: bytes, *, states_max: int = 1024, state_bytes_max: int = 64 * 1024
) -> list[Awareness]:
    """Read an awareness update, trusting nothing.

    Args:
        data: the update.
        states_max: how many states it may hold.
        state_bytes_max: how large each may be.

    Raises:
        RemoteProtocolError: it is none, or what it holds is no JSON or too much.
    """
    source = Source(data)
    try:
        count = source.number()
        if count > states_max:
            raise RemoteProtocolError(f"{count:,} awareness states, more than {states_max:,}")
        states = [_state(source, state_bytes_max) for _ in range(count)]
    except ValueError as error:
        raise RemoteProtocolError(f"that is no awareness update: {error}") from error
    if not source.ended:
        raise RemoteProtocolError("an awareness update with something behind it")
    return states


def _state(source: Source, bytes_max: int) -> Awareness:
    client, clock = source.number(), source.number()
    if client > REPLICA_ID_MAX or clock > CLOCK_MAX:
        raise ValueError("a number too large for JavaScript")
    data = source.blob()
    if len(data) > bytes_max:
        raise ValueError(f"a state of {len(data):,} bytes, more than {bytes_max:,}")
    text = data.decode()
    return Awareness(client, clock, None if check_state(text) is None else text)


def check_state(text: str) -> Any:
    """Return what a state says, once it is sure that every other client can parse it.

    One that cannot may fail altogether.

    Raises:
        ValueError: it is no JSON, or nests too deeply.
    """
    try:
        return json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("a state that nests too deeply") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
