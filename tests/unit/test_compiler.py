"""Compiled switch programs do what the policies say, packet by packet, whatever policies are in force together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import pytest
import random_policies
from hypothesis import given, settings
from hypothesis import strategies as st
from pipeline import Fate, Fields, PaperSwitch
from reference import Answer, Packet, Reference

from shutdownlab import library
from shutdownlab.compiler.program import compile_operator, compile_switch
from shutdownlab.config.addresses import Address
from shutdownlab.model.network import Network, Node, Role
from shutdownlab.model.policy import Policy
from shutdownlab.model.topology import Vantage

APPS = library.catalogue()


@cache
def country() -> Network:
    return library.network("two-operators")


def vantage(name: str) -> Vantage:
    return next(v for v in country().topology.vantages() if str(v.id) == name)


VANTAGES = tuple(country().topology.vantages())
REMOTES = random_policies.addresses(country())
DOMESTIC = [prefix for operator in country().topology.operators.values() for prefix in operator.prefixes]
ABROAD = [address for address in REMOTES if not any(address in prefix for prefix in DOMESTIC)]
EVERYBODY = [str(v.id) for v in VANTAGES]


def access_switch(who: Vantage) -> Node:
    return country().nodes[f"{who.id.operator}-{who.id.region}-sw"]


def frame(packet: Packet, in_port: int, eth_dst: str, eth_src: str = "02:ff:00:00:00:01") -> Fields:
    v = packet.remote.version
    source, target = (packet.remote, packet.local) if packet.inbound else (packet.local, packet.remote)
    ports = (packet.remote_port, packet.local_port) if packet.inbound else (packet.local_port, packet.remote_port)
    fields: Fields = {
        "in_port": in_port, "eth_src": eth_src, "eth_dst": eth_dst, "eth_type": 0x0800 if v == 4 else 0x86DD,
        f"ipv{v}_src": str(source), f"ipv{v}_dst": str(target), "ip_proto": packet.protocol,
    }  # fmt: skip
    name = {6: "tcp", 17: "udp"}.get(packet.protocol)
    if name:
        fields |= {f"{name}_src": ports[0], f"{name}_dst": ports[1]}
    if packet.protocol == 58:
        fields["icmpv6_type"] = 128
    return fields


class Policed:
    """The country under some policies: each switch compiled once."""

    def __init__(self, active: Mapping[str, Policy]) -> None:
        self.active = active
        self.switches: dict[str, PaperSwitch] = {}

    def switch(self, name: str) -> PaperSwitch:
        if name not in self.switches:
            self.switches[name] = PaperSwitch(compile_switch(country(), APPS, self.active, name))
        return self.switches[name]

    def through_access(self, who: Vantage, packet: Packet) -> Fate:
        node = access_switch(who)
        mine, uplink = node.port_for(str(who.id)), node.port_for("uplink")
        host, router = (country().nodes[end.node].ports[end.port] for end in (mine.peer, uplink.peer))
        if packet.inbound:
            return self.switch(node.name).run(frame(packet, uplink.number, host.mac))
        return self.switch(node.name).run(frame(packet, mine.number, router.mac))

    def through_gateway(self, who: Vantage, packet: Packet) -> Fate:
        node = country().nodes["gateway"]
        border = country().one(Role.BORDER, who.id.operator).port_for("intl")
        transit = country().nodes["transit-one"].port_for("gateway")
        if packet.inbound:
            return self.switch("gateway").run(frame(packet, node.port_for("transit-one").number, border.mac))
        return self.switch("gateway").run(frame(packet, node.port_for(who.id.operator).number, transit.mac))


def order(**fields: Any) -> Policy:
    return Policy.model_validate({"title": "test", "source": "test", **fields})


def said(fate: Fate) -> Answer:
    return Answer(dropped=True) if fate.dropped else Answer(dropped=False, rate=fate.rate)


@settings(max_examples=settings().max_examples // 2)  # of five packets each
@given(st.data(), random_policies.several())
def test_an_access_switch_does_what_the_policies_mean(data: st.DataObject, active: Mapping[str, Policy]) -> None:
    reference, policed = Reference(country(), APPS, active, "access"), Policed(active)
    for _ in range(5):
        who = data.draw(st.sampled_from(VANTAGES))
        packet = data.draw(random_policies.packets(country(), who, REMOTES))
        assert said(policed.through_access(who, packet)) == reference.answer(who, packet)


@settings(max_examples=settings().max_examples // 2)  # of five packets each
@given(st.data(), random_policies.several(at="gateway"))
def test_the_gateway_does_what_the_policies_mean(data: st.DataObject, active: Mapping[str, Policy]) -> None:
    reference, policed = Reference(country(), APPS, active, "gateway"), Policed(active)
    for _ in range(5):
        who = data.draw(st.sampled_from(VANTAGES))
        packet = data.draw(random_policies.packets(country(), who, ABROAD))
        assert said(policed.through_gateway(who, packet)) == reference.answer(who, packet)


def controls_of(who: Vantage, remote: Address) -> Iterator[Packet]:
    """What a subscriber group's control address sends, and is sent."""
    own = next(a for a in country().control_addresses(who.id) if a.version == remote.version)
    yield from (Packet(inbound, own, remote, 1 if own.version == 4 else 58, 0, 0) for inbound in (False, True))


@settings(max_examples=settings().max_examples // 4)
@given(st.data(), random_policies.several(), random_policies.several(at="gateway"))
def test_no_policy_touches_controls(
    data: st.DataObject, at_access: Mapping[str, Policy], at_gateway: Mapping[str, Policy]
) -> None:
    policed = Policed({**at_access, **{f"gateway {name}": policy for name, policy in at_gateway.items()}})
    who, remote = data.draw(st.sampled_from(VANTAGES)), data.draw(st.sampled_from(ABROAD))
    for packet in controls_of(who, remote):
        assert said(policed.through_access(who, packet)) == Answer(dropped=False)
        assert said(policed.through_gateway(who, packet)) == Answer(dropped=False)


def test_what_subscribers_serve_answers_the_operators_control_subscribers_in_a_blackout() -> None:
    policed = Policed({"dark": order(block="everything"), "darker": order(block="everything", at="gateway")})
    who = vantage("northnet/capital/datacentre")
    for asking in country().by_role(Role.CONTROL):
        for version in (4, 6):
            own = next(a for a in country().subnets[who.id] if a.version == version).network_address + 80
            for inbound in (False, True):
                packet = Packet(inbound, own, asking.address(version), 6, 443, 50000)
                assert said(policed.through_access(who, packet)) == Answer(dropped=False)
    stranger = Packet(False, own, next(a for a in ABROAD if a.version == own.version), 6, 443, 50000)
    assert said(policed.through_access(who, stranger)) == Answer(dropped=True)


MESSENGER = next(a for a in country().addresses_of("whatsapp") if a.version == 4)
BANK = next(a for a in country().addresses_of("kaspi") if a.version == 4)
NEWS_ABROAD = next(a for a in country().addresses_of("bbc") if a.version == 6)


def web(who: str, remote: Address, port: int = 443, *, inbound: bool = False) -> Packet:
    subnet = next(s for s in country().subnets[vantage(who).id] if s.version == remote.version)
    return Packet(inbound, subnet.network_address + 10, remote, 6, 50000, port)


def reaches(active: Mapping[str, Policy], who: str, packet: Packet) -> bool:
    """Through the access switch."""
    return not Policed(active).through_access(vantage(who), packet).dropped


def test_by_address_a_messenger_goes_alone_but_facebook_takes_its_neighbours_along() -> None:
    """WhatsApp's web and Instagram are on Meta's addresses, all of which are Facebook's prefixes."""
    who, at = "northnet/coast/ordinary", country().hosted_as
    found = [at(name) for name in ("e1.whatsapp.net", "web.whatsapp.com", "www.facebook.com")]
    chat, page, facebook = (web(who, hosted.addresses[0]) for hosted in found if hosted)
    whatsapp_off = {"off": order(block={"apps": ["whatsapp"]}, by="address")}
    facebook_off = {"off": order(block={"apps": ["facebook"]}, by="address")}
    assert [reaches(whatsapp_off, who, packet) for packet in (chat, page, facebook)] == [False, False, True]
    assert [reaches(facebook_off, who, packet) for packet in (chat, page, facebook)] == [True, False, False]


@pytest.mark.parametrize("who", EVERYBODY)
@pytest.mark.parametrize("remote", [MESSENGER, BANK, NEWS_ABROAD], ids=["messenger", "bank", "news"])
def test_with_no_policy_every_subscriber_reaches_everything_and_leaves_by_the_uplink(who: str, remote: Address) -> None:
    node = access_switch(vantage(who))
    out = Policed({}).through_access(vantage(who), web(who, remote))
    back = Policed({}).through_access(vantage(who), web(who, remote, inbound=True))
    assert out.outputs == (node.port_for("uplink").number,)
    assert back.outputs == (node.port_for(who).number,)


def test_a_blackout_spares_the_government_and_the_forgotten_ports() -> None:
    active = {
        "blackout": order(block="everything", **{"except": {"subscribers": ["government"], "ports": [179, 5060]}})
    }
    assert not reaches(active, "northnet/capital/ordinary", web("northnet/capital/ordinary", MESSENGER))
    assert reaches(active, "northnet/capital/ordinary", web("northnet/capital/ordinary", MESSENGER, 179))
    assert reaches(active, "northnet/capital/ordinary", web("northnet/capital/ordinary", MESSENGER, 179, inbound=True))
    assert reaches(active, "northnet/capital/government", web("northnet/capital/government", MESSENGER))


def test_what_one_blackout_spares_another_still_cuts() -> None:
    active = {
        "allowlist": order(block="everything", **{"except": {"sites": ["kaspi.kz"]}}),
        "mobile": order(block="everything", where={"access": ["mobile"]}, **{"except": {"ports": [179]}}),
    }
    assert reaches(active, "northnet/coast/ordinary", web("northnet/coast/ordinary", BANK))
    assert not reaches(active, "southcell/coast/ordinary", web("southcell/coast/ordinary", BANK))
    assert not reaches(active, "southcell/coast/ordinary", web("southcell/coast/ordinary", MESSENGER, 179))
    assert reaches(active, "southcell/coast/ordinary", web("southcell/coast/ordinary", BANK, 179))


def test_an_allowlist_spares_the_resolver_and_the_allowed_site_where_it_is_hosted_too() -> None:
    active = {"allowlist": order(block="everything", **{"except": {"apps": ["kaspi"]}})}
    server = "northnet/capital/datacentre"
    answer = Packet(False, BANK, country().subscriber(vantage("southcell/coast/ordinary").id).address(4), 6, 443, 50000)
    assert reaches(active, server, answer)
    question = Packet(False, answer.remote, country().one(Role.RESOLVER, "southcell").address(4), 17, 50000, 53)
    assert reaches(active, "southcell/coast/ordinary", question)
    assert not reaches(active, server, web(server, MESSENGER))


def test_one_direction_alone_is_cut_when_the_order_says_so() -> None:
    active = {"deaf": order(block={"addresses": [str(MESSENGER)]}, direction="inbound")}
    assert reaches(active, "northnet/coast/ordinary", web("northnet/coast/ordinary", MESSENGER))
    assert not reaches(active, "northnet/coast/ordinary", web("northnet/coast/ordinary", MESSENGER, inbound=True))


def test_a_blackout_leaves_telephones_and_a_telephone_order_leaves_the_internet() -> None:
    who = "southcell/coast/ordinary"
    exchange = country().one(Role.TELEPHONE, "southcell").address(4)
    own = country().subscriber(vantage(who).id).address(4)
    voice, sms = (Packet(False, own, exchange, 17, port, port) for port in (5060, 5062))
    media = Packet(False, own, country().subscriber(vantage("southcell/capital/ordinary").id).address(4), 17, 1, 16384)
    blackout = {"blackout": order(block="everything")}
    assert all(reaches(blackout, who, packet) for packet in (voice, sms, media))
    mute = {"mute": order(block={"voice": True})}
    assert [reaches(mute, who, packet) for packet in (voice, sms, media)] == [False, True, False]
    assert reaches(mute, who, web(who, MESSENGER))
    assert [reaches(blackout | mute, who, packet) for packet in (voice, sms, media)] == [False, True, False]


def test_of_two_rates_the_lower_counts_and_a_block_outweighs_both() -> None:
    who = "southcell/coast/ordinary"
    slow = order(throttle="512kbit")
    slower = order(throttle="64kbit", only={"addresses": [str(MESSENGER)]})
    policed = Policed({"slow": slow, "slower": slower})
    assert policed.through_access(vantage(who), web(who, MESSENGER)).kbit == [64]
    assert policed.through_access(vantage(who), web(who, BANK)).kbit == [512]
    blocked = order(block={"addresses": [str(MESSENGER)]})
    assert not reaches({"slow": slow, "slower": slower, "blocked": blocked}, who, web(who, MESSENGER))


def test_policies_of_the_same_rate_do_not_share_one_bucket() -> None:
    who = "southcell/coast/ordinary"
    active = {
        f"slow-{name}": order(throttle="512kbit", only={"addresses": [str(address)]})
        for name, address in (("messenger", MESSENGER), ("bank", BANK))
    }
    policed = Policed(active)
    meters = [
        [rule.meter for rule in policed.through_access(vantage(who), web(who, address)).rules if rule.meter]
        for address in (MESSENGER, BANK)
    ]
    assert meters[0] != meters[1]


def test_dpi_names_and_plain_addresses_in_one_order_both_count() -> None:
    who = "northnet/coast/ordinary"
    active = {"mixed": order(block={"apps": ["bbc"], "ports": ["tcp/1194"]}, by="dpi")}
    assert not reaches(active, who, web(who, MESSENGER, 1194))
    assert reaches(active, who, web(who, NEWS_ABROAD))  # the box's business


def test_arp_and_neighbour_discovery_pass_in_a_blackout() -> None:
    active = {"blackout": order(block="everything")}
    node = access_switch(vantage("southcell/coast/ordinary"))
    host, router = node.port_for("southcell/coast/ordinary"), node.port_for("uplink")
    for kind in ({"eth_type": 0x0806}, {"eth_type": 0x86DD, "ip_proto": 58, "icmpv6_type": 135}):
        asking: Fields = {
            "in_port": host.number,
            "eth_dst": "ff:ff:ff:ff:ff:ff",
            "eth_src": "02:00:00:00:00:99",
            **kind,
        }
        assert Policed(active).switch(node.name).run(asking).outputs == (router.number,)


def test_traffic_of_a_customer_operator_is_judged_once_at_the_gateway_though_it_crosses_it_twice() -> None:
    active = {"slow": order(throttle="512kbit", at="gateway")}
    network, policed = country(), Policed(active)
    gateway, carrier = network.nodes["gateway"], network.one(Role.BORDER, "northnet").port_for("intl")
    packet = web("southcell/coast/ordinary", MESSENGER)
    first = policed.switch("gateway").run(frame(packet, gateway.port_for("southcell").number, carrier.mac))
    transit = network.nodes["transit-one"].port_for("gateway")
    second = policed.switch("gateway").run(frame(packet, gateway.port_for("northnet").number, transit.mac))
    assert (first.outputs, first.kbit) == ((gateway.port_for("northnet").number,), [512])
    assert (second.outputs, second.kbit) == ((gateway.port_for("transit-one").number,), [])


def test_an_operators_programs_are_those_of_all_its_switches_and_no_others() -> None:
    assert set(compile_operator(country(), APPS, {}, "southcell")) == {
        "southcell-dpi", "southcell-capital-sw", "southcell-coast-sw",
    }  # fmt: skip
    assert set(compile_operator(country(), APPS, {}, "gateway")) == {"gateway"}
    with pytest.raises(KeyError, match="northnet-border"):
        compile_switch(country(), APPS, {}, "northnet-border")
