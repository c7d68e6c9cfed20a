"""Who we are to the server, and what it makes of us: from Hello on, for a whole session.

We say Hello, prove by signing the server's Challenge that the device's key is ours, and are let in
by its Welcome. That also tells the incarnation of the server's log and the time by its clock; later
the server may change our standing, or ask for a fresh token. None of this concerns any document.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import metadata

from crdtsync.clock import AHEAD_MAX_MS
from crdtsync.errors import RemoteProtocolError
from crdtsync.keys import sign_challenge
from crdtsync.sync import ClientProtocol
from crdtsync.sync.frames import Challenge, Renewed, Standing, Welcome
from crdtsync.transport.ports import ReplicaPort
from crdtsync.transport.status import ConnectionEvent

__all__ = ["Greeting", "client_id"]

_STANDING_EVENTS = {"active": "activated", "inactive": "downgraded", "retired": "retired"}
_SOFTWARE = f"crdtsync/{metadata.version('crdtsync')}"


def client_id(replica: int) -> bytes:
    """Return the id of this client installation: a store is one, and its replica id names it.

    So two copies of a store are one client until one of them rotates its id.
    """
    return replica.to_bytes(16, "big")


class Greeting:
    """What the two sides of one session have told each other about themselves.

    Args:
        replica: who we are.
        protocol: of the session.
        server: the name by which we know the server.
        publish: is told what the application should know.

    Attributes:
        welcomed: whether the server has let us in.
        standing: what the server has said that we are to it.
        epoch: the incarnation of the server's log.
        expires: Unix time, by our clock, by which a fresh token must have come; None: never.
    """

    def __init__(
        self,
        replica: ReplicaPort,
        protocol: ClientProtocol,
        server: str,
        publish: Callable[[ConnectionEvent], None],
    ) -> None:
        self.welcomed = False
        self.standing: Standing | None = None
        self.epoch = b""
        self.expires: float | None = None
        self._own, self._key = replica.id, replica.key
        self._replica = replica
        self._protocol = protocol
        self._server = server
        self._server_ahead_s = 0.0
        self._publish = publish

    @property
    def outdated(self) -> bool:
        """Whether the replica goes on under another id than the one that it told the server."""
        return self._replica.id != self._own

    @property
    def is_active(self) -> bool:
        """Whether the server honours our cursors."""
        return self.standing is not None and self.standing.state == "active"

    def hello(self, token: str | None) -> None:
        """Say Hello."""
        self._own, self._key = self._replica.id, self._replica.key
        self._protocol.hello(
            client=client_id(self._own),
            replica=self._own,
            user=self._replica.user,
            token=token,
            key=None if self._key is None else self._key.public,
            software=_SOFTWARE,
        )

    def prove(self, challenge: Challenge) -> None:
        """Prove that we have the device's key."""
        if self._key is None:
            raise RemoteProtocolError("the server asks for a proof that was not offered")
        signature = sign_challenge(
            self._key,
            challenge.nonce,
            server=self._server,
            epoch=challenge.epoch,
            client=client_id(self._own),
            replica=self._own,
        )
        self._protocol.prove(self._server, signature)

    def welcome(self, event: Welcome) -> None:
        """Take note that the server has let us in."""
        self.welcomed = True
        self.standing = Standing(event.state, event.reason, event.since)
        self.epoch = event.epoch
        self._server_ahead_s = event.time / 1000 - time.time()
        self._expires_in(event.expires)
        self._compare_clocks()

    def stand(self, event: Standing) -> None:
        """Take note of what we are to the server from now on."""
        self.standing = event
        self._publish(ConnectionEvent(_STANDING_EVENTS[event.state], event.reason))

    def renew(self, token: str) -> None:
        """Show the server a fresh token."""
        self.expires = None  # until it says
        self._protocol.renew(token)

    def renewed(self, event: Renewed) -> None:
        """Take note of how long the token that was shown is good for."""
        self._expires_in(event.expires)

    def _expires_in(self, expires: int | None) -> None:
        """Note when a fresh token is due, by our own clock."""
        self.expires = None if expires is None else expires / 1000 - self._server_ahead_s

    def _compare_clocks(self) -> None:
        """Tell the application if our clock is far from the server's."""
        behind = self._server_ahead_s
        if abs(behind) * 1000 <= AHEAD_MAX_MS:
            return
        where, so = "behind", "what it does counts as older than what others do"
        if behind < 0:
            where, so = "ahead of", "what it does counts as of the time at which the server gets it"
        detail = f"this device's clock is {abs(behind):,.0f} s {where} the server's: set it; {so}"
        self._publish(ConnectionEvent("clock", detail))
