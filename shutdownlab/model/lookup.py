"""Finds what a user names: phases, accounts, policies, vantage points, nodes and targets. Pure.

`where` is the option (`--at`) or parameter (`at`) that an error message blames. All functions raise `BadInput`, with
the nearest known name.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NoReturn

from shutdownlab.config.addresses import is_address
from shutdownlab.config.document import Expected, did_you_mean, listed_by, one_of, quoted
from shutdownlab.config.domains import host as host_of
from shutdownlab.config.domains import url as parse_url
from shutdownlab.config.idn import both_forms
from shutdownlab.config.problems import BadInput, Problem
from shutdownlab.config.scalars import Ports, ports
from shutdownlab.model.network import Hosted, Network, Node
from shutdownlab.model.probe import Family, Probe, Surroundings, of_versions, probe
from shutdownlab.model.scenario import Phase, Scenario, vantage_named
from shutdownlab.model.topology import Topology, Vantage

_ENDPOINT = re.compile(r"(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<host>[^\[\]:/]+)):(?P<port>\d{1,5})")
_TARGET = "a probe of the scenario, an app, a site (a host name or a URL) or ADDRESS:PORT"


def refuse(where: str, found: str, expected: str, hint: str = "") -> NoReturn:
    """Raises `BadInput` with one problem that is in no file."""
    raise BadInput([Problem(where, 0, "", found, expected, hint)])


def known(kind: str, name: object, names: Collection[str], where: str) -> str:
    """Returns `name`, which must be one of `names`."""
    if not isinstance(name, str) or name not in names:
        refuse(where, f"unknown {kind} {quoted(name)}", one_of(names, listed_by(kind)), did_you_mean(name, names))
    return name


def _a_name(given: object, expected: str, where: str) -> str:
    """Returns `given`, which must be text: a program can pass anything."""
    if not isinstance(given, str):
        refuse(where, quoted(given), expected)
    return given


def a_share(given: object, where: str, hint: str) -> float:
    """Returns `given`, which must be a number from 0 to 1."""
    expected = "a share from 0 to 1"
    if isinstance(given, bool) or not isinstance(given, int | float):
        refuse(where, quoted(given), expected, hint)
    if not 0 <= given <= 1:
        refuse(where, f"{given:g}", expected, hint)
    return given


def phase_named(scenario: Scenario, name: str, where: str) -> Phase:
    """Returns a phase of the timeline."""
    phases = {phase.phase: phase for phase in scenario.timeline}
    return phases[known("phase", name, phases, where)]


def choices_of(scenario: Scenario, given: Mapping[str, str], where: str) -> dict[str, str]:
    """Returns an option for every account of the scenario: the given one, or else its default."""
    choices = scenario.default_choices()
    if not isinstance(given, Mapping):
        refuse(where, quoted(given), "the version to follow, by account: {ACCOUNT: VERSION}")
    for account, option in given.items():
        known("account", account, scenario.accounts, where)
        options = scenario.accounts[account].options
        if option not in options:
            says = "; ".join(f"{name}: {choice.says}" for name, choice in options.items())
            refuse(where, f"unknown option {quoted(option)} of {account}", one_of(options), says)
        choices[account] = option
    return choices


def vantage_point(topology: Topology, name: str, where: str) -> Vantage:
    """Returns the vantage point `kcell/almaty/government`, or `kcell/almaty`: its ordinary group, or else its first
    one."""
    ids = [str(vantage.id) for vantage in topology.vantages()]
    found = vantage_named(topology, _a_name(name, one_of(ids), where))
    if found is None:
        hint = did_you_mean(name, [*ids, *(each.rpartition("/")[0] for each in ids)])
        refuse(where, f"unknown vantage point {quoted(name)}", one_of(ids, listed_by("vantage point")), hint)
    return found


def node_named(network: Network, name: str, where: str) -> Node:
    """Returns a node by its name in the drawing (`retn-servers`), or a vantage point's by its id (`kcell/almaty`)."""
    if _a_name(name, "the name of a node or of a vantage point", where) in network.nodes:
        return network.nodes[name]
    vantage = vantage_named(network.topology, name)
    if vantage is not None:
        return network.subscriber(vantage.id)
    ids = [str(vantage.id) for vantage in network.vantages]
    hint = did_you_mean(name, [*network.nodes, *ids, *(each.rpartition("/")[0] for each in ids)])
    expected = f"a vantage point, or {one_of(network.nodes, listed_by('node'))}"
    refuse(where, f"unknown node {quoted(name)}", expected, hint)


def target_named(network: Network, probes: Mapping[str, Probe], text: str, where: str) -> tuple[str, Probe]:
    """Returns a label and the probe for a target.

    `text`: the name of one of `probes` (the scenario's; empty without a scenario), an app of the catalogue that the
    network hosts, a site that it hosts (a URL, or a host name: its front page), `ADDRESS:PORT`, `[ADDRESS]:PORT` or
    `HOST:PORT` (a TCP connection), or a bare address (a ping).
    """
    if _a_name(text, _TARGET, where) in probes:
        return text, probes[text]
    if any(hosted.app == text for hosted in network.hosted):
        return text, probe("app", app=text, families=_families(network.addresses_of(text)))
    if "://" in text:
        return text, _page(network, text, where)
    if is_address(text):
        return text, probe("ping", host=text, families=_families([text]))
    endpoint = _ENDPOINT.fullmatch(text)
    if endpoint is not None:
        return text, _connection(network, endpoint, where)
    host = _spelt(text)
    hosted = network.hosted_as(host)
    if hosted is None:
        hosts = [name for hosted in network.hosted for name in hosted.names]
        apps = {hosted.app for hosted in network.hosted}
        hint = (
            did_you_mean(text, [*probes, *apps, *hosts])
            or "`shutdownlab check FILE --graph FILE.svg` draws what exists"
        )
        refuse(where, f"unknown target {quoted(text)}", _TARGET, hint)
    return text, _site(hosted, host)


def family_of(
    network: Network, vantage: Vantage, probe: Probe, family: str | None, families: Sequence[Family], where: str
) -> Family:
    """Returns the address family `family`, or the first of `families`, over which a vantage point can measure; whatever
    the probe talks to must have it, too."""
    usable = of_versions(tuple(families), vantage.versions)
    wanted = family or (usable or families)[0].value
    chosen = Family(known("address family", wanted, [each.value for each in families], where))
    if chosen not in usable:
        hint = "its operator has no IPv6 prefixes"
        refuse(where, f"{chosen} from {vantage.id}, which is IPv4-only", "ipv4, or a target with IPv4 addresses", hint)
    for end in (node for ends in probe.far_ends(Surroundings(network, vantage, chosen)) for node in ends):
        if chosen.version not in network.nodes[end].versions:
            refuse(where, f"{chosen} to {end}, which is IPv4-only", "ipv4")
    return chosen


def port(text: str, where: str) -> Ports:
    """Parses a single port: `tcp/8080`, `udp/53`, or `8080` for TCP."""
    try:
        found = ports(text)
    except Expected:
        found = None
    if found is None or found.first != found.last:
        refuse(where, quoted(text), "a single port such as tcp/8080 or udp/53")
    return found if found.protocol else found.model_copy(update={"protocol": "tcp"})


def _site(hosted: Hosted, host: str) -> Probe:
    """Returns a probe of a site's front page, or a ping of a host that has none."""
    kinds = {service.kind: service.port for service in hosted.services}
    for scheme, usual in (("https", 443), ("http", 80)):
        if scheme in kinds:
            port = "" if kinds[scheme] == usual else f":{kinds[scheme]}"
            url = f"{scheme}://{host}{port}/"
            return probe("web", url=url, families=_families(hosted.addresses))
    return probe("ping", host=host, families=_families(hosted.addresses))


def _page(network: Network, url: str, where: str) -> Probe:
    try:
        host = parse_url(url).hostname or ""
    except Expected as error:
        refuse(where, quoted(url), error.expected, error.hint)
    return probe("web", url=url, families=_families(_hosted(network, host, where).addresses))


def _connection(network: Network, endpoint: re.Match[str], where: str) -> Probe:
    host, number = endpoint["v6"] or _spelt(endpoint["host"]), int(endpoint["port"])
    if not 0 < number < 65536 or (endpoint["v6"] and not is_address(endpoint["v6"])):
        refuse(where, quoted(endpoint[0]), "ADDRESS:PORT such as 8.8.8.8:53 or [2001:db8::1]:443")
    families = _families([host] if is_address(host) else _hosted(network, host, where).addresses)
    return probe("tcp", host=host, port=Ports(protocol="tcp", first=number, last=number), families=families)


def _spelt(host: str) -> str:
    """Returns a host name or address in canonical form; anything else unchanged, which is then unknown."""
    try:
        return host_of(host)
    except Expected:
        return host


def _hosted(network: Network, host: str, where: str) -> Hosted:
    hosted = network.hosted_as(host)
    if hosted is None:
        hint = did_you_mean(host, [name for each in network.hosted for name in each.names])
        found = f"{both_forms(host)}, which no server in {network.topology.name} answers for"
        refuse(where, found, "a host that the topology serves", hint)
    return hosted


def _families(addresses: Iterable[object]) -> tuple[Family, ...]:
    """Returns the address families of these addresses, IPv4 first."""
    texts = [str(address) for address in addresses]
    found = [Family.IPV4] if any(":" not in text for text in texts) else []
    return (*found, Family.IPV6) if any(":" in text for text in texts) else tuple(found)
