"""The kinds of probes that ship: what a scenario may say of each, and what its agent is asked.

In one module that imports no network library, so that a scenario is checked at once; the functions that measure are in
the modules named by `runs`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, field_validator, model_validator

from shutdownlab.config.addresses import endpoint, is_address
from shutdownlab.config.document import Expected, did_you_mean, one_of, quoted
from shutdownlab.config.domains import Host, url
from shutdownlab.config.mistakes import Mistake, unknown
from shutdownlab.config.scalars import Seconds, Whole, whole
from shutdownlab.inspection.apps import App as CatalogueApp
from shutdownlab.inspection.apps import is_whatsapp_endpoint
from shutdownlab.model.network import Network, Role
from shutdownlab.model.pages import DOWNLOADS
from shutdownlab.model.probe import (
    MOST_PATIENCE,
    Errand,
    Family,
    HostProbe,
    PortProbe,
    Probe,
    ServerControl,
    SinglePort,
    Surroundings,
    UrlProbe,
)
from shutdownlab.model.scenario import Outcome
from shutdownlab.model.topology import Topology, Vantage, VantageId

_SINGLE_STEP: Final = "urlgetter"
_LEAST_BYTES: Final = 64 * 1024
"""Fewer say nothing of how fast a line is."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A host, where the test has one a port, and its transport."""

    host: str
    port: int = 0
    transport: Literal["tcp", "udp"] = "tcp"


class _ToPort(PortProbe):
    def ask(self, at: Surroundings) -> Destination:
        return Destination(self.host, self.port.first, "udp" if self.port.protocol == "udp" else "tcp")


class Tcp(_ToPort):
    """A TCP connection to `port` of `host`, by its true address."""

    runs = "shutdownlab.probes.steps:tcp_test"
    follows = "shutdownlab.verifier.follow:tcp"
    answered_by = "port"
    ooni_test = _SINGLE_STEP

    def ooni_input(self, at: Surroundings) -> str:
        return f"tcpconnect://{endpoint(self.host, self.port.first)}"


class Tls(_ToPort):
    """A TLS handshake with `host`, by its true address."""

    runs = "shutdownlab.probes.steps:tls_test"
    follows = "shutdownlab.verifier.follow:tls"
    ooni_test = _SINGLE_STEP

    def ooni_input(self, at: Surroundings) -> str:
        return f"tlshandshake://{endpoint(self.host, self.port.first)}"


class Vpn(_ToPort):
    """The first exchange of an OpenVPN session with `host`, by its true address."""

    runs = "shutdownlab.probes.vpn:vpn_test"
    follows = "shutdownlab.verifier.follow:vpn"
    ooni_test = "openvpn"

    def ooni_input(self, at: Surroundings) -> str:
        asked = self.ask(at)
        return f"openvpn://{endpoint(asked.host, asked.port)}/?transport={asked.transport}"


@dataclass(frozen=True, slots=True)
class Echoes:
    """How many echo requests go to a host, how many are answered where all is well; to which TCP port next, if any."""

    host: str
    count: int = 1
    answered: int = 1
    then: int = 0


_Echoes = Annotated[Whole, Field(ge=1, le=100)]


class Ping(HostProbe):
    """ICMP echoes from `host`, by its true address."""

    count: _Echoes = 1
    """How many echo requests are sent, one after another."""
    answered: _Echoes | None = None
    """How many of them must be answered; left out: all."""
    then: SinglePort | None = None
    """A port of the host to which a TCP connection must be made, too, once they are all sent."""

    runs = "shutdownlab.probes.steps:ping_test"
    follows = "shutdownlab.verifier.follow:ping"
    answered_by = "host"
    ooni_test = "x_ping"

    @model_validator(mode="after")
    def _can_be_answered(self) -> Ping:
        if self.answered is not None and self.answered > self.count:
            hint = "no more can be answered than are sent"
            raise Expected(f"at most `count`, {self.count}", hint, found=str(self.answered), key="answered")
        if self.then is not None and self.then.protocol == "udp":
            raise Expected("a port of TCP, such as tcp/443", found=str(self.then), key="then")
        return self

    @property
    def waits_for(self) -> Literal["host", "port", "program"]:
        return "host" if self.then is None else "port"

    @property
    def echoes(self) -> int:
        return self.count

    def ask(self, at: Surroundings) -> Echoes:
        return Echoes(self.host, self.count, self.answered or self.count, self.then.first if self.then else 0)

    def control(self, at: Surroundings) -> ServerControl:
        """One echo, where the server's kernel answers; the port that it goes to besides."""
        return ServerControl(self.runs, replace(self.ask(at), count=1, answered=1))

    def ooni_input(self, at: Surroundings) -> str:
        return f"ping://{self.host}"


@dataclass(frozen=True, slots=True)
class NameQuestion:
    """Which name to look up, and whom to ask over TLS or HTTPS, if not the request's resolver in the clear."""

    host: str
    secure_resolver: str = ""


class Dns(HostProbe):
    """A lookup of `host`: through the operator's resolver, or the one that `resolver` gives."""

    resolver: str | None = None
    """Whom to ask instead of the operator's resolver: an address, `tls://HOST[:PORT]` (DNS over TLS) or
    `https://HOST[:PORT]/PATH` (DNS over HTTPS); a name is looked up through the operator's."""

    runs = "shutdownlab.probes.steps:dns_test"
    follows = "shutdownlab.verifier.follow:dns"
    ooni_test = _SINGLE_STEP

    @field_validator("resolver")
    @classmethod
    def _known_way(cls, value: str | None) -> str | None:
        if value is None or is_address(value):
            return value
        found = _secure_resolver(value)
        if found is None:
            wanted = "an address, tls://HOST or https://HOST/PATH"
            raise Expected(wanted, "such as 8.8.8.8 or https://dns.google/dns-query", found=quoted(value))
        return found

    @property
    def resolver_address(self) -> str | None:
        return self.resolver if self.resolver is not None and is_address(self.resolver) else None

    @property
    def _secure_resolver(self) -> str:
        return self.resolver if self.resolver is not None and not is_address(self.resolver) else ""

    @property
    def _secure_host(self) -> str | None:
        return urlsplit(self._secure_resolver).hostname

    def far_ends(self, at: Surroundings) -> tuple[tuple[str, str], ...]:
        """Whoever is asked, if not the operator's resolver: nothing goes to `host` itself."""
        hosted = at.hosted(self.resolver_address or self._secure_host)
        return ((at.network.subscriber(at.vantage.id).name, hosted.node),) if hosted is not None else ()

    def looked_up(self, at: Surroundings) -> tuple[str, ...]:
        if self.resolver is None:
            return (self.host,)
        return (self._secure_host,) if self._secure_host and not is_address(self._secure_host) else ()

    def control(self, at: Surroundings) -> ServerControl | None:
        return None if self.resolver is None else super().control(at)

    @property
    def hosts(self) -> dict[str, str]:
        return {"host": self.host} | ({"resolver": self._secure_host} if self._secure_host else {})

    def ask(self, at: Surroundings) -> NameQuestion:
        return NameQuestion(self.host, self._secure_resolver)

    def ooni_input(self, at: Surroundings) -> str:
        return f"dnslookup://{self.host}"


def _secure_resolver(text: str) -> str | None:
    """`tls://HOST` or `https://HOST/PATH` in its one spelling; None if it is neither."""
    try:
        parts = url(text, ("tls", "https"))
    except Expected:
        return None
    sound = not (parts.query or parts.fragment) and (parts.scheme == "https" or parts.path in {"", "/"})
    return parts.geturl() if sound else None


@dataclass(frozen=True, slots=True)
class Page:
    """A web page. `marker`: text that the genuine one contains; "" takes any with a status below 400."""

    url: str
    marker: str = ""


class Web(UrlProbe):
    """A web page, looked up through the operator's resolver: OONI's web_connectivity."""

    runs = "shutdownlab.probes.web:web_test"
    follows = "shutdownlab.verifier.follow:web"
    ooni_test = "web_connectivity"

    def ask(self, at: Surroundings) -> Page:
        hosted = at.hosted(self.host_name)
        ours = hosted is not None and hosted.program is None and urlsplit(self.url).path in {"", "/"}
        return Page(self.url, f"<title>{hosted.site_name}</title>" if hosted and ours else "")


class Http3(Web):
    """A web page over HTTP/3, looked up through the operator's resolver."""

    runs = "shutdownlab.probes.http3:http3_test"
    follows = "shutdownlab.verifier.follow:http3"
    ooni_test = _SINGLE_STEP
    shares = 6


@dataclass(frozen=True, slots=True)
class Download:
    """A file to fetch for so many `seconds`, or so many octets; of fewer than `min_bytes` it says nothing.

    Below `throttled_below` kbit/s the line is throttled.
    """

    url: str
    min_bytes: int = _LEAST_BYTES
    max_bytes: int = 512 * 1024
    seconds: float = 1.0
    throttled_below: int = 512


class Throughput(UrlProbe):
    """How fast a download runs, in kbit/s; `throttled` below the scenario's `throttled_below`."""

    runs = "shutdownlab.probes.throughput:throughput_test"
    follows = "shutdownlab.verifier.follow:throughput"
    ooni_test = "x_throughput"
    shares = 8
    alone = True

    def mistakes(self, topology: Topology, apps: Mapping[str, CatalogueApp]) -> Iterator[Mistake]:
        own = {name for _, program in topology.programs() for name in program.names}
        offered = [f"/bytes/{size}" for size in DOWNLOADS if size >= _LEAST_BYTES]
        path, host = urlsplit(self.url).path, self.host_name or ""
        if path not in offered and host not in own and not is_address(host):
            found = f"{quoted(path)}, which is no download or too small a one"
            yield Mistake(("url",), found, one_of(offered), "every site of the catalogue offers these")

    def ask(self, at: Surroundings) -> Download:
        return Download(self.url, throttled_below=at.throttled_below)


@dataclass(frozen=True, slots=True)
class Target:
    """An endpoint out of the app catalogue: a host name, or "" where clients use the bare addresses.

    `services` are (kind, port) such as ("https", 443). `addresses` are those it truly has: the control that answers
    are compared with.
    """

    host: str
    addresses: tuple[str, ...] = ()
    services: tuple[tuple[str, int], ...] = ()

    def addresses_of(self, family: Family) -> tuple[str, ...]:
        return tuple(a for a in self.addresses if ip_address(a).version == family.version)


@dataclass(frozen=True, slots=True)
class AppTargets:
    """An app and its endpoints."""

    app: str
    targets: tuple[Target, ...] = ()


class App(Probe):
    """OONI's test of an app of the catalogue; of an app that OONI has no test for, its web pages."""

    app: str
    """An app of the catalogue (`shutdownlab apps`) or of `apps` files, which some network serves."""

    runs = "shutdownlab.probes.apps:app_test"
    follows = "shutdownlab.verifier.follow:app"
    shares = 4

    def mistakes(self, topology: Topology, apps: Mapping[str, CatalogueApp]) -> Iterator[Mistake]:
        served = {app for _, app in topology.served()}
        if self.app not in apps:
            yield unknown(("app",), "app", self.app, apps)
        elif self.app not in served:
            hint = did_you_mean(self.app, sorted(served)) or "add it to the `serves` of a network of the topology"
            yield unknown(("app",), "app in this topology", self.app, served, hint)

    def far_ends(self, at: Surroundings) -> tuple[tuple[str, str], ...]:
        there = dict.fromkeys(hosted.node for hosted in at.network.hosted if hosted.app == self.app)
        return tuple((at.network.subscriber(at.vantage.id).name, node) for node in there)

    def looked_up(self, at: Surroundings) -> tuple[str, ...]:
        return tuple(target.host for target in _targets(self.app, at) if target.host)

    def ask(self, at: Surroundings) -> AppTargets:
        return AppTargets(self.app, tuple(_targets(self.app, at)))

    def ooni_name(self) -> str:
        return _OONI_APPS.get(self.app, _SINGLE_STEP)

    def ooni_input(self, at: Surroundings) -> str | None:
        return None if self.app in _OONI_APPS else self.app


_OONI_APPS: Final = {
    "whatsapp": "whatsapp",
    "telegram": "telegram",
    "signal": "signal",
    "facebook": "facebook_messenger",
}


def _targets(app: str, at: Surroundings) -> Iterator[Target]:
    """The endpoints that an app has in an IP version; of WhatsApp's sixteen alike, one a vantage point, as OONI Probe
    picks one."""
    version = at.family.version
    there = [h for h in at.network.hosted if h.app == app and any(a.version == version for a in h.addresses)]
    alike = [name for hosted in there for name in hosted.names if is_whatsapp_endpoint(name)]
    picked = alike[at.network.vantages.index(at.vantage) % len(alike)] if alike else None
    for hosted in there:
        services = tuple((service.kind, service.port) for service in hosted.services)
        for name in hosted.names or ("",):
            if name not in alike or name == picked:
                yield Target(name, tuple(map(str, hosted.addresses)), services)


@dataclass(frozen=True, slots=True)
class TelephoneLine:
    """A telephone line: its number and the SIP registrar (an address) of its operator."""

    number: str
    registrar: str


@dataclass(frozen=True, slots=True)
class TelephoneLines:
    """The caller's telephone line and the callee's; without a callee the telephone only registers."""

    line: TelephoneLine
    peer: TelephoneLine | None = None


_CONTROL_NUMBER: Final = "77009999999"


class _Telephone(Probe):
    """Between two subscribers of an operator."""

    to: str | None = None
    """The region that is called; left out, or where the operator has no other subscriber there: another of its
    regions."""

    def mistakes(self, topology: Topology, apps: Mapping[str, CatalogueApp]) -> Iterator[Mistake]:
        if self.to is not None and self.to not in topology.regions:
            yield unknown(("to",), "region", self.to, topology.regions)

    def ask(self, at: Surroundings) -> TelephoneLines:
        callee = _callee(at.network, at.vantage, self.to)
        return TelephoneLines(_line(at, at.vantage.id), _line(at, callee) if callee else None)

    def errand(self, at: Surroundings) -> Errand | None:
        """The callee's telephone registers first."""
        callee = _callee(at.network, at.vantage, self.to)
        return Errand(at.network.subscriber(callee).name, TelephoneLines(_line(at, callee))) if callee else None

    def far_ends(self, at: Surroundings) -> tuple[tuple[str, str], ...]:
        """The callee's path to the telephone service, the caller's, and the one between them."""
        service = at.network.one(Role.TELEPHONE, at.vantage.id.operator).name
        caller, callee = at.network.subscriber(at.vantage.id).name, _callee(at.network, at.vantage, self.to)
        if callee is None:
            return ((caller, service),)
        called = at.network.subscriber(callee).name
        return (caller, service), (called, service), (caller, called)

    def control(self, at: Surroundings) -> ServerControl:
        """A telephone of the control subscriber's registers."""
        registrar = self.ask(at).line.registrar
        return ServerControl(self.runs, TelephoneLines(TelephoneLine(_CONTROL_NUMBER, registrar)), of_operator=True)

    def ooni_input(self, at: Surroundings) -> str | None:
        peer = self.ask(at).peer
        return f"tel:{peer.number}" if peer else None


class Call(_Telephone):
    """A telephone call that is heard at both ends."""

    runs = "shutdownlab.probes.calls:call_test"
    follows = "shutdownlab.verifier.follow:call"
    ooni_test = "x_call"
    shares = 3


class Sms(_Telephone):
    """A short message that the other telephone acknowledges."""

    runs = "shutdownlab.probes.calls:sms_test"
    follows = "shutdownlab.verifier.follow:sms"
    ooni_test = "x_sms"


def _line(at: Surroundings, vantage: VantageId) -> TelephoneLine:
    """A vantage point's telephone line; the number counts vantage points."""
    index = next(index for index, v in enumerate(at.network.vantages) if v.id == vantage)
    return TelephoneLine(
        f"7700{index:07d}", str(at.network.one(Role.TELEPHONE, vantage.operator).address(at.family.version))
    )


def _callee(network: Network, caller: Vantage, region: str | None) -> VantageId | None:
    """Whom a vantage point calls: an ordinary subscriber of its operator in `region`, or elsewhere, but not itself."""
    others = [
        v.id for v in network.vantages if v.id.operator == caller.id.operator and v.is_ordinary and v.id != caller.id
    ]
    preferred = [v for v in others if v.region == region]
    return next(iter([*preferred, *reversed(others)]), None)


@dataclass(frozen=True, slots=True)
class Execution:
    """A program to run in `folder`. `otherwise`: the outcome of an exit status that is not among `outcomes`."""

    argv: tuple[str, ...]
    folder: Path
    timeout: float
    outcomes: Mapping[int, Outcome]
    otherwise: Outcome
    variables: Mapping[str, str]


def _argv(value: object) -> object:
    """Every argument is text; a number may stand without quotes."""
    if isinstance(value, str):
        words = ", ".join(value.split())
        raise Expected("the program and its arguments in a list", f"write [{words}]; for a shell [sh, -c, …]")
    return (
        [str(item) if isinstance(item, int | float) else item for item in value] if isinstance(value, list) else value
    )


def _meaning(value: object) -> object:
    meanings = [outcome.value for outcome in Outcome if outcome not in {Outcome.DOWN, Outcome.UNKNOWN}]
    if value not in meanings:
        raise Expected(one_of(meanings), lambda: did_you_mean(str(value), meanings))
    return value


def _exit_status(value: object) -> object:
    if value == "other":
        return value
    status = whole(value, 0, 255)
    if status is None:
        raise Expected("an exit status from 0 to 255, or `other`", found=quoted(value))
    return status


_OVER_TCP: Final = frozenset({"http", "https", "tcp", "tls"})
_Meaning = Annotated[
    Outcome,
    BeforeValidator(_meaning, json_schema_input_type=Literal["ok", "blocked", "throttled", "error"]),
]
_ExitStatus = Annotated[int | Literal["other"], BeforeValidator(_exit_status)]


class Command(Probe):
    """Any program, run at the vantage point in the folder of the scenario's file; its exit status is the outcome.

    Of what it writes to standard output the last line is recorded: one that is a number, with or without a unit, is the
    probe's value, and one such as `connection_reset` is what failed. See docs/extending.md; needs `--trust`.
    """

    command: Annotated[
        tuple[str, ...], BeforeValidator(_argv, json_schema_input_type=tuple[str | float, ...]), Field(min_length=1)
    ]
    """The program and its arguments. One that begins with ./ or ../ is a file beside the scenario."""
    timeout: Seconds = 10.0
    """After which it is killed, with its children; that counts as blocked."""
    host: Host | None = None
    """A host name of the topology: the program is told it as SHUTDOWNLAB_HOST, and its true address as
    SHUTDOWNLAB_ADDRESS."""
    outcomes: dict[_ExitStatus, _Meaning] = Field({})
    """What an exit status means, by status, or for all the `other` ones: ok, blocked, throttled or error. Left out: 0
    is ok, 1 blocked, 3 throttled, any other an error of the program itself."""

    runs = "shutdownlab.probes.command:command_test"
    ooni_test = "x_command"
    shares = 4

    @property
    def host_name(self) -> str | None:
        return self.host

    @property
    def hosts(self) -> dict[str, str]:
        return {"host": self.host} if self.host else {}

    @property
    def lasts(self) -> float:
        return MOST_PATIENCE * self.timeout

    @property
    def programs(self) -> tuple[tuple[str, ...], ...]:
        return (self.command,)

    def looked_up(self, at: Surroundings) -> tuple[str, ...]:
        return (self.host,) if self.host and not is_address(self.host) else ()

    def control(self, at: Surroundings) -> ServerControl | None:
        """A connection to the host's first TCP port: the program itself runs at the vantage points alone."""
        hosted = at.hosted(self.host)
        if hosted is None:
            return None
        listens = hosted.program.ports if hosted.program else ()
        ports = [each.first for each in listens if each.protocol == "tcp"]
        ports += [service.port for service in hosted.services if service.kind in _OVER_TCP]
        return ServerControl(Tcp.runs, Destination(self.host or "", ports[0])) if ports else None

    def ask(self, at: Surroundings) -> Execution:
        vantage = at.vantage
        variables = {
            "PHASE": at.phase,
            "VANTAGE": str(vantage.id),
            "OPERATOR": vantage.id.operator,
            "REGION": vantage.id.region,
            "SUBSCRIBER": vantage.id.group,
            "CLASS": vantage.class_,
            "ACCESS": vantage.access.value,
            "HOST": self.host or "",
        }
        by_status: dict[int, Outcome] = {0: Outcome.OK, 1: Outcome.BLOCKED, 3: Outcome.THROTTLED}
        by_status |= {status: outcome for status, outcome in self.outcomes.items() if status != "other"}
        otherwise = self.outcomes.get("other", Outcome.ERROR)
        return Execution(self.command, at.folder, self.timeout, by_status, otherwise, variables)

    def ooni_input(self, at: Surroundings) -> str:
        return " ".join(self.command)
