"""Probes: measurements from subscribers' lines. What all kinds share, and what each kind declares about itself.

A kind is a subclass of `Probe`, registered under the entry point group `shutdownlab.probes` by the name that scenarios
give as `test:`. Its fields are the keys that a scenario may give. Checking a scenario imports the modules of the kinds
it uses, so these must stay light: code that needs a network library is in the module that `runs` names, which only
agents import.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator

from shutdownlab.config.document import Expected
from shutdownlab.config.domains import Host, Url
from shutdownlab.config.mistakes import Mistake
from shutdownlab.config.scalars import Port, Ports
from shutdownlab.inspection.apps import App
from shutdownlab.model.labels import Heading, ShortLabel
from shutdownlab.model.listening import Transport
from shutdownlab.model.network import Hosted, Network
from shutdownlab.model.registered import Registered
from shutdownlab.model.scope import Scope
from shutdownlab.model.topology import Topology, Vantage

MOST_PATIENCE: Final = 4.0
"""The limit to extending a step's timeout, as a multiple of it: time that a busy machine took is given back up to
this."""

Need = Literal["way", "lookup", "server"]
"""What a probe depends on beside its own machine: its paths, its resolver, its servers."""


class Family(StrEnum):
    IPV4 = "ipv4"
    IPV6 = "ipv6"

    @property
    def version(self) -> int:
        return 4 if self is Family.IPV4 else 6


def _each_once(families: tuple[Family, ...]) -> tuple[Family, ...]:
    for family in families:
        if families.count(family) > 1:  # each would be measured, and count, that often
            raise Expected("each address family once", found=f"{family.value} twice")
    return families


Families = Annotated[tuple[Family, ...], AfterValidator(_each_once)]
"""Address families, each of which is measured by itself."""


def of_versions(families: tuple[Family, ...], versions: Container[int]) -> tuple[Family, ...]:
    """Returns the address families of some IP versions."""
    return tuple(family for family in families if family.version in versions)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The context in which a probe is about to run: network, vantage point, address family, and phase if any.

    `throttled_below`: kbit/s below which the scenario calls a line throttled. `folder`: the folder of the scenario's
    file. `nearest`: returns the node that serves something hosted as seen from here, if known; an anycast address has
    several.
    """

    network: Network
    vantage: Vantage
    family: Family
    phase: str = ""
    throttled_below: int = 512
    folder: Path = Path()
    nearest: Callable[[Hosted], str] | None = field(default=None, compare=False)

    def node_of(self, hosted: Hosted) -> str:
        """Returns the node at which something hosted is reached from here; the one abroad if that is not known."""
        return hosted.node if self.nearest is None else self.nearest(hosted)

    def hosted(self, host: str | None) -> Hosted | None:
        """Returns what is hosted at a host name or address in this country, or None."""
        return self.network.hosted_as(host) if host else None

    def addresses(self, host: str | None) -> tuple[str, ...]:
        """Returns the true addresses of a host in this family; () if no host has that name."""
        hosted = self.hosted(host)
        if hosted is not None and host in hosted.names:
            return tuple(str(a) for a in hosted.addresses if a.version == self.family.version)
        try:
            literal = ipaddress.ip_address(host or "")
        except ValueError:
            return ()
        return (str(literal),) if literal.version == self.family.version else ()


@dataclass(frozen=True, slots=True)
class Errand:
    """A task for the agent at `node`, another vantage point, before a probe: the probe's function, with this `ask`."""

    node: str
    ask: Any


@dataclass(frozen=True, slots=True)
class ServerControl:
    """A control of a server: a probe's function and its `ask`, run on the server's own node.

    `of_operator`: the server is the operator's own, and its control subscriber measures it.
    """

    runs: str
    ask: Any
    of_operator: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """A server that a probe asks: at a port of the host that its key `key` names.

    kinds: the kinds of service of which each can answer it; empty: whatever listens there can.
    """

    key: str
    host: str
    port: int
    transport: Transport = "tcp"
    kinds: tuple[str, ...] = ()


class Probe(Registered):
    """A measurement repeated in every phase from every vantage point that `from` selects."""

    test: str
    """The kind of probe."""
    families: Families = (Family.IPV4,)
    """The address families that it is made over, each as a measurement of its own. Subscribers of an IPv4-only operator
    do not make it over IPv6."""
    column: Heading = ""
    """Its heading in tables, which probes with the same heading share; left out: its own name."""
    short: ShortLabel = ""
    """A heading of at most 5 characters, for terminals that are too narrow for the whole one."""
    from_: Scope = Scope()
    """The subscribers from whose lines it runs; left out: all."""
    during: tuple[str, ...] = ()
    """The phases in which it runs; left out: all."""

    model_config = Registered.model_config | {"alias_generator": lambda name: name.rstrip("_")}

    group: ClassVar[str] = "shutdownlab.probes"
    named_by: ClassVar[str] = "test"
    runs: ClassVar[str] = ""
    """`package.module:function`: a coroutine function, called with a session and what `ask` returns; see
    docs/extending.md."""
    follows: ClassVar[str] = ""
    """`package.module:function`: a function, called with a modelled line (`verifier.line.ModelledLine`) and what `ask`
    returns, that returns what `runs` would find. Without it, `verify` cannot predict the outcome."""
    ooni_test: ClassVar[str] = "x_probe"
    """OONI's name for the test, prefixed with `x_` if OONI has none."""
    shares: ClassVar[int] = 1
    """Processor time it takes while it runs (client, servers and switches together), relative to a ping's."""
    answered_by: ClassVar[Literal["host", "port", "program"]] = "program"
    """What must work on its server: only the host, whose kernel answers; an open port, on which the kernel accepts
    connections even if the program hangs; or the program."""
    alone: ClassVar[bool] = False
    """Whether it measures a line's speed, and so waits until nothing else is running at its place."""

    @property
    def host_name(self) -> str | None:
        """The host it talks to, or None; the host's addresses are part of the request."""
        return None

    @property
    def hosts(self) -> dict[str, str]:
        """The hosts that the topology must have for this probe, by the key that names them."""
        return {}

    @property
    def asked(self) -> tuple[Asked, ...]:
        """The servers that must listen for this probe: of a port that nobody serves it would say that it is blocked."""
        return ()

    @property
    def resolver_address(self) -> str | None:
        """The resolver it queries, if not the operator's."""
        return None

    @property
    def waits_for(self) -> Literal["host", "port", "program"]:
        """What must work on its server: by default, what `answered_by` says for its kind."""
        return self.answered_by

    @property
    def echoes(self) -> int:
        """The number of ICMP echo requests that it sends if none is lost."""
        return 0

    @property
    def lasts(self) -> float:
        """Seconds that it may take by itself, beside the timeouts of its steps."""
        return 0.0

    @property
    def programs(self) -> tuple[tuple[str, ...], ...]:
        """The programs that it starts, each as its argv: what a user must trust."""
        return ()

    def mistakes(self, topology: Topology, apps: Mapping[str, App]) -> Iterator[Mistake]:
        """Yields what it asks for that the topology does not have; paths are relative to the probe."""
        yield from ()

    def ask(self, at: Surroundings) -> Any:
        """Returns the argument of the agent's function for one vantage point: by default the probe itself.

        It must be picklable.
        """
        return self

    def errand(self, at: Surroundings) -> Errand | None:
        """Returns what must happen at another vantage point first, or None."""
        return None

    def far_ends(self, at: Surroundings) -> tuple[tuple[str, str], ...]:
        """Returns the paths to its servers, as pairs of end nodes, along which controls go. The first end is a
        subscriber's.

        The path to the operator's resolver is implied if there are names `looked_up`.
        """
        own, hosted = at.network.subscriber(at.vantage.id).name, at.hosted(self.host_name)
        return ((own, at.node_of(hosted)),) if hosted is not None else ()

    def looked_up(self, at: Surroundings) -> tuple[str, ...]:
        """Returns the names that it asks the operator's resolver for; controls ask for them too."""
        return ()

    def control(self, at: Surroundings) -> ServerControl | None:
        """Returns the control of its server, on the server's own node, where no policy applies: by default the same
        request.

        None if there is no server, or if the controls that ask the operator's resolver cover all of it.
        """
        return ServerControl(self.runs, self.ask(at))

    def ooni_name(self) -> str:
        """Returns the `test_name` of its OONI records."""
        return self.ooni_test

    def ooni_input(self, at: Surroundings) -> str | None:
        """Returns the `input` of its OONI records."""
        return None


def probe(test: str, **fields: Any) -> Probe:
    """Returns a probe of an installed kind; raises pydantic's `ValidationError`."""
    return Probe.model_validate({"test": test, **fields})


def _single(ports: Ports) -> Ports:
    if ports.first != ports.last:
        raise Expected("a single port such as tcp/443", found=f"the ports {ports}")
    return ports


SinglePort = Annotated[Port, AfterValidator(_single)]


class HostProbe(Probe):
    """A probe of `host`, a name or an address in the topology."""

    host: Host
    """A host name that the topology serves, or an address."""

    @property
    def host_name(self) -> str | None:
        return self.host

    @property
    def hosts(self) -> dict[str, str]:
        return {"host": self.host}


class PortProbe(HostProbe):
    """A probe of a port of a host."""

    port: SinglePort
    """The port, with its transport."""

    @property
    def asked(self) -> tuple[Asked, ...]:
        return (Asked("port", self.host, self.port.first, "udp" if self.port.protocol == "udp" else "tcp"),)


class UrlProbe(Probe):
    """A probe that fetches `url` from a host of the topology."""

    url: Url
    """The URL, of a host that the topology serves."""

    @property
    def host_name(self) -> str | None:
        return urlsplit(self.url).hostname

    @property
    def hosts(self) -> dict[str, str]:
        return {"url": self.host_name or ""}

    @property
    def asked(self) -> tuple[Asked, ...]:
        return (asked_by_url("url", self.url),)

    def looked_up(self, at: Surroundings) -> tuple[str, ...]:
        return (self.host_name,) if self.host_name else ()

    def ooni_input(self, at: Surroundings) -> str | None:
        return self.url


def asked_by_url(key: str, url: str) -> Asked:
    """Returns the server of a URL that a key names: of `https`, `http` or `tls`."""
    parts = urlsplit(url)
    usual = {"http": 80, "tls": 853}.get(parts.scheme, 443)
    return Asked(key, parts.hostname or "", parts.port or usual, "tcp", (parts.scheme,))
