"""The laboratory's own certificate authority: ECDSA P-256, short-lived certificates such as sites have.

Its root certificate is what the probes and `curl --cacert` trust; no machine's trust store ever sees it.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from shutdownlab.config.scalars import Address

_PAST = datetime.timedelta(days=1)
_SITE_LIFETIME = datetime.timedelta(days=90)
_ROOT_LIFETIME = datetime.timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate with its private key, both PEM."""

    chain: bytes
    key: bytes


class CertificateAuthority:
    """Issues certificates in well under a millisecond each; keys stay in memory until a service writes its own."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _subject("Shutdownlab Root CA")
        public = self._key.public_key()
        self._identifier = x509.SubjectKeyIdentifier.from_public_key(public)
        self._root = (
            self._builder(self._name, public, _ROOT_LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .add_extension(self._identifier, critical=False)
            .sign(self._key, hashes.SHA256())
        )

    @cached_property
    def pem(self) -> bytes:
        """The root certificate."""
        return self._root.public_bytes(serialization.Encoding.PEM)

    def issue(self, names: Iterable[str], addresses: Iterable[Address] = (), *, client: bool = False) -> Certificate:
        """A certificate for host names and addresses (`client`: for a VPN's user); at least one must be given."""
        hosts = list(names)
        numbers = list(addresses)
        common = hosts[0] if hosts else str(numbers[0])
        key = ec.generate_private_key(ec.SECP256R1())
        public = key.public_key()
        purpose = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        others = [*map(x509.DNSName, hosts), *map(x509.IPAddress, numbers)]
        certificate = (
            self._builder(_subject(common), public, _SITE_LIFETIME)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.SubjectAlternativeName(others), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(self._identifier), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return Certificate(certificate.public_bytes(serialization.Encoding.PEM), private)

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, lifetime: datetime.timedelta
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _PAST)
            .not_valid_after(now + lifetime)
        )


def _subject(common_name: str) -> x509.Name:
    # RFC 5280 allows 64 characters; the subject alternative name carries the host names anyway.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
