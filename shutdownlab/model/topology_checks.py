"""Checks a topology's consistency: names, numbers, prefixes and a way abroad (`served_checks`: what it serves)."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping

from shutdownlab.config.addresses import IpPrefix, is_for_hosts, overlap
from shutdownlab.config.document import Document, Path, one_of, quoted
from shutdownlab.config.kinds import is_another
from shutdownlab.inspection.apps import App
from shutdownlab.model.address_plan import LABORATORY, MOST_GUESTS, SUBNET_LENGTHS
from shutdownlab.model.junction_checks import check_cables, check_gateways
from shutdownlab.model.map_checks import check_map
from shutdownlab.model.programs import commands_in, resolve_paths
from shutdownlab.model.served_checks import check_served
from shutdownlab.model.topology import (
    MOST_GROUPS,
    Access,
    Operator,
    OwnClass,
    SubscriberClass,
    Subscribers,
    Topology,
    Transit,
    given_shares,
    kind_of,
)

_ROUNDED = 0.005
RESERVED_NAMES = frozenset({"all", "gateway", "exchange", "abroad", "authority", "management"})


def check_topology(document: Document, apps: Mapping[str, App]) -> Topology:
    """Checks a topology file against the known apps; raises `BadInput` with all its problems."""
    for path, command in commands_in(document):
        resolve_paths(document, path, command)
    if is_another(document, "topology"):
        document.raise_if_bad()
    topology = document.validate_as(Topology, go_on=True)
    _check_names(topology, document)
    _check_numbers(topology, document)
    check_served(topology, document, apps)
    check_map(topology, document)
    document.raise_if_bad()
    return topology


def _check_names(topology: Topology, document: Document) -> None:
    count = sum(len(groups) for operator in topology.operators.values() for groups in operator.regions.values())
    if count > MOST_GROUPS:
        document.report(("operators",), f"{count:,} groups of subscribers", f"at most {MOST_GROUPS:,} in the country")
    carriers = topology.operators.keys() | topology.transits.keys()
    for name in sorted(topology.operators.keys() & topology.transits.keys()):
        document.report(
            ("transits", name), f"{quoted(name)}, which is also under `operators`", "a unique name", "rename one"
        )
    for name in sorted((carriers | topology.gateways.keys()) & RESERVED_NAMES):
        kind = next(kind for kind in ("operators", "transits", "gateways") if name in getattr(topology, kind))
        document.report((kind, name), f"the reserved name {quoted(name)}", "another name", "rename it")
    for name in sorted(topology.operators.keys() - _connected(topology)):
        if topology.operators[name].transit:
            found = f"{', '.join(topology.operators[name].transit)}, without a way abroad"
            hint = f"add one of the transits: {', '.join(topology.transits)}"
            document.report(("operators", name, "transit"), found, "at least one carrier with a way abroad", hint)
    _check_classes(topology, document)
    _check_satellites(topology, document)
    _check_translation(topology, document)
    _check_roaming(topology, document)
    _check_versions(topology, document)
    check_gateways(topology, document)
    check_cables(topology, document)
    for name, operator in topology.operators.items():
        path: Path = ("operators", name)
        if not operator.regions:
            document.report((*path, "regions"), "an empty mapping", "at least one region with subscribers")
        for region in operator.regions.keys() - topology.regions.keys():
            document.report_unknown((*path, "regions", region), "region", region, topology.regions)
        for index, carrier in enumerate(operator.transit):
            if carrier not in carriers or carrier == name:
                document.report_unknown((*path, "transit", index), "carrier", carrier, carriers - {name})
            elif carrier in operator.transit[:index]:
                document.report((*path, "transit", index), f"{quoted(carrier)} again", "each carrier once")
        if not operator.transit:
            choice = one_of(sorted(carriers - {name}))
            document.report((*path, "transit"), "an empty list", "at least one carrier", choice)
        for region, groups in operator.regions.items():
            if not groups:
                document.report((*path, "regions", region), "no subscribers", "at least one group of subscribers")
            unknown = {name: group.class_ for name, group in groups.items() if group.class_ not in topology.class_names}
            for group, class_ in unknown.items():
                place: Path = (*path, "regions", region, group, "class")
                document.report_unknown(place, "class of subscribers", class_, topology.class_names)
            if not unknown:
                _check_shares(document, (*path, "regions", region), groups, topology.classes)


def _check_translation(topology: Topology, document: Document) -> None:
    """Checks `cgnat` and `nat64`: subscribers behind one host nothing and are not behind both, and each has some
    subscribers."""
    for name, operator in topology.operators.items():
        groups = [
            (("operators", name, "regions", region, key), group)
            for region, of in operator.regions.items()
            for key, group in of.items()
        ]
        kinds = [("cgnat", index, access) for index, access in enumerate(operator.cgnat)]
        kinds += [("nat64", index, access) for index, access in enumerate(operator.nat64)]
        for key, index, access in kinds:
            if access is Access.ROAMING:
                continue  # no NAT is for roaming lines: reported by _check_roaming
            behind = [(path, group) for path, group in groups if group.access is access]
            if not behind:
                had = one_of(sorted({group.access.value for _, group in groups}))
                document.report(("operators", name, key, index), access.value, "a kind of line that it has", had)
            if key == "nat64" and access in operator.cgnat:
                hint = "a NAT64 already gives them one shared IPv4 address: leave one of the two out"
                document.report(
                    ("operators", name, key, index),
                    f"{access}, which is in `cgnat` too",
                    "it in only one of the two",
                    hint,
                )
                continue  # what they serve is reported already
            for path, group in behind:
                if group.serves or group.anycast:
                    hint = "nobody can reach them through the NAT: use another kind of line, or move the servers"
                    key = "serves" if group.serves else "anycast"
                    document.report((*path, key), f"servers behind {name}'s NAT", "only subscribers", hint)


def _check_versions(topology: Topology, document: Document) -> None:
    """Checks that IPv4-only operators have nothing that needs IPv6, and that the others get it from some carrier."""
    without = [name for name, operator in topology.operators.items() if operator.versions == (4,)]
    for name in without:
        if topology.operators[name].nat64:
            found = f"lines of IPv6 alone at {name}, which is IPv4-only"
            hint = "list one under `prefixes`, or leave `nat64` out"
            document.report(("operators", name, "nat64"), found, "an operator with an IPv6 prefix", hint)
    connected = _connected(topology, without)
    for name, operator in topology.operators.items():
        if 6 in operator.versions and name not in connected and not set(operator.transit).isdisjoint(without):
            found = f"{', '.join(operator.transit)}, without a way abroad for the IPv6 prefixes of {name}"
            hint = f"add {one_of([*topology.transits][:5])}, or remove its IPv6 prefixes: it is then IPv4-only"
            document.report(("operators", name, "transit"), found, "at least one carrier with IPv6", hint)
    for path, program in topology.programs():
        if path[1] in without:
            for index, argument in enumerate(program.command):
                if "{address6}" in argument:
                    found = f"{{address6}} at {path[1]}, which is IPv4-only"
                    document.report((*path, "command", index), found, "`{address}`", _NO_IPV6)


_NO_IPV6 = "an operator without IPv6 prefixes is IPv4-only"


def _check_satellites(topology: Topology, document: Document) -> None:
    """Checks that an operator by satellite has only satellite lines, and nothing in the country but its subscribers."""
    for name in sorted(topology.by_satellite):
        operator, path = topology.operators[name], ("operators", name)
        hint = "its gateway is abroad: make a separate operator for it"
        for region, groups in operator.regions.items():
            for key, group in groups.items():
                if group.access is not Access.SATELLITE:
                    place = (*path, "regions", region, key, "access")
                    document.report(place, f"{group.access} together with satellite", "only satellite lines", hint)
        if len(operator.transit) != 1 or operator.transit[0] not in topology.transits:
            found, expected = (
                f"{', '.join(operator.transit)}, by satellite",
                "one foreign transit, where its gateway is",
            )
            document.report((*path, "transit"), found, expected, one_of(topology.transits))
        if operator.exchange:
            found, hint = "a satellite operator at the domestic exchange", "add `exchange: false`"
            document.report((*path, "exchange"), found, "no exchange: its gateway is abroad", hint)
    for name, operator in topology.operators.items():
        for index, carrier in enumerate(operator.transit):
            if carrier in topology.by_satellite:
                found = f"{quoted(carrier)}, whose gateway is abroad"
                document.report(("operators", name, "transit", index), found, "a network with cables into the country")


def _check_roaming(topology: Topology, document: Document) -> None:
    """Checks that roaming groups, and only those, have a home abroad, with room for them, and host nothing."""
    guests: dict[str, int] = {}
    for name, operator in topology.operators.items():
        for key, kinds in (("cgnat", operator.cgnat), ("nat64", operator.nat64)):
            for index, access in enumerate(kinds):
                if access is Access.ROAMING:
                    hint = "roaming subscribers have addresses of their home network"
                    document.report(("operators", name, key, index), access.value, "another kind of line", hint)
        for region, groups in operator.regions.items():
            for group_name, group in groups.items():
                path: Path = ("operators", name, "regions", region, group_name)
                if (group.access is Access.ROAMING) != (group.home is not None):
                    choice = f"such as `home: {next(iter(topology.transits))}`"
                    if group.home is None:
                        document.report(
                            path,
                            "`access: roaming` without a `home`",
                            "`home`, the foreign transit of its home network",
                            choice,
                        )
                    else:
                        found = f"a home for {group.access} lines"
                        document.report((*path, "home"), found, "`access: roaming`", "or leave `home` out")
                elif group.home is not None and group.home not in topology.transits:
                    document.report_unknown((*path, "home"), "foreign transit", group.home, topology.transits)
                elif group.home is not None:
                    guests[group.home] = guests.get(group.home, 0) + 1
                    if guests[group.home] == MOST_GUESTS + 1:
                        found = f"more than {MOST_GUESTS} groups with the home {group.home}"
                        document.report(
                            (*path, "home"), found, f"at most {MOST_GUESTS}", "give some of them another home"
                        )
                    if group.serves or group.anycast:
                        key, hint = "serves" if group.serves else "anycast", "move the servers to another group"
                        document.report((*path, key), "servers on roaming lines", "only subscribers", hint)


def _check_classes(topology: Topology, document: Document) -> None:
    """Checks that a country's own classes have new names, and that only ordinary ones have a share."""
    for name, own in topology.classes.items():
        if name in list(SubscriberClass):
            found = f"{quoted(name)}, the name of a standard class"
            document.report(("classes", name), found, "a unique name", "every country has that class already")
        if own.share is not None and own.is_ is not SubscriberClass.ORDINARY:
            found = f"a share for {own.is_} subscribers"
            document.report(("classes", name, "share"), found, "none", "only ordinary subscribers count in tables")


def _check_shares(
    document: Document, path: Path, groups: Mapping[str, Subscribers], own: Mapping[str, OwnClass]
) -> None:
    """Checks that the shares of ordinary subscribers are consistent, and that other subscribers have none."""
    for name, group in groups.items():
        if group.share is not None and (kind_of(group.class_, own) is not SubscriberClass.ORDINARY or group.home):
            found = f"a share for {'roaming' if group.home else group.class_} subscribers"
            document.report((*path, name, "share"), found, "none", "only ordinary subscribers count in tables")
            return
    given = given_shares(groups, own)
    total = sum(share for share in given.values() if share is not None)
    in_numbers = any(group.share is not None for group in groups.values())  # otherwise class shares give only ratios
    if in_numbers and None not in given.values() and abs(total - 1) > _ROUNDED:
        document.report(path, f"shares that add up to {total:g}", "shares that add up to 1", "leave one of them out")
    elif None in given.values() and total >= 1:
        found = f"shares that add up to {total:g}, and groups without one"
        document.report(
            path,
            found,
            "a share left for these groups",
            "a share is the group's part of the operator's subscribers in the region",
        )


def _connected(topology: Topology, without: Container[str] = ()) -> set[str]:
    """Returns the operators that buy transit abroad, directly or through other operators, but for those in `without`.
    Unknown carriers count as transits, since they are reported already."""
    connected: set[str] = set()
    while True:
        more = {
            name
            for name, operator in topology.operators.items()
            if name not in connected
            and name not in without
            and any(carrier in connected or carrier not in topology.operators for carrier in operator.transit)
        }
        if not more:
            return connected
        connected |= more


def _check_numbers(topology: Topology, document: Document) -> None:
    owners = [("operators", name, item.asn) for name, item in topology.operators.items()]
    owners += [("transits", name, item.asn) for name, item in topology.transits.items()]
    seen: dict[int, str] = {topology.exchange.asn: "the exchange"}
    for kind, name, asn in owners:
        if asn in seen:
            found = f"AS{asn}, which {seen[asn]} has (line {document.line((kind, seen[asn], 'asn'))})"
            document.report((kind, name, "asn"), found, "a unique AS number", "change one of them")
        seen.setdefault(asn, name)
    prefixes: list[tuple[Path, IpPrefix]] = [(("the laboratory's own links",), prefix) for prefix in LABORATORY]
    for kind, holders in (("operators", topology.operators), ("transits", topology.transits)):
        for name, holder in holders.items():
            for index, prefix in enumerate(holder.prefixes):
                path: Path = (kind, name, "prefixes", index)
                if is_for_hosts(prefix):
                    prefixes.append((path, prefix))
                else:
                    found = f"{prefix}, which contains no host addresses"
                    document.report(path, found, "a prefix of unicast addresses", "such as 100.64.0.0/16")
    for (path_a, a), (path_b, b) in _overlapping(prefixes):
        owner = f"{path_a[1]} (line {document.line(path_a)})" if len(path_a) > 1 else path_a[0]
        found = f"{b}, which overlaps {a} of {owner}"
        document.report(path_b, found, "prefixes that do not overlap", "change one of them")
    for kind, holders in (("operators", topology.operators), ("transits", topology.transits)):
        for name, holder in holders.items():
            _check_room(document, (kind, name, "prefixes"), holder)


def _overlapping(prefixes: list[tuple[Path, IpPrefix]]) -> Iterator[list[tuple[Path, IpPrefix]]]:
    """Yields pairs of overlapping prefixes, in their order; a prefix inside others comes once, with the largest of
    these."""
    order = {path: index for index, (path, _) in enumerate(prefixes)}

    def place(item: tuple[Path, IpPrefix]) -> tuple[int, int, int, int]:
        path, prefix = item
        return prefix.version, int(prefix.network_address), prefix.prefixlen, order[path]

    around: tuple[Path, IpPrefix] | None = None
    for item in sorted(prefixes, key=place):
        if around is not None and overlap(around[1], item[1]):
            yield sorted((around, item), key=lambda each: order[each[0]])
        else:
            around = item


def _check_room(document: Document, path: Path, holder: Operator | Transit) -> None:
    groups = sum(map(len, holder.regions.values())) if isinstance(holder, Operator) else 0
    for version, length in SUBNET_LENGTHS.items():
        own = [prefix for prefix in holder.prefixes if prefix.version == version]
        if version == 6 and not own and isinstance(holder, Operator):
            continue  # it is IPv4-only
        room = sum(2 ** (length - prefix.prefixlen) for prefix in own if prefix.prefixlen <= length)
        if room < groups + 1:
            found = f"IPv{version} prefixes with room for {room} /{length}"
            hint = f"one /{length} per subscriber group and one for infrastructure"
            if not own and isinstance(holder, Operator):
                hint += "; for lines of IPv6 alone, add `nat64`, which translates into these"
            elif not own:
                hint = "foreign transits have both: only operators can be IPv4-only"
            document.report(path, found, f"room for at least {groups + 1}", hint)
