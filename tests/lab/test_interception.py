"""Kazakhstan's TLS interception of 2019, on the wire: whose connections are taken, and what their clients see."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal

import pytest
from crossing import DEADLINE_S, Crossing
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from shutdownlab.emulation.services.tls import CertificateAuthority

NAME = "www.blocked.example"
QAZNET = "CN=Qaznet Trust Network"


@dataclass
class Site:
    """An HTTPS server that answers every line with the same, and who trusts it."""

    crossing: Crossing
    authority: CertificateAuthority
    listener: socket.socket
    context: ssl.SSLContext
    seen: list[str] = field(default_factory=list)

    def serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, peer = self.listener.accept()
                threading.Thread(target=self._answer, args=(connection, peer), daemon=True).start()

    def _answer(self, connection: socket.socket, peer: tuple[str, int]) -> None:
        with suppress(OSError), self.context.wrap_socket(connection, server_side=True) as channel:
            while data := channel.recv(65536):
                self.seen.append(peer[0])
                channel.sendall(data)

    def visit(self, name: str = NAME, said: bytes = b"hello") -> x509.Certificate:
        """Say something as the subscriber, be answered, and return the certificate that was shown."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        client = self.crossing.end(socket.SOCK_STREAM, version=6 if self.listener.family == socket.AF_INET6 else 4)
        client.connect(self.listener.getsockname()[:2])
        with context.wrap_socket(client, server_hostname=name) as channel:
            channel.sendall(said)
            answer = b""
            while len(answer) < len(said):
                answer += channel.recv(65536)
            assert answer == said
            shown = channel.getpeercert(binary_form=True)
        assert shown is not None
        return x509.load_der_x509_certificate(shown)


def site(crossing: Crossing, authority: CertificateAuthority, directory: Path, version: Literal[4, 6] = 4) -> Site:
    issued = authority.issue([NAME, "www.other.example", "blocked.example"])
    path = directory / "site.pem"
    path.write_bytes(issued.chain + issued.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    listener = crossing.listener(443, version=version)
    listener.settimeout(None)
    made = Site(crossing, authority, listener, context)
    threading.Thread(target=made.serve, daemon=True).start()
    return made


@pytest.fixture
def authority() -> CertificateAuthority:
    return CertificateAuthority()


@pytest.fixture
def crossing(tmp_path: Path, authority: CertificateAuthority) -> Iterator[Crossing]:
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(authority.pem)
    with Crossing(tmp_path, "kazakhstan-mitm-2019", far_ms=5, trusted=trusted) as crossing:
        crossing.block(sites=["blocked.example"])
        yield crossing


@pytest.mark.parametrize("version", [4, 6])
def test_a_trusted_servers_connection_is_taken_over_with_a_forged_certificate(
    crossing: Crossing, authority: CertificateAuthority, tmp_path: Path, version: Literal[4, 6]
) -> None:
    place = site(crossing, authority, tmp_path, version)
    true = place.visit("www.other.example")
    forged = place.visit()
    assert true.issuer.rfc4514_string() != QAZNET
    assert forged.issuer.rfc4514_string() == QAZNET
    assert forged.subject == true.subject
    assert forged.not_valid_before_utc == true.not_valid_before_utc - timedelta(hours=6)
    assert forged.not_valid_after_utc == true.not_valid_after_utc - timedelta(hours=6)
    assert forged.serial_number >> 32 == true.serial_number >> 32
    assert forged.serial_number != true.serial_number
    assert [extension.oid for extension in forged.extensions] == [x509.SubjectAlternativeName.oid]
    names = true.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert forged.extensions.get_extension_for_class(x509.SubjectAlternativeName).value == names.value
    key = forged.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    assert key.key_size == 2048
    assert set(place.seen) == {crossing.subscriber[version]}, "the server sees its client's address"
    assert crossing.counters()["intercepted"] == 1


def test_a_client_that_checks_sees_an_authority_it_does_not_know(
    crossing: Crossing, authority: CertificateAuthority, tmp_path: Path
) -> None:
    place = site(crossing, authority, tmp_path)
    context = ssl.create_default_context(cadata=authority.pem.decode())
    client = crossing.end(socket.SOCK_STREAM)
    client.connect(place.listener.getsockname())
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer certificate"):
        context.wrap_socket(client, server_hostname=NAME)


def test_a_megabyte_passes_through_both_ways(
    crossing: Crossing, authority: CertificateAuthority, tmp_path: Path
) -> None:
    place = site(crossing, authority, tmp_path)
    for _ in range(2):
        assert place.visit(said=b"x" * 16_000).issuer.rfc4514_string() == QAZNET
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    client = crossing.end(socket.SOCK_STREAM)
    client.connect(place.listener.getsockname())
    with context.wrap_socket(client, server_hostname=NAME) as channel:
        sender = threading.Thread(target=channel.sendall, args=(bytes(1 << 20),))
        sender.start()
        got = 0
        while got < 1 << 20:
            got += len(channel.recv(65536))
        sender.join(DEADLINE_S)


def test_a_server_that_browsers_do_not_trust_is_left_alone(crossing: Crossing, tmp_path: Path) -> None:
    own = CertificateAuthority()
    place = site(crossing, own, tmp_path)
    shown = place.visit()
    assert shown.issuer.rfc4514_string() != QAZNET
    counters = crossing.counters()
    assert (counters["intercepted"], counters["not_intercepted"]) == (0, 1)
