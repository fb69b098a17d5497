"""Servers of commercial VPNs: OpenVPN, on the catalogue's ports, with certificates for the users."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from shutdownlab.config.addresses import Address
from shutdownlab.model.network import Hosted, Network
from shutdownlab.servers.daemon import Daemon, Listening, Protocol
from shutdownlab.servers.server import Premises, Server
from shutdownlab.servers.tls import USER, Certificate, CertificateAuthority

_CLIENT = "client.ovpn"


def takes_over_tcp(hosted: Hosted) -> frozenset[int]:
    """Returns the `tcp` ports of an endpoint that OpenVPN serves: all of them, if it has an `openvpn` port."""
    if not _ports(hosted, "openvpn"):
        return frozenset()
    return frozenset(_ports(hosted, "tcp"))


class VpnServers(Server):
    """Commercial VPNs."""

    order = 60

    def daemons(self, premises: Premises) -> Iterator[Daemon]:
        return daemons(premises.network, premises.ca, premises.directory)


def daemons(network: Network, ca: CertificateAuthority, directory: Path) -> Iterator[Daemon]:
    """Yields an OpenVPN server for each port and address: UDP for `openvpn` ports, TCP for `tcp` ports beside them.

    Each server's directory has a `client.ovpn` with which a subscriber connects to it.
    """
    number = 0
    for hosted in network.served:
        ports: list[tuple[Protocol, int]] = [("udp", port) for port in _ports(hosted, "openvpn")]
        ports += [("tcp", port) for port in sorted(takes_over_tcp(hosted))]
        for protocol, port in ports:
            for address in hosted.addresses:
                number += 1
                yield _server(hosted, protocol, address, port, number, ca, directory)


def openvpn_config(protocol: Protocol, address: Address, port: int, number: int) -> str:
    """Returns the configuration of server `number`; its files are in its working directory."""
    lines = [
        *_transport(protocol, address, server=True),
        f"local {address}",
        f"port {port}",
        "dev-type tun",
        f"dev vpn{number}",
        "topology subnet",
        f"server 10.{number % 256}.0.0 255.255.255.0",
        "ca ca.pem",
        "cert certificate.pem",
        "key key.pem",
        "dh none",
        "keepalive 10 60",
        "duplicate-cn",  # all subscribers of a country have the same certificate
        "persist-key",
        "verb 1",
    ]
    return "\n".join(lines) + "\n"


def client_config(protocol: Protocol, address: Address, port: int, ca: bytes, user: Certificate) -> str:
    """Returns a complete client configuration for `openvpn --config`, with its keys inline."""
    inline = (("ca", ca), ("cert", user.chain), ("key", user.key))
    lines = [
        "client",
        *_transport(protocol, address, server=False),
        f"remote {address} {port}",
        "dev tun",
        "nobind",
        "remote-cert-tls server",
        "verb 3",
        *(f"<{name}>\n{text.decode().strip()}\n</{name}>" for name, text in inline),
    ]
    return "\n".join(lines) + "\n"


def client_file(directory: Path, protocol: str, address: str, port: int) -> Path:
    """Returns the path of a server's `client.ovpn`. directory: that of all servers of the country."""
    return _home(directory, protocol, address, port) / _CLIENT


def _home(directory: Path, protocol: str, address: str, port: int) -> Path:
    return directory / f"openvpn-{protocol}-{address}-{port}"


def _server(
    hosted: Hosted,
    protocol: Protocol,
    address: Address,
    port: int,
    number: int,
    ca: CertificateAuthority,
    directory: Path,
) -> Daemon:
    home = _home(directory, protocol, str(address), port)
    certificate = ca.issue(hosted.names, hosted.addresses)
    user = ca.issue([USER], client=True)
    files: dict[str, str | bytes] = {
        "server.conf": openvpn_config(protocol, address, port, number),
        "ca.pem": ca.pem,
        "certificate.pem": certificate.chain,
        "key.pem": certificate.key,
        _CLIENT: client_config(protocol, address, port, ca.pem, user),
    }
    argv = ("openvpn", "--cd", str(home), "--config", "server.conf")
    return Daemon("openvpn", hosted.node, argv, home, files, frozenset({Listening(protocol, address, port)}))


def _transport(protocol: Protocol, address: Address, *, server: bool) -> list[str]:
    if protocol == "udp":
        return [f"proto udp{address.version}"]
    return [f"proto tcp{address.version}-{'server' if server else 'client'}"]


def _ports(hosted: Hosted, kind: str) -> list[int]:
    return [service.port for service in hosted.services if service.kind == kind]
