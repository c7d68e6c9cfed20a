"""A certificate authority of our own, for tests of what is encrypted."""

from __future__ import annotations

import datetime
import functools
import ipaddress
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

__all__ = ["Authority", "authority"]


_SIGNS = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


@dataclass(frozen=True)
class Authority:
    """An authority, and one certificate of it, for `localhost` and `127.0.0.1`.

    Attributes:
        authority: the file with the authority's certificate.
        certificate: the file with the server's certificate.
        key: the file with the server's key.
    """

    authority: Path
    certificate: Path
    key: Path

    @functools.cached_property
    def server(self) -> ssl.SSLContext:
        """What the server shows."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate, self.key)
        return context

    @functools.cached_property
    def client(self) -> ssl.SSLContext:
        """What trusts the authority, and nobody else."""
        return ssl.create_default_context(cafile=str(self.authority))


@functools.cache
def authority() -> Authority:
    """Return an authority for this run of the tests."""
    folder = Path(tempfile.mkdtemp())
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    root = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificates = [
        _builder(root, root, keys[0])
        .add_extension(x509.BasicConstraints(True, None), critical=True)
        .add_extension(_SIGNS, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(keys[0].public_key()), False),
        _builder(x509.Name([]), root, keys[1])
        .add_extension(x509.SubjectAlternativeName(names), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(keys[0].public_key()), False
        ),
    ]
    pem = serialization.Encoding.PEM
    made = Authority(*(folder / name for name in ("authority.pem", "server.pem", "key.pem")))
    for file, certificate in zip((made.authority, made.certificate), certificates, strict=True):
        file.write_bytes(certificate.sign(keys[0], hashes.SHA256()).public_bytes(pem))
    made.key.write_bytes(
        keys[1].private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return made


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
    )
