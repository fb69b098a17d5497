"""The laboratory's own certificate authority: ECDSA P-256, short-lived certificates like those of real sites.

The probes and `curl --cacert` trust its root certificate. It should not be installed in a machine's trust store, but
could do little harm there: its key is deleted with the run, and it is valid only for the names and addresses of that
country, and only as long as the longest run (the flagship scenario in real time takes ten days).
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_address, ip_network

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from shutdownlab.config.addresses import Address

_PAST = datetime.timedelta(days=1)
_LIFETIME = datetime.timedelta(days=14)
_NOBODYS = "shutdownlab.invalid"
"""A domain that cannot be registered (RFC 6761)."""
USER = f"subscriber.{_NOBODYS}"
"""The name in the certificates of VPN users."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate with its private key, both PEM."""

    chain: bytes
    key: bytes


class CertificateAuthority:
    """Issues certificates in well under a millisecond each. Keys stay in memory until a service writes its own."""

    def __init__(self, names: Iterable[str] = (), addresses: Iterable[Address] = ()) -> None:
        """names, addresses: the only ones, with subdomains of the names, that its certificates may be valid for."""
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "shutdownlab, an emulated country"),
                x509.NameAttribute(NameOID.COMMON_NAME, "NOT A REAL AUTHORITY: one laboratory run only"),
            ]
        )
        public = self._key.public_key()
        self._identifier = x509.SubjectKeyIdentifier.from_public_key(public)
        self._root = (
            self._builder(self._name, public)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.NameConstraints(_permitted(names, addresses), None), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .add_extension(self._identifier, critical=False)
            .sign(self._key, hashes.SHA256())
        )

    @cached_property
    def pem(self) -> bytes:
        """The root certificate, in PEM."""
        return self._root.public_bytes(serialization.Encoding.PEM)

    def issue(self, names: Iterable[str], addresses: Iterable[Address] = (), *, client: bool = False) -> Certificate:
        """Issues a certificate for at least one host name or address. client: for a VPN user, not a server."""
        hosts = list(names)
        numbers = list(addresses)
        # A bare address would be checked as a host name, which the root's name constraints do not permit.
        common = hosts[0] if hosts else f"address {numbers[0]}"
        key = ec.generate_private_key(ec.SECP256R1())
        public = key.public_key()
        purpose = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        others = [*map(x509.DNSName, hosts), *map(x509.IPAddress, numbers)]
        certificate = (
            self._builder(_subject(common), public)
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

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _PAST)
            .not_valid_after(now + _LIFETIME)
        )


def _permitted(names: Iterable[str], addresses: Iterable[Address]) -> list[x509.GeneralName]:
    # Name constraints permit everything of a kind that they do not mention.
    hosts = sorted({_NOBODYS, *names})
    numbers = sorted({ip_address("0.0.0.0"), ip_address("::"), *addresses}, key=lambda each: (each.version, int(each)))
    return [*map(x509.DNSName, hosts), *(x509.IPAddress(ip_network(number)) for number in numbers)]


def _subject(common_name: str) -> x509.Name:
    # RFC 5280 allows 64 characters; clients use the subject alternative names anyway.
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
