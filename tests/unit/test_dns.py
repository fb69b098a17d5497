"""Zones and name servers: every hosted name is found from the root down, and domestic ones within the country."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import dns.name
import dns.rdatatype
import dns.zone
import pytest
from countries import country, small_country

from shutdownlab.model.network import Network, Role
from shutdownlab.servers import dns as service
from shutdownlab.servers import unbound_control
from shutdownlab.servers.tls import CertificateAuthority
from shutdownlab.servers.zones import (
    Zone,
    authority_routes,
    domestic_authority,
    foreign_authorities,
    registered_domain,
    zones,
)


class Delegations:
    """Follows a name from the root down as a resolver does, noting which addresses it has to ask."""

    def __init__(self, network: Network) -> None:
        self.parsed: dict[tuple[str, str], dns.zone.Zone] = {}
        self.root = zones(network)[0]
        for zone in zones(network):
            read = dns.zone.from_text(zone.text(), origin=dotted(zone), relativize=False, check_origin=True)
            for server in zone.servers:
                self.parsed |= {(str(address), dotted(zone)): read for address in server.addresses}

    def follow(self, name: str, kind: str) -> tuple[set[str], set[str]]:
        """The addresses a name has, and those of the servers asked below the root."""
        question = dns.name.from_text(name)
        zone, asked = self.parsed[str(self.root.servers[0].addresses[0]), "."], set[str]()
        while True:
            cut = next(self._cuts(zone, question), None)
            if cut is None:
                found = zone.get_rdataset(question, kind)
                return {str(item) for item in found or ()}, asked
            servers = [str(item.target) for item in zone.find_rdataset(cut, "NS")]
            glue = {str(item) for s in servers for t in ("A", "AAAA") for item in zone.get_rdataset(s, t) or ()}
            assert glue, f"{cut} is delegated to servers without addresses"
            asked |= glue
            zone = next(self.parsed[address, str(cut)] for address in glue)

    @staticmethod
    def _cuts(zone: dns.zone.Zone, question: dns.name.Name) -> Iterator[dns.name.Name]:
        for depth in range(len(zone.origin or ()) + 1, len(question) + 1):
            candidate = question.split(depth)[1]
            if zone.get_rdataset(candidate, "NS"):
                yield candidate


def dotted(zone: Zone) -> str:
    return zone.name if zone.name == "." else f"{zone.name}."


@pytest.fixture(scope="module")
def network() -> Network:
    return small_country()


def test_every_hosted_name_is_found_from_the_root_down(network: Network) -> None:
    world = Delegations(network)
    for hosted in network.hosted:
        for name in hosted.names:
            for version, kind in ((4, "A"), (6, "AAAA")):
                found, _ = world.follow(name, kind)
                assert {str(a) for a in hosted.addresses if a.version == version} <= found


def test_a_domestic_name_under_the_countrys_domain_is_answered_within_the_country(network: Network) -> None:
    _, asked = Delegations(network).follow("kaspi.kz", "A")
    assert asked == set(map(str, domestic_authority(network).addresses))


def test_a_foreign_name_is_answered_by_the_network_that_hosts_it(network: Network) -> None:
    world = Delegations(network)
    one, two = ({str(a) for a in authority.addresses} for authority in foreign_authorities(network))
    assert two <= world.follow("www.youtube.com", "A")[1]
    assert world.follow("e1.whatsapp.net", "A")[1] >= one


def test_the_countrys_own_domain_stays_at_home_even_for_a_site_hosted_abroad() -> None:
    abroad = country([(["t0"], True)], served={"t0": ["kaspi"]})
    assert Delegations(abroad).follow("kaspi.kz", "A")[0]
    kz = next(zone for zone in zones(abroad) if zone.name == "kz")
    assert {server.node for server in kz.servers} == {"t0-servers", "t1-servers"}
    abroad.topology = abroad.topology.model_copy(update={"country": "KZ"})
    kz = next(zone for zone in zones(abroad) if zone.name == "kz")
    assert [server.node for server in kz.servers] == ["op0-resolver"]


def test_answers_may_be_cached_for_a_minute(network: Network) -> None:
    zone = next(zone for zone in zones(network) if zone.name == "kaspi.kz")
    read = dns.zone.from_text(zone.text(), origin=dotted(zone), relativize=False)
    assert read.find_rdataset("kaspi.kz.", dns.rdatatype.A).ttl == 60


def test_a_zone_is_the_last_two_labels_of_a_name() -> None:
    assert registered_domain("star.c10r.facebook.com") == "facebook.com"
    assert registered_domain("t.me") == "t.me"


def test_only_the_first_operators_router_leads_to_the_domestic_name_server(network: Network) -> None:
    routes = {route.prefix.network_address for route in authority_routes(network, network.nodes["northnet-border"])}
    assert routes == set(domestic_authority(network).addresses)
    assert authority_routes(network, network.nodes["southcell-border"]) == []


def test_the_domestic_name_server_has_addresses_of_its_own(network: Network) -> None:
    used = {a.ip for node in network.nodes.values() for port in node.ports.values() for a in port.addresses}
    assert not used & set(domestic_authority(network).addresses)


def test_each_operator_has_a_resolver_that_serves_its_own_prefixes_and_keeps_the_root(network: Network) -> None:
    started = list(service.daemons(network, CertificateAuthority(), Path("/lab"), Path("/run/lab")))
    resolvers = {daemon.node: daemon for daemon in started if daemon.name == "unbound"}
    assert {node.name for node in network.by_role(Role.RESOLVER)} < resolvers.keys()
    config = str(resolvers["southcell-resolver"].files["unbound.conf"])
    assert "access-control: 100.65.0.0/16 allow" in config
    assert "access-control: 0.0.0.0/0" not in config
    assert 'auth-zone:\n  name: "."' in config
    assert "kz." in str(resolvers["southcell-resolver"].files["root.zone"])


def test_public_resolvers_serve_everyone_and_speak_tls(network: Network) -> None:
    started = service.daemons(network, CertificateAuthority(), Path("/lab"), Path("/run/lab"))
    google = next(daemon for daemon in started if (daemon.name, daemon.node) == ("unbound", "transit-one-servers"))
    assert "access-control: 0.0.0.0/0 allow" in str(google.files["unbound.conf"])
    assert {"udp 8.8.8.8:53", "tcp 8.8.4.4:853", "tcp 127.0.0.1:8053"} <= set(map(str, google.sockets))


def test_a_flush_forgets_answers_servers_and_questions_under_way(tmp_path: Path) -> None:
    heard: list[str] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "control"))
        listener.listen()

        def answer() -> None:
            for _ in range(4):
                client, _ = listener.accept()
                with client:
                    heard.append(client.recv(1000).decode())
                    client.sendall(b"ok\n")

        thread = threading.Thread(target=answer)
        thread.start()
        unbound_control.flush(tmp_path / "control")
        thread.join(5)
    assert heard == [f"UBCT1 {c}\n" for c in ("flush_requestlist", "flush_zone .", "flush_negative", "flush_infra all")]
