"""Frames as bytes.

A frame on the wire is one CBOR array `[type, field, …]` in the order of the dataclass's fields.
The schema is closed: a frame with a field too few, too many or out of range is not accepted. A
frame of an unknown type is `Unknown`, and is passed over, so that a later version may add some.
`docs/protocol.cddl` says the same in CDDL; `tests/sync/golden.json` holds the bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

from crdtsync.codec import decode, encode
from crdtsync.errors import CodecError, LocalProtocolError, RemoteProtocolError
from crdtsync.sync import fields as f
from crdtsync.sync.frames import (
    Advance,
    Challenge,
    Check,
    Chunk,
    Complete,
    Credit,
    Entries,
    Failed,
    Frame,
    Goodbye,
    Heads,
    Hello,
    Ping,
    Pong,
    Proof,
    Push,
    Receipt,
    Renewed,
    Select,
    Selected,
    Show,
    Shown,
    SnapshotPart,
    Standing,
    Subscribe,
    Subscribed,
    Subscriptions,
    Token,
    Unknown,
    Unsubscribe,
    Welcome,
)

__all__ = ["decode_frame", "encode_frame"]

_DEPTH_MAX = 4


class _Schema(NamedTuple):
    make: Callable[..., Frame]
    names: tuple[str, ...]
    readers: tuple[f.Reader, ...]
    sized: bool


def _schema(make: type[Any], **readers: f.Reader) -> _Schema:
    names = tuple(readers)
    declared = tuple(make.__dataclass_fields__)
    assert declared in (names, (*names, "size")), f"{make} and its schema differ"
    return _Schema(make, names, tuple(readers.values()), declared != names)


_SCHEMAS: dict[int, _Schema] = {
    0: _schema(
        Hello,
        versions=f.read_versions,
        client=f.read_client,
        replica=f.read_replica,
        user=f.optional(f.read_text),
        token=f.optional(f.read_text),
        key=f.optional(f.read_blob),
        software=f.read_text,
        credit=f.read_positive,
    ),
    1: _schema(Challenge, nonce=f.read_blob, epoch=f.read_epoch),
    2: _schema(Proof, server=f.read_text, signature=f.read_blob),
    3: _schema(
        Welcome,
        version=f.read_number,
        state=f.read_standing,
        limits=f.read_limits,
        time=f.read_number,
        epoch=f.read_epoch,
        credit=f.read_positive,
        expires=f.optional(f.read_number),
        reason=f.read_text,
        since=f.read_number,
    ),
    4: _schema(
        Subscribe,
        document=f.read_document,
        priority=f.read_number,
        heads=f.read_heads,
        cursor=f.optional(f.read_cursor),
        resume=f.optional(f.read_resume),
    ),
    5: _schema(Subscribed, document=f.read_document, heads=f.read_heads, mode=f.read_mode),
    6: _schema(
        Entries,
        document=f.read_document,
        after=f.read_number,
        upto=f.read_number,
        entries=f.read_entries,
    ),
    7: _schema(
        Complete,
        document=f.read_document,
        priority=f.read_number,
        offset=f.read_number,
        heads=f.read_heads,
    ),
    8: _schema(Push, document=f.read_document, entries=f.read_entries),
    9: _schema(
        Receipt,
        document=f.read_document,
        replica=f.read_replica,
        seq=f.read_positive,
        offset=f.read_number,
        refused=f.read_refused,
    ),
    10: _schema(Check, nonce=f.read_positive, document=f.read_document),
    11: _schema(
        Heads,
        nonce=f.read_number,
        document=f.read_document,
        heads=f.read_heads,
        offset=f.read_number,
    ),
    12: _schema(Credit, bytes=f.read_positive),
    13: _schema(Ping, nonce=f.read_number),
    14: _schema(Pong, nonce=f.read_number, time=f.read_number),
    15: _schema(Chunk, id=f.read_number, index=f.read_number, last=f.read_bool, part=f.read_part),
    16: _schema(Unsubscribe, document=f.read_document),
    17: _schema(Failed, document=f.read_document, code=f.read_text, reason=f.read_text),
    18: _schema(
        Goodbye,
        code=f.read_text,
        reason=f.read_text,
        retry_after_ms=f.optional(f.read_number),
    ),
    19: _schema(Token, token=f.read_text),
    20: _schema(Renewed, expires=f.optional(f.read_number)),
    21: _schema(Advance, offsets=f.read_numbers),
    22: _schema(Subscriptions, documents=f.read_numbers),
    23: _schema(
        SnapshotPart,
        document=f.read_document,
        id=f.read_clone_id,
        offset=f.read_number,
        position=f.read_number,
        total=f.read_positive,
        data=f.read_part,
    ),
    24: _schema(Standing, state=f.read_standing, reason=f.read_text, since=f.read_number),
    28: _schema(Select, id=f.read_number, selectors=f.read_numbers),
    29: _schema(
        Selected,
        id=f.read_number,
        documents=f.read_numbers,
        complete=f.read_bool,
        code=f.read_text,
        reason=f.read_text,
    ),
    30: _schema(
        Show,
        document=f.read_document,
        state=f.optional(f.read_state),
        watching=f.read_bool,
    ),
    31: _schema(Shown, document=f.read_document, states=f.read_sightings),
}
_TYPES = {schema.make: number for number, schema in _SCHEMAS.items()}


def encode_frame(frame: Frame) -> bytes:
    """Encode a frame; equal frames give equal bytes.

    Raises:
        LocalProtocolError: a field cannot be encoded.

    >>> encode_frame(Ping(7)).hex()
    '820d07'
    """
    number = _TYPES[type(frame)]
    values: list[object] = [number]
    for name in _SCHEMAS[number].names:
        value = getattr(frame, name)
        values.append(f.heads_to_wire(value) if name == "heads" else value)
    try:
        return encode(values)
    except (ValueError, TypeError) as error:
        raise LocalProtocolError(f"a {type(frame).__name__} cannot be encoded: {error}") from error


def decode_frame(payload: bytes) -> Frame:
    """Read a frame from its bytes, trusting nothing.

    Raises:
        RemoteProtocolError: the bytes are not a frame.

    >>> decode_frame(bytes.fromhex("820d07"))
    Ping(nonce=7)
    """
    try:
        items = decode(payload, depth_max=_DEPTH_MAX)
    except CodecError as error:
        raise RemoteProtocolError(f"a frame is {error}") from error
    if type(items) is not list or not items or type(items[0]) is not int:
        raise RemoteProtocolError("a frame is not an array that begins with its type")
    schema = _SCHEMAS.get(items[0])
    if schema is None:
        return Unknown(items[0])
    if len(items) != len(schema.names) + 1:
        raise RemoteProtocolError(
            f"a {_name(schema)} frame has {len(items) - 1} fields, not {len(schema.names)}"
        )
    values = []
    for name, read, item in zip(schema.names, schema.readers, items[1:], strict=True):
        try:
            values.append(read(item))
        except ValueError as error:
            raise RemoteProtocolError(f"{_name(schema)}.{name}: {error}") from error
    if schema.sized:
        values.append(len(payload))
    return schema.make(*values)


def _name(schema: _Schema) -> str:
    return cast("type", schema.make).__name__
