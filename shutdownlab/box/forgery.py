"""Forges certificates like those of Kazakhstan's interception in 2019, to be shown to browsers instead of the true one.

Same subject and subject alternative names; a new RSA-2048 key; validity six hours earlier; the last four bytes of the
serial number changed; all other extensions removed; signed by the state's own root (Raman et al., Kazakhstan's HTTPS
Interception, Censored Planet 2019).
"""

from __future__ import annotations

import datetime
import fcntl
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

_KEY_BITS: Final = 2048
_EARLIER: Final = datetime.timedelta(hours=6)
_ROOT_LIFETIME: Final = datetime.timedelta(days=3650)
_ROOT_NAME: Final = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Qaznet Trust Network")])


@dataclass(frozen=True, slots=True)
class Forged:
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes


class Forger:
    """Signs with the state's root, which no browser trusts unless its user installs it."""

    def __init__(self, kept: Path | None = None) -> None:
        """kept: the file of the root's certificate (PEM), beside its key in a file of the same name with `.key`.

        The first forger of any number of processes creates both; the others use them. None: a root of its own. Raises
        OSError, and ValueError if the files are invalid.
        """
        if kept is None:
            self._key = _new_key()
            self.root = self._self_signed()
            return
        with os.fdopen(os.open(kept.with_suffix(".key"), os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if known := file.read():
                self._key = _rsa(known)
                self.root = x509.load_pem_x509_certificate(kept.read_bytes())
                return
            self._key = _new_key()
            self.root = self._self_signed()
            kept.write_bytes(self.root.public_bytes(serialization.Encoding.PEM))
            file.write(_pem(self._key))

    def _self_signed(self) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(_ROOT_NAME)
            .issuer_name(_ROOT_NAME)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _ROOT_LIFETIME)
            .not_valid_after(now + _ROOT_LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def forge(self, true: bytes) -> Forged:
        """Returns a certificate to replace the `true` one (DER); raises ValueError if that is not a certificate."""
        model = x509.load_der_x509_certificate(true)
        key = _new_key()
        builder = (
            x509.CertificateBuilder()
            .subject_name(model.subject)
            .issuer_name(_ROOT_NAME)
            .public_key(key.public_key())
            .serial_number(_other_tail(model.serial_number))
            .not_valid_before(model.not_valid_before_utc - _EARLIER)
            .not_valid_after(model.not_valid_after_utc - _EARLIER)
        )
        try:
            names = model.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        except x509.ExtensionNotFound:
            pass
        else:
            builder = builder.add_extension(names.value, critical=names.critical)
        certificate = builder.sign(self._key, hashes.SHA256())
        return Forged(certificate.public_bytes(serialization.Encoding.PEM), _pem(key))


def _new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)


def _pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _rsa(pem: bytes) -> rsa.RSAPrivateKey:
    key = serialization.load_pem_private_key(pem, None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("not an RSA key")
    return key


def _other_tail(serial: int) -> int:
    """Returns a serial number that differs only in its last four bytes; still positive."""
    tail = serial & 0xFFFFFFFF
    other = tail
    while other == tail or (serial >> 32 == 0 and other == 0):
        other = secrets.randbits(32)
    return serial >> 32 << 32 | other
