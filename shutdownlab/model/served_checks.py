"""Checks what a topology serves: each app in one place, at addresses of its own, anycast ones abroad as well."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from shutdownlab.config.addresses import IpPrefix, is_for_hosts, is_part
from shutdownlab.config.document import Document, Path, one_of, quoted
from shutdownlab.inspection.apps import App
from shutdownlab.model.address_plan import LABORATORY, MOST_SERVED_AT_HOME
from shutdownlab.model.routing import COVER
from shutdownlab.model.topology import Operator, Topology, Transit


def check_served(topology: Topology, document: Document, apps: Mapping[str, App]) -> None:
    """Reports the mistakes of all `serves` and `anycast` lists."""
    _check_hosted(topology, document, apps)
    _check_anycast(topology, document, apps)
    _check_room_for_guests(topology, document, apps)


def _check_room_for_guests(topology: Topology, document: Document, apps: Mapping[str, App]) -> None:
    """Checks that the servers of a roaming subscribers' home leave enough of its addresses for them."""
    for name in topology.homes:
        taken = 0
        for item in topology.transits[name].serves:
            if isinstance(item, str):
                endpoints = apps[item].endpoints if item in apps else ()
                taken += sum(len(endpoint.names) for endpoint in endpoints if not endpoint.addresses)
            else:
                taken += 1
        if taken > MOST_SERVED_AT_HOME:
            found = f"{taken} servers without own addresses, at the home of roaming subscribers"
            hint = "move some to another transit"
            document.report(("transits", name, "serves"), found, f"at most {MOST_SERVED_AT_HOME}", hint)


def _check_hosted(topology: Topology, document: Document, apps: Mapping[str, App]) -> None:
    hosted: dict[str, Path] = {}
    at: dict[IpPrefix, Path] = {}
    owners = _Owners(topology)
    for path, app in topology.served():
        if app not in apps:
            document.report_unknown(path, "app", app, apps, document.near(app, apps) or "`shutdownlab apps` lists them")
        elif app in hosted:
            found = f"{quoted(app)}, which is hosted already (line {document.line(hosted[app])})"
            document.report(path, found, "each app hosted once", "remove one of them")
        else:
            _check_addresses(owners, document, path, apps[app], at)
            if (holder := topology.operators.get(str(path[1]))) is not None and path[0] == "operators":
                _check_usable(document, path, holder, apps[app])
        hosted.setdefault(app, path)
    known = [apps[app] for app in hosted if app in apps]
    answered = {name for app in known for endpoint in app.endpoints for name in endpoint.names}
    for path, program in topology.programs():
        for index, name in enumerate(program.names):
            if name in answered:
                found = f"{name}, a name that another server has already"
                document.report((*path, "names", index), found, "a name that no other server in the country has")
            answered.add(name)


def _check_usable(document: Document, path: Path, holder: Operator, app: App) -> None:
    """Checks that each endpoint of an app has an address of an IP version of the operator that serves it."""
    for endpoint in app.endpoints:
        if endpoint.addresses and not any(address.version in holder.versions for address in endpoint.addresses):
            found = f"{app.title} at {endpoint.addresses[0].network_address}, at an IPv4-only operator"
            hint = "add an IPv6 prefix to the operator's `prefixes`, or move the app to another network"
            document.report(path, found, "an app with IPv4 addresses", hint)


def _check_anycast(topology: Topology, document: Document, apps: Mapping[str, App]) -> None:
    """Checks that anycast apps are also served abroad, at addresses of their own, and once by each operator, and that
    everything in the prefixes around those addresses is on the same servers."""
    abroad = {app: path[1] for path, app in topology.served() if path[0] == "transits"}
    groups: dict[Path, set[str]] = {}
    for path, app in topology.anycast():
        groups.setdefault(path[:-2], set()).add(app)
    seen: dict[tuple[Path, str], Path] = {}
    for path, app in topology.anycast():
        group, operator = path[:-2], path[:2]
        first = seen.setdefault((operator, app), path)
        if str(operator[1]) in topology.by_satellite:
            found, hint = (
                f"{quoted(app)} at a satellite operator",
                "its gateway is abroad, so its servers are not nearer",
            )
            document.report(path, found, "an operator with cables into the country", hint)
        elif app not in apps:
            document.report_unknown(path, "app", app, apps, document.near(app, apps) or "`shutdownlab apps` lists them")
        elif first is not path:
            found = f"{quoted(app)}, which {operator[1]} lists already (line {document.line(first)})"
            document.report(path, found, "each app once per operator", "remove one of them")
        elif app not in abroad:
            found, hint = f"{quoted(app)}, which no foreign transit serves", f"such as {one_of(sorted(abroad)[:5])}"
            document.report(path, found, "an app that is served abroad as well", hint)
        elif not any(endpoint.addresses for endpoint in apps[app].endpoints):
            found = f"{quoted(app)}, which has no `addresses`"
            document.report(
                path,
                found,
                "an app with `addresses`",
                "without them it gets an address of the network that serves it",
            )
        elif other := _beside(app, [a for a in abroad if a in apps and a not in groups[group]], apps):
            found = f"{quoted(app)} without {quoted(other)}, which has addresses in the same prefix"
            document.report(path, found, "all apps in an announced prefix", f"add {other} to `anycast`")
        else:
            _check_usable(document, path, topology.operators[str(operator[1])], apps[app])


def _beside(app: str, others: Iterable[str], apps: Mapping[str, App]) -> str | None:
    """Returns another app with addresses in a prefix that is announced for `app`, or None."""
    own = [address for endpoint in apps[app].endpoints for address in endpoint.addresses]
    around = {address.supernet(new_prefix=COVER[address.version]) for address in own}
    around |= {block for block in apps[app].prefixes if any(is_part(address, block) for address in own)}
    for other in others:
        addresses = (address for endpoint in apps[other].endpoints for address in endpoint.addresses)
        if any(is_part(address, prefix) for address in addresses for prefix in around):
            return other
    return None


class _Owners:
    """The owners of the country's prefixes, indexed by prefix length."""

    def __init__(self, topology: Topology) -> None:
        holders: list[tuple[str, Operator | Transit]] = [*topology.operators.items(), *topology.transits.items()]
        owned = [(prefix, name) for name, holder in holders for prefix in holder.prefixes]
        owned += [(prefix, "the laboratory's own links") for prefix in LABORATORY]
        self._by_length: dict[tuple[int, int], dict[int, str]] = {}
        for prefix, name in owned:
            self._by_length.setdefault((prefix.version, prefix.prefixlen), {})[_bits(prefix, prefix.prefixlen)] = name

    def of(self, prefix: IpPrefix) -> str | None:
        """Returns the owner of `prefix`, or of one around it, or None."""
        for (version, length), names in self._by_length.items():
            if version == prefix.version and length <= prefix.prefixlen:
                name = names.get(_bits(prefix, length))
                if name is not None:
                    return name
        return None


def _bits(prefix: IpPrefix, length: int) -> int:
    """Returns the first `length` bits of a prefix."""
    return int(prefix.network_address) >> prefix.max_prefixlen - length


def _check_addresses(owners: _Owners, document: Document, path: Path, app: App, at: dict[IpPrefix, Path]) -> None:
    """Checks that an app's own addresses are outside the country's prefixes, and are hosted in one place. `at`: the
    addresses so far."""
    for address in (address for endpoint in app.endpoints for address in endpoint.addresses):
        first = at.setdefault(address, path)
        owner = owners.of(address)
        if not is_for_hosts(address):
            found = f"{app.title} at {address.network_address}, which is not a host address"
            document.report(path, found, "apps at unicast addresses", "change its `addresses` in the apps file")
        elif first[:-1] != path[:-1]:
            found = f"{app.title} at {address.network_address}, which is hosted elsewhere (line {document.line(first)})"
            document.report(path, found, "an address in one place", "host both in the same network")
        elif owner is not None:
            found = f"{app.title} at {address.network_address}, in the prefixes of {owner}"
            hint = "without `addresses` an app gets an address of the network that hosts it"
            document.report(path, found, "an address outside the country's prefixes", hint)
