"""The protocol, without I/O: bytes in, events out, for both ends of a connection.

- `frames` says what is sent, `wire` how it is written, `fields` what each part may be;
- `framing` and `chunks` say how frames travel;
- `endpoint` is what both ends do, `client` and `server` what each does;
- `limits` names the numbers.

`docs/protocol.md` tells it in prose. The drivers are `crdtsync.transport` and `crdtsync.server`.
"""

from crdtsync.sync.chunks import Assembler, split
from crdtsync.sync.client import ClientProtocol
from crdtsync.sync.endpoint import Endpoint, State
from crdtsync.sync.frames import (
    FATAL_CODES,
    VERSIONS,
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
from crdtsync.sync.framing import FrameReader, frame_bytes, join_frames
from crdtsync.sync.limits import WireLimits
from crdtsync.sync.server import ServerProtocol
from crdtsync.sync.wire import decode_frame, encode_frame

__all__ = [
    "FATAL_CODES",
    "VERSIONS",
    "Advance",
    "Assembler",
    "Challenge",
    "Check",
    "Chunk",
    "ClientProtocol",
    "Complete",
    "Credit",
    "Endpoint",
    "Entries",
    "Failed",
    "Frame",
    "FrameReader",
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
    "ServerProtocol",
    "Show",
    "Shown",
    "SnapshotPart",
    "Standing",
    "State",
    "Subscribe",
    "Subscribed",
    "Subscriptions",
    "Token",
    "Unknown",
    "Unsubscribe",
    "Welcome",
    "WireLimits",
    "decode_frame",
    "encode_frame",
    "frame_bytes",
    "join_frames",
    "split",
]
