"""Device keys: how a device proves what it wrote and who it is.

A device has one Ed25519 key. It signs *statements*, each the canonical CBOR of an array whose first
item is the purpose. No statement of one purpose reads as one of another, and no two lists of facts
give the same bytes, so a signature can be used for what it was made for only. The purposes are:

- ``crdtsync seal 1``: these entries are mine (`crdtsync.seal`);
- ``crdtsync challenge 1``: it is I who connects, here and now (`sign_challenge`).

**What a challenge's answer binds, and why.** A server that a device trusts too much may pass on
another server's challenge, to be let in there in the device's name. A nonce does not prevent that,
nor does anything else that the server says of itself, because it can pass that on as well. So the
device also signs where *it* has connected to, as it knows it: a server accepts only the names that
are its own. This holds as far as the way to a name leads to its owner, which is what TLS is for.
The epoch ties the answer to one incarnation of the server, even if a copy of its machine should
draw the same nonce; client and replica keep an answer from being used for another of the same key.

Keys that sign for anybody are refused: for a public key of small order, signatures can be made that
fit almost any statement, and whoever names such a key could deny everything. So are public keys
that are written in another way than the canonical one, of which there could be two for one device.

Source: Bernstein, Duif, Lange, Schwabe, Yang, "High-speed high-security signatures", CHES 2011;
RFC 8032. On public keys of small order: Brendel, Cremers, Jackson, Zhao, "The Provable Security of
Ed25519: Theory and Practice", IEEE S&P 2021.
Read next: `crdtsync.seal`.
"""

from __future__ import annotations

from typing import Self, TypeAlias, TypeGuard

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from crdtsync.codec import encode

__all__ = [
    "NONCE_BYTES",
    "PUBLIC_KEY_BYTES",
    "SIGNATURE_BYTES",
    "DeviceKey",
    "check_challenge",
    "is_public_key",
    "sign_challenge",
    "statement",
    "verify",
]

PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64
NONCE_BYTES = 32
"""Length of a challenge's nonce: a server that draws them at random never draws one twice."""

Fact: TypeAlias = str | int | bytes

_CHALLENGE = "crdtsync challenge 1"
_FIELD = 2**255 - 19
_SIGN_BIT = 2**255
_Y_OF_ORDER_8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_Y_OF_SMALL_ORDER = frozenset({0, 1, _FIELD - 1, _Y_OF_ORDER_8, _FIELD - _Y_OF_ORDER_8})


class DeviceKey:
    """A device's key pair. Made by `generate`, or read back by `from_bytes`.

    >>> key = DeviceKey.generate()
    >>> verify(key.public, key.sign(b"hello"), b"hello")
    True
    >>> DeviceKey.from_bytes(key.private_bytes).public == key.public
    True
    """

    __slots__ = ("_private", "public")

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public = private.public_key().public_bytes_raw()
        """The public key, 32 bytes."""

    @classmethod
    def generate(cls) -> Self:
        """Draw a new key at random."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_bytes(cls, private: bytes) -> Self:
        """Read a key back from its `private_bytes`.

        Raises:
            ValueError: they are not 32 bytes.
        """
        return cls(Ed25519PrivateKey.from_private_bytes(private))

    @property
    def private_bytes(self) -> bytes:
        """The private key, 32 bytes. Whoever has them can write in the device's name."""
        return self._private.private_bytes_raw()

    def sign(self, data: bytes) -> bytes:
        """Return the signature of a `statement`, 64 bytes. Signing twice gives the same bytes."""
        return self._private.sign(data)

    def __repr__(self) -> str:
        return f"DeviceKey(public={self.public.hex()})"


def is_public_key(public: object) -> TypeGuard[bytes]:
    """Tell whether a value can be a device's public key: canonical bytes, and of full order.

    >>> is_public_key(DeviceKey.generate().public), is_public_key(bytes(32))
    (True, False)
    """
    if type(public) is not bytes or len(public) != PUBLIC_KEY_BYTES:
        return False
    y = int.from_bytes(public, "little") % _SIGN_BIT
    return y < _FIELD and y not in _Y_OF_SMALL_ORDER


def verify(public: bytes, signature: bytes, data: bytes) -> bool:
    """Tell whether a device has signed `data`; False for whatever is no key or no signature."""
    if not is_public_key(public) or type(signature) is not bytes:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True


def statement(purpose: str, *facts: Fact) -> bytes:
    """Return the bytes to sign in order to state facts for a purpose.

    >>> statement("greet", "ann", 1) == statement("greet", "ann", 1)
    True
    >>> statement("greet", "ann", 1) == statement("greet", "ann1")
    False
    """
    return encode((purpose, *facts), flat=True)


def sign_challenge(
    key: DeviceKey, nonce: bytes, *, server: str, epoch: bytes, client: bytes, replica: int
) -> bytes:
    """Answer a server's challenge.

    Args:
        key: the device's.
        nonce: what the server has drawn.
        server: the name of the server as this device knows it: the host it connected to (for a
            Unix socket, its path), never what the server calls itself.
        epoch: the server's, as it says.
        client: id of this client installation.
        replica: id of the replica that connects.
    """
    return key.sign(statement(_CHALLENGE, nonce, server, epoch, client, replica))


def check_challenge(
    public: bytes,
    nonce: bytes,
    signature: bytes,
    *,
    server: str,
    epoch: bytes,
    client: bytes,
    replica: int,
) -> bool:
    """Tell whether a device has answered this challenge, for this server and connection.

    A server drew `nonce` for this connection alone, knows `epoch` and its own names (`server`: to
    be tried one by one if there are several), and takes the others from the client's Hello.

    >>> key, nonce = DeviceKey.generate(), bytes(NONCE_BYTES)
    >>> hello = {"epoch": bytes(16), "client": bytes(16), "replica": 2**52}
    >>> signature = sign_challenge(key, nonce, server="sync.example", **hello)
    >>> check_challenge(key.public, nonce, signature, server="sync.example", **hello)
    True
    >>> check_challenge(key.public, nonce, signature, server="other.example", **hello)
    False
    """
    stated = statement(_CHALLENGE, nonce, server, epoch, client, replica)
    return verify(public, signature, stated)
