"""Whoever shows a token is whom it names, or is not let in."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from crdtsync.errors import AuthenticationError, ConfigurationError
from crdtsync.server.authentication import Authenticator, DevelopmentAuthenticator, Identity
from crdtsync.server.authentication.jwt import TOKEN_LENGTH_MAX, JwtAuthenticator
from crdtsync.server.authentication.keyset import (
    ALGORITHMS,
    FILE_BYTES_MAX,
    KeyFile,
    parse_jwks,
    pem_key,
    secret_key,
)

AUDIENCE = "sync.example"
SECRET = b"a secret of at least thirty-two bytes"
PRIVATE: dict[str, Any] = {
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "RS256": rsa.generate_private_key(65537, 2048),
    "HS256": SECRET,
}
NO_KEY = "no key of this server signed the token"
UNKNOWN = "the token asks for something that this server does not know"


def pem(private: Any) -> bytes:
    public: bytes = private.public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )
    return public


def jwk(algorithm: str, private: Any = None, **members: Any) -> dict[str, Any]:
    """Write a key as a member of a key set, with its public half only."""
    private = private or PRIVATE[algorithm]
    if algorithm == "HS256":
        return {"kty": "oct", "k": encoded(private), **members}
    kinds: dict[str, Any] = {"EdDSA": OKPAlgorithm, "ES256": ECAlgorithm, "RS256": RSAAlgorithm}
    written = kinds[algorithm].to_jwk(private.public_key(), as_dict=True)
    written.pop("key_ops", None)
    return {**written, **members}


KEYS = [
    secret_key(SECRET) if name == "HS256" else pem_key(pem(PRIVATE[name])) for name in ALGORITHMS
]


def claims(**changes: Any) -> dict[str, Any]:
    said = {"sub": "ann", "aud": AUDIENCE, "exp": time.time() + 600} | changes
    return {name: value for name, value in said.items() if value is not None}


def signed(algorithm: str = "EdDSA", headers: Any = None, **changes: Any) -> str:
    return jwt.encode(claims(**changes), PRIVATE[algorithm], algorithm, headers=headers)


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def assembled(header: Any, payload: Any, secret: bytes | None = SECRET) -> str:
    """Put a token together by hand, of whatever is given."""
    parts = [part if isinstance(part, str) else json.dumps(part) for part in (header, payload)]
    text = ".".join(encoded(part.encode()) for part in parts)
    mac = b"" if secret is None else hmac.digest(secret, text.encode(), hashlib.sha256)
    return f"{text}.{encoded(mac)}"


def of(*keys: Any, **options: Any) -> JwtAuthenticator:
    return JwtAuthenticator(keys or KEYS, audience=AUDIENCE, **options)


async def ask(authenticator: Authenticator, token: str | None, user: str | None = None) -> Identity:
    return await authenticator.authenticate(token, user=user)


async def reason(authenticator: Authenticator, token: str | None, user: str | None = None) -> str:
    with pytest.raises(AuthenticationError) as caught:
        await authenticator.authenticate(token, user=user)
    assert str(caught.value) == f"not authenticated: {caught.value.reason}"
    if token:
        shown = str(caught.value)
        assert not any(part in shown for part in token.split(".") if len(part) > 8)
    return caught.value.reason


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_signed_token_lets_its_user_in(algorithm: str) -> None:
    expires = int(time.time()) + 600
    token = signed(algorithm, exp=expires, groups=["editors"])
    authenticator = of(leeway_s=5)
    for said in (None, "ann"):
        identity = await ask(authenticator, token, said)
        assert identity == Identity("ann", expires + 5)
        assert identity.claims["groups"] == ["editors"]
    assert not authenticator.requires_loopback


async def test_claims_cannot_be_changed() -> None:
    identity = await ask(of(), signed(groups=[]))
    with pytest.raises(TypeError):
        identity.claims["groups"] = ["admins"]  # type: ignore[index]


async def test_nobody_is_let_in_without_a_token_or_as_somebody_else() -> None:
    assert await reason(of(), None) == "this server asks for a token"
    assert await reason(of(), None, "ann") == "this server asks for a token"
    assert await reason(of(), signed(), "bob") == "the token is another user's"
    assert await reason(of(), signed(), "") == "the token is another user's"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_token_that_another_key_has_signed_is_refused(algorithm: str) -> None:
    others: dict[str, Any] = {
        "EdDSA": ed25519.Ed25519PrivateKey.generate(),
        "ES256": ec.generate_private_key(ec.SECP256R1()),
        "RS256": rsa.generate_private_key(65537, 2048),
        "HS256": SECRET[::-1],
    }
    token = jwt.encode(claims(), others[algorithm], algorithm)
    assert await reason(of(), token) == NO_KEY


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_token_of_which_any_part_is_changed_is_refused(algorithm: str) -> None:
    header, payload, signature = signed(algorithm).split(".")
    bob = encoded(json.dumps(claims(sub="bob")).encode())
    again = encoded(json.dumps({"alg": algorithm}).encode())
    for token in (
        f"{header}.{bob}.{signature}",
        f"{again}.{payload}.{signature}",
        f"{header}.{payload}.{signature[::-1]}",
        f"{header}.{payload}.{encoded(b'')}",
        f"{header}.{payload}.{encoded(bytes(64))}",
    ):
        assert await reason(of(), token) in (NO_KEY, "the token is malformed")


@pytest.mark.parametrize("algorithm", ["none", "NONE", "nOnE", "", None, 0, [], {}, True])
@pytest.mark.parametrize("secret", [None, b"", SECRET])
async def test_an_unsigned_token_is_refused(algorithm: Any, secret: bytes | None) -> None:
    token = assembled({"alg": algorithm, "typ": "JWT"}, claims(), secret)
    assert await reason(of(), token) == NO_KEY
    assert await reason(of(), assembled({"typ": "JWT"}, claims(), secret)) == NO_KEY


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_a_public_key_is_never_taken_for_a_secret(algorithm: str) -> None:
    private = PRIVATE[algorithm]
    public = private.public_key()
    written = [
        pem(private),
        pem(private).strip(),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        json.dumps(jwk(algorithm)).encode(),
    ]
    for authenticator in (of(), of(pem_key(pem(private)))):
        for secret in written:
            token = assembled({"alg": "HS256"}, claims(), secret)
            assert await reason(authenticator, token) == NO_KEY


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
async def test_a_key_is_used_with_its_own_algorithm_only(algorithm: str) -> None:
    assert await reason(of(), jwt.encode(claims(), SECRET * 2, algorithm)) == NO_KEY
    for named in ("HS256", "ES256", "RS256"):
        header, payload, signature = signed("EdDSA").split(".")
        header = encoded(json.dumps({"alg": named}).encode())
        assert await reason(of(), f"{header}.{payload}.{signature}") == NO_KEY


@pytest.mark.parametrize("algorithm", ["PS256", "RS384", "RS512"])
async def test_a_weaker_or_stronger_relative_is_another_algorithm(algorithm: str) -> None:
    token = jwt.encode(claims(), PRIVATE["RS256"], algorithm)
    assert await reason(of(), token) == NO_KEY


async def test_algorithms_can_be_ruled_out() -> None:
    authenticator = of(algorithms=["EdDSA"])
    assert (await ask(authenticator, signed("EdDSA"))).user == "ann"
    for algorithm in ("ES256", "RS256", "HS256"):
        assert await reason(authenticator, signed(algorithm)) == NO_KEY


@pytest.mark.parametrize(
    "kid",
    [
        "../../../../dev/null",
        "/dev/null",
        "' UNION SELECT 'secret' --",
        "http://evil.example/key",
        "|id",
        "",
        "\0",
        "x" * 10_000,
    ],
)
async def test_a_kid_chooses_among_the_keys_that_there_are(kid: str) -> None:
    authenticator = of(secret_key(SECRET, id="one"))
    for secret in (SECRET, b"", b"\0", b"secret"):
        token = assembled({"alg": "HS256", "kid": kid}, claims(), secret)
        assert await reason(authenticator, token) == NO_KEY
    assert (await ask(authenticator, signed("HS256", {"kid": "one"}))).user == "ann"
    assert (await ask(authenticator, signed("HS256"))).user == "ann"


@pytest.mark.parametrize("kid", [None, 1, [], {}, ["one"], {"one": 1}, True])
async def test_a_kid_that_is_no_text_is_refused(kid: Any) -> None:
    token = assembled({"alg": "HS256", "kid": kid}, claims())
    assert await reason(of(), token) == "the token is malformed"


async def test_keys_that_a_token_brings_along_are_not_looked_at() -> None:
    own = ed25519.Ed25519PrivateKey.generate()
    for headers in (
        {"jwk": jwk("EdDSA", own)},
        {"jku": "http://127.0.0.1:1/keys"},
        {"x5u": "file:///etc/passwd"},
        {"x5c": [encoded(pem(own))]},
    ):
        token = jwt.encode(claims(), own, "EdDSA", headers=headers)
        assert await reason(of(), token) == NO_KEY


@pytest.mark.parametrize(
    "header", [{"crit": ["exp"]}, {"crit": []}, {"b64": False, "crit": ["b64"]}, {"b64": True}]
)
async def test_what_a_token_asks_for_and_nobody_knows_is_refused(header: dict[str, Any]) -> None:
    token = assembled({"alg": "HS256", **header}, claims())
    assert await reason(of(), token) in (UNKNOWN, "the token is malformed")


async def test_a_token_has_its_time() -> None:
    now = time.time()
    authenticator = of(leeway_s=30)
    assert await reason(authenticator, signed(exp=now - 40)) == "the token has expired"
    assert await reason(authenticator, signed(exp=0)) == "the token has expired"
    assert await reason(authenticator, signed(exp=-1)) == "the token has expired"
    assert await reason(authenticator, signed(nbf=now + 60)) == "the token is not valid yet"
    assert await reason(authenticator, signed(iat=now + 60)) == "the token is not valid yet"
    identity = await ask(authenticator, signed(exp=now - 10, nbf=now + 10, iat=now + 10))
    assert identity.expires is not None
    assert identity.expires > now  # not to be asked for another at once


async def test_a_token_that_never_expires_is_refused_unless_that_is_allowed() -> None:
    token = signed(exp=None)
    assert await reason(of(), token) == "the token lacks a claim that is asked for"
    assert (await ask(of(expiry_required=False), token)).expires is None
    expired = signed(exp=time.time() - 60)
    assert await reason(of(expiry_required=False), expired) == "the token has expired"


@pytest.mark.parametrize(
    "expiry", ["9999999999", "later", True, [], {}, [9999999999], "NaN", "1e400"]
)
async def test_an_expiry_that_is_no_time_is_refused(expiry: Any) -> None:
    token = assembled({"alg": "HS256"}, claims(exp=expiry))
    for authenticator in (of(), of(expiry_required=False)):
        assert await reason(authenticator, token) in (
            "the token is malformed",
            "the token has expired",
        )


@pytest.mark.parametrize("expiry", ["NaN", "Infinity", "-Infinity", "1e400", "9" * 400, "9" * 5000])
@pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
async def test_numbers_that_python_stumbles_over_are_refused(expiry: str, claim: str) -> None:
    payload = json.dumps(claims(**{claim: "HERE"})).replace('"HERE"', expiry)
    assert await reason(of(), assembled({"alg": "HS256"}, payload)) in (
        "the token is malformed",
        "the token is not valid yet",
    )


@pytest.mark.parametrize(
    ("audience", "why"),
    [
        (None, "the token lacks a claim that is asked for"),
        ("", "the token lacks a claim that is asked for"),
        ([], "the token lacks a claim that is asked for"),
        ("other.example", "the token is for another audience"),
        ("sync.example.evil.example", "the token is for another audience"),
        (["other.example"], "the token is for another audience"),
        ("SYNC.EXAMPLE", "the token is for another audience"),
        ([AUDIENCE, 7], "the token is for another audience"),
        ({AUDIENCE: 1}, "the token is for another audience"),
        (7, "the token is for another audience"),
    ],
)
async def test_a_token_for_another_server_is_refused(audience: Any, why: str) -> None:
    token = assembled({"alg": "HS256"}, claims(aud=audience))
    assert await reason(of(), token) == why


async def test_a_token_for_several_servers_is_for_each() -> None:
    assert (await ask(of(), signed(aud=["other.example", AUDIENCE]))).user == "ann"


async def test_the_issuer_is_asked_for_where_one_is_named() -> None:
    authenticator = of(issuer="https://id.example")
    assert (await ask(authenticator, signed(iss="https://id.example"))).user == "ann"
    other = signed(iss="https://id.example.evil.example")
    assert await reason(authenticator, other) == "the token is from another issuer"
    assert await reason(authenticator, signed()) == "the token lacks a claim that is asked for"
    assert (await ask(of(), other)).user == "ann"


@pytest.mark.parametrize("user", [None, "", 7, [], ["ann"], {"ann": 1}, True])
async def test_a_token_that_names_no_user_is_refused(user: Any) -> None:
    token = assembled({"alg": "HS256"}, claims(sub=user))
    await reason(of(), token)
    token = assembled({"alg": "HS256"}, claims(email=user))
    await reason(of(user_claim="email"), token)


async def test_another_claim_may_name_the_user() -> None:
    token = signed(sub="4711", email="ann@example.org")
    assert (await ask(of(user_claim="email"), token)).user == "ann@example.org"
    assert await reason(of(user_claim="email"), token, "4711") == "the token is another user's"


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        "ä.ö.ü",
        "\ud800.\ud800.\ud800",
        "\0",
        assembled("[]", "{}"),
        assembled("null", "{}"),
        assembled("[" * 8000, "{}"),
        assembled({"alg": "HS256"}, "[" * 8000),
        assembled({"alg": "HS256"}, "[]"),
        assembled({"alg": "HS256"}, "null"),
        assembled({"alg": "HS256"}, '"ann"'),
        assembled({"alg": "HS256"}, ""),
        assembled({"alg": "HS256"}, claims()) + ".",
        " " + assembled({"alg": "HS256"}, claims()),
        assembled({"alg": "HS256"}, claims()) + "\n",
    ],
)
async def test_what_is_no_token_is_refused(token: str) -> None:
    await reason(of(), token)


async def test_a_token_of_absurd_length_is_refused_unread() -> None:
    token = signed(note="x" * TOKEN_LENGTH_MAX)
    assert await reason(of(), token) == "the token is too long"


@given(header=st.binary(max_size=60), payload=st.binary(max_size=60), mac=st.binary(max_size=40))
async def test_garbage_is_refused(header: bytes, payload: bytes, mac: bytes) -> None:
    authenticator = of()
    await reason(authenticator, ".".join(map(encoded, (header, payload, mac))))
    await reason(authenticator, assembled({"alg": "HS256"}, payload.decode("latin-1")))


def test_an_authenticator_that_could_let_nobody_or_anybody_in_is_not_made() -> None:
    with pytest.raises(ConfigurationError, match="no audience"):
        JwtAuthenticator(KEYS, audience="")
    with pytest.raises(ConfigurationError, match="the algorithms known"):
        of(algorithms=["none"])
    with pytest.raises(ConfigurationError, match="the algorithms known"):
        of(algorithms=["HS512"])
    with pytest.raises(ConfigurationError, match="there is no key"):
        JwtAuthenticator([], audience=AUDIENCE)
    with pytest.raises(ConfigurationError, match="there is no key for EdDSA"):
        of(secret_key(SECRET), algorithms=["EdDSA"])


@pytest.mark.parametrize(
    "secret", [b"", b"hunter2", bytes(31), pem(PRIVATE["RS256"]), b"\n" + pem(PRIVATE["EdDSA"])]
)
def test_a_secret_is_long_and_no_public_key(secret: bytes) -> None:
    with pytest.raises(ConfigurationError) as caught:
        secret_key(secret)
    assert not secret or secret.decode() not in str(caught.value)


def test_keys_do_not_show_what_they_hold() -> None:
    assert repr(secret_key(SECRET, id="one")) == "Key(id='one', algorithm='HS256')"
    assert SECRET.decode() not in f"{secret_key(SECRET)}"


@pytest.mark.parametrize(
    "private",
    [
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP256K1()),
        ed448.Ed448PrivateKey.generate(),
        rsa.generate_private_key(65537, 1024),
    ],
)
def test_other_kinds_of_keys_are_refused(private: Any) -> None:
    with pytest.raises(ConfigurationError):
        pem_key(pem(private))


@pytest.mark.parametrize("text", ["", "hello", "-----BEGIN PUBLIC KEY-----\n", SECRET])
def test_what_is_no_pem_is_refused(text: str | bytes) -> None:
    with pytest.raises(ConfigurationError, match="not the PEM of a public key"):
        pem_key(text)


def test_a_private_key_has_no_business_on_the_server() -> None:
    private = PRIVATE["EdDSA"].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(ConfigurationError):
        pem_key(private)


def keys_of(*members: dict[str, Any]) -> list[tuple[str | None, str]]:
    return [(key.id, key.algorithm) for key in parse_jwks(json.dumps({"keys": members}))]


def test_a_key_set_gives_each_key_its_algorithm() -> None:
    members = [jwk(algorithm, kid=algorithm.lower()) for algorithm in ALGORITHMS]
    assert keys_of(*members) == [(algorithm.lower(), algorithm) for algorithm in ALGORITHMS]
    assert keys_of(jwk("EdDSA", alg="Ed25519")) == [(None, "EdDSA")]
    assert keys_of(jwk("RS256", alg="RS256", use="sig", key_ops=["verify"])) == [(None, "RS256")]
    assert keys_of() == []


@pytest.mark.parametrize(
    "member",
    [
        {"kty": "new"},
        {"kty": None},
        {"kty": ["RSA"]},
        {},
        jwk("RS256", use="enc"),
        jwk("RS256", alg="PS256"),
        jwk("RS256", alg="HS256"),
        jwk("RS256", alg="none"),
        jwk("RS256", alg=["RS256"]),
        jwk("RS256", key_ops=["encrypt"]),
        jwk("RS256", key_ops="verify"),
        jwk("HS256", alg="RS256"),
        jwk("EdDSA", alg="ES256"),
        jwk("ES256", ec.generate_private_key(ec.SECP384R1())),
        {"kty": "OKP", "crv": "X25519", "x": encoded(bytes(32))},
    ],
)
def test_keys_for_other_uses_are_passed_over(member: dict[str, Any]) -> None:
    assert keys_of(member, jwk("EdDSA", kid="one")) == [("one", "EdDSA")]
    with pytest.raises(ConfigurationError, match="none of its keys"):
        keys_of(member)


@pytest.mark.parametrize(
    "member",
    [
        {"kty": "RSA"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
        {"kty": "RSA", "n": 7, "e": 3},
        {"kty": "oct"},
        {"kty": "oct", "k": encoded(b"short")},
        {"kty": "oct", "k": encoded(pem(PRIVATE["RS256"]))},
        {"kty": "OKP", "crv": "Ed25519", "x": encoded(bytes(31))},
        {"kty": "EC", "crv": "P-256", "x": encoded(bytes(32)), "y": encoded(bytes(32))},
        jwk("EdDSA", kid=7),
        jwk("EdDSA", kid=["one"]),
        jwk("RS256", rsa.generate_private_key(65537, 1024)),
    ],
)
def test_a_broken_key_is_an_error(member: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        keys_of(member, jwk("EdDSA"))


def test_of_a_private_key_only_the_public_half_is_read() -> None:
    written = RSAAlgorithm.to_jwk(PRIVATE["RS256"], as_dict=True) | {"key_ops": ["sign", "verify"]}
    (key,) = parse_jwks(json.dumps({"keys": [written]}))
    assert isinstance(key.material, rsa.RSAPublicKey)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", "null", "7", '{"keys": {}}', '{"keys": [7]}', "[" * 100_000]
)
def test_what_is_no_key_set_is_an_error(text: str) -> None:
    with pytest.raises(ConfigurationError, match="not a JSON Web Key Set"):
        parse_jwks(text)


def replace(path: Path, *members: dict[str, Any]) -> None:
    """Put another key set in the place of a file, as a careful operator does."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps({"keys": members}))
    os.replace(new, path)


async def test_keys_are_changed_while_the_server_runs(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    replace(path, jwk("EdDSA", kid="old"))
    authenticator = JwtAuthenticator(KeyFile(path), audience=AUDIENCE)
    old, new = signed("EdDSA", {"kid": "old"}), signed("ES256", {"kid": "new"})
    assert (await ask(authenticator, old)).user == "ann"
    assert await reason(authenticator, new) == NO_KEY
    replace(path, jwk("EdDSA", kid="old"), jwk("ES256", kid="new"))
    assert (await ask(authenticator, old)).user == "ann"
    assert (await ask(authenticator, new)).user == "ann"
    replace(path, jwk("ES256", kid="new"))
    assert await reason(authenticator, old) == NO_KEY
    assert (await ask(authenticator, new)).user == "ann"
    replace(path)  # nobody is trusted any more
    assert await reason(authenticator, new) == NO_KEY


@pytest.mark.parametrize("broken", [None, "", "{", '{"keys": [{"kty": "RSA"}]}', "x" * 2_000_000])
async def test_a_broken_file_leaves_the_keys_as_they_were(
    tmp_path: Path, broken: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "keys.json"
    replace(path, jwk("EdDSA", kid="one"))
    authenticator = JwtAuthenticator(KeyFile(path), audience=AUDIENCE)
    path.unlink()
    if broken is not None:
        path.write_text(broken)
    for _ in range(3):
        assert (await ask(authenticator, signed("EdDSA", {"kid": "one"}))).user == "ann"
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert str(path) in record.getMessage()
    replace(path, jwk("ES256", kid="two"))
    assert (await ask(authenticator, signed("ES256", {"kid": "two"}))).user == "ann"
    assert await reason(authenticator, signed("EdDSA", {"kid": "one"})) == NO_KEY


async def test_a_file_may_hold_one_pem(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(pem(PRIVATE["RS256"]))
    authenticator = JwtAuthenticator(KeyFile(path), audience=AUDIENCE)
    assert (await ask(authenticator, signed("RS256", {"kid": "any"}))).user == "ann"
    assert await reason(authenticator, signed("EdDSA")) == NO_KEY


def test_a_server_does_not_begin_without_keys(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    with pytest.raises(ConfigurationError, match=r"keys\.json: No such file"):
        KeyFile(path)
    path.write_text("{")
    with pytest.raises(ConfigurationError, match=r"keys\.json: not a JSON Web Key Set"):
        KeyFile(path)
    path.write_bytes(b" " * (FILE_BYTES_MAX + 1))
    with pytest.raises(ConfigurationError, match="more than"):
        KeyFile(path)
    replace(path)
    with pytest.raises(ConfigurationError, match="there is no key"):
        JwtAuthenticator(KeyFile(path), audience=AUDIENCE)


@pytest.mark.parametrize("user", ["ann", "", None])
async def test_the_one_for_development_believes_its_clients(user: str | None) -> None:
    authenticator = DevelopmentAuthenticator()
    assert await ask(authenticator, None, user) == Identity(user)
    assert await ask(authenticator, "a.b.c", user) == Identity(user)
    assert authenticator.requires_loopback


def test_who_uses_no_tokens_needs_no_library_for_them() -> None:
    code = (
        "import sys, crdtsync.server.authentication, crdtsync.server.access\n"
        "print('jwt' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
