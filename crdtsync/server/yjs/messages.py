"""The messages of Yjs clients, in both dialects: y-websocket's, and Hocuspocus's.

A *body* is a type and what goes with it. y-websocket sends bodies, Hocuspocus puts the address of
a document before each::

    0 sync         0 state vector | 1 update, as an answer | 2 update
    1 awareness    awareness update
    2 auth         y-websocket, from the server: 0 reason (refused)
                   Hocuspocus, from the client: 0 token; from the server: 0 (show a token),
                   1 reason (refused), 2 scope (let in)
    3 query        for awareness
    4 sync         Hocuspocus: as 0, of which nothing more is to come
    5 stateless    Hocuspocus: a text for the other side's app
    7 close        Hocuspocus: of this document; from the server with a reason
    8 status       Hocuspocus, from the server: 1 a change is stored, 0 it is not
    9, 10          Hocuspocus: ping, pong, of one byte, without an address

The dialect cannot be told from the bytes, so each has a path of its own.

Source: y-protocols (`sync`, `awareness`, `auth`), y-websocket 3, @hocuspocus/provider 2 to 4.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from crdtsync.errors import RemoteProtocolError
from crdtsync.identity import REPLICA_ID_MAX
from crdtsync.sync.awareness import NOBODY
from crdtsync.update.encoding import Source, encoded

__all__ = [
    "KEEP_ALIVE",
    "PING",
    "PONG",
    "QUERY_TOKEN",
    "SCOPES",
    "Body",
    "Changes",
    "Leave",
    "Query",
    "Shown",
    "Stateless",
    "StepOne",
    "Token",
    "Unknown",
    "awareness",
    "let_in",
    "read_body",
    "read_frame",
    "refused",
    "refused_document",
    "stateless",
    "status",
    "step_one",
    "step_two",
    "update",
]

_SYNC, _AWARENESS, _AUTH, _QUERY, _REPLY, _STATELESS = 0, 1, 2, 3, 4, 5
_CLOSE, _STATUS, _PING, _PONG = 7, 8, 9, 10
_STEP_ONE, _STEP_TWO, _UPDATE = 0, 1, 2

_CLOCK_MAX = 2**31  # CRDT libraries count with 32 bits

PING, PONG = bytes([_PING]), bytes([_PONG])
KEEP_ALIVE = encoded(_AWARENESS, NOBODY)
QUERY_TOKEN = encoded(_AUTH, 0)
_STORED, _NOT_STORED = encoded(_STATUS, 1), encoded(_STATUS, 0)
SCOPES = {True: "read-write", False: "readonly"}
"""By whether the client may write."""


class StepOne(NamedTuple):
    """What the client has: it asks for the rest."""

    state: dict[int, int]


class Changes(NamedTuple):
    """Changes of a client. `answer`: all that it has and we lack, as it was asked for."""

    update: bytes
    answer: bool


class Shown(NamedTuple):
    """An awareness update."""

    data: bytes


class Query(NamedTuple):
    """The client asks who is there."""


class Token(NamedTuple):
    """The client shows who it is."""

    token: str


class Stateless(NamedTuple):
    """A text for whoever else has the document open."""

    payload: str


class Leave(NamedTuple):
    """The client closes the document."""


class Unknown(NamedTuple):
    """A message of a type that is not for us."""

    type: int


Body: TypeAlias = StepOne | Changes | Shown | Query | Token | Stateless | Leave | Unknown


def read_body(data: bytes) -> Body:
    """Read a message of y-websocket.

    Raises:
        RemoteProtocolError: it cannot be read.
    """
    source = Source(data)
    try:
        return _ended(_read_plain(source.number(), source), source)
    except ValueError as error:
        raise RemoteProtocolError(f"a message cannot be read: {error}") from error


def read_frame(data: bytes) -> tuple[str, Body]:
    """Read a message of Hocuspocus: the document's address, and the body.

    Raises:
        RemoteProtocolError: it cannot be read.
    """
    source = Source(data)
    try:
        address, kind = source.text(), source.number()
        body: Body
        match kind:
            case 2 if source.number() == 0:  # AUTH
                body = Token(source.text())
                if not source.ended:
                    source.text()  # version 4 says what it is
            case 4:  # REPLY
                body = _read_sync(source)
            case 5:
                body = Stateless(source.text())
            case 7:
                body = Leave()
            case _:
                body = _read_plain(kind, source)
        return address, _ended(body, source)
    except ValueError as error:
        raise RemoteProtocolError(f"a message cannot be read: {error}") from error


def _read_plain(kind: int, source: Source) -> Body:
    match kind:
        case 0:
            return _read_sync(source)
        case 1:
            return Shown(source.blob())
        case 3:
            return Query()
        case _:
            return Unknown(kind)


def _read_sync(source: Source) -> Body:
    match source.number():
        case 0:
            return StepOne(_read_state(source.blob()))
        case 1:
            return Changes(source.blob(), answer=True)
        case 2:
            return Changes(source.blob(), answer=False)
        case other:
            raise ValueError(f"there is no sync message of kind {other}")


def _read_state(data: bytes) -> dict[int, int]:
    source = Source(data)
    state = {source.number(): source.number() for _ in range(source.number())}
    if not source.ended:
        raise ValueError("a state vector with something behind it")
    if any(client > REPLICA_ID_MAX or clock > _CLOCK_MAX for client, clock in state.items()):
        raise ValueError("a state vector with a number that is too large")
    return state


def _ended(body: Body, source: Source) -> Body:
    if not source.ended and not isinstance(body, Unknown):
        raise ValueError("there is something behind it")
    return body


def step_one(state: bytes) -> bytes:
    """Ask for what we lack, who have this."""
    return encoded(_SYNC, _STEP_ONE, state)


def step_two(changes: bytes) -> bytes:
    """Answer what was asked for."""
    return encoded(_SYNC, _STEP_TWO, changes)


def update(changes: bytes) -> bytes:
    """Tell of changes."""
    return encoded(_SYNC, _UPDATE, changes)


def awareness(data: bytes) -> bytes:
    """Tell who is there."""
    return encoded(_AWARENESS, data)


def refused(reason: str) -> bytes:
    """Refuse a client of y-websocket."""
    return encoded(_AUTH, 0, reason)


def refused_document(reason: str) -> bytes:
    """Refuse a document to a client of Hocuspocus."""
    return encoded(_AUTH, 1, reason)


def let_in(*, may_write: bool) -> bytes:
    """Let a client of Hocuspocus in."""
    return encoded(_AUTH, 2, SCOPES[may_write])


def stateless(payload: str) -> bytes:
    """Pass an app's text on."""
    return encoded(_STATELESS, payload)


def status(*, stored: bool) -> bytes:
    """Tell whether a change is stored."""
    return _STORED if stored else _NOT_STORED
