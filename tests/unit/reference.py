"""What policies mean, said directly: one packet, one answer. Shares no code with the compiler that it judges."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass

from shutdownlab.config.addresses import Address
from shutdownlab.inspection.apps import App
from shutdownlab.model.network import Hosted, Network, Role
from shutdownlab.model.policy import Exceptions, Policy, Targets
from shutdownlab.model.scope import Scope
from shutdownlab.model.targets import Allowance
from shutdownlab.model.telephony import MEDIA
from shutdownlab.model.topology import Vantage

PROTOCOLS = {"tcp": {6}, "udp": {17}, "icmp": {1, 58}, "icmp6": {58}, "gre": {47}, "esp": {50}}


@dataclass(frozen=True)
class Packet:
    """A packet of a subscriber; `inbound`: on its way to them. `local` is their address. Ports: 0 if it has none."""

    inbound: bool
    local: Address
    remote: Address
    protocol: int
    local_port: int = 0
    remote_port: int = 0


@dataclass(frozen=True)
class Answer:
    """Dropped, or passed at no more than `rate` (kbit/s; None: as fast as it can)."""

    dropped: bool
    rate: int | None = None


PLAIN, NAMED = frozenset({"addresses", "ports", "protocols"}), frozenset({"apps", "sites"})


def traffic_keys(given: Allowance) -> set[str]:
    """What an allowance says of traffic."""
    return {key for key in ("inside", *PLAIN, *NAMED) if getattr(given, key)}


class Reference:
    """`at`: which switch decides: `access`, or `gateway` (which has no telephone and no say in domestic traffic)."""

    def __init__(self, network: Network, apps: Mapping[str, App], policies: Mapping[str, Policy], at: str) -> None:
        self.network, self.apps, self.at = network, apps, at
        self.policies = [policy for policy in policies.values() if policy.at == at]

    def answer(self, vantage: Vantage, packet: Packet) -> Answer:
        policies = [policy for policy in self.policies if self._concerns(policy, vantage, packet)]
        if self.at == "access" and (kind := self._telephone(vantage, packet)):
            return Answer(dropped=any(getattr(policy.block, kind, False) for policy in policies))
        rates = []
        for policy in policies:
            if not self._hit(policy, packet) or self._spared(policy.except_, vantage, packet):
                continue
            if any(self._lets_through(allowance, vantage, packet) for allowance in policy.allow):
                continue
            if policy.throttle is None:
                return Answer(dropped=True)
            rates.append(policy.throttle)
        return Answer(dropped=False, rate=min(rates, default=None))

    def _concerns(self, policy: Policy, vantage: Vantage, packet: Packet) -> bool:
        """By the subscriber and the direction."""
        if policy.direction != "both" and (policy.direction == "inbound") != packet.inbound:
            return False
        where, spared = policy.where, policy.except_
        selected = self._selects(where, vantage)
        left_alone = (
            vantage.id.operator in spared.operators
            or vantage.id.region in spared.regions
            or vantage.access in spared.access
            or vantage.kind in spared.subscribers
        )
        whole = any(not traffic_keys(each) and self._selects(each.who, vantage) for each in policy.allow)
        return selected and not left_alone and not whole

    @staticmethod
    def _selects(where: Scope, vantage: Vantage) -> bool:
        return all(
            not wanted or value in wanted
            for wanted, value in (
                (where.operators, vantage.id.operator), (where.regions, vantage.id.region),
                (where.access, vantage.access), (where.subscribers, vantage.kind), (where.groups, vantage.id.group),
            )
        )  # fmt: skip

    def _lets_through(self, given: Allowance, vantage: Vantage, packet: Packet) -> bool:
        """Whether all that an allowance says holds; or the subscriber asks for a name for it, or answers for it."""
        keys = traffic_keys(given)
        if keys and self._selects(given.who, vantage) and self._is_inside(given, packet.local):
            if all(self._plain(Exceptions(**{key: getattr(given, key)}), packet) for key in keys & PLAIN) and all(
                packet.remote in self._addresses(Exceptions(**{key: getattr(given, key)})) for key in keys & NAMED
            ):
                return True
            if keys & NAMED and self._asks_for_names(vantage, packet):
                return True
        hosted = [a for h in self.network.hosted if self._is_named(given, h) for a in h.addresses]
        clients = [s for v in self.network.vantages if self._selects(given.who, v) for s in self.network.subnets[v.id]]
        everybody = given.who == Scope() and not given.inside
        known = any(packet.remote in subnet for subnet in clients) and self._is_inside(given, packet.remote)
        return packet.local in hosted and (everybody or known)

    @staticmethod
    def _is_inside(given: Allowance, address: Address) -> bool:
        return not given.inside or any(address in prefix for prefix in given.inside)

    @staticmethod
    def _is_named(given: Targets | Exceptions | Allowance, hosted: Hosted) -> bool:
        of_site = any(f".{name}".endswith(f".{site}") for name in hosted.names for site in given.sites)
        return hosted.app in given.apps or of_site

    def _asks_for_names(self, vantage: Vantage, packet: Packet) -> bool:
        resolver = self.network.one(Role.RESOLVER, vantage.id.operator)
        of_resolver = packet.remote in [a.ip for port in resolver.ports.values() for a in port.addresses]
        return of_resolver and packet.remote_port == 53 and packet.protocol in {6, 17}

    def _telephone(self, vantage: Vantage, packet: Packet) -> str | None:
        service = self.network.one(Role.TELEPHONE, vantage.id.operator)
        of_service = packet.remote in [a.ip for port in service.ports.values() for a in port.addresses]
        own = self.network.topology.operators[vantage.id.operator].prefixes
        if packet.protocol != 17:
            return None
        if packet.remote_port == 5060 and of_service:
            return "voice"
        if packet.remote_port == 5062 and of_service:
            return "sms"
        if MEDIA.first <= packet.remote_port <= MEDIA.last and any(packet.remote in prefix for prefix in own):
            return "voice"
        return None

    def _hit(self, policy: Policy, packet: Packet) -> bool:
        """Whether it is what the policy is about. Names and QUIC are the DPI boxes' business unless `by: address`."""
        targets = policy.targets
        if targets.everything:
            return True
        if policy.by == "dpi" and policy.at == "access":
            by_header = tuple(name for name in targets.protocols if name in PROTOCOLS)
            targets = targets.model_copy(update={"protocols": by_header})
        by_name = policy.by == "address" and packet.remote in self._addresses(targets)
        return by_name or self._plain(targets, packet)

    def _spared(self, spared: Exceptions, vantage: Vantage, packet: Packet) -> bool:
        if self._plain(spared, packet):
            return True
        if not (spared.apps or spared.sites):
            return False
        addresses = self._addresses(spared)
        if packet.remote in addresses or packet.local in addresses:
            return True
        return self._asks_for_names(vantage, packet)

    def _plain(self, targets: Targets | Exceptions, packet: Packet) -> bool:
        """By address, port or protocol."""
        transport = {6: "tcp", 17: "udp"}.get(packet.protocol)
        return (
            any(packet.remote in prefix for prefix in targets.addresses)
            or any(
                transport is not None
                and ports.protocol in {None, transport}
                and ports.first <= packet.remote_port <= ports.last
                for ports in targets.ports
            )
            or any(
                (packet.protocol == 17 and packet.remote_port == 443)
                if name == "quic"
                else packet.protocol in PROTOCOLS[name]
                for name in targets.protocols
            )
        )

    def _addresses(self, targets: Targets | Exceptions) -> _Anywhere:
        """Where the named apps and sites live: in the network, and for apps by the catalogue's prefixes."""
        found = [prefix for app in targets.apps for prefix in self.apps[app].prefixes]
        for hosted in self.network.hosted:
            if self._is_named(targets, hosted):
                found += [ipaddress.ip_network(address) for address in hosted.addresses]
        return _Anywhere(found)


class _Anywhere:
    def __init__(self, prefixes: list[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> None:
        self.prefixes = prefixes

    def __contains__(self, address: Address) -> bool:
        return any(address in prefix for prefix in self.prefixes)
