"""Forged certificates: what of the true one they keep, and what they change."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

from shutdownlab.box.forgery import Forger

START = datetime.datetime(2019, 7, 1, 12, tzinfo=datetime.UTC)


def true(serial: int, *, names: bool = True) -> x509.Certificate:
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example, Inc."),
            x509.NameAttribute(NameOID.COMMON_NAME, "www.example.com"),
        ]
    )
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "A true authority")]))
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(START)
        .not_valid_after(START + datetime.timedelta(days=90))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    )
    if names:
        others = [x509.DNSName("www.example.com"), x509.IPAddress(ipaddress.ip_address("192.0.2.1"))]
        builder = builder.add_extension(x509.SubjectAlternativeName(others), critical=False)
    return builder.sign(key, hashes.SHA256())


def forged(forger: Forger, model: x509.Certificate) -> x509.Certificate:
    return x509.load_pem_x509_certificate(forger.forge(model.public_bytes(serialization.Encoding.DER)).certificate)


@pytest.mark.parametrize("serial", [1, 0x1_0000_0000, 0x0123456789ABCDEF0123456789ABCDEF, (1 << 159) - 1])
def test_a_forged_certificate_is_as_measured_in_2019(serial: int) -> None:
    model, forger = true(serial), Forger()
    other = forged(forger, model)
    assert other.subject == model.subject
    assert other.issuer == forger.root.subject
    assert other.not_valid_before_utc == START - datetime.timedelta(hours=6)
    assert other.not_valid_after_utc == START + datetime.timedelta(days=90, hours=-6)
    assert other.serial_number >> 32 == serial >> 32
    assert 0 < other.serial_number != serial
    (kept,) = other.extensions
    assert kept == model.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    key = other.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    assert key.key_size == 2048


def test_it_is_signed_by_the_states_root_and_has_a_key_of_its_own() -> None:
    forger = Forger()
    model = true(7)
    one, another = forged(forger, model), forged(forger, model)
    assert one.public_key() != another.public_key()
    root = forger.root.public_key()
    assert isinstance(root, rsa.RSAPublicKey)
    assert one.signature_hash_algorithm is not None
    root.verify(one.signature, one.tbs_certificate_bytes, padding.PKCS1v15(), one.signature_hash_algorithm)


def test_without_alternative_names_there_are_no_extensions_at_all() -> None:
    assert list(forged(Forger(), true(7, names=False)).extensions) == []


def test_bytes_that_are_not_a_certificate_are_refused() -> None:
    with pytest.raises(ValueError, match=r"."):
        Forger().forge(b"nothing of the kind")


def test_forgers_that_keep_their_root_in_the_same_place_have_the_same(tmp_path: Path) -> None:
    kept = tmp_path / "state-root.pem"
    first, second = Forger(kept), Forger(kept)
    assert kept.read_bytes() == first.root.public_bytes(serialization.Encoding.PEM)
    assert second.root == first.root
    root = first.root.public_key()
    assert isinstance(root, rsa.RSAPublicKey)
    signed = forged(second, true(7))
    assert signed.signature_hash_algorithm is not None
    root.verify(signed.signature, signed.tbs_certificate_bytes, padding.PKCS1v15(), signed.signature_hash_algorithm)
    assert (tmp_path / "state-root.key").stat().st_mode & 0o777 == 0o600
