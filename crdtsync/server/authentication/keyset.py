"""The keys that tokens are checked with: each good for one algorithm, and for no other.

The algorithm belongs to the key and is never taken from a token, so no key can be used as what it
is not: a public key is never a secret. It follows from the key's own kind:

| key | algorithm |
|---|---|
| Ed25519 | EdDSA |
| elliptic curve P-256 | ES256 |
| RSA of 2048 bits or more | RS256 |
| a secret of 32 bytes or more | HS256 |

`secret_key` and `pem_key` make one key. `KeyFile` reads a file, a PEM or a JSON Web Key Set, and
reads it again when it has changed.

Source: RFC 7517 (JSON Web Key), RFC 7518 (their algorithms), RFC 8725 (best current practices).
Read next: `crdtsync.server.authentication.jwt`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt import PyJWK, PyJWTError

from crdtsync import events
from crdtsync.errors import ConfigurationError

__all__ = ["ALGORITHMS", "FILE_BYTES_MAX", "Key", "KeyFile", "parse_jwks", "pem_key", "secret_key"]

ALGORITHMS = ("EdDSA", "ES256", "RS256", "HS256")
"""The algorithms that are known."""
FILE_BYTES_MAX = 1024 * 1024
"""What a file of keys may hold."""

Material: TypeAlias = Ed25519PublicKey | EllipticCurvePublicKey | RSAPublicKey | bytes

_SECRET_BYTES_MIN = 32  # RFC 7518, section 3.2
_RSA_BITS_MIN = 2048  # RFC 7518, section 3.3
_PEM = b"-----BEGIN "
_LOOKS_PUBLIC = (_PEM, b"ssh-", b"ecdsa-sha2-")

# Of a key in a set only what checking takes is read: a private half would be of no use here.
_MEMBERS = {
    "OKP": ("kty", "crv", "x"),
    "EC": ("kty", "crv", "x", "y"),
    "RSA": ("kty", "n", "e"),
    "oct": ("kty", "k"),
}
_KINDS = {"OKP": "EdDSA", "EC": "ES256", "RSA": "RS256", "oct": "HS256"}
_NAMES = {"Ed25519": "EdDSA"}  # RFC 9864 calls it by its curve


class Key(NamedTuple):
    """A key that tokens are checked with.

    Attributes:
        id: which tokens name it by (`kid`); None: whatever they name.
        algorithm: one of `ALGORITHMS`: the only one it is used with.
        material: the key itself.
    """

    id: str | None
    algorithm: str
    material: Material

    def __repr__(self) -> str:
        return f"Key(id={self.id!r}, algorithm={self.algorithm!r})"


def secret_key(secret: bytes, *, id: str | None = None) -> Key:  # noqa: A002 - as in `Key`
    """Make a key of a secret that the issuer of the tokens has as well.

    Raises:
        ConfigurationError: it can be guessed, or is a public key's text and so no secret.

    >>> secret_key(bytes(32))
    Key(id=None, algorithm='HS256')
    """
    if len(secret) < _SECRET_BYTES_MIN:
        raise ConfigurationError(f"a secret for tokens has at least {_SECRET_BYTES_MIN} bytes")
    if secret.lstrip().startswith(_LOOKS_PUBLIC):
        raise ConfigurationError("this secret is a key's text: pass it to pem_key")
    return Key(id, "HS256", secret)


def pem_key(pem: str | bytes, *, id: str | None = None) -> Key:  # noqa: A002 - as in `Key`
    """Make a key of a public key's PEM text.

    Raises:
        ConfigurationError: it is no public key, or of a kind that is not used here.
    """
    data = pem.encode() if isinstance(pem, str) else pem
    try:
        loaded = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigurationError(f"not the PEM of a public key: {error}") from error
    return _key(loaded, id)


def parse_jwks(data: str | bytes) -> tuple[Key, ...]:
    """Read a JSON Web Key Set.

    Keys of kinds that are not used here, or for other uses, are passed over, as RFC 7517 wants it.
    A set that holds no key at all is a set: it lets nobody in.

    Raises:
        ConfigurationError: it is no such set, one of its keys is broken, or none is of use.
    """
    try:
        listed = json.loads(data)["keys"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ConfigurationError("not a JSON Web Key Set") from error
    if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
        raise ConfigurationError("not a JSON Web Key Set: its keys are not a list of objects")
    keys = tuple(_jwk(item) for item in listed if _is_of_use(item))
    if listed and not keys:
        raise ConfigurationError(f"none of its keys is for checking {', '.join(ALGORITHMS)}")
    return keys


def _is_of_use(jwk: Mapping[str, Any]) -> bool:
    kind = jwk.get("kty")
    if not isinstance(kind, str) or kind not in _KINDS:
        return False
    if kind in ("OKP", "EC") and jwk.get("crv") not in ("Ed25519", "P-256"):
        return False
    algorithm = jwk.get("alg", _KINDS[kind])
    operations = jwk.get("key_ops", ["verify"])
    return (
        (algorithm == _KINDS[kind] or _NAMES.get(str(algorithm)) == _KINDS[kind])
        and jwk.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
    )


def _jwk(jwk: Mapping[str, Any]) -> Key:
    kind, id_ = jwk["kty"], jwk.get("kid")
    if id_ is not None and not isinstance(id_, str):
        raise ConfigurationError("a key's kid is not a text")
    members = {name: jwk.get(name) for name in _MEMBERS[kind]}
    if not all(isinstance(value, str) for value in members.values()):
        raise ConfigurationError(f"key {id_!r} is broken: a member is missing, or is not a text")
    try:
        material = PyJWK(members, _KINDS[kind]).key
    except (PyJWTError, ValueError, TypeError) as error:
        raise ConfigurationError(f"key {id_!r} is broken: {error}") from error
    return secret_key(material, id=id_) if kind == "oct" else _key(material, id_)


def _key(loaded: object, id_: str | None) -> Key:
    if isinstance(loaded, Ed25519PublicKey):
        return Key(id_, "EdDSA", loaded)
    if isinstance(loaded, EllipticCurvePublicKey) and isinstance(loaded.curve, SECP256R1):
        return Key(id_, "ES256", loaded)
    if isinstance(loaded, RSAPublicKey):
        if loaded.key_size < _RSA_BITS_MIN:
            raise ConfigurationError(f"an RSA key has at least {_RSA_BITS_MIN} bits")
        return Key(id_, "RS256", loaded)
    raise ConfigurationError("only Ed25519, P-256 and RSA keys check tokens here")


class KeyFile:
    """Keys in a file that may change while the server runs: a PEM, or a JSON Web Key Set.

    To change keys, first add the new one under another `kid`, then let tokens be signed with it,
    and take the old one out when its last token has expired. Replace the file as a whole, by
    renaming another over it. While it is broken or missing, the keys read before are used, and
    the fault is logged once.

    Args:
        path: the file.

    Raises:
        ConfigurationError: there are no keys to begin with.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._seen = _stamp(self.path)
        self._keys = _read(self.path)

    def current(self) -> tuple[Key, ...]:
        """Return the keys, read again if the file has changed. Looks at the disk; any thread."""
        stamp = _stamp(self.path)
        if stamp != self._seen:
            self._seen = stamp
            try:
                self._keys = _read(self.path)
            except ConfigurationError as error:
                events.KEYS_UNREADABLE.log(path=str(self.path), error=error)
            else:
                events.KEYS_READ.log(path=str(self.path), keys=len(self._keys))
        return self._keys


_Stamp: TypeAlias = tuple[int, int, int, int]


def _stamp(path: Path) -> _Stamp | None:
    """Return what changes when a file does; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


def _read(path: Path) -> tuple[Key, ...]:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    if len(data) > FILE_BYTES_MAX:
        raise ConfigurationError(f"{path}: more than {FILE_BYTES_MAX:,} bytes")
    try:
        return (pem_key(data),) if data.lstrip().startswith(_PEM) else parse_jwks(data)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error
