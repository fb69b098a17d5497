"""Checks that the BGP announcements, hijacks and leaks of a scenario can make a difference. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from shutdownlab.config.addresses import IpPrefix, is_part
from shutdownlab.config.document import Document, Path, quoted
from shutdownlab.model.announcements import Announcement, Hijack, Leak
from shutdownlab.model.network import Network
from shutdownlab.model.policy import Policy
from shutdownlab.model.routing import COVER, Relation, holder_of, holders, router_of, sessions
from shutdownlab.model.scenario import Scenario


def check_announcements(scenario: Scenario, network: Network, document: Document) -> None:
    """Reports prefixes that no network announces or that the operator holds itself, and unknown neighbours."""
    rerouting = {n: p for n, p in scenario.policies.items() if p.announce or p.hijack or p.leak}
    held = holders(network) if rerouting else {}
    for name, policy in rerouting.items():
        path: Path = ("policies", name)
        if policy.announce is not None:
            _announcement(path, policy, policy.announce, network, document)
        foreign = policy.hijack or policy.leak
        if foreign is None:
            continue
        operators, place = network.topology.operators, (*path, "hijack" if policy.hijack else "leak", "by")
        if foreign.by not in operators:
            document.report_unknown(place, "operator", foreign.by, operators)
        elif foreign.by in network.topology.by_satellite:
            expected, hint = "an operator with cables into the country", "no order reaches a gateway abroad"
            document.report(place, f"{quoted(foreign.by)}, by satellite", expected, hint)
        elif foreign.prefix.version not in operators[foreign.by].versions:
            place, hint = (*place[:-1], "prefix"), "an operator without IPv6 prefixes is IPv4-only"
            document.report(place, f"{foreign.prefix}, of IPv6, by {foreign.by}", "an IPv4 prefix", hint)
        elif policy.hijack is not None:
            _hijack(path, policy.hijack, held, document)
        elif policy.leak is not None:
            _leak(path, policy.leak, network, held, document)


def _announcement(path: Path, policy: Policy, given: Announcement, network: Network, document: Document) -> None:
    meant = [operator for name, operator in network.topology.operators.items() if policy.is_addressed_to(name)]
    own = [prefix for operator in meant for prefix in operator.prefixes]
    for index, prefix in enumerate(given.prefixes):
        place = (*path, "announce", "prefixes", index)
        if not any(is_part(prefix, each) and prefix != each for each in own):
            expected = "a part of a prefix that these operators list under `prefixes`"
            document.report(place, str(prefix), expected, f"they announce {_listed(own)}")
        else:
            _short_enough(place, prefix, (), document)


def _hijack(path: Path, given: Hijack, held: Mapping[IpPrefix, str], document: Document) -> None:
    place = (*path, "hijack", "prefix")
    holder = holder_of(given.prefix, held)
    if holder is None:
        expected = "a prefix that another network announces, or a part of one"
        document.report(place, str(given.prefix), expected, f"such as {_listed(_others(held, given.by))}")
    elif holder == given.by:
        expected, hint = "a prefix of another network", "use `announce:` for parts of the operator's own prefixes"
        document.report(place, f"{given.prefix}, which is {given.by}'s own", expected, hint)
    else:
        _short_enough(place, given.prefix, held, document)


def _leak(path: Path, given: Leak, network: Network, held: Mapping[IpPrefix, str], document: Document) -> None:
    there = sessions(network, router_of(network, given.by))
    upstreams = dict.fromkeys(s.owner for s in there if s.relation in {Relation.PROVIDER, Relation.EXCHANGE})
    holder = held.get(given.prefix)
    if given.to not in upstreams:
        document.report_unknown((*path, "leak", "to"), f"neighbour of {given.by}", given.to, upstreams)
    elif holder is None or holder == given.by:
        found = f"{given.prefix}, which is {given.by}'s own" if holder else str(given.prefix)
        hint = f"such as {_listed(_others(held, given.by))}"
        document.report((*path, "leak", "prefix"), found, "exactly a prefix that another network announces", hint)
    elif holder == given.to:
        found = f"{quoted(given.to)}, the network that the prefix belongs to"
        others = ", ".join(name for name in upstreams if name != holder)
        document.report((*path, "leak", "to"), found, "another neighbour", f"such as {others}")
    elif holder in _customers(network, given.by):
        found = f"{given.prefix}, which belongs to its customer {holder}"
        document.report(
            (*path, "leak", "prefix"),
            found,
            "a prefix of another network",
            "routes of customers are announced to everybody anyway",
        )


def _customers(network: Network, provider: str) -> set[str]:
    """Returns an operator's customers, and their customers in turn."""
    found, waiting = set[str](), [provider]
    for name in waiting:
        new = [n for n, operator in network.topology.operators.items() if name in operator.transit and n not in found]
        found.update(new)
        waiting += new
    return found


def _short_enough(place: Path, prefix: IpPrefix, held: Iterable[IpPrefix], document: Document) -> None:
    longest = COVER[prefix.version]
    if prefix.prefixlen > longest and prefix not in held:
        hint = "most routers in the world accept no longer prefixes"
        document.report(place, str(prefix), f"a prefix of at most /{longest}", hint)


def _others(held: Mapping[IpPrefix, str], owner: str) -> list[IpPrefix]:
    return [prefix for prefix, holder in held.items() if holder != owner]


def _listed(prefixes: Iterable[IpPrefix]) -> str:
    found = sorted(map(str, prefixes))
    return ", ".join(found[:8]) + (" …" if len(found) > 8 else "")
