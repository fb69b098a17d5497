"""Random policies and packets for the small country, weighted towards where mistakes live."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from pydantic import ValidationError
from reference import Packet

from shutdownlab.config.addresses import Address
from shutdownlab.model.network import Network, Role
from shutdownlab.model.policy import Policy
from shutdownlab.model.telephony import MEDIA
from shutdownlab.model.topology import Vantage

APPS = ("kaspi", "tengrinews", "egov-kz", "whatsapp", "telegram", "wikipedia", "google-dns", "bbc", "cloudflare-dns")
SITES = ("kaspi.kz", "kz", "egov.kz", "www.bbc.com", "whatsapp.net", "dns.google", "wikipedia.org")
PORTS = ("179", "3785", "5060", "443", "tcp/443", "udp/53", "tcp/1024-65535", "udp/16384-16399", "udp/1000-6000", "53")
ADDRESSES = (
    "203.0.112.0/22", "203.0.113.0/24", "100.64.0.0/16", "100.64.3.0/24", "8.8.8.8", "0.0.0.0/0", "::/0",
    "2001:db8:64::/48", "2001:4860:4860::8888", "2001:db8:71::/48",
)  # fmt: skip
PROTOCOLS = ("icmp", "tcp", "udp", "gre", "esp", "icmp6", "quic")
INTERESTING_PORTS = (
    53, 80, 179, 443, 1023, 1024, 3785, 5060, 5061, 5062, 6000, 16384, 16399, MEDIA.last, MEDIA.last + 1, 65535,
)  # fmt: skip


def _some(values: tuple[str, ...], most: int = 2) -> SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), max_size=most, unique=True)


def _without_empty(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value}


_TARGETS = st.fixed_dictionaries(
    {
        "apps": _some(APPS), "sites": _some(SITES), "addresses": _some(ADDRESSES), "ports": _some(PORTS),
        "protocols": _some(PROTOCOLS),
    }
).map(_without_empty)  # fmt: skip
_SCOPE = st.fixed_dictionaries(
    {
        "operators": _some(("northnet", "southcell"), 1),
        "regions": _some(("capital", "coast"), 1),
        "access": _some(("fixed", "mobile"), 1),
        "subscribers": _some(("ordinary", "government", "datacentre"), 2),
    }
).map(_without_empty)
_EXCEPT: SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.builds(lambda targets, scope: targets | scope, _TARGETS, st.one_of(st.just({}), _SCOPE)),
)
_INSIDE = ("100.64.1.0/24", "100.64.1.10", "100.64.3.80/28", "100.65.0.0/16", "2001:db8:64::/48", "0.0.0.0/0")
_ALLOW: SearchStrategy[list[dict[str, Any]]] = st.lists(
    st.builds(
        lambda targets, who, inside: _without_empty(targets | {"who": who, "inside": inside}),
        _TARGETS,
        st.one_of(st.just({}), _SCOPE),
        _some(_INSIDE),
    ).filter(bool),
    max_size=2,
)
_EVERYTHING = st.just("everything")
_TELEPHONE = st.sampled_from([{"voice": True}, {"sms": True}, {"voice": True, "sms": True}])


@st.composite
def policies(draw: st.DrawFn, *, at: str = "access") -> Policy:
    """One valid policy, as YAML would give it."""
    data: dict[str, Any] = {"title": "random", "source": "none", "except": draw(_EXCEPT), "at": at}
    data["allow"] = draw(st.one_of(st.just([]), _ALLOW))
    data["direction"] = draw(st.sampled_from(["both", "both", "both", "inbound", "outbound"]))
    data["by"] = "address" if at == "gateway" else draw(st.sampled_from(["address", "address", "dpi"]))
    if draw(st.booleans()):
        data["where"] = draw(_SCOPE)
    some = _TARGETS.filter(bool)
    if draw(st.integers(0, 3)) == 0:
        data["throttle"] = draw(st.sampled_from(["64kbit", "512kbit", "2mbit"]))
        data["only"] = draw(st.one_of(_EVERYTHING, some))
    else:
        kinds = [_EVERYTHING, some] if at == "gateway" else [_EVERYTHING, some, _TELEPHONE]
        data["block"] = draw(st.one_of(*kinds))
    return Policy.model_validate(data)


def several(*, at: str = "access") -> SearchStrategy[Mapping[str, Policy]]:
    return st.lists(policies(at=at), min_size=1, max_size=4).map(
        lambda found: {f"policy-{number}": policy for number, policy in enumerate(found)}
    )


def addresses(network: Network) -> list[Address]:
    """Everything with a role in the network, and a few that have none."""
    found: list[Address] = [address for hosted in network.hosted for address in hosted.addresses[:4]]
    for role in (Role.SUBSCRIBER, Role.RESOLVER, Role.TELEPHONE):
        found += [node.address(version) for node in network.by_role(role) for version in (4, 6)]
    found += [ipaddress.ip_address(text) for text in ("203.0.113.9", "9.9.9.9", "2001:db8:71::99", "100.64.200.1")]
    return list(dict.fromkeys(found))


@st.composite
def packets(draw: st.DrawFn, network: Network, vantage: Vantage, remotes: list[Address]) -> Packet:
    """A packet between a subscriber of the group and somewhere else."""
    remote = draw(st.sampled_from(remotes))
    subnet = next(s for s in network.subnets[vantage.id] if s.version == remote.version)
    here = [a for a in remotes if a in subnet]
    local = draw(st.sampled_from([*here, subnet.network_address + 200]))
    protocol = draw(st.sampled_from([6, 6, 17, 17, 1 if remote.version == 4 else 58, 47, 50]))
    port = st.one_of(st.sampled_from(INTERESTING_PORTS), st.integers(1, 65535))
    ports = (draw(port), draw(port)) if protocol in {6, 17} else (0, 0)
    return Packet(draw(st.booleans()), local, remote, protocol, *ports)


@st.composite
def dpi_policies(draw: st.DrawFn) -> Policy:
    """One valid policy that a DPI box carries out, with narrow exceptions to it."""
    named = st.fixed_dictionaries({"apps": _some(APPS), "sites": _some(SITES)}).map(_without_empty)
    data: dict[str, Any] = {"title": "random", "source": "none", "by": "dpi"}
    data["except"] = draw(st.one_of(st.just({}), named, _EXCEPT))
    targets = draw(named.filter(bool))
    action = draw(st.sampled_from(["drop", "reset", "throttle"]))
    if action == "throttle":
        data |= {"throttle": draw(st.sampled_from(["64kbit", "512kbit"])), "only": targets}
    else:
        data |= {"block": targets, "action": action}
    if action != "reset":
        data["direction"] = draw(st.sampled_from(["both", "both", "inbound", "outbound"]))
    if draw(st.booleans()):
        data["where"] = draw(_SCOPE)
    return Policy.model_validate(data)


_RECOGNISED = ("tls", "quic", "dns", "http", "wireguard", "openvpn", "ssh", "udp", "tcp", "icmp")
_ANY_TARGETS = st.fixed_dictionaries(
    {
        "apps": _some(APPS), "sites": _some(SITES), "addresses": _some(ADDRESSES), "ports": _some(PORTS),
        "protocols": _some(_RECOGNISED),
    }
).map(_without_empty).filter(bool)  # fmt: skip
_WAYS: tuple[dict[str, Any], ...] = (
    {}, {"action": "drop"}, {"action": "reset"}, {"residual": {"for": "60s", "key": "3-tuple"}},
    {"action": "reset", "residual": {"for": "60s", "key": "2-tuple"}}, {"direction": "inbound"},
    {"direction": "outbound"}, {"freeze_after": "16KiB"}, {"freeze_after": "4KiB", "direction": "outbound"},
)  # fmt: skip


@st.composite
def recognised(draw: st.DrawFn) -> Policy:
    """One valid policy about protocols, apps, sites, addresses and ports that boxes have a part in, often all of it."""
    data: dict[str, Any] = {"title": "random", "source": "none", "except": draw(_EXCEPT)}
    data["allow"] = draw(st.one_of(st.just([]), _ALLOW))
    match draw(st.sampled_from(["block", "block", "throttle", "degrade"])):
        case "block":
            data |= {"block": draw(_ANY_TARGETS)} | draw(st.sampled_from(_WAYS))
        case "throttle":
            data |= {"throttle": "512kbit", "only": draw(_ANY_TARGETS)}
        case _:
            data |= {"degrade": {"rate": {"down": "256kbit"}}, "only": draw(_ANY_TARGETS)}
    try:
        return Policy.model_validate(data)
    except ValidationError:  # an action that these targets cannot have
        kept = {key: data[key] for key in ("title", "source", "except", "allow")}
        return Policy.model_validate(kept | {"block": {"protocols": ["wireguard", "tls"]}})
