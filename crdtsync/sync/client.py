"""The client's end of the protocol, as a state machine without I/O.

    NEW ── hello() ──> GREETED ── Welcome ──> OPEN ── Goodbye ──> CLOSED

Rules kept here, for both sides' sake:

- Nothing is sent between Hello and Welcome, but the Proof that a Challenge asks for.
- A document is *asked for* by Subscribe and *live* from its Subscribed on, until Unsubscribe or
  Failed. What arrives of a document that is not live has crossed one of these: it is passed over,
  and credit for it is given back.
- A live document's Entries go on where those before them ended; the first after a cursor that was
  honoured, at that cursor; the first after a clone, at the offset of that. The server may answer
  a Subscribe again, to begin the document anew.
- Entries are pushed to live documents only, while there is credit.

Read `crdtsync.sync.endpoint` for how a driver uses it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crdtsync.clone import Resume
from crdtsync.errors import LocalProtocolError, RemoteProtocolError
from crdtsync.log import Cursor, Head
from crdtsync.sync.endpoint import Endpoint, State
from crdtsync.sync.fields import DOCUMENT_LENGTH_MAX
from crdtsync.sync.frames import (
    VERSIONS,
    Advance,
    Challenge,
    Check,
    Complete,
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
from crdtsync.sync.limits import FRAME_BYTES_MIN, WireLimits
from crdtsync.sync.wire import encode_frame

__all__ = ["ClientProtocol"]


@dataclass(slots=True)
class _Subscription:
    cursor: Cursor | None
    live: bool = False
    offset: int | None = None
    cloning: bool = False


class ClientProtocol(Endpoint):
    """One connection, seen from the client.

    Events that `receive` returns: Challenge, Welcome, Standing, Subscriptions, Subscribed,
    SnapshotPart, Entries, Complete, Receipt, Heads, Failed, Selected, Shown, Ping, Pong, Renewed,
    Goodbye, Unknown.
    For each Entries and SnapshotPart `returned(frame.size)` is due once it is stored.
    """

    def __init__(self, limits: WireLimits | None = None) -> None:
        super().__init__(limits)
        self._subscriptions: dict[str, _Subscription] = {}
        self._selections: set[int] = set()
        self._challenged = False
        self._checks: dict[int, str] = {}
        self._push_entries_max = self.limits.push_entries_max

    @property
    def can_push(self) -> bool:
        """Whether there is credit for a Push."""
        return self._state is State.OPEN and self._credit > 0

    @property
    def push_entries_max(self) -> int:
        """Entries that the server takes in one Push."""
        return self._push_entries_max

    def is_live(self, document: str) -> bool:
        """Tell whether a document is subscribed and the server has said so."""
        subscription = self._subscriptions.get(document)
        return subscription is not None and subscription.live

    def hello(
        self,
        *,
        client: bytes,
        replica: int,
        software: str,
        user: str | None = None,
        token: str | None = None,
        key: bytes | None = None,
    ) -> None:
        """Say who is there: the first thing to do on a new connection."""
        if self._state is not State.NEW:
            raise LocalProtocolError("Hello is said once, and first")
        encoded = encode_frame(
            Hello(
                VERSIONS,
                client,
                replica,
                user,
                token,
                key,
                software,
                self.limits.credit_bytes,
            )
        )
        self._enqueue(encoded)
        self._state = State.GREETED

    def prove(self, server: str, signature: bytes) -> None:
        """Answer a Challenge.

        Args:
            server: the name by which we know the server.
            signature: see `crdtsync.keys.sign_challenge`.
        """
        if not self._challenged:
            raise LocalProtocolError("a Proof answers a Challenge, and there is none")
        self._challenged = False
        self._enqueue(encode_frame(Proof(server, signature)))

    def subscribe(
        self,
        document: str,
        heads: Mapping[int, Head],
        cursor: Cursor | None = None,
        *,
        priority: int = 0,
        resume: Resume | None = None,
    ) -> None:
        """Ask for a document; a second time, to begin again from other heads or another cursor."""
        if not 0 < len(document) <= DOCUMENT_LENGTH_MAX:
            raise LocalProtocolError(
                f"a document's name has 1 to {DOCUMENT_LENGTH_MAX} characters, not {len(document)}"
            )
        self._send(Subscribe(document, priority, heads, cursor, resume))
        self._subscriptions[document] = _Subscription(cursor)
        self._forget_checks(document)

    def unsubscribe(self, document: str) -> None:
        """Ask for no more of a document. Without effect where it is not subscribed."""
        if document in self._subscriptions:
            self._send(Unsubscribe(document))
            self._drop(document)

    def select(self, id_: int, selectors: Mapping[str, int]) -> None:
        """Ask which documents are of some selectors; a second time, to ask for others.

        Args:
            id_: our number for this.
            selectors: each with a priority; none: ask no more.
        """
        self._send(Select(id_, selectors))
        if selectors:
            self._selections.add(id_)
        else:
            self._selections.discard(id_)

    def advance(self, offsets: Mapping[str, int]) -> None:
        """Say how far documents are held here for good."""
        self._send(Advance(offsets))

    def push(self, document: str, entries: Sequence[bytes]) -> None:
        """Send entries of a live document.

        Raises:
            LocalProtocolError: there is no credit, the document is not live, or the entries are
                none, too many or too large for one frame.
        """
        if not self.is_live(document):
            raise LocalProtocolError(f"document {document!r} is not subscribed")
        if not 0 < len(entries) <= self._push_entries_max:
            raise LocalProtocolError(
                f"a Push carries 1 to {self._push_entries_max:,} entries, not {len(entries):,}"
            )
        self._send_data(encode_frame(Push(document, tuple(entries))))

    def renew(self, token: str) -> None:
        """Show a fresh token, before the one shown expires."""
        self._send(Token(token))

    def check(self, document: str) -> int:
        """Ask for the server's heads of a live document; return the number of the answer."""
        if not self.is_live(document):
            raise LocalProtocolError(f"document {document!r} is not subscribed")
        nonce = self._next_nonce()
        self._send(Check(nonce, document))
        self._checks[nonce] = document
        return nonce

    def show(self, document: str, state: str | None, *, watching: bool = True) -> None:
        """Show something of us to the others in a live document.

        Args:
            document: its name.
            state: a JSON object; None: nothing.
            watching: whether we are to be told who is there.
        """
        if not self.is_live(document):
            raise LocalProtocolError(f"document {document!r} is not subscribed")
        self._send(Show(document, state, watching))

    def _accept(self, frame: Frame) -> list[Frame]:
        if isinstance(frame, Goodbye):
            self._state = State.CLOSED
            return [frame]
        if self._state is not State.OPEN:
            return self._accept_greeting(frame)
        if isinstance(frame, Ping | Pong | Renewed | Standing | Subscriptions | Unknown):
            return [frame]
        if isinstance(frame, Selected):
            return [frame] if frame.id in self._selections else []
        if isinstance(frame, Failed):
            known = frame.document in self._subscriptions
            self._drop(frame.document)
            return [frame] if known else []
        if isinstance(frame, Subscribed):
            return self._accept_subscribed(frame)
        if isinstance(frame, Entries):
            return self._accept_entries(frame)
        if isinstance(frame, SnapshotPart):
            return self._accept_part(frame)
        if isinstance(frame, Heads):
            asked = self._checks.pop(frame.nonce, None) == frame.document
            relevant = self.is_live(frame.document) and (asked or frame.nonce == 0)
            return [frame] if relevant else []
        if isinstance(frame, Complete | Receipt | Shown):
            return [frame] if self.is_live(frame.document) else []
        raise RemoteProtocolError(f"{type(frame).__name__} is not a server's to send now")

    def _accept_greeting(self, frame: Frame) -> list[Frame]:
        if self._state is not State.GREETED:
            raise RemoteProtocolError(f"{type(frame).__name__} before Hello")
        if isinstance(frame, Challenge) and not self._challenged:
            self._challenged = True
            return [frame]
        if not isinstance(frame, Welcome):
            raise RemoteProtocolError(f"{type(frame).__name__} before Welcome")
        if frame.version not in VERSIONS:
            raise RemoteProtocolError(
                f"the server chose version {frame.version}; we know {VERSIONS}"
            )
        self._state = State.OPEN
        self._credit = frame.credit
        limits = frame.limits
        # A server may take less than we should like, but never so little that nothing fits.
        frame_bytes_max = limits.get("frame_bytes_max", self._frame_bytes_max)
        self._frame_bytes_max = max(FRAME_BYTES_MIN, frame_bytes_max)
        message_bytes_max = limits.get("message_bytes_max", self._message_bytes_max)
        self._message_bytes_max = max(self._frame_bytes_max, message_bytes_max)
        self._push_entries_max = max(1, limits.get("push_entries_max", self._push_entries_max))
        return [frame]

    def _accept_subscribed(self, frame: Subscribed) -> list[Frame]:
        subscription = self._subscriptions.get(frame.document)
        if subscription is None:
            return []
        if frame.mode == "cursor":
            if subscription.cursor is None:
                raise RemoteProtocolError(
                    f"document {frame.document!r} goes on from a cursor that was not given"
                )
            subscription.offset = subscription.cursor.offset
        else:
            subscription.offset = None
        subscription.cloning = frame.mode == "clone"
        subscription.live = True
        return [frame]

    def _accept_entries(self, frame: Entries) -> list[Frame]:
        subscription = self._subscriptions.get(frame.document)
        if subscription is None or not subscription.live:
            self.returned(frame.size)
            return []
        if subscription.cloning:
            raise RemoteProtocolError(
                f"entries of document {frame.document!r} before all of its clone"
            )
        expected = subscription.offset
        if (expected is not None and frame.after != expected) or frame.upto < frame.after:
            raise RemoteProtocolError(
                f"entries of document {frame.document!r} from {frame.after} to {frame.upto}, "
                f"where {expected} was to be gone on from"
            )
        subscription.offset = frame.upto
        return [frame]

    def _accept_part(self, frame: SnapshotPart) -> list[Frame]:
        subscription = self._subscriptions.get(frame.document)
        if subscription is None or not subscription.live:
            self.returned(frame.size)
            return []
        end = frame.position + len(frame.data)
        if not subscription.cloning or end > frame.total:
            raise RemoteProtocolError(
                f"bytes {frame.position} to {end} of a clone of document {frame.document!r}, "
                "where none were to come"
            )
        if end == frame.total:
            subscription.cloning = False
            subscription.offset = frame.offset
        return [frame]

    def _drop(self, document: str) -> None:
        self._subscriptions.pop(document, None)
        self._forget_checks(document)

    def _forget_checks(self, document: str) -> None:
        if document in self._checks.values():
            self._checks = {n: name for n, name in self._checks.items() if name != document}
