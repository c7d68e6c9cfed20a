"""JSON Web Tokens: an issuer signs who the user is, and the server checks the signature.

A token is believed if it is signed by one of the server's keys, with that key's own algorithm; is
meant for this server (`aud`); comes from the right issuer, where one is asked for; is of now; and
names a user. Nothing else in it is used to check it: addresses of keys, keys and certificates that
it brings along are not looked at, and `kid` only chooses among the keys that the server has.

Source: RFC 7519 (JSON Web Token), RFC 8725 (best current practices); the work is PyJWT's.
Read next: `crdtsync.server.authentication.keyset`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import jwt
from anyio import to_thread

from crdtsync.errors import AuthenticationError, ConfigurationError
from crdtsync.server.authentication.authenticator import Identity
from crdtsync.server.authentication.keyset import ALGORITHMS, Key, KeyFile

__all__ = ["TOKEN_LENGTH_MAX", "JwtAuthenticator"]

TOKEN_LENGTH_MAX = 16 * 1024
"""Characters of a token."""

_MALFORMED = "the token is malformed"
# PyJWT lets some of the errors through that hostile claims make Python raise.
_BROKEN = (jwt.PyJWTError, ValueError, TypeError, ArithmeticError, RecursionError)
_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (jwt.ExpiredSignatureError, "the token has expired"),
    (jwt.ImmatureSignatureError, "the token is not valid yet"),
    (jwt.InvalidAudienceError, "the token is for another audience"),
    (jwt.InvalidIssuerError, "the token is from another issuer"),
    (jwt.MissingRequiredClaimError, "the token lacks a claim that is asked for"),
)


class JwtAuthenticator:
    """Lets in whoever shows a token that one of its keys has signed.

    Args:
        keys: keys made by `secret_key` or `pem_key`, or a `KeyFile`.
        audience: what tokens for this server name as theirs (`aud`).
        issuer: who must have made them (`iss`); None: whoever has the key.
        algorithms: keys of other algorithms are not used.
        leeway_s: how far the issuer's clock may be from this one, in seconds.
        expiry_required: whether a token that never expires is refused.
        user_claim: the claim that names the user.

    Raises:
        ConfigurationError: no audience, an unknown algorithm, or no key of the algorithms allowed.

    >>> import anyio, jwt
    >>> from crdtsync.server.authentication.keyset import secret_key
    >>> secret, claims = bytes(32), {"sub": "ann", "aud": "sync.example", "exp": 2**40}
    >>> authenticator = JwtAuthenticator([secret_key(secret)], audience="sync.example")
    >>> async def who(token):
    ...     return await authenticator.authenticate(token, user=None)
    >>> anyio.run(who, jwt.encode(claims, secret, "HS256")).user
    'ann'
    >>> anyio.run(who, jwt.encode(claims, b"another secret of thirty-two bytes", "HS256"))
    Traceback (most recent call last):
    crdtsync.errors.AuthenticationError: not authenticated: no key of this server signed the token
    """

    requires_loopback = False

    def __init__(
        self,
        keys: KeyFile | Sequence[Key],
        *,
        audience: str,
        issuer: str | None = None,
        algorithms: Sequence[str] = ALGORITHMS,
        leeway_s: float = 30,
        expiry_required: bool = True,
        user_claim: str = "sub",
    ) -> None:
        if not audience:
            raise ConfigurationError("no audience: tokens for other servers would be believed")
        if not set(algorithms) <= set(ALGORITHMS):
            raise ConfigurationError(f"the algorithms known are {', '.join(ALGORITHMS)}")
        self._keys = keys
        self._audience = audience
        self._issuer = issuer
        self._algorithms = frozenset(algorithms)
        self._leeway_s = leeway_s
        self._required = ["aud", user_claim, *(["exp"] if expiry_required else [])]
        self._user_claim = user_claim
        held = keys.current() if isinstance(keys, KeyFile) else keys
        if not any(key.algorithm in self._algorithms for key in held):
            raise ConfigurationError(f"there is no key for {', '.join(algorithms)}")

    async def authenticate(self, token: str | None, *, user: str | None) -> Identity:
        """Return whom the token names; the client may not say that it is somebody else."""
        if token is None:
            raise AuthenticationError("this server asks for a token")
        if isinstance(self._keys, KeyFile):
            keys: Sequence[Key] = await to_thread.run_sync(self._keys.current)
        else:
            keys = self._keys
        identity = self._identity(self._claims(token, keys))
        if user is not None and user != identity.user:
            raise AuthenticationError("the token is another user's")
        return identity

    def _claims(self, token: str, keys: Sequence[Key]) -> dict[str, Any]:
        """Return what a token says, if it is to be believed."""
        for key in self._matching(_header(token), keys):
            try:
                return self._decode(token, key)
            except jwt.InvalidSignatureError:
                continue
            except tuple(kind for kind, _ in _REASONS) as error:
                reason = next(reason for kind, reason in _REASONS if isinstance(error, kind))
                raise AuthenticationError(reason) from error
            except _BROKEN as error:
                raise AuthenticationError(_MALFORMED) from error
        raise AuthenticationError("no key of this server signed the token")

    def _matching(self, header: Mapping[str, Any], keys: Sequence[Key]) -> list[Key]:
        id_, algorithm = header.get("kid"), header.get("alg")
        return [
            key
            for key in keys
            if key.algorithm in self._algorithms
            and key.algorithm == algorithm
            and (key.id is None or id_ is None or key.id == id_)
        ]

    def _decode(self, token: str, key: Key) -> dict[str, Any]:
        return jwt.decode(
            token,
            key.material,
            algorithms=[key.algorithm],
            audience=self._audience,
            issuer=self._issuer,
            leeway=self._leeway_s,
            options={"require": self._required},
        )

    def _identity(self, claims: dict[str, Any]) -> Identity:
        user = claims.get(self._user_claim)
        if not isinstance(user, str) or not user:
            raise AuthenticationError("the token names no user")
        expires = claims.get("exp")
        if expires is not None:
            expires = _seconds(expires) + self._leeway_s
        return Identity(user, expires, MappingProxyType(claims))


def _header(token: str) -> dict[str, Any]:
    """Read a token's header. Nothing of it is to be believed."""
    if len(token) > TOKEN_LENGTH_MAX:
        raise AuthenticationError("the token is too long")
    try:
        header = jwt.get_unverified_header(token)
    except _BROKEN as error:
        raise AuthenticationError(_MALFORMED) from error
    if "crit" in header or "b64" in header:
        raise AuthenticationError("the token asks for something that this server does not know")
    return header


def _seconds(value: object) -> float:
    """Read a claim that is a time."""
    if type(value) in (int, float):
        try:
            seconds = float(value)  # type: ignore[arg-type]
        except OverflowError:
            seconds = math.inf
        if math.isfinite(seconds):
            return seconds
    raise AuthenticationError(_MALFORMED)
