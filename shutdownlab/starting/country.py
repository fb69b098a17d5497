"""Generates a country to start from: a commented topology file with the given operators. Pure."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from shutdownlab.config.addresses import IpPrefix, is_for_hosts, overlap
from shutdownlab.config.writing import scalar
from shutdownlab.inspection.apps import App
from shutdownlab.model.address_plan import LABORATORY
from shutdownlab.model.topology import Access
from shutdownlab.starting.routing_data import Autonomous, RoutingData

_MOST_PREFIXES, _MOST_TRANSITS = 3, 3
_PRIVATE = (range(64512, 65535), range(4_200_000_000, 4_294_967_295))
_ROOM = {4: 22, 6: 48}
"""Longest prefix lengths used, by IP version: these leave room for a few groups of subscribers."""
_ABROAD = (
    ("198.51.100.0/24", "2001:db8:71::/48", ("whatsapp", "telegram", "signal", "wikipedia", "google-dns")),
    ("203.0.113.0/24", "2001:db8:72::/48", ("youtube", "bbc", "protonvpn", "bridge", "cloudflare-dns")),
    ("192.0.2.0/24", "2001:db8:73::/48", ("facebook",)),
)
"""Documentation prefixes of transits (RFC 5737, RFC 3849), and the services reached through each."""


@dataclass(frozen=True, slots=True)
class OperatorPlan:
    """A requested operator. share: of the country's subscribers, 0 to 1; None if not given.

    ipv4_only: whether it has no IPv6; if False, the routing data decides.
    """

    name: str
    asn: int
    share: float | None = None
    access: Access = Access.FIXED
    ipv4_only: bool = False


@dataclass(frozen=True, slots=True)
class CountryPlan:
    """A requested country. millions: number of its subscribers, in millions."""

    name: str
    code: str
    operators: Sequence[OperatorPlan]
    millions: float = 10.0
    files: Sequence[str] = ()
    """Names of the files from which routing data was read."""


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """What an operator's entry depends on besides the operator.

    own: names of the country's operators, by AS number.
    transits: foreign AS numbers from the data. carriers: the same, then made-up ones.
    without_ipv6, by_satellite: AS numbers of operators.
    """

    plan: CountryPlan
    data: RoutingData
    own: Mapping[int, str]
    transits: Sequence[int]
    carriers: Sequence[int]
    without_ipv6: Set[int]
    by_satellite: Set[int]


def country_text(plan: CountryPlan, data: RoutingData, apps: Mapping[str, App]) -> str:
    """Returns the topology as YAML with comments. Whatever isn't in the data is made up, and marked as ASSUMED.

    apps: those that ship. An operator gets no prefix with an address of an app that is reached abroad.
    """
    taken: list[IpPrefix] = [*LABORATORY, *(ipaddress.ip_network(text) for v4, v6, _ in _ABROAD for text in (v4, v6))]
    abroad = (endpoint for _, _, serves in _ABROAD for name in serves for endpoint in apps[name].endpoints)
    taken += (address for endpoint in abroad for address in endpoint.addresses)
    around = _surroundings(plan, data)
    shares = _shares(plan.operators, data)
    lines = _beginning(around)
    for number, operator in enumerate(plan.operators):
        versions = (4,) if operator.asn in around.without_ipv6 else (4, 6)
        prefixes, made_up = _prefixes(data.systems.get(operator.asn, Autonomous()), taken, number, versions)
        taken += prefixes
        lines += _operator(operator, around, shares[operator.name] * plan.millions, prefixes, made_up)
    return "\n".join([*lines, *_world(around)]) + "\n"


def _surroundings(plan: CountryPlan, data: RoutingData) -> _Surroundings:
    own = {operator.asn: operator.name for operator in plan.operators}
    transits = _transits(plan.operators, data)
    return _Surroundings(
        plan=plan,
        data=data,
        own=own,
        transits=transits,
        carriers=[*transits, *_made_up({*own, *transits})],
        without_ipv6={each.asn for each in plan.operators if each.ipv4_only or data.is_without_ipv6(each.asn)},
        by_satellite={each.asn for each in plan.operators if each.access is Access.SATELLITE},
    )


def _beginning(around: _Surroundings) -> list[str]:
    """Returns the lines before the first operator."""
    plan = around.plan
    return [
        "# yaml-language-server: $schema=SCHEMA/topology.schema.json",
        "# A country to start from. What is ASSUMED is made up: change it, and name your source instead.",
        "# `shutdownlab check FILE --graph FILE.svg` checks and draws it; docs/reference has every key.",
        "format: 1",
        f"name: {scalar(plan.name)}",
        f"title: {_text(plan.name)}",
        f"country: {plan.code}  # ISO 3166-1; ZZ is a country that does not exist",
        "sources:",
        *([f"  ROUTES: {_text('routing data in ' + ', '.join(plan.files))}"] if plan.files else []),
        "  ASSUMED: no source yet",
        "",
        "links:  # ASSUMED",
        "  fixed: {delay: 5ms, bandwidth: 50mbit}",
        "  mobile: {delay: 20ms, bandwidth: 20mbit}",
        *(["  satellite: {delay: 25ms, loss: 0.005, bandwidth: 50mbit}"] if around.by_satellite else []),
        "  transit: {delay: 40ms, bandwidth: 1gbit}",
        "",
        "regions:  # by their share of the subscribers",
        "  capital: {title: The capital, weight: 0.3, source: ASSUMED}",
        "  elsewhere: {title: Elsewhere, weight: 0.7, source: ASSUMED}",
        "",
        "operators:",
    ]


def _operator(
    operator: OperatorPlan, around: _Surroundings, millions: float, prefixes: Sequence[IpPrefix], made_up: Sequence[int]
) -> list[str]:
    """Returns an operator's entry. `made_up`: the IP versions of which its prefix is."""
    plan, data = around.plan, around.data
    found = data.systems.get(operator.asn, Autonomous())
    is_ipv4_only = operator.asn in around.without_ipv6
    real = len(made_up) < len(prefixes)
    notes = [f"the largest of {len(found.prefixes)} (ROUTES)"] if real else []
    notes += [f"IPv{version} ASSUMED" for version in made_up]
    notes += [f"IPv4-only{'' if operator.ipv4_only else ' (ROUTES)'}"] if is_ipv4_only else []
    carriers, known = _carriers(operator, data, plan.operators, around.own, around.transits, around.carriers[0])
    sources = "" if known or not plan.files else "ASSUMED"
    if not is_ipv4_only and {*carriers} <= {around.own[asn] for asn in around.without_ipv6}:
        carriers.append(_transit_name(around.carriers[0]))
        sources = f"{carriers[-1]} ASSUMED: {carriers[0]} has no IPv6"
    by_satellite = operator.asn in around.by_satellite
    return [
        f"  {operator.name}:",
        f"    title: {_text(found.title or operator.name)}",
        f"    asn: {operator.asn}",
        f"    subscribers: {millions:.4g}  # in millions{_share_note(operator, plan)}",
        f"    prefixes: [{', '.join(_prefix(each) for each in prefixes)}]  # {'; '.join(notes)}",
        f"    transit: [{', '.join(carriers)}]{f'  # {sources}' if sources else ''}",
        *(["    exchange: false  # its gateway is abroad, at its transit"] if by_satellite else []),
        f"    source: {'ROUTES' if known or found.title or real else 'ASSUMED'}",
        "    regions:",
        *([_guests(around.carriers[0])] if operator.access is Access.MOBILE else []),
        f"      capital: {{ordinary: {{access: {operator.access}}}}}",
        f"      elsewhere: {{ordinary: {{access: {operator.access}}}}}",
    ]


def _world(around: _Surroundings) -> list[str]:
    """Returns the lines after the last operator: the gateway, the exchange, and the transits abroad."""
    systems = around.data.systems
    lines = [
        "",
        "gateway: {title: National gateway, source: ASSUMED}",
        f"exchange: {{title: Domestic exchange, asn: {_unused({*around.own, *around.carriers})}, source: ASSUMED}}",
        "",
        "transits:  # and what is reached abroad through them: `shutdownlab apps` lists what there is",
    ]
    for place, (v4, v6, serves) in enumerate(_ABROAD[: max(2, len(around.transits))]):
        asn = around.carriers[place]
        title = systems[asn].title if asn in systems and systems[asn].title else f"AS{asn}"
        lines += [
            f"  {_transit_name(asn)}:",
            f"    title: {_text(title)}",
            f"    asn: {asn}",
            f'    prefixes: [{v4}, "{v6}"]  # for documentation (RFC 5737, RFC 3849)',
            f"    serves: [{', '.join(serves)}]",
            f"    source: {'ROUTES' if place < len(around.transits) else 'ASSUMED'}",
        ]
    return lines


def _guests(home: int) -> str:
    """A comment on who else may have lines of a mobile operator's."""
    name = _transit_name(home)
    return f"      # foreigners' phones are a group beside `ordinary`: guests: {{access: roaming, home: {name}}}"


def _shares(operators: Sequence[OperatorPlan], data: RoutingData) -> dict[str, float]:
    """Returns each operator's share of the subscribers: as given, or a part of the rest proportional to its addresses.

    At least 0.0001 each.
    """
    rest = max(0.0, 1 - sum(operator.share or 0 for operator in operators))
    left = [operator for operator in operators if operator.share is None]
    sizes = {o.name: max(1, data.systems[o.asn].addresses if o.asn in data.systems else 1) for o in left}
    whole = sum(sizes.values())
    found = {o.name: o.share if o.share is not None else rest * sizes[o.name] / whole for o in operators}
    return {name: max(share, 0.0001) for name, share in found.items()}


def _share_note(operator: OperatorPlan, plan: CountryPlan) -> str:
    if operator.share is not None:
        return ""
    return ", ASSUMED: by its share of the addresses" if plan.files else ", ASSUMED"


def _transits(operators: Sequence[OperatorPlan], data: RoutingData) -> list[int]:
    """Returns the foreign AS numbers through which the country's routes are seen most, up to three.

    Real tables contain leaked private numbers (RFC 6996), which are nobody's; a lab's own table contains nothing else.
    """
    seen: dict[int, int] = {}
    own = {operator.asn for operator in operators}
    for operator in operators:
        for asn, count in data.systems.get(operator.asn, Autonomous()).neighbours.items():
            if asn not in own:
                seen[asn] = seen.get(asn, 0) + count
    public = {asn for asn in seen if not any(asn in private for private in _PRIVATE)}
    return sorted(public or seen, key=lambda asn: (-seen[asn], asn))[:_MOST_TRANSITS]


def _carriers(
    operator: OperatorPlan,
    data: RoutingData,
    operators: Sequence[OperatorPlan],
    own: Mapping[int, str],
    transits: Sequence[int],
    otherwise: int,
) -> tuple[list[str], bool]:
    """Returns the names of an operator's transit providers, and whether they come from the data.

    These are its known foreign neighbours; else a neighbouring operator that has foreign ones or is listed before it
    (so that no two operators buy from each other); else the foreign transit `otherwise`. A satellite operator has a
    single foreign provider, and no other operator buys from it.
    """
    neighbours = data.systems.get(operator.asn, Autonomous()).neighbours
    abroad = [_transit_name(asn) for asn in transits if asn in neighbours]
    first = [_transit_name(otherwise)]
    if operator.access is Access.SATELLITE:
        return (abroad or first)[:1], bool(abroad)
    sellers: set[int] = set()
    for place, each in enumerate(operators):
        known = data.systems.get(each.asn, Autonomous()).neighbours
        before = place < list(operators).index(operator)
        if each.access is not Access.SATELLITE and (before or not known.keys().isdisjoint(transits)):
            sellers.add(each.asn)
    at_home = [own[asn] for asn, _ in neighbours.most_common() if asn in sellers and asn != operator.asn]
    return abroad or at_home[:1] or first, bool(abroad or at_home)


def _transit_name(asn: int) -> str:
    return f"as{asn}"


def _prefixes(
    found: Autonomous, taken: Sequence[IpPrefix], number: int, versions: Sequence[int]
) -> tuple[list[IpPrefix], list[int]]:
    """Returns an operator's largest announced prefixes that the lab can use, up to two of IPv4 and one of IPv6.

    versions: its IP versions. For one without any prefix, one is made up; these versions are returned too.
    """
    chosen: list[IpPrefix] = []
    for version in versions:
        most = _MOST_PREFIXES - 1 if version == 4 else 1
        fits = [p for p in found.prefixes if p.version == version and p.prefixlen <= _ROOM[version] and is_for_hosts(p)]
        # Real tables contain leaked private prefixes; a lab's own table contains nothing else.
        fits = [p for p in fits if p.is_global] or fits
        for prefix in sorted(fits, key=lambda each: (each.prefixlen, int(each.network_address))):
            count = sum(each.version == version for each in chosen)
            if count < most and not any(overlap(prefix, other) for other in (*taken, *chosen)):
                chosen.append(prefix)
    made = {
        4: ipaddress.ip_network((int(ipaddress.IPv4Address("100.64.0.0")) + (number << 16), 16)),
        6: ipaddress.ip_network(f"2001:db8:{number + 0x100:x}::/48"),
    }
    missing = [version for version in versions if all(prefix.version != version for prefix in chosen)]
    return [*chosen, *(made[version] for version in missing)], missing


def _prefix(prefix: IpPrefix) -> str:
    return f'"{prefix}"' if prefix.version == 6 else str(prefix)


def _made_up(numbers: set[int]) -> list[int]:
    """Returns AS numbers for transits that are made up: private ones that nobody else has."""
    return [asn for asn in range(64601, 64601 + len(numbers) + 2) if asn not in numbers][:2]


def _unused(numbers: set[int]) -> int:
    return next(asn for asn in range(64599, 64000, -1) if asn not in numbers)


def _text(text: str) -> str:
    """Quotes a text for YAML."""
    return json.dumps(text, ensure_ascii=False)
