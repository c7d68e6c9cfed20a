"""The door: who is let in, and as whom.

A client says Hello with a token and its device's public key; the token tells who the user is, and
the answer to a challenge that the key is the client's own. Nothing else that it sends is looked at
before. Read next: `crdtsync.server.authentication` (tokens), `crdtsync.keys` (what is signed).
"""

from __future__ import annotations

import secrets
from collections.abc import Collection

from crdtsync import events
from crdtsync.errors import AuthenticationError
from crdtsync.keys import NONCE_BYTES, check_challenge, is_public_key
from crdtsync.server.access import AccessPolicy, AllowAll
from crdtsync.server.authentication import Authenticator, DevelopmentAuthenticator, Identity
from crdtsync.server.backend import Backend
from crdtsync.server.devices import Device
from crdtsync.sync import Hello, Proof

__all__ = ["Door"]


class Door:
    """Lets clients in.

    Args:
        backend: keeps the devices.
        authenticator: tells who a client's user is; believes the client by default.
        names: names by which clients may know this server; None: any. Where they are given, a
            challenge that another server passed on is not answered for this one.
        policy: tells what users may do; everything by default.
    """

    def __init__(
        self,
        backend: Backend,
        authenticator: Authenticator | None = None,
        names: Collection[str] | None = None,
        policy: AccessPolicy | None = None,
    ) -> None:
        self.policy = policy or AllowAll()
        self._backend = backend
        self._authenticator = authenticator or DevelopmentAuthenticator()
        self._names = names

    @property
    def believes(self) -> bool:
        """Whether clients are believed who they say they are: development mode."""
        return self._authenticator.requires_loopback

    async def identify(self, token: str | None, user: str | None) -> Identity:
        """Tell who a client's user is.

        Raises:
            AuthenticationError: it has not shown that.
        """
        try:
            return await self._authenticator.authenticate(token, user=user)
        except AuthenticationError:
            raise
        except Exception as error:
            events.AUTHENTICATOR_FAILED.log()
            raise AuthenticationError("the server cannot tell who you are at the moment") from error

    def draw_nonce(self, hello: Hello) -> bytes | None:
        """Return what a client has to sign; None if it has no key and needs none.

        Raises:
            AuthenticationError: it has to have one.
        """
        if hello.key is None:
            if self.believes:
                return None
            raise AuthenticationError("this server asks for a device key")
        if not is_public_key(hello.key):
            raise AuthenticationError("that is no public key of a device")
        return secrets.token_bytes(NONCE_BYTES)

    async def admit(self, hello: Hello, identity: Identity, nonce: bytes, proof: Proof) -> None:
        """Check the answer to a challenge, and that the replica is this device's and this user's.

        Raises:
            AuthenticationError: it is not, or the device was revoked.
        """
        assert hello.key is not None
        if self._names is not None and proof.server not in self._names:
            raise AuthenticationError(f"this server is not known as {proof.server!r}")
        signed = check_challenge(
            hello.key,
            nonce,
            proof.signature,
            server=proof.server,
            epoch=self._backend.epoch,
            client=hello.client,
            replica=hello.replica,
        )
        if not signed:
            raise AuthenticationError("the challenge was not signed with the device's key")
        device = await self._backend.bind(Device(hello.replica, hello.key, identity.user))
        if device.key != hello.key:
            raise AuthenticationError(f"replica {hello.replica:x} belongs to another device")
        if device.user != identity.user:
            raise AuthenticationError(f"replica {hello.replica:x} belongs to another user")
        if device.revoked:
            raise AuthenticationError(f"device {hello.replica:x} was revoked")
