"""The kinds of tools that ship, as scenarios declare them.

This module imports no network library, so that checking a scenario is fast; the server and client of each tool are in a
module of their own, named by `runs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import AfterValidator

from shutdownlab.config.document import Expected, quoted
from shutdownlab.model.probe import ServerControl, Surroundings
from shutdownlab.model.tool import StrategyUse, Tool
from shutdownlab.tools.geneva_strategy import StrategyError, parse_strategy


class SshTunnel(Tool):
    """A SOCKS proxy by SSH dynamic port forwarding, with OpenSSH's client and server."""

    title = "SSH tunnel"
    usual_port = "tcp/22"
    needs: ClassVar[Mapping[str, str]] = {"ssh": "openssh-client", "sshd": "openssh-server"}
    runs = "shutdownlab.tools.ssh:ssh_test"
    follows = "shutdownlab.verifier.follow_tools:ssh"


class Shadowsocks(Tool):
    """Shadowsocks (shadowsocks-libev, AEAD)."""

    title = "Shadowsocks"
    by_chance = True
    usual_port = "tcp/8388"
    needs: ClassVar[Mapping[str, str]] = {"ss-local": "shadowsocks-libev", "ss-server": "shadowsocks-libev"}
    runs = "shutdownlab.tools.shadowsocks:shadowsocks_test"
    follows = "shutdownlab.verifier.follow_tools:random_stream"


class WireGuard(Tool):
    """A WireGuard tunnel (wireguard-go), in a network namespace of its own at the subscriber."""

    title = "WireGuard"
    usual_port = "udp/51820"
    needs: ClassVar[Mapping[str, str]] = {"wireguard-go": "wireguard-go", "wg": "wireguard-tools"}
    runs = "shutdownlab.tools.wireguard:wireguard_test"
    follows = "shutdownlab.verifier.follow_tools:wireguard"


class OpenVpn(Tool):
    """A complete OpenVPN tunnel, in a network namespace of its own at the subscriber; `vpn` probes make only its first
    exchange.

    The tunnel uses the transport of the port.
    """

    title = "OpenVPN"
    usual_port = "udp/1194"
    needs: ClassVar[Mapping[str, str]] = {"openvpn": "openvpn"}
    patience = 8.0
    runs = "shutdownlab.tools.openvpn:openvpn_test"
    follows = "shutdownlab.verifier.follow_tools:openvpn"

    @property
    def services(self) -> tuple[str, ...]:
        """The services needed: with an `openvpn` port, an OpenVPN server also serves the host's `tcp` ports."""
        if self.listens.protocol == "tcp":
            return ("openvpn/1194", f"tcp/{self.listens.first}")
        return (f"openvpn/{self.listens.first}",)


class _ByName(Tool):
    """A tool without a client program, whose server is found by name through the operator's resolver."""

    @property
    def lasts(self) -> float:
        return 0.0

    def looked_up(self, at: Surroundings) -> tuple[str, ...]:
        return (self.host,) if self.host else ()


class DnsOverTls(_ByName):
    """A lookup of the host in `url` by DNS over TLS; the port must be 853."""

    title = "DNS over TLS"
    usual_port = "tcp/853"
    runs = "shutdownlab.tools.encrypted_dns:dot_test"
    follows = "shutdownlab.verifier.follow_tools:dot"

    @property
    def services(self) -> tuple[str, ...]:
        return ("dns/53", f"tls/{self.listens.first}")


class DnsOverHttps(_ByName):
    """A lookup of the host in `url` by DNS over HTTPS."""

    title = "DNS over HTTPS"
    usual_port = "tcp/443"
    runs = "shutdownlab.tools.encrypted_dns:doh_test"
    follows = "shutdownlab.verifier.follow_tools:doh"

    @property
    def services(self) -> tuple[str, ...]:
        return ("dns/53", f"https/{self.listens.first}")


class DnsOverQuic(_ByName):
    """A lookup of the host in `url` by DNS over QUIC: dnspython's client, and a server of our own."""

    title = "DNS over QUIC"
    usual_port = "udp/853"
    aids = ("dns/53",)
    runs = "shutdownlab.tools.encrypted_dns:doq_test"
    follows = "shutdownlab.verifier.follow_tools:doq"


class _ThroughTor(Tool):
    patience = 15.0
    shares = 32
    works = 1.5
    runs = "shutdownlab.tools.tor:tor_test"


class Tor(_ThroughTor):
    """Tor through a plain bridge, to a private Tor network abroad."""

    title = "Tor"
    usual_port = "tcp/9001"
    follows = "shutdownlab.verifier.follow_tools:tor"
    needs: ClassVar[Mapping[str, str]] = {"tor": "tor", "tor-gencert": "tor"}


class Obfs4(_ThroughTor):
    """Tor through an obfs4 bridge (obfs4proxy), whose stream looks random from its first octet."""

    title = "Tor with obfs4"
    by_chance = True
    usual_port = "tcp/9443"
    follows = "shutdownlab.verifier.follow_tools:random_stream"
    needs: ClassVar[Mapping[str, str]] = {"tor": "tor", "tor-gencert": "tor", "obfs4proxy": "obfs4proxy"}


class Meek(_ThroughTor):
    """Tor through meek (obfs4proxy's `meek_lite`): HTTPS to a CDN; observers on the path see only the name `host`."""

    title = "Tor with meek"
    usual_port = "tcp/443"
    follows = "shutdownlab.verifier.follow_tools:through_cdn"
    needs: ClassVar[Mapping[str, str]] = {"tor": "tor", "tor-gencert": "tor", "obfs4proxy": "obfs4proxy"}

    def looked_up(self, at: Surroundings) -> tuple[str, ...]:
        return (self.host,) if self.host else ()


class Fronting(_ByName):
    """Domain fronting: a hidden site at a CDN, reached under the name of another site there, `host`."""

    title = "domain fronting"
    usual_port = "tcp/443"
    runs = "shutdownlab.tools.cdn:fronting_test"
    follows = "shutdownlab.verifier.follow_tools:through_cdn"


def _strategy(text: str) -> str:
    try:
        parse_strategy(text)
    except StrategyError as error:
        raise Expected("a strategy in Geneva's language", str(error), found=quoted(text)) from None
    return text


class Geneva(Tool):
    """A page of `host`, fetched while a Geneva strategy modifies the client's packets (Scapy on a netfilter queue)."""

    strategy: Annotated[str, AfterValidator(_strategy)] = "[TCP:flags:PA]-fragment{tcp:8:True}-|"
    """The strategy for outgoing packets, in Geneva's language; by default, what is sent is split after 8 octets."""

    title = "Geneva"
    usual_port = "tcp/443"
    needs: ClassVar[Mapping[str, str]] = {"iptables-legacy": "iptables"}
    modules = ("scapy",)
    serves_page = True
    patience = 10.0
    runs = "shutdownlab.tools.geneva:geneva_test"

    @property
    def services(self) -> tuple[str, ...]:
        return (f"https/{self.listens.first}",)

    def ask(self, at: Surroundings) -> StrategyUse:
        return StrategyUse(self._use(at, str(at.vantage.id)), self.strategy)

    def control(self, at: Surroundings) -> ServerControl:
        return ServerControl(self.runs, StrategyUse(self._use(at, "control"), self.strategy))
