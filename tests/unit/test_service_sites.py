"""Web, HTTP/3, VPN and telephone servers as they are configured, and the certificates they get."""

from __future__ import annotations

import datetime
import ipaddress
import json
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
from countries import country, small_country
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec

from shutdownlab.config.addresses import Address
from shutdownlab.model import pages
from shutdownlab.model.network import Network
from shutdownlab.servers import http3, telephone, vpn, web
from shutdownlab.servers.daemon import Daemon
from shutdownlab.servers.server import Premises
from shutdownlab.servers.start import plan
from shutdownlab.servers.tls import USER, CertificateAuthority

LAB, RUNTIME = Path("/lab"), Path("/run/lab")


@pytest.fixture(scope="module")
def network() -> Network:
    return small_country()


@pytest.fixture(scope="module")
def ca() -> CertificateAuthority:
    return CertificateAuthority()


def on(daemons: Iterable[Daemon], node: str) -> Daemon:
    return next(daemon for daemon in daemons if daemon.node == node)


def test_no_two_servers_of_a_node_want_the_same_socket(network: Network, ca: CertificateAuthority) -> None:
    taken: dict[tuple[str, object], str] = {}
    for daemon in plan(Premises(network, ca, LAB, RUNTIME)):
        for socket in daemon.sockets:
            assert taken.setdefault((daemon.node, socket), daemon.title) == daemon.title


def test_every_port_of_every_endpoint_is_answered_by_some_server(network: Network, ca: CertificateAuthority) -> None:
    listening = {
        (daemon.node, socket.port, socket.address)
        for daemon in plan(Premises(network, ca, LAB, RUNTIME))
        for socket in daemon.sockets
    }
    for hosted in network.hosted:
        for service in hosted.services:
            for address in hosted.addresses:
                assert (hosted.node, service.port, address) in listening, f"{hosted.names} {service}"


def test_servers_keep_their_files_in_directories_of_their_own(network: Network, ca: CertificateAuthority) -> None:
    directories = [daemon.directory for daemon in plan(Premises(network, ca, LAB, RUNTIME))]
    assert len(set(directories)) == len(directories)
    assert all(LAB in directory.parents for directory in directories)


def test_plain_http_and_tls_share_a_port_on_different_addresses(network: Network, ca: CertificateAuthority) -> None:
    config = str(on(web.daemons(network, ca, LAB, RUNTIME), "transit-one-servers").files["nginx.conf"])
    assert "listen 149.154.175.50:443;" in config
    whatsapp = network.hosted_as("v.whatsapp.net")
    assert whatsapp is not None
    assert f"listen {whatsapp.addresses[0]}:443 ssl http2;" in config


def test_pages_differ_from_site_to_site_and_not_from_run_to_run() -> None:
    assert pages.page("kaspi.kz", "kaspi") == pages.page("kaspi.kz", "kaspi")
    assert len(pages.page("kaspi.kz", "kaspi")) != len(pages.page("egov.kz", "egov"))
    assert "<title>kaspi.kz</title>" in pages.page("kaspi.kz", "kaspi")


def test_http_3_sockets_have_certificates_and_pages_for_their_names(network: Network, ca: CertificateAuthority) -> None:
    daemon = on(http3.daemons(network, ca, LAB), "transit-two-servers")
    for socket in json.loads(str(daemon.files["sites.json"]))["sockets"]:
        chain = daemon.files[f"{socket['certificate']}.pem"]
        assert isinstance(chain, bytes)
        certificate = x509.load_pem_x509_certificate(chain)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert set(names.get_values_for_type(x509.DNSName)) == set(socket["pages"])


def test_a_vpns_tcp_port_is_its_own_and_not_the_web_servers(ca: CertificateAuthority) -> None:
    network = country([(["t0"], True)], served={"t0": ["protonvpn"]})
    server = network.hosted_as("node-nl-1.protonvpn.net")
    assert server is not None
    assert vpn.takes_over_tcp(server) == {443}
    assert web.served(server) == ()
    sockets = {str(socket) for daemon in vpn.daemons(network, ca, LAB) for socket in daemon.sockets}
    assert {f"udp {server.addresses[0]}:1194", f"tcp {server.addresses[0]}:443"} <= sockets


def test_voice_and_sms_have_ports_of_their_own(network: Network) -> None:
    daemon = on(telephone.daemons(network, LAB), "northnet-telephone")
    assert {"udp 100.64.0.57:5060", "udp 100.64.0.57:5062"} <= set(map(str, daemon.sockets))


def test_a_certificate_names_what_it_is_for_and_is_signed_by_the_labs_authority(ca: CertificateAuthority) -> None:
    issued = x509.load_pem_x509_certificate(ca.issue(["kaspi.kz", "www.kaspi.kz"], [ipaddress.ip_address("::1")]).chain)
    names = issued.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["kaspi.kz", "www.kaspi.kz"]
    assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address("::1")]
    key = issued.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"
    issued.verify_directly_issued_by(x509.load_pem_x509_certificate(ca.pem))


def test_two_laboratories_do_not_trust_each_other(ca: CertificateAuthority) -> None:
    issued = x509.load_pem_x509_certificate(ca.issue(["kaspi.kz"]).chain)
    with pytest.raises(InvalidSignature):
        issued.verify_directly_issued_by(x509.load_pem_x509_certificate(CertificateAuthority().pem))


def verified(ca: CertificateAuthority, names: list[str], addresses: list[Address], directory: Path) -> bool:
    """Whether OpenSSL believes a certificate that this authority issued."""
    (directory / "ca.pem").write_bytes(ca.pem)
    (directory / "site.pem").write_bytes(ca.issue(names, addresses).chain)
    command = ["openssl", "verify", "-x509_strict", "-CAfile", "ca.pem", "site.pem"]
    return subprocess.run(command, cwd=directory, capture_output=True, check=False).returncode == 0


def test_the_labs_authority_is_believed_for_what_the_country_hosts_and_for_nothing_else(tmp_path: Path) -> None:
    one, other = ipaddress.ip_address("192.0.2.1"), ipaddress.ip_address("2001:db8::1")
    ca = CertificateAuthority(["kaspi.kz"], [one, other])
    assert verified(ca, ["kaspi.kz", "www.kaspi.kz"], [], tmp_path)
    assert verified(ca, [], [one, other], tmp_path)
    assert verified(ca, [USER], [], tmp_path)
    assert not verified(ca, ["kaspi.kz", "www.bbc.com"], [], tmp_path)
    assert not verified(ca, [], [ipaddress.ip_address("192.0.2.2")], tmp_path)
    for names, addresses in (([], [one]), (["kaspi.kz"], [])):  # all of one kind left out is none of it permitted
        only = CertificateAuthority(names, addresses)
        assert not verified(only, ["www.bbc.com"], [], tmp_path)
        assert not verified(only, [], [other], tmp_path)


def test_the_labs_authority_outlives_a_run_by_little_and_says_that_it_is_none(ca: CertificateAuthority) -> None:
    root = x509.load_pem_x509_certificate(ca.pem)
    assert root.not_valid_after_utc - root.not_valid_before_utc < datetime.timedelta(days=16)
    assert "NOT A REAL AUTHORITY" in root.subject.rfc4514_string()
    assert root.extensions.get_extension_for_class(x509.NameConstraints).critical
