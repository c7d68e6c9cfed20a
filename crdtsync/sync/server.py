"""The server's end of the protocol, as a state machine without I/O. One per connection.

    NEW ── Hello ──> GREETED ── welcome() ──> OPEN ── Goodbye ──> CLOSED

Rules kept here, for both sides' sake:

- Before Welcome nothing is accepted but one Hello, and a Proof where a Challenge asked for it.
- A client that speaks no version of ours gets its Goodbye at once.
- Push, Check, Show and Unsubscribe of a document that is not subscribed have crossed a Failed:
  they are passed over, and credit for them is given back.
- A client that subscribes to too many documents, or pushes too many entries in one frame, is told.

A driver deals with the frames of one document in their order, so that the answer to a Check speaks
for every Push before it. Entries are encoded once, by whoever holds them, and the same bytes
object goes to every connection: `send_payload` takes it as it is.

Read `crdtsync.sync.endpoint` for how a driver uses it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from crdtsync.errors import LocalProtocolError, RemoteProtocolError
from crdtsync.log import Head
from crdtsync.sync.awareness import Sighting
from crdtsync.sync.endpoint import Endpoint, State
from crdtsync.sync.fields import TEXT_LENGTH_MAX
from crdtsync.sync.frames import (
    VERSIONS,
    Advance,
    Challenge,
    Check,
    Complete,
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
    Standing,
    Subscribe,
    Subscribed,
    Subscriptions,
    Token,
    Unknown,
    Unsubscribe,
    Welcome,
)
from crdtsync.sync.limits import WireLimits
from crdtsync.sync.wire import encode_frame

__all__ = ["ServerProtocol"]

_NAME_OVERHEAD_BYTES = 12  # the CBOR heads of a name and of its priority


class ServerProtocol(Endpoint):
    """One connection, seen from the server.

    Events that `receive` returns: Hello, Proof, Token, Subscribe, Push, Check, Unsubscribe,
    Advance, Select, Show, Ping, Pong, Goodbye, Unknown. For each Push `returned(push.size)` is due
    once its entries are durable, or refused.
    """

    def __init__(self, limits: WireLimits | None = None) -> None:
        super().__init__(limits)
        self._hello: Hello | None = None
        self._challenged = False
        self._subscriptions: dict[str, Subscribe] = {}

    @property
    def hello(self) -> Hello | None:
        """What the client said of itself."""
        return self._hello

    @property
    def subscriptions(self) -> Mapping[str, Subscribe]:
        """The documents that the client follows, in the order in which it asked for them."""
        return MappingProxyType(self._subscriptions)

    @property
    def can_send(self) -> bool:
        """Whether there is credit for an Entries frame."""
        return self._state is State.OPEN and self._credit > 0

    def challenge(self, nonce: bytes, epoch: bytes) -> None:
        """Ask the client to sign a nonce; the answer is a Proof.

        Args:
            nonce: drawn for this connection alone.
            epoch: of the server's logs.
        """
        if self._state is not State.GREETED or self._challenged:
            raise LocalProtocolError("a Challenge answers a Hello, once")
        self._challenged = True
        self._enqueue(encode_frame(Challenge(nonce, epoch)))

    def welcome(
        self,
        *,
        epoch: bytes,
        time: int,
        standing: Standing | None = None,
        expires: int | None = None,
    ) -> None:
        """Let the client in.

        Args:
            epoch: of the server's logs.
            time: Unix time in milliseconds.
            standing: what the connection is; active by default.
            expires: Unix time in milliseconds by which a fresh token must have come.
        """
        if self._state is not State.GREETED or self._hello is None:
            raise LocalProtocolError("Welcome answers a Hello, once")
        version = max(set(VERSIONS).intersection(self._hello.versions))
        limits = self.limits.to_wire()
        standing = standing or Standing("active", "", time)
        frame = Welcome(
            version,
            standing.state,
            limits,
            time,
            epoch,
            self.limits.credit_bytes,
            expires,
            standing.reason,
            standing.since,
        )
        self._enqueue(encode_frame(frame))
        self._credit = self._hello.credit
        self._state = State.OPEN

    def renewed(self, expires: int | None) -> None:
        """Say until when a fresh token is good."""
        self._send(Renewed(expires))

    def subscribed(self, document: str, heads: Mapping[int, Head], mode: str) -> None:
        """Answer a Subscribe.

        Args:
            document: its name.
            heads: of all logs held here.
            mode: `cursor` if the client's cursor is honoured, `clone` if the state is sent first,
                else `vector`.
        """
        self._send(Subscribed(document, heads, mode))

    def standing(self, standing: Standing) -> None:
        """Say what the connection has become."""
        self._send(standing)

    def tell_subscriptions(self, documents: Mapping[str, int]) -> None:
        """Name documents that another connection of the user follows, with their priorities.

        What does not fit into one message is sent in several. There is always one.
        """
        for some in self._fitting(documents):
            self._send(Subscriptions(some))

    def tell_selected(
        self, id_: int, documents: Mapping[str, int], code: str = "", reason: str = ""
    ) -> None:
        """Name documents that were selected, all there are by now, with their priorities.

        What does not fit into one message is sent in several. There is always one.

        Args:
            id_: the number of the Select.
            documents: the most urgent first.
            code: a word for programs, if some are not named.
            reason: why, a sentence for people.
        """
        parts = self._fitting(documents)
        for part in parts[:-1]:
            self._send(Selected(id_, part, False, "", ""))
        self._send(Selected(id_, parts[-1], True, code, reason[: TEXT_LENGTH_MAX // 16]))

    def _fitting(self, documents: Mapping[str, int]) -> list[dict[str, int]]:
        """Divide documents into parts that fit into a message; at least one."""
        some: dict[str, int] = {}
        parts, room = [some], self._message_bytes_max // 2
        for name, priority in documents.items():
            size = len(name.encode()) + _NAME_OVERHEAD_BYTES
            if some and size > room:
                some, room = {}, self._message_bytes_max // 2
                parts.append(some)
            some[name] = priority
            room -= size
        return parts

    def send_payload(self, encoded: bytes) -> None:
        """Send an encoded Entries or SnapshotPart frame, charging credit. The bytes are not copied.

        Raises:
            LocalProtocolError: there is no credit: see `can_send`.
        """
        self._send_data(encoded)

    def complete(
        self, document: str, offset: int, heads: Mapping[int, Head], *, priority: int = 0
    ) -> None:
        """Say that all entries up to an offset, at which the log had these heads, were sent."""
        self._send(Complete(document, priority, offset, heads))

    def receipt(
        self,
        document: str,
        replica: int,
        seq: int,
        offset: int,
        refused: Sequence[tuple[int, str]] = (),
    ) -> None:
        """Say that all entries of a log up to a number are durable."""
        self._send(Receipt(document, replica, seq, offset, tuple(refused)))

    def heads(
        self, document: str, heads: Mapping[int, Head], nonce: int = 0, *, offset: int = 0
    ) -> None:
        """Answer a Check; without a nonce: say that a Push does not fit on these heads.

        Args:
            document: its name.
            heads: of all logs held here.
            nonce: the Check's.
            offset: where the document's sequence ends.
        """
        self._send(Heads(nonce, document, heads, offset))

    def shown(self, document: str, states: Sequence[Sighting]) -> None:
        """Say who is in a document, as far as it is news.

        Args:
            document: its name, which the client follows.
            states: what is shown.
        """
        self._send(Shown(document, tuple(states)))

    def failed(self, document: str, code: str, reason: str) -> None:
        """End one document; the others go on."""
        self._subscriptions.pop(document, None)
        self._send(Failed(document, code, reason[: TEXT_LENGTH_MAX // 16]))

    def _accept(self, frame: Frame) -> list[Frame]:
        if isinstance(frame, Goodbye):
            self._state = State.CLOSED
            return [frame]
        if self._state is not State.OPEN:
            return self._accept_greeting(frame)
        if isinstance(frame, Ping | Pong | Token | Advance | Select | Unknown):
            return [frame]
        if isinstance(frame, Subscribe):
            return self._accept_subscribe(frame)
        if isinstance(frame, Push):
            if not 0 < len(frame.entries) <= self.limits.push_entries_max:
                raise RemoteProtocolError(
                    f"a Push of {len(frame.entries):,} entries; "
                    f"accepted are 1 to {self.limits.push_entries_max:,}"
                )
            if frame.document not in self._subscriptions:
                self.returned(frame.size)
                return []
            return [frame]
        if isinstance(frame, Check | Show):
            return [frame] if frame.document in self._subscriptions else []
        if isinstance(frame, Unsubscribe):
            return [frame] if self._subscriptions.pop(frame.document, None) is not None else []
        raise RemoteProtocolError(f"{type(frame).__name__} is not a client's to send now")

    def _accept_greeting(self, frame: Frame) -> list[Frame]:
        if self._state is State.NEW and isinstance(frame, Hello):
            if set(VERSIONS).isdisjoint(frame.versions):
                ours, theirs = (", ".join(map(str, v)) for v in (VERSIONS, frame.versions))
                self.goodbye("version", f"this server speaks version {ours}, the client {theirs}")
                return []
            self._hello = frame
            self._state = State.GREETED
            return [frame]
        if self._challenged and isinstance(frame, Proof):
            self._challenged = False
            return [frame]
        raise RemoteProtocolError(f"{type(frame).__name__} before Welcome")

    def _accept_subscribe(self, frame: Subscribe) -> list[Frame]:
        known = frame.document in self._subscriptions
        if not known and len(self._subscriptions) >= self.limits.subscriptions_max:
            most = self.limits.subscriptions_max
            self.failed(frame.document, "limit", f"subscriptions_max={most:,} documents")
            return []
        self._subscriptions[frame.document] = frame
        return [frame]
