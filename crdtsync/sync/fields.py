"""Readers of single frame fields: a decoded CBOR item in, a checked value of ours out.

Each raises ValueError, saying what it expected; `crdtsync.sync.frames` adds where.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from crdtsync.clone import CLONE_ID_BYTES, Resume
from crdtsync.identity import REPLICA_ID_MAX, is_replica_id
from crdtsync.limits import Limits
from crdtsync.log import Cursor, Head
from crdtsync.sync.awareness import SEEN_LENGTH_MAX, STATE_LENGTH_MAX, Sighting, check_state

__all__ = [
    "CLIENT_ID_BYTES",
    "DOCUMENT_LENGTH_MAX",
    "EPOCH_BYTES",
    "NUMBER_MAX",
    "TEXT_LENGTH_MAX",
    "Reader",
    "heads_to_wire",
    "optional",
    "read_blob",
    "read_bool",
    "read_client",
    "read_clone_id",
    "read_cursor",
    "read_document",
    "read_entries",
    "read_epoch",
    "read_heads",
    "read_limits",
    "read_mode",
    "read_number",
    "read_numbers",
    "read_part",
    "read_positive",
    "read_refused",
    "read_replica",
    "read_resume",
    "read_sightings",
    "read_standing",
    "read_state",
    "read_text",
    "read_versions",
]

Reader: TypeAlias = Callable[[Any], Any]

NUMBER_MAX = 2**63 - 1
"""Offsets, times and counts: what every storage engine's signed integers hold."""
SEQ_MAX = 2**53
TEXT_LENGTH_MAX = 16 * 1024
"""Characters of a token, a reason or a name of software."""
DOCUMENT_LENGTH_MAX = Limits().name_length_max
CLIENT_ID_BYTES = 16
EPOCH_BYTES = 16
HASH_BYTES = 32
BLOB_BYTES_MAX = 1024  # keys, signatures, nonces
VERSIONS_MAX = 64
MODES = frozenset({"cursor", "vector", "clone"})
STANDINGS = frozenset({"active", "inactive", "retired"})

_ONLY_BYTES = {bytes}


def read_number(value: Any) -> int:
    """Read a whole number that is not negative."""
    if type(value) is not int or not 0 <= value <= NUMBER_MAX:
        raise ValueError("expected a whole number from 0 to 2^63 - 1")
    return value


def read_positive(value: Any) -> int:
    """Read a whole number above 0."""
    if type(value) is not int or not 0 < value <= NUMBER_MAX:
        raise ValueError("expected a whole number from 1 to 2^63 - 1")
    return value


def read_bool(value: Any) -> bool:
    """Read true or false."""
    if type(value) is not bool:
        raise ValueError("expected true or false")
    return value


def read_text(value: Any) -> str:
    """Read a text of bounded length."""
    if type(value) is not str or len(value) > TEXT_LENGTH_MAX:
        raise ValueError(f"expected a text of at most {TEXT_LENGTH_MAX:,} characters")
    return value


def read_document(value: Any) -> str:
    """Read a document's name."""
    if type(value) is not str or not 0 < len(value) <= DOCUMENT_LENGTH_MAX:
        raise ValueError(f"expected a document's name of 1 to {DOCUMENT_LENGTH_MAX} characters")
    return value


def read_mode(value: Any) -> str:
    """Read how a subscription goes on."""
    if type(value) is not str or value not in MODES:
        raise ValueError('expected "cursor", "vector" or "clone"')
    return value


def read_standing(value: Any) -> str:
    """Read what a connection is."""
    if type(value) is not str or value not in STANDINGS:
        raise ValueError('expected "active", "inactive" or "retired"')
    return value


def read_blob(value: Any) -> bytes:
    """Read a short byte string: a key, a signature, a nonce."""
    if type(value) is not bytes or len(value) > BLOB_BYTES_MAX:
        raise ValueError(f"expected at most {BLOB_BYTES_MAX} bytes")
    return value


def read_part(value: Any) -> bytes:
    """Read a piece of a chunked frame; never empty, so that each one makes progress."""
    if type(value) is not bytes or not value:
        raise ValueError("expected a byte string that is not empty")
    return value


def read_client(value: Any) -> bytes:
    """Read the id of a client installation."""
    if type(value) is not bytes or len(value) != CLIENT_ID_BYTES:
        raise ValueError(f"expected {CLIENT_ID_BYTES} bytes")
    return value


def read_epoch(value: Any) -> bytes:
    """Read the id of a server log's incarnation."""
    if type(value) is not bytes or len(value) != EPOCH_BYTES:
        raise ValueError(f"expected {EPOCH_BYTES} bytes")
    return value


def read_clone_id(value: Any) -> bytes:
    """Read the id of a clone."""
    if type(value) is not bytes or len(value) != CLONE_ID_BYTES:
        raise ValueError(f"expected {CLONE_ID_BYTES} bytes")
    return value


def read_resume(value: Any) -> Resume:
    """Read `[id, held]`."""
    if type(value) is not list or len(value) != 2:  # noqa: PLR2004 - id, held
        raise ValueError("expected [id, held]")
    return Resume(read_clone_id(value[0]), read_number(value[1]))


def read_replica(value: Any) -> int:
    """Read a replica's id."""
    if not is_replica_id(value):
        raise ValueError("expected a replica id")
    return int(value)


def read_cursor(value: Any) -> Cursor:
    """Read `[epoch, offset]`."""
    if type(value) is not list or len(value) != 2:  # noqa: PLR2004 - epoch, offset
        raise ValueError("expected [epoch, offset]")
    return Cursor(read_epoch(value[0]), read_number(value[1]))


def read_heads(value: Any) -> dict[int, Head]:
    """Read `[[replica, seq, hash], …]`, replicas ascending and so each only once."""
    if type(value) is not list:
        raise ValueError("expected a list of [replica, seq, hash]")
    heads: dict[int, Head] = {}
    before = 0
    for item in value:
        if type(item) is not list or len(item) != 3:  # noqa: PLR2004 - replica, seq, hash
            raise ValueError("expected [replica, seq, hash]")
        replica, seq, hash_ = item
        if (
            not is_replica_id(replica)
            or type(seq) is not int
            or not 0 < seq <= SEQ_MAX
            or type(hash_) is not bytes
            or len(hash_) != HASH_BYTES
        ):
            raise ValueError("expected [replica, seq, hash]")
        if replica <= before:
            raise ValueError("expected each replica once, in ascending order")
        before = replica
        heads[replica] = Head(seq, hash_)
    return heads


def heads_to_wire(heads: Mapping[int, Head]) -> list[tuple[int, int, bytes]]:
    """Return the wire form of heads."""
    return [(replica, head[0], head[1]) for replica, head in sorted(heads.items())]


def read_entries(value: Any) -> tuple[bytes, ...]:
    """Read a list of encoded entries. What is in them is checked by who stores them."""
    if type(value) is not list or not set(map(type, value)) <= _ONLY_BYTES:
        raise ValueError("expected a list of byte strings")
    return tuple(value)


def read_refused(value: Any) -> tuple[tuple[int, str], ...]:
    """Read `[[seq, reason], …]`."""
    if type(value) is not list:
        raise ValueError("expected a list of [seq, reason]")
    refused = []
    for item in value:
        if type(item) is not list or len(item) != 2:  # noqa: PLR2004 - seq, reason
            raise ValueError("expected [seq, reason]")
        refused.append((read_positive(item[0]), read_text(item[1])))
    return tuple(refused)


def read_state(value: Any) -> str:
    """Read what a client shows of itself: the JSON text of an object, of bounded length."""
    if type(value) is not str or len(value) > STATE_LENGTH_MAX:
        raise ValueError(f"expected a JSON text of at most {STATE_LENGTH_MAX:,} characters")
    if type(check_state(value)) is not dict:
        raise ValueError("expected the JSON text of an object")
    return value


def _read_seen(value: Any) -> str:
    if type(value) is not str or len(value) > SEEN_LENGTH_MAX:
        raise ValueError(f"expected a JSON text of at most {SEEN_LENGTH_MAX:,} characters")
    check_state(value)
    return value


def read_sightings(value: Any) -> tuple[Sighting, ...]:
    """Read `[[client, state, user], …]`."""
    if type(value) is not list:
        raise ValueError("expected a list of [client, state, user]")
    sightings = []
    for item in value:
        if type(item) is not list or len(item) != 3:  # noqa: PLR2004 - client, state, user
            raise ValueError("expected [client, state, user]")
        client, state, user = item
        if type(client) is not int or not 0 <= client <= REPLICA_ID_MAX:
            raise ValueError("expected a CRDT client's id")
        sightings.append(
            Sighting(
                client,
                None if state is None else _read_seen(state),
                None if user is None else read_text(user),
            )
        )
    return tuple(sightings)


def read_versions(value: Any) -> tuple[int, ...]:
    """Read the protocol versions that a client speaks."""
    if type(value) is not list or not 0 < len(value) <= VERSIONS_MAX:
        raise ValueError(f"expected 1 to {VERSIONS_MAX} versions")
    return tuple(map(read_number, value))


def read_limits(value: Any) -> dict[str, int]:
    """Read named limits. Names that this side does not know are kept."""
    if type(value) is not dict:
        raise ValueError("expected a map of limits")
    return {read_text(name): read_number(number) for name, number in value.items()}


def read_numbers(value: Any) -> dict[str, int]:
    """Read a number for each of some documents."""
    if type(value) is not dict:
        raise ValueError("expected a map from documents to numbers")
    return {read_document(name): read_number(number) for name, number in value.items()}


def optional(read: Reader) -> Reader:
    """Return a reader that accepts null as well."""

    def read_optional(value: Any) -> Any:
        return None if value is None else read(value)

    return read_optional
