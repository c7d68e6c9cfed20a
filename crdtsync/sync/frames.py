"""The frames: every message that a client and a server exchange, as one dataclass each.

`crdtsync.sync.wire` turns them into bytes and back. Read next: `crdtsync.sync.client` and
`crdtsync.sync.server`, which know when each may be sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from crdtsync.clone import Resume
from crdtsync.log import Cursor, Head
from crdtsync.sync.awareness import Sighting

__all__ = [
    "FATAL_CODES",
    "VERSIONS",
    "Advance",
    "Challenge",
    "Check",
    "Chunk",
    "Complete",
    "Credit",
    "Entries",
    "Failed",
    "Frame",
    "Goodbye",
    "Heads",
    "Hello",
    "Ping",
    "Pong",
    "Proof",
    "Push",
    "Receipt",
    "Renewed",
    "Select",
    "Selected",
    "Show",
    "Shown",
    "SnapshotPart",
    "Standing",
    "Subscribe",
    "Subscribed",
    "Subscriptions",
    "Token",
    "Unknown",
    "Unsubscribe",
    "Welcome",
]

VERSIONS = (1,)
"""The protocol versions that this crdtsync speaks."""

FATAL_CODES = frozenset({"version", "authentication", "expired", "protocol", "fork", "retired"})
"""Codes of a Goodbye after which a client does not come back by itself; `expired` only if it has
nowhere to get a fresh token from."""


@dataclass(frozen=True, slots=True)
class Hello:
    """Client: who is there. The first frame of a connection.

    Attributes:
        versions: protocol versions the client speaks.
        client: id of this client installation, 16 bytes; it names the server's connection record.
        replica: id of the replica whose own log it is going to push.
        user: who uses it.
        token: what proves that, where the server asks for proof.
        key: the device's public key.
        software: name and version of the client program, for logs.
        credit: bytes of Entries frames that the server may have under way.
    """

    versions: tuple[int, ...]
    client: bytes
    replica: int
    user: str | None
    token: str | None
    key: bytes | None
    software: str
    credit: int


@dataclass(frozen=True, slots=True)
class Challenge:
    """Server: sign this with the device key; see `crdtsync.keys`.

    Attributes:
        nonce: drawn for this connection alone.
        epoch: of the server's logs, 16 bytes.
    """

    nonce: bytes
    epoch: bytes


@dataclass(frozen=True, slots=True)
class Proof:
    """Client: the signature asked for.

    Attributes:
        server: the name by which the client knows the server.
        signature: over the challenge, this name, and what Hello said of client and replica.
    """

    server: str
    signature: bytes


@dataclass(frozen=True, slots=True)
class Welcome:
    """Server: come in.

    Attributes:
        version: the protocol version chosen.
        state: what the connection is: `active` or `inactive`.
        limits: the server's named limits.
        time: the server's Unix time in milliseconds.
        epoch: names the incarnation of the server's logs, 16 bytes; cursors hold in one only.
        credit: bytes of Push frames that the client may have under way.
        expires: Unix time in milliseconds by which a fresh token must have come; None: never.
        reason: why the connection is that.
        since: since when, Unix time in milliseconds.
    """

    version: int
    state: str
    limits: Mapping[str, int]
    time: int
    epoch: bytes
    credit: int
    expires: int | None = None
    reason: str = ""
    since: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """Server: from now on your connection is this.

    Attributes:
        state: `active`, `inactive` or `retired`.
        reason: why, a sentence for people.
        since: Unix time in milliseconds.
    """

    state: str
    reason: str
    since: int


@dataclass(frozen=True, slots=True)
class Subscriptions:
    """Server: these documents, and their priorities, another connection of your user follows."""

    documents: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Advance:
    """Client: of these documents I hold all up to these offsets; maybe of none."""

    offsets: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Token:
    """Client: a fresh token for the same user, before the one shown expires."""

    token: str


@dataclass(frozen=True, slots=True)
class Renewed:
    """Server: the token is good until `expires`, Unix time in milliseconds; None: for ever."""

    expires: int | None


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Client: send me this document. A second one for a document replaces the first.

    Attributes:
        document: its name.
        priority: documents of a lower number are sent first.
        heads: the ends of all logs that the client holds.
        cursor: where it had got to, or None.
        resume: how much of a clone it had received, or None.
    """

    document: str
    priority: int
    heads: Mapping[int, Head]
    cursor: Cursor | None
    resume: Resume | None = None


@dataclass(frozen=True, slots=True)
class Subscribed:
    """Server: here it comes; the server's heads tell the client what to push.

    Attributes:
        document: its name.
        heads: the ends of all logs that the server holds.
        mode: `cursor`: from the client's cursor on; `vector`: what its heads lack; `clone`: the
            state first, then what came after it.
    """

    document: str
    heads: Mapping[int, Head]
    mode: str


@dataclass(frozen=True, slots=True)
class Entries:
    """Server: entries of a document, in the server's order. A data frame.

    Attributes:
        document: its name.
        after: the offset that this frame goes on from.
        upto: the offset that the client has got to with it.
        entries: encoded entries; none where there is nothing new for this client.
        size: bytes of the frame as it came, to be given back as credit. Not on the wire.
    """

    document: str
    after: int
    upto: int
    entries: tuple[bytes, ...]
    size: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class SnapshotPart:
    """Server: a part of a document's clone. A data frame.

    Attributes:
        document: its name.
        id: of the clone: the SHA-256 of all of its bytes.
        offset: that the client has got to with all of it.
        position: of the first byte of this part.
        total: bytes of all of it.
        data: the part.
        size: bytes of the frame as it came, to be given back as credit. Not on the wire.
    """

    document: str
    id: bytes
    offset: int
    position: int
    total: int
    data: bytes
    size: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Complete:
    """Server: up to `offset` nothing is missing now; `heads` are the log's heads at that offset."""

    document: str
    priority: int
    offset: int
    heads: Mapping[int, Head]


@dataclass(frozen=True, slots=True)
class Push:
    """Client: new entries for the server, in causal order. A data frame.

    Attributes:
        document: its name.
        entries: encoded entries; the last one of each log bears its author's seal.
        size: bytes of the frame as it came, to be given back as credit. Not on the wire.
    """

    document: str
    entries: tuple[bytes, ...]
    size: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Receipt:
    """Server: all entries of a log up to `seq` are durable here.

    Attributes:
        document: its name.
        replica: whose log.
        seq: number of the last entry that is durable.
        offset: the offset given to that entry.
        refused: number and reason of entries that are kept in the log without effect.
    """

    document: str
    replica: int
    seq: int
    offset: int
    refused: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Check:
    """Client: what are your heads, all that I sent before this dealt with?"""

    nonce: int
    document: str


@dataclass(frozen=True, slots=True)
class Heads:
    """Server: the answer to a Check; with nonce 0: your push does not fit on these heads.

    Attributes:
        nonce: the Check's.
        document: its name.
        heads: the ends of all logs that the server holds.
        offset: where its sequence ends; whoever has got so far knows of every mark, too.
    """

    nonce: int
    document: str
    heads: Mapping[int, Head]
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Credit:
    """Either side: so many more bytes of data frames may be sent."""

    bytes: int


@dataclass(frozen=True, slots=True)
class Ping:
    """Either side: are you there?"""

    nonce: int


@dataclass(frozen=True, slots=True)
class Pong:
    """Either side: yes; and my Unix time in milliseconds."""

    nonce: int
    time: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """Either side: a piece of a frame that is too large to be sent whole."""

    id: int
    index: int
    last: bool
    part: bytes


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Client: no more of this document."""

    document: str


@dataclass(frozen=True, slots=True)
class Show:
    """Client: show this of me to the others in a document, in place of what I showed before.

    Attributes:
        document: its name.
        state: a JSON object; None: nothing, so that I am not there.
        watching: tell me who is there, from now on. If not, no more.
    """

    document: str
    state: str | None
    watching: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """Server: who is in a document now, as far as it is news; and who is so no more."""

    document: str
    states: tuple[Sighting, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """Server: this document does not go on here; the others do."""

    document: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Goodbye:
    """Either side: the last frame before closing."""

    code: str
    reason: str
    retry_after_ms: int | None


@dataclass(frozen=True, slots=True)
class Select:
    """Client: name the documents of these selectors, those that come to be later as well.

    Attributes:
        id: the client's number for this; a second one of a number replaces the first.
        selectors: names, patterns and tags, see `crdtsync.selection`, each with a priority. None
            at all: no more of this.
    """

    id: int
    selectors: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Selected:
    """Server: these documents are selected, among others; subscribe to them if you like.

    Attributes:
        id: the number of the Select.
        documents: their names and priorities. Of several answers to one Select, the first name
            the most urgent.
        complete: all that there are by now were named.
        code: a word for programs, if some are not named; else empty.
        reason: why, a sentence for people.
    """

    id: int
    documents: Mapping[str, int]
    complete: bool
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """A frame of a type that this version does not know."""

    type: int


Frame: TypeAlias = (
    Hello
    | Challenge
    | Proof
    | Welcome
    | Subscribe
    | Subscribed
    | Entries
    | Complete
    | Push
    | Receipt
    | Renewed
    | Check
    | Heads
    | Credit
    | Ping
    | Pong
    | Chunk
    | Unsubscribe
    | Failed
    | Goodbye
    | Token
    | Advance
    | Subscriptions
    | SnapshotPart
    | Standing
    | Select
    | Selected
    | Show
    | Shown
    | Unknown
)
