"""What a cell asks of its vantage point's probe agent. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

from shutdownlab.library import Shutdown
from shutdownlab.model.network import Hosted, Network, Role, node_name
from shutdownlab.model.scenario import Family, Probe, Test
from shutdownlab.model.topology import SubscriberClass, Vantage, VantageId
from shutdownlab.protocol.probing import Line, ProbeRequest, Target
from shutdownlab.results.cells import Cell
from shutdownlab.servers.pages import site_name


def request(shutdown: Shutdown, cell: Cell, ca: str) -> ProbeRequest:
    """What to ask the vantage point's agent; `ca`: path of the lab authority's certificate (PEM)."""
    scenario = shutdown.scenario
    probe = scenario.probes[cell.target]
    asked = request_of(shutdown.network, probe, cell.target, cell.vantage, cell.family, ca, scenario.throttled_below)
    return replace(asked, id=cell.id)


def request_of(
    network: Network, probe: Probe, name: str, vantage: Vantage, family: Family, ca: str, throttled_below: int
) -> ProbeRequest:
    """The same of any probe, a scenario's or not, under the name `name`."""
    version = 4 if family is Family.IPV4 else 6
    hosted = network.hosted_as(probe.host_name) if probe.host_name else None
    addresses = _addresses(hosted, probe.host_name, version)
    callee = _callee(network, vantage, probe.to) if probe.test in {Test.CALL, Test.SMS} else None
    return ProbeRequest(
        id=name,
        name=name,
        test=probe.test,
        place=f"{vantage.id.operator}/{vantage.id.region}/{vantage.access}",
        family=family,
        resolver=probe.plain_resolver or str(network.one(Role.RESOLVER, vantage.id.operator).address(version)),
        secure_resolver=probe.secure_resolver or "",
        ca=ca,
        url=probe.url or "",
        host=probe.host_name or "",
        port=probe.port.first if probe.port else 0,
        transport="udp" if probe.port and probe.port.protocol == "udp" else "tcp",
        app=probe.app or "",
        targets=tuple(_targets(network, probe.app, vantage, version)) if probe.app else (),
        addresses=addresses,
        marker=_marker(probe, hosted),
        line=_line(network, vantage.id, version),
        peer=_line(network, callee, version) if callee else None,
        peer_agent=node_name(callee) if callee else "",
        throttled_below=throttled_below,
    )


def _addresses(hosted: Hosted | None, host: str | None, version: int) -> tuple[str, ...]:
    if hosted is not None and (host in hosted.names):
        return tuple(str(a) for a in hosted.addresses if a.version == version)
    try:
        literal = ipaddress.ip_address(host or "")
    except ValueError:
        return ()
    return (str(literal),) if literal.version == version else ()


def _targets(network: Network, app: str, vantage: Vantage, version: int) -> Iterator[Target]:
    """The endpoints that an app has in an IP version; of WhatsApp's sixteen alike, one a vantage point, as OONI Probe
    picks one."""
    there = [h for h in network.hosted if h.app == app and any(a.version == version for a in h.addresses)]
    alike = [name for hosted in there for name in hosted.names if _NUMBERED.match(name)]
    picked = alike[network.vantages.index(vantage) % len(alike)] if alike else None
    for hosted in there:
        services = tuple((service.kind, service.port) for service in hosted.services)
        for name in hosted.names or ("",):
            if name not in alike or name == picked:
                yield Target(name, tuple(map(str, hosted.addresses)), services)


_NUMBERED = re.compile(r"e\d+\.whatsapp\.net$")


def _marker(probe: Probe, hosted: Hosted | None) -> str:
    """The title of the genuine page, for web tests of a site's front page."""
    if probe.test not in {Test.WEB, Test.HTTP3} or hosted is None or urlsplit(probe.url or "").path not in {"", "/"}:
        return ""
    return f"<title>{site_name(hosted)}</title>"


def _line(network: Network, vantage: VantageId, version: int) -> Line:
    """A vantage point's telephone line; the number counts vantage points."""
    index = next(index for index, v in enumerate(network.vantages) if v.id == vantage)
    return Line(f"7700{index:07d}", str(network.one(Role.TELEPHONE, vantage.operator).address(version)))


def _callee(network: Network, caller: Vantage, region: str | None) -> VantageId | None:
    """Whom a vantage point calls: an ordinary subscriber of its operator in `region`, or elsewhere, but not itself."""
    others = [
        v.id
        for v in network.vantages
        if v.id.operator == caller.id.operator and v.class_ is SubscriberClass.ORDINARY and v.id != caller.id
    ]
    preferred = [v for v in others if v.region == region]
    return next(iter([*preferred, *reversed(others)]), None)
